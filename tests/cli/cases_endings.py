"""Trainings that end before their time: by a signal, or because their numbers are no numbers any more."""

import json
import os
import resource
import signal
import subprocess
import time

import tools
from cases_train import ALL_FILES, Training
from runs import checkpoints


class Interrupted(Training):
    # Some ten seconds of iterations: without an l2 term separable clusters have no minimum.
    ENDLESS = ["--encoder", "none", "--optimizer", "newton-cg", "--tolerance", "1e-30", "--max-iterations", "100000000",
               "--data", "many-x.npy,many-y.npy"]

    def setUp(self):
        super().setUp()
        self.write_data("many", 4000)

    def interrupt(self, number, out, *more, prepare=None, **changes):
        metrics = out + "/metrics.jsonl"
        args = [str(a) for a in self.small("--epochs", "1000000", "-q", *more, out=out, **changes)]
        child = subprocess.Popen([tools.PROGRAM, *args], cwd=self.folder, env=self.environment(), text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=prepare)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            if os.path.exists(self.path(metrics)) and self.read(metrics).count("\n") >= 3:
                break
            time.sleep(0.02)
        for one in number if isinstance(number, tuple) else (number,):
            child.send_signal(one)
            time.sleep(0.002)
        printed, err = child.communicate(timeout=60)
        return child.returncode, printed, err

    def test_a_signal_ends_the_training_after_its_step_with_a_model(self):
        for number, out in ((signal.SIGINT, "int"), (signal.SIGTERM, "term"), (signal.SIGHUP, "hup"),
                            (signal.SIGXCPU, "xcpu")):
            code, printed, err = self.interrupt(number, out)
            self.assertEqual((code, printed), (128 + number, ""))
            self.assertRegex(err, r"\Alogitude: interrupted after step \d+ of 13000000; the model as it stands is "
                                  r"%s/model\.safetensors; --resume goes on from its checkpoint\n\Z" % out)
            results = json.loads(self.read(out + "/run.json"))["results"]
            self.assertEqual((results["status"], results["objective"]), ("interrupted", None))
            report = self.report("eval", "--model", out + "/model.safetensors", "--data", "test-x.npy,test-y.npy")
            self.assertEqual(report["rows"], 80)
            names = sorted(os.listdir(self.path(out)))
            self.assertEqual(names, sorted([*ALL_FILES, "checkpoint-%012d.safetensors" % results["steps"]]))

    def test_what_whoever_started_it_wants_ignored_stays_ignored(self):
        for ignored, then in ((signal.SIGHUP, signal.SIGTERM), (signal.SIGINT, signal.SIGHUP)):
            code, _, err = self.interrupt((ignored, then, ignored), "run%d" % then,
                                          prepare=lambda n=ignored: signal.signal(n, signal.SIG_IGN))
            self.assertEqual(code, 128 + then, err)
            self.assertIn("--resume goes on from its checkpoint\n", err)

    def test_the_processor_time_that_is_used_up_is_told_every_second_and_counts_once(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 30))  # noqa: E731
        code, _, err = self.interrupt((), "run", prepare=limit)
        self.assertEqual(code, 128 + signal.SIGXCPU, err)
        code, _, err = self.interrupt((signal.SIGXCPU,) * 5, "again")
        self.assertEqual(code, 128 + signal.SIGXCPU, err)

    def test_json_is_printed_of_a_training_that_a_signal_ended(self):
        for out, more in (("steps", []), ("all", self.ENDLESS)):
            code, printed, err = self.interrupt(signal.SIGTERM, out, "--json", *more, loss="softmax")
            self.assertEqual(code, 143, err)
            report = json.loads(printed)
            self.assertEqual((report["schema"], report["status"]), ("logitude.train/1", "interrupted"))
            self.assertEqual(report, json.loads(self.read(out + "/run.json"))["results"])
            self.assertEqual(err.count("\n"), 1)

    def test_iterations_over_all_rows_leave_the_model_and_no_checkpoint(self):
        code, _, err = self.interrupt(signal.SIGINT, "run", *self.ENDLESS, loss="softmax")
        self.assertEqual(code, 130, err)
        self.assertRegex(err, r"\Alogitude: interrupted after step \d+ of 100000000; the model as it stands is "
                              r"run/model\.safetensors\n\Z")
        self.assertEqual(checkpoints(self.path("run")), [])
        self.fails(2, ["--resume is for --optimizer sgd and adamw: newton-cg has no checkpoints"],
                   *self.small("--resume", *self.ENDLESS, loss="softmax"))


