"""train, then eval, predict and embed on what it made, and everything train refuses."""

import csv
import io
import json
import os
import re
import subprocess

import tools
from tools import Case, clusters, idx_bytes, read_npy


ALL_FILES = ["analysis.json", "best.safetensors", "metrics.jsonl", "model.safetensors", "report.html", "run.json"]


class Training(Case):
    """Four separable clusters, trained in well under a second."""

    def write_data(self, name="train", n_rows=200, seed=1, classes=4):
        rows, labels = clusters(n_rows, 6, classes, seed)
        self.write_npy(name + "-x.npy", rows, "f4")
        self.write_npy(name + "-y.npy", labels, "i8")
        return "%s-x.npy,%s-y.npy" % (name, name)

    def small(self, *more, loss="arcface:s=16,m=0.2", out="run"):
        return ["train", "--data", self.write_data(), "--test-data", self.write_data("test", 80, 2), "--loss", loss,
                "--encoder", "mlp:16", "--dim", "5", "--epochs", "6", "--batch", "16", "--lr", "0.01", "--log-every",
                "10", "--out", out, *more]


class EndToEnd(Training):
    def test_links_in_its_folder_stay_links(self):
        os.mkdir(self.path("run"))
        os.mkdir(self.path("far"))
        for name in ALL_FILES:
            os.symlink("../far/" + name, self.path("run/" + name))
        for more, files in (([], ALL_FILES), ([], ALL_FILES), (["--no-report"], ALL_FILES[1:4] + ALL_FILES[5:])):
            self.report(*self.small(*more))
            self.assertEqual(sorted(os.listdir(self.path("run"))), ALL_FILES)
            self.assertEqual([os.path.islink(self.path("run/" + name)) for name in ALL_FILES], [True] * 6)
            self.assertEqual(sorted(os.listdir(self.path("far"))), files)
        os.remove(self.path("run/model.safetensors"))
        os.symlink("/dev/null", self.path("run/model.safetensors"))
        self.report(*self.small())
        self.assertEqual(os.readlink(self.path("run/model.safetensors")), "/dev/null")

    def test_training_writes_its_files_and_reports_accuracy_and_speed(self):
        report = self.report(*self.small())
        self.assertEqual(list(report), [
            "schema", "status", "loss", "objective", "train_loss", "train_accuracy", "test_accuracy", "test_nll",
            "epochs", "steps", "seconds", "samples_per_second", "parameters", "zero_rows", "model", "metrics", "run",
            "report", "best_epoch", "best_test_accuracy", "best"])
        self.assertGreaterEqual(report["test_accuracy"], 0.95)
        self.assertEqual((report["status"], report["epochs"], report["steps"]), ("finished", 6, 6 * 13))
        self.assertEqual((report["model"], report["report"]), ("run/model.safetensors", "run/report.html"))
        self.assertEqual((report["parameters"], report["zero_rows"]), (6 * 16 + 16 + 16 * 5 + 5 + 4 * 5, 0))
        self.assertEqual(sorted(os.listdir(self.path("run"))), ALL_FILES)
        self.check_metrics(report)
        self.check_run(report)

    def check_metrics(self, report):
        lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
        epochs = [line for line in lines if line["kind"] == "epoch"]
        steps = [line for line in lines if line["kind"] == "step"]
        self.assertEqual([line["epoch"] for line in epochs], [1, 2, 3, 4, 5, 6])
        self.assertEqual([line["step"] for line in steps], list(range(10, 79, 10)))
        self.assertEqual(epochs[-1]["test_accuracy"], report["test_accuracy"])
        self.assertEqual(epochs[-1]["samples"], 6 * 200)
        self.assertLess(epochs[-1]["loss"], epochs[0]["loss"])
        self.assertEqual(set(steps[0]), {"kind", "step", "epoch", "loss", "lr", "gradient_norm", "seconds", "samples"})
        self.assertEqual(set(epochs[0]), {"kind", "step", "epoch", "loss", "accuracy", "test_accuracy", "test_nll",
                                          "theta_target", "theta_nearest", "x_norm", "w_norm", "attraction", "repulsion",
                                          "radial_share", "seconds", "samples"})
        self.assertLess(epochs[-1]["theta_target"], epochs[-1]["theta_nearest"])

    def check_run(self, report):
        run = json.loads(self.read("run/run.json"))
        self.assertEqual(run["schema"], "logitude.run/1")
        self.assertEqual(run["results"], report)
        self.assertEqual((run["config"]["epochs"], run["config"]["lr"], run["config"]["optimizer"]), (6, 0.01, "adamw"))
        self.assertEqual(run["loss"], report["loss"])
        self.assertTrue({"version", "isa", "threads"} <= set(run))
        train, test = run["data"]["train"], run["data"]["test"]
        self.assertEqual((train["rows"], train["dim"], train["classes"], test["rows"]), (200, 6, 4, 80))
        self.assertRegex(train["fingerprint"], r"\A[0-9a-f]{16}\Z")
        self.assertNotEqual(train["fingerprint"], test["fingerprint"])

    def test_text_names_accuracy_speed_and_paths(self):
        text = self.succeeds(*self.small("-q"))
        for line in (r"test accuracy +[01]\.?\d*", r"samples per second +\S+", r"model +run/model\.safetensors",
                     r"metrics +run/metrics\.jsonl"):
            self.assertRegex(text, r"(?m)^%s$" % line)

    def test_training_on_any_number_of_threads_gives_the_same_model(self):
        models = []
        for threads in (1, 3):
            self.report(*self.small("--threads", threads))
            with open(self.path("run/model.safetensors"), "rb") as file:
                models.append(file.read())
        self.assertEqual(models[0], models[1])

    def test_without_test_data_there_is_no_test_accuracy(self):
        args = self.small("-q")
        where = args.index("--test-data")
        del args[where:where + 2]
        report = self.report(*args)
        self.assertIsNone(report["test_accuracy"])
        self.assertNotIn("best", report)
        self.assertRegex(self.succeeds(*args), r"(?m)^test accuracy +-$")
        self.assertNotIn("test_accuracy", self.read("run/metrics.jsonl"))
        self.assertEqual(list(json.loads(self.read("run/run.json"))["data"]), ["train"])

    def test_another_seed_gives_another_model_in_another_folder(self):
        args = self.small()
        del args[args.index("--out"):]
        paths = [self.report(*args, "--seed", seed)["model"] for seed in (0, 7)]
        self.assertEqual(paths, ["runs/arcface-0/model.safetensors", "runs/arcface-7/model.safetensors"])
        contents = [open(self.path(path), "rb").read() for path in paths]
        self.assertNotEqual(contents[0], contents[1])

    def test_the_l2_term_is_in_the_objective_alone(self):
        report = self.report(*self.small("--l2", "0.01", loss="softmax"))
        self.assertGreater(report["objective"], report["train_loss"])
        report = self.report(*self.small(loss="softmax"))
        self.assertEqual(report["objective"], report["train_loss"])

    def test_a_head_alone_takes_the_dimension_of_the_data(self):
        args = self.small()
        where = args.index("--encoder")
        report = self.report(*args[:where], "--encoder", "none", *args[where + 4:], "--lr", "0.1")
        self.assertGreaterEqual(report["test_accuracy"], 0.95)
        self.report("embed", "--model", report["model"], "--data", "test-x.npy", "--out", "z.npy")
        self.assertEqual(read_npy(self.path("z.npy"))[:2], ("f4", (80, 6)))

    def test_every_option_of_training_is_taken(self):
        report = self.report(*self.small(
            "--optimizer", "sgd", "--momentum", "0.5", "--weight-decay", "0", "--schedule", "step", "--warmup", "5",
            "--standardize", "feature", "--label-smoothing", "0.1", "--z-loss", "0.001", "--no-bias", "--dtype", "f32",
            loss="lsoftmax:m=2,lambda=geometric/10/0.9/1"))
        self.assertEqual(report["status"], "finished")
        lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
        self.assertIn("schedule", lines[0])

    def test_low_precision_and_class_sampling_change_the_training_alone(self):
        plain = self.report(*self.small())["train_loss"]
        losses = [plain]
        few = ["--batch", "2", "--sample-rate", "0.4"]
        for more in (["--dtype", "bf16"], few, few + ["--no-sample-correction"]):
            report = self.report(*self.small(*more))
            self.assertGreaterEqual(report["test_accuracy"], 0.9)
            losses.append(report["train_loss"])
        self.assertEqual(len(set(losses)), 4)
        self.assertEqual(self.report(*self.small("--sample-rate", "1", "--no-sample-correction"))["train_loss"], plain)
        self.fails(2, ["label smoothing"], *self.small("--sample-rate", "0.4", "--label-smoothing", "0.1"))
        self.fails(2, ["--sample-rate is '0'"], *self.small("--sample-rate", "0"))

    def test_fashion_mnist_in_a_folder_is_tested_on_its_test_half(self):
        os.mkdir(self.path("data"))
        for half, n_rows, seed in (("train", 60, 1), ("t10k", 20, 2)):
            rows, labels = clusters(n_rows, 9, 3, seed, 0.1)
            pixels = [max(0, min(255, int(128 + 40 * value))) for row in rows for value in row]
            self.write("data/%s-images-idx3-ubyte" % half, idx_bytes(pixels, (n_rows, 3, 3)))
            self.write("data/%s-labels-idx1-ubyte" % half, idx_bytes(labels, (n_rows,)))
        env = {"LOGITUDE_DATA": "data"}
        report = self.report("train", "--data", "fashion-mnist", "--loss", "softmax", "--encoder", "linear", "--dim", "4",
                             "--epochs", "30", "--batch", "20", "--lr", "0.05", "--out", "run", env=env)
        self.assertGreaterEqual(report["test_accuracy"], 0.9)
        self.assertEqual(json.loads(self.read("run/run.json"))["data"]["train"]["sample_shape"], [3, 3])
        model = ["--model", "run/model.safetensors", "--data"]
        self.assertEqual(self.report("eval", *model, "fashion-mnist", env=env)["rows"], 20)
        self.assertEqual(self.report("eval", *model, "fashion-mnist:train", env=env)["rows"], 60)
        self.assertEqual(self.report("eval", *model, "fashion-mnist", env=env)["accuracy"], report["test_accuracy"])