class Diverged(Training):
    def test_numbers_that_are_not_finite_end_the_training_without_a_model(self):
        args = self.small("-q", "--optimizer", "sgd", "--lr", "1e6", "--standardize", "none", "--encoder", "none",
                          loss="softmax")
        self.write_npy("train-x.npy", [[1e20 * (i % 7 - k) for k in range(6)] for i in range(200)], "f4")
        done = self.fails(4, ["step ", "row"], *args)
        self.assertEqual(sorted(os.listdir(self.path("run"))), ["metrics.jsonl", "report.html", "run.json"])
        last = json.loads(self.read("run/metrics.jsonl").splitlines()[-1])
        self.assertEqual((last["kind"], last["status"]), ("failure", "nonfinite"))
        self.assertEqual("logitude: %s\n" % last["message"], done.stderr)
        results = json.loads(self.read("run/run.json"))["results"]
        self.assertEqual((results["status"], results["failure"], results["model"]), ("failed", last["message"], None))

    def test_the_last_steps_before_a_failure_have_lines(self):
        """At most 100 steps, since the last line that there is: lr * l2 = 3 doubles the weights until they overflow."""
        args = ["train", "--data", self.write_data(), "--loss", "softmax", "--encoder", "none", "--optimizer", "sgd", "--lr", 1, "--l2", 3,
                "--momentum", 0, "--schedule", "constant", "--batch", 20, "--epochs", 30, "--no-report", "--out", "run"]
        whole = None
        for every in (1, 50, 1000):
            self.fails(4, ["step "], *args, "--log-every", every)
            *lines, failure = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
            steps = {line["step"]: {**line, "seconds": 0} for line in lines if line["kind"] == "step"}
            whole = whole or steps
            n = len(whole)
            due = [step for step in whole if step % every == 0]
            kept = range(max(due[-1] if due else 0, n - 100) + 1, n + 1)
            self.assertEqual((failure["kind"], n > 110), ("failure", True))
            self.assertEqual(steps, {step: whole[step] for step in [*due, *kept]})

    def test_so_do_those_of_the_last_step_which_only_a_measurement_meets(self):
        deep = ["--optimizer", "sgd", "--lr", "1e6", "--encoder", "mlp:" + ",".join(["8"] * 10), "--epochs", "1",
                "--batch", "200", "--schedule", "constant", "--loss", "softmax", "--data", self.write_data()]
        data = "train-x.npy,train-y.npy"
        for test, place in ([], "after step 1: "), (["--test-data", data], data + ": row "):
            self.fails(4, [place], "train", *deep, *test, "--out", "run")
            self.assertEqual(sorted(os.listdir(self.path("run"))), ["metrics.jsonl", "report.html", "run.json"])
            results = json.loads(self.read("run/run.json"))["results"]
            self.assertEqual((results["status"], results["steps"], results["model"]), ("failed", 1, None))

    def test_no_model_of_an_earlier_training_stands_beside_a_failure(self):
        self.report(*self.small())
        self.write("run/notes.txt", "mine")
        args = self.small("-q", "--optimizer", "sgd", "--lr", "1e6", "--standardize", "none", "--encoder", "none",
                          "--no-report", loss="softmax")
        self.write_npy("train-x.npy", [[1e20 * (i % 7 - k) for k in range(6)] for i in range(200)], "f4")
        self.fails(4, ["step ", "row"], *args)
        self.assertEqual(sorted(os.listdir(self.path("run"))), ["metrics.jsonl", "notes.txt", "run.json"])
        self.assertEqual(self.read("run/notes.txt"), "mine")

    def test_nor_does_the_model_of_an_interrupted_one_that_went_on_to_it(self):
        # Weights grow by a fiftieth every step until they overflow, some thousands of steps on.
        args = self.small("-q", "--optimizer", "sgd", "--lr", "2.02", "--schedule", "constant", "--weight-decay", "1",
                          "--momentum", "0", "--encoder", "none", "--epochs", "1000", loss="softmax")
        child = subprocess.Popen([tools.PROGRAM, *map(str, args)], cwd=self.folder, env=self.environment(),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while child.poll() is None and not (os.path.exists(self.path("run/metrics.jsonl")) and self.read("run/metrics.jsonl")):
            time.sleep(0.001)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, os.path.exists(self.path("run/model.safetensors"))), (143, True), err)
        self.fails(4, ["logitude: "], *args, "--resume")
        self.assertFalse(os.path.exists(self.path("run/model.safetensors")))
        self.assertIsNone(json.loads(self.read("run/run.json"))["results"]["model"])