class Solved(Training):
    """Heads on fixed features by lbfgs and newton-cg."""

    def solved(self, *more, optimizer="lbfgs", loss="softmax"):
        return ["train", "--data", self.write_data(), "--test-data", self.write_data("test", 80, 2), "--loss", loss,
                "--encoder", "none", "--optimizer", optimizer, "--out", "run", *more]

    def test_the_minimum_is_reached_and_reported_with_its_certificate(self):
        for optimizer in ("lbfgs", "newton-cg"):
            report = self.report(*self.solved("--l2", "0.01", "--tolerance", "1e-7", optimizer=optimizer))
            self.assertEqual((report["status"], report["converged"]), ("finished", True))
            self.assertGreaterEqual(report["test_accuracy"], 0.95)
            self.assertLessEqual(report["gradient_norm"], report["gradient_goal"])
            self.assertLessEqual(report["gradient_max"], report["gradient_norm"])
            self.assertTrue(0 <= report["certified_gap"] < 1e-6)
            self.assertEqual(report["epochs"], report["iterations"])
            self.assertEqual(report["products"] > 0, optimizer == "newton-cg")
            lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
            self.assertEqual([line["step"] for line in lines[:-1]], list(range(report["iterations"] + 1)))
            self.assertAlmostEqual(lines[-2]["gradient_norm"], report["gradient_norm"], 6)  # measured again in double
            self.assertEqual((lines[-1]["kind"], lines[-1]["test_accuracy"]), ("epoch", report["test_accuracy"]))
            self.assertEqual(sorted(os.listdir(self.path("run"))), [name for name in ALL_FILES if name != "best.safetensors"])

    def test_a_limit_writes_the_model_and_says_that_it_has_not_converged(self):
        done = self.run_program(*self.solved("--l2", "0.01", "--max-iterations", "2", "--json"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("not converged after 2 iterations: the gradient's norm is ", done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["converged"], report["iterations"]), (False, 2))
        self.report("eval", "--model", "run/model.safetensors", "--data", "test-x.npy,test-y.npy")

    def test_without_l2_or_in_a_cosine_space_there_is_no_certificate(self):
        for loss in ("softmax", "arcface:s=4,m=0.1"):
            self.assertIsNone(self.report(*self.solved("--max-iterations", "5", "-q", loss=loss))["certified_gap"])

    def test_what_makes_no_sense_together_is_refused(self):
        self.fails(2, "optimizer lbfgs takes no alignment: that depends on batches", *self.solved("--align", "pga"))
        self.fails(2, "optimizer newton-cg needs gradient=exact: the others are the gradient of no function",
                   *self.solved(optimizer="newton-cg", loss="arcface:gradient=detached"))
        self.fails(2, "optimizer lbfgs meets all classes: sample_rate is 0.5, expected 1", *self.solved("--sample-rate", "0.5"))
        self.fails(2, "optimizer lbfgs works in float32 and float64: low precision would certify no optimum",
                   *self.solved("--dtype", "bf16"))

    def test_without_an_iteration_the_model_is_measured_all_the_same(self):
        report = self.report(*self.solved("--l2", "0.01", "--max-iterations", "0", "-q"))
        self.assertEqual(report["iterations"], 0)
        self.assertGreater(report["train_accuracy"], 0)

    def test_no_bound_is_wider_than_the_objective_which_is_never_negative(self):
        report = self.report(*self.solved("--l2", "1e-12", "--max-iterations", "2", "-q"))
        self.assertLessEqual(report["certified_gap"], report["objective"])


class Models(Training):
    """eval, predict, embed and info of one trained model."""

    def setUp(self):
        super().setUp()
        self.trained = self.report(*self.small())
        self.model = ["--model", "run/model.safetensors", "--data"]

    def test_eval_reports_the_keys_of_its_protocol(self):
        keys = {"classification": ["accuracy", "nll", "ece"],
                "verification": ["genuine_pairs", "impostor_pairs", "auc", "eer", "tar_at_far"],
                "retrieval": ["queries", "lone_queries", "recall_at", "map_at_r"]}
        keys["all"] = keys["classification"] + keys["verification"] + keys["retrieval"]
        for protocol, wanted in keys.items():
            report = self.report("eval", *self.model, "test-x.npy,test-y.npy", "--protocol", protocol)
            self.assertEqual(list(report), ["schema", "model", "data", "rows"] + wanted)
        self.assertEqual(report["accuracy"], self.trained["test_accuracy"])
        self.assertEqual(report["nll"], self.trained["test_nll"])
        self.assertEqual(list(report["tar_at_far"]), ["0.01", "0.001"])
        self.assertEqual(list(report["recall_at"]), ["1", "5"])
        self.assertEqual(report["genuine_pairs"] + report["impostor_pairs"], 80 * 79 // 2)
        self.assertGreater(report["auc"], 0.95)
        text = self.succeeds("eval", *self.model, "test-x.npy,test-y.npy", "--protocol", "all")
        self.assertRegex(text, r"(?m)^tar at far 0\.001 +\S+$")

    def test_labels_that_the_model_does_not_know_stop_classification_alone(self):
        spec = self.write_data("more", 30, 5, 5)
        self.fails(3, ["more-x.npy,more-y.npy: row 4 ", "'4'"], "eval", *self.model, spec)
        for protocol in ("verification", "retrieval"):
            self.report("eval", *self.model, spec, "--protocol", protocol)
        done = self.run_program("eval", *self.model, spec, "--protocol", "all", "--json")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no classification", done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([report[key] for key in ("accuracy", "nll", "ece")], [None] * 3)
        self.assertIsNotNone(report["auc"])
        self.assertIsNotNone(report["map_at_r"])

    def alone(self, protocol, *data):
        return ["eval", *self.model, "%s,%s" % data, "--protocol", protocol]

    def test_all_protocols_tell_what_the_labels_define(self):
        self.write_npy("few.npy", tools.clusters(4, 6, 4, 2)[0], "f4")
        self.write_npy("same.npy", [1] * 4, "i8")
        self.write_npy("distinct.npy", [0, 1, 2, 3], "i8")
        same, distinct = "all 4 rows have label '1': there is no impostor pair", "no two of the 4 rows have the same label: "
        self.fails(3, same, *self.alone("verification", "few.npy", "same.npy"))
        self.fails(3, distinct + "there is no genuine pair", *self.alone("verification", "few.npy", "distinct.npy"))
        self.fails(3, distinct + "no query has a match", *self.alone("retrieval", "few.npy", "distinct.npy"))
        whole = self.report(*self.alone("all", "test-x.npy", "test-y.npy"))
        for labels, notes, none in (
                ("same.npy", ["no verification: " + same], ["genuine_pairs", "impostor_pairs", "auc", "eer"]),
                ("distinct.npy", ["no verification: " + distinct + "there is no genuine pair",
                                  "no retrieval: " + distinct + "no query has a match"],
                 ["genuine_pairs", "impostor_pairs", "auc", "eer", "queries", "lone_queries", "map_at_r"])):
            done = self.run_program(*self.alone("all", "few.npy", labels), "--json")
            self.assertEqual((done.returncode, done.stderr), (0, "".join("logitude: %s\n" % note for note in notes)))
            report = json.loads(done.stdout)
            self.assertEqual(list(report), list(whole))
            self.assertEqual([key for key, value in report.items() if value is None], none)
            self.assertEqual(report["tar_at_far"], {"0.01": None, "0.001": None})
            self.assertEqual(report["recall_at"]["1"] is None, labels == "distinct.npy")

    def test_labels_that_define_nothing_are_an_error_of_all_protocols(self):
        self.write_npy("few.npy", tools.clusters(4, 6, 4, 2)[0], "f4")
        self.write_npy("new.npy", [7, 8, 9, 10], "i8")
        self.fails(3, ["no query has a match"], *self.alone("all", "few.npy", "new.npy"), "-q")

    def test_one_label_is_named_as_the_data_have_it(self):
        self.write("one.csv", "".join("%d,2,3,4,5,6,sole\n" % i for i in range(3)))
        self.fails(3, "all 3 rows have label 'sole': there is no impostor pair", "eval", *self.model, "one.csv", "--protocol",
                   "verification")

    def test_predict_agrees_between_csv_npy_and_json(self):
        args = ["predict", *self.model, "test-x.npy", "--top", 3]
        text = self.succeeds(*args)
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual(list(rows[0]), ["row", "label_1", "probability_1", "label_2", "probability_2", "label_3",
                                         "probability_3"])
        self.assertEqual([int(row["row"]) for row in rows], list(range(80)))
        self.assertEqual(self.report(*args, "--out", "p.csv")["out"], "p.csv")
        self.assertEqual(self.read("p.csv"), text)
        self.assertEqual(self.report(*args, "--out", "p.npy")["top"], 3)
        dtype, shape, classes = read_npy(self.path("p.npy"))
        self.assertEqual((dtype, shape), ("i8", (80, 3)))
        self.assertEqual(classes[::3], [int(row["label_1"]) for row in rows])
        report = self.report(*args)
        self.assertEqual(report["predictions"][7]["labels"], [rows[7]["label_%d" % k] for k in (1, 2, 3)])
        truth = tools.clusters(80, 6, 4, 2)[1]
        right = sum(int(row["label_1"]) == y for row, y in zip(rows, truth))
        self.assertAlmostEqual(right / 80, self.trained["test_accuracy"])
        for row in rows:
            p = [float(row["probability_%d" % k]) for k in (1, 2, 3)]
            self.assertEqual(p, sorted(p, reverse=True))
            self.assertLessEqual(sum(p), 1 + 1e-6)

    def test_embeddings_that_are_not_finite_are_never_written(self):
        self.write_npy("far.npy", [[1.0] * 6, [3e38, -3e38] * 3], "f4")
        for args in (["embed", *self.model, "far.npy", "--out", "z.npy"], ["predict", *self.model, "far.npy"]):
            self.fails(4, ["far.npy: row 1: its embedding is not finite"], *args)
        self.assertNotIn("z.npy", self.names())

    def test_probabilities_of_all_classes_sum_to_one(self):
        for row in csv.reader(self.succeeds("predict", *self.model, "test-x.npy", "--top", 4).splitlines()[1:]):
            self.assertAlmostEqual(sum(map(float, row[2::2])), 1.0, 6)

    def test_embed_agrees_between_csv_npy_and_json(self):
        args = ["embed", *self.model, "test-x.npy"]
        rows = list(csv.reader(io.StringIO(self.succeeds(*args))))
        self.assertEqual(rows[0], ["e0", "e1", "e2", "e3", "e4"])
        self.assertEqual(self.report(*args, "--out", "z.npy")["dim"], 5)
        dtype, shape, values = read_npy(self.path("z.npy"))
        self.assertEqual((dtype, shape), ("f4", (80, 5)))
        # %.9g holds every float32 exactly
        self.assertEqual([float("%.9g" % value) for value in values], [float(v) for row in rows[1:] for v in row])
        self.assertEqual(self.report(*args)["embeddings"][3], values[15:20])

    def test_info_shows_the_tensors_and_metadata_of_a_model(self):
        report = self.report("info", "run/model.safetensors")
        tensors = {tensor["name"]: tensor["shape"] for tensor in report["tensors"]}
        self.assertEqual(tensors["head.weight"], [4, 5])
        self.assertEqual(tensors["encoder.0.weight"], [16, 6])
        self.assertTrue(report["metadata"]["loss"].startswith("arcface:"))
        self.assertRegex(self.succeeds("info", "run/model.safetensors"), r"(?m)^head\.weight +\(4, 5\) f32 ")

    def test_outputs_that_cannot_be_are_refused_before_the_work(self):
        for verb in ("predict", "embed"):
            args = [verb, *self.model, "test-x.npy", "--out"]
            self.fails(2, "--out is 'z.txt', expected a name that ends in .npy or .csv, or -", *args, "z.txt")
            self.fails(2, "--out - and --json both want standard output, expected one of them", *args, "-", "--json")
            self.fails(5, ["no/z.npy: cannot write there: "], *args, "no/z.npy")
            self.fails(5, ["test-x.npy/z.csv: cannot write there: "], *args, "test-x.npy/z.csv")
            os.makedirs(self.path("d.npy"), exist_ok=True)
            self.fails(5, "d.npy: cannot write there: it is a folder", *args, "d.npy")

    def test_models_and_data_that_do_not_fit(self):
        self.fails(2, "--top is 5, expected at most 4, the classes of run/model.safetensors", "predict", *self.model,
                   "test-x.npy", "--top", 5)
        self.write_npy("wide.npy", [[0.0] * 7] * 3)
        self.fails(3, "wide.npy: 7 features a row, expected 6 as in run/model.safetensors", "embed", *self.model,
                   "wide.npy")
        self.fails(3, ["test-x.npy"], "eval", *self.model, "test-x.npy")
        self.fails(5, ["gone.npy"], "embed", *self.model, "gone.npy")
        self.fails(5, ["gone.safetensors"], "embed", "--model", "gone.safetensors", "--data", "test-x.npy")

    def test_a_model_that_was_cut_or_is_none(self):
        whole = open(self.path("run/model.safetensors"), "rb").read()
        for name, content in (("cut.safetensors", whole[:-4]), ("head.safetensors", whole[:100]), ("empty", b""),
                              ("text", b"hello, world\n"), ("x", tools.npy_bytes([1.0]))):
            self.write(name, content)
            self.fails(3, [name + ": "], "eval", "--model", name, "--data", "test-x.npy,test-y.npy")

    def test_a_csv_with_labels_of_text(self):
        rows, labels = clusters(60, 6, 3, 9)
        lines = ["a,b,c,d,e,f,kind"]
        lines += [",".join("%.6f" % v for v in row) + ',"%s"' % ("x,y", 'q""t', "plain")[y]
                  for row, y in zip(rows, labels)]
        self.write("t.csv", "\n".join(lines) + "\n")
        report = self.report("train", "--data", "t.csv", "--label-column", "kind", "--test-data", "t.csv", "--loss",
                             "softmax", "--encoder", "none", "--epochs", 20, "--batch", 10, "--lr", 0.05, "--out", "csv")
        self.assertEqual(report["test_accuracy"], 1.0)
        text = self.succeeds("predict", "--model", report["model"], "--data", "t.csv", "--label-column", "kind")
        found = [row["label_1"] for row in csv.DictReader(io.StringIO(text))]
        self.assertEqual(found, [("x,y", 'q"t', "plain")[y] for y in labels])


class TrainRefuses(Training):
    """Found before anything is written."""

    def refuses(self, code, message, *more, **changes):
        args = self.small(*more, **changes)
        before = self.names()
        self.fails(code, message, *args)
        self.assertEqual(self.names(), before)

    def test_losses_encoders_and_values(self):
        self.refuses(2, ["arcfase", "arcface"], loss="arcfase")
        self.refuses(2, ["arcface", "margin"], loss="arcface:margin=1")
        self.refuses(2, ["cosface", "m", "3"], loss="cosface:m=3")
        self.refuses(2, ["mlp"], "--encoder", "cnn:3")
        self.refuses(2, "--momentum is '1', expected a number from 0 to below 1", "--momentum", "1")

    def test_data_that_are_missing_wrong_or_do_not_fit(self):
        self.refuses(5, ["gone"], "--data", "gone")
        self.refuses(3, ["train-x.npy"], "--data", "train-x.npy")
        self.refuses(3, ["train-x.npy", "test-y.npy", "200", "80"], "--data", "train-x.npy,test-y.npy")
        self.write_npy("nan.npy", [[0.0] * 6] * 150 + [[float("nan")] + [0.0] * 5] + [[0.0] * 6] * 49)
        self.refuses(3, ["nan.npy: row 150, column 0"], "--data", "nan.npy,train-y.npy")
        self.write_npy("wide.npy", [[0.0] * 7] * 80)
        self.refuses(3, "wide.npy,test-y.npy: 7 features a row, expected 6 as in train-x.npy,train-y.npy", "--test-data",
                     "wide.npy,test-y.npy")
        self.write_npy("other.npy", [9] * 80, "i8")
        self.refuses(3, ["test-x.npy,other.npy: row 0 ", "'9'"], "--test-data", "test-x.npy,other.npy")
        self.write_npy("one.npy", [3] * 200, "i8")
        self.refuses(3, ["class"], "--data", "train-x.npy,one.npy", "--test-data", "train-x.npy,one.npy")

    def test_a_csv_with_a_bad_line(self):
        self.write("bad.csv", "a,b,y\n1,2,0\n1,two,1\n")
        self.refuses(3, ["bad.csv:3"], "--data", "bad.csv", "--test-data", "bad.csv")

    def test_output_folders_that_cannot_be(self):
        self.write("file", "")
        self.refuses(5, ["file/run: cannot write there: "], out="file/run")
        self.refuses(5, "file: cannot write there: file is not a folder", out="file")
        os.makedirs(self.path("taken/model.safetensors"))
        self.refuses(5, "taken/model.safetensors: cannot write there: it is a folder", out="taken")

    def test_a_former_run_survives_a_refusal(self):
        self.report(*self.small())
        names = ("run/model.safetensors", "run/best.safetensors")
        before = [open(self.path(name), "rb").read() for name in names]
        self.refuses(2, ["arcfase"], loss="arcfase")
        self.assertEqual([open(self.path(name), "rb").read() for name in names], before)


class Best(Training):
    """best.safetensors: the model of the epoch with the highest accuracy on the test data, of equals the first."""

    def restless(self, *more, out="run"):
        """Long steps, and labels to test on that have nothing to do with the rows: accuracies rise and fall."""
        args = self.small("--optimizer", "sgd", "--lr", "10", "--schedule", "constant", "--test-data", "test-x.npy,odd.npy",
                          *more, out=out)
        self.write_npy("odd.npy", [i * 7 // 11 % 4 for i in range(80)], "i8")
        return args

    def bytes_of(self, path):
        with open(self.path(path), "rb") as file:
            return file.read()

    def accuracies(self, folder):
        lines = [json.loads(line) for line in self.read(folder + "/metrics.jsonl").splitlines()]
        return [line["test_accuracy"] for line in lines if line["kind"] == "epoch"]

    def test_it_is_the_model_of_that_epoch(self):
        report = self.report(*self.restless())
        found = self.accuracies("run")
        best = found.index(max(found)) + 1
        self.assertLess(best, 6, found)  # else this would tell nothing
        self.assertEqual((report["best_epoch"], report["best_test_accuracy"]), (best, max(found)))
        self.assertEqual(report["best"], "run/best.safetensors")
        self.assertNotEqual(self.bytes_of("run/best.safetensors"), self.bytes_of("run/model.safetensors"))
        evaluated = self.report("eval", "--model", report["best"], "--data", "test-x.npy,odd.npy")
        self.assertEqual(evaluated["accuracy"], max(found))
        self.report(*self.restless("--epochs", best, out="until"))  # the rate is constant: the same steps
        self.assertEqual(self.bytes_of("until/model.safetensors"), self.bytes_of("run/best.safetensors"))

    def test_a_training_that_goes_on_knows_which_it_was(self):
        whole = self.report(*self.restless())
        best, last = self.bytes_of("run/best.safetensors"), self.bytes_of("run/model.safetensors")
        self.assertEqual(whole["best_epoch"], 2)
        for step in range(13, 79, 13):  # ends of epochs, before they are measured
            self.report(*self.restless("--checkpoint-every", 13, "--keep", 9))
            for later in range(step + 13, 79, 13):
                os.remove(self.path("run/checkpoint-%012d.safetensors" % later))
            if step <= 26:  # what is written again need not be there
                os.remove(self.path("run/best.safetensors"))
            report = self.report(*self.restless("--resume"))
            self.assertEqual((report["best_epoch"], report["best_test_accuracy"]), (2, whole["best_test_accuracy"]), step)
            self.assertEqual((self.bytes_of("run/best.safetensors"), self.bytes_of("run/model.safetensors")), (best, last))

    def test_of_equal_epochs_it_is_the_first(self):
        report = self.report(*self.small("--lr", "1e-20"))  # no step is seen
        self.assertEqual(len(set(self.accuracies("run"))), 1)
        self.assertEqual(report["best_epoch"], 1)

    def test_a_training_without_epochs_that_are_tested_leaves_none_of_an_earlier_one(self):
        self.report(*self.small())
        args = self.small("-q")
        where = args.index("--test-data")
        del args[where:where + 2]
        self.report(*args)
        self.assertNotIn("best.safetensors", os.listdir(self.path("run")))
        self.report(*self.small())
        report = self.report(*self.small("--encoder", "none", "--optimizer", "lbfgs", "--l2", "0.01", loss="softmax"))
        self.assertNotIn("best_epoch", report)
        self.assertNotIn("best.safetensors", os.listdir(self.path("run")))

    def test_a_training_that_ends_before_its_first_epoch_has_none(self):
        self.report(*self.small())
        self.write_npy("high-x.npy", [[3e38] * 6] * 200, "f4")
        done = self.run_program(*self.small("--data", "high-x.npy,train-y.npy", "--standardize", "none", "--encoder", "none",
                                            "-q", loss="softmax"))
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertNotIn("best.safetensors", os.listdir(self.path("run")))
        results = json.loads(self.read("run/run.json"))["results"]
        self.assertEqual((results["best_epoch"], results["best_test_accuracy"], results["best"]), (None, None, None))

    def test_a_folder_in_its_place_is_found_before_anything_is_written(self):
        os.makedirs(self.path("run/best.safetensors"))
        self.fails(5, "run/best.safetensors: cannot write there: it is a folder", *self.small())
        self.assertEqual(os.listdir(self.path("run")), ["best.safetensors"])


class Progress(Training):
    def on_terminal(self, *more):
        return self.shown(*self.small("--epochs", "400", *more))

    def shown(self, *args):
        """What the program writes to a standard error that is a terminal."""
        try:
            leader, follower = os.openpty()
        except OSError as error:
            self.skipTest(f"no terminal to be had: {error}")
        child = subprocess.Popen([tools.PROGRAM, *map(str, args)], cwd=self.folder,
                                 env=self.environment(), stdout=subprocess.DEVNULL, stderr=follower)
        os.close(follower)
        written = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the other side was closed
                break
            if not part:
                break
            written += part
        os.close(leader)
        self.assertEqual(child.wait(timeout=60), 0)
        return written.decode()

    def test_a_terminal_gets_one_line_that_is_updated_and_then_cleared(self):
        text = self.on_terminal()
        self.assertRegex(text, r"\Alogitude: \S+: 200 rows, 6 features, 4 classes\r\n(\rstep \d+/5200  loss [\d.]+  accuracy [\d.]+  \d+ samples/s  \d+ s left\x1b\[K)+"
                               r"\r\x1b\[K\Z")

    def test_long_measuring_tells_how_far_it_is(self):
        self.report(*self.small())
        measure = ["eval", "--model", "run/model.safetensors", "--data", self.write_data("long", 8000, 3), "--threads", 1,
                   "--protocol"]
        line = r"\r%s (\d+)/%d  \d+ s left\x1b\[K"
        genuine, impostor = 4 * 2000 * 1999 // 2, 6 * 2000 ** 2
        for protocol, name, total in (("verification", "pair", genuine + 2 * impostor), ("retrieval", "query", 8000)):
            pattern = line % (protocol + "  " + name, total)
            text = self.shown(*measure, protocol)
            self.assertRegex(text, r"\A(%s)+\r\x1b\[K\Z" % pattern)
            done = [int(n) for n in re.findall(pattern, text)]
            self.assertEqual(done, sorted(set(done)))
            self.assertEqual(self.shown(*measure, protocol, "-q"), "")

    def test_quiet_is_silent_and_verbose_tells_every_epoch(self):
        self.assertEqual(self.on_terminal("-q"), "")
        self.assertEqual(self.on_terminal("-v").count("epoch "), 400)

    def test_elsewhere_a_short_training_tells_the_size_of_its_data_alone(self):
        note = "logitude: train-x.npy,train-y.npy: 200 rows, 6 features, 4 classes\n"
        for more in ((), ("--json",)):
            self.assertEqual(self.run_program(*self.small(*more)).stderr, note)
        self.assertEqual(self.run_program(*self.small("-v")).stderr.count(note), 1)
        self.assertEqual(self.run_program(*self.small("-q")).stderr, "")

    def test_labels_that_are_nearly_all_different_are_asked_about(self):
        question = "logitude: %d of %d classes have one row: are the labels what they should be?\n"
        rows, labels = clusters(12, 3, 4, 1)
        self.write_npy("x.npy", rows, "f4")
        for values, said in (([f"img/{i}.jpg {y}" for i, y in enumerate(labels)], question % (12, 12)),
                             ([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4], ""), ([0] * 6 + [1, 1] + [2, 3, 4, 5], question % (4, 6)),
                             ([0] * 8 + [1] * 2 + [2, 3], "")):
            self.write("y.txt", "".join(f"{value}\n" for value in values))
            args = ["train", "--data", "x.npy,y.txt", "--loss", "softmax", "--epochs", 1, "--no-report", "--out", "run"]
            done = self.run_program(*args)
            note = "logitude: x.npy,y.txt: 12 rows, 3 features, %d classes\n" % len(set(values))
            self.assertEqual((done.returncode, done.stderr), (0, note + said))
            self.assertEqual(self.run_program(*args, "-q").stderr, "")
