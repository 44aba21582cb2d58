"""bench: what it reports, on tiny heads; no test here depends on speed."""

from tools import PROGRAM, Case

KEYS = ["schema", "spec", "rows", "dim", "classes", "dtype", "threads", "isa", "repeat", "want", "seconds", "seconds_min",
        "gflops", "roof_gflops", "roof_gflops_max", "roof_share", "extra_bytes", "loss"]
STEP = KEYS[:9] + ["optimizer", "sample_rate", "seconds", "seconds_min", "steps_per_second", "loss_first", "loss_last"]
MACHINE = ["schema", "dim", "classes", "repeat", "name", "threads", "memory", "gflops", "class_bandwidth", "update_bandwidth",
           "stream_bandwidth"]
SMALL = ["--rows", 3, "--dim", 5, "--classes", 7, "--repeat", 2, "--threads", 2]


class Bench(Case):
    def test_a_head_is_timed(self):
        report = self.report("bench", "head", *SMALL)
        self.assertEqual(list(report), KEYS)
        self.assertTrue(report["spec"].startswith("arcface:s=64,"))
        self.assertEqual([report[key] for key in ("rows", "dim", "classes", "dtype", "want", "threads", "repeat")],
                         [3, 5, 7, "f32", "grad", 2, 2])
        self.assertTrue(0 < report["seconds_min"] <= report["seconds"])
        self.assertTrue(0 < report["roof_gflops"] <= report["roof_gflops_max"])
        self.assertAlmostEqual(report["gflops"] * report["seconds"] * 1e9, 6 * 3 * 5 * 7, delta=1e-6)
        self.assertAlmostEqual(report["roof_share"] * report["roof_gflops"] / report["gflops"], 1, delta=1e-12)
        self.assertTrue(report["extra_bytes"] > 0 and report["loss"] > 0)

    def test_the_loss_alone_takes_a_third_of_the_operations(self):
        report = self.report("bench", "head", *SMALL, "--want", "loss", "--loss", "softmax")
        self.assertAlmostEqual(report["gflops"] * report["seconds"] * 1e9, 2 * 3 * 5 * 7, delta=1e-6)

    def test_every_type_and_instruction_set(self):
        losses = [self.report("bench", "head", *SMALL, "--loss", "arcface:s=4", "--dtype", dtype, "--max-isa", isa)["loss"]
                  for dtype in ("f32", "f64", "bf16x3", "bf16") for isa in ("generic", "best")]
        for loss in losses:
            self.assertAlmostEqual(loss, losses[0], delta=4 * 2 ** -8)  # cosines of eight bits, times s

    def test_the_seed_decides_and_threads_do_not(self):
        def loss(*args):
            return self.report("bench", "head", *SMALL, *args)["loss"]
        self.assertEqual(loss(), loss("--threads", 1))
        self.assertNotEqual(loss(), loss("--seed", 1))

    def test_a_large_workspace_keeps_logits(self):
        sizes = ["--rows", 64, "--dim", 8, "--classes", 2000, "--repeat", 1]
        least = self.report("bench", "head", *sizes, "--workspace", 1, "--threads", 1)
        most = self.report("bench", "head", *sizes, "--workspace", 10 ** 8, "--threads", 1)
        self.assertGreaterEqual(most["extra_bytes"], least["extra_bytes"] + 64 * 2000 * 4)
        self.assertEqual(least["loss"], most["loss"])

    def test_steps_are_timed(self):
        for options in ([], ["--optimizer", "adamw"], ["--sample-rate", 0.4], ["--dtype", "bf16"], ["--dtype", "bf16x3"],
                        ["--workspace", 10 ** 8]):
            report = self.report("bench", "step", *SMALL, *options)
            self.assertEqual(list(report), STEP)
            self.assertTrue(0 < report["seconds_min"] <= report["seconds"])
            self.assertAlmostEqual(report["steps_per_second"] * report["seconds"], 1, delta=1e-12)
            self.assertTrue(report["loss_first"] > 0 and report["loss_last"] > 0)

    def test_steps_train(self):
        first = last = 0
        for seed in range(3):  # few rows, many epochs: they are learnt by heart
            report = self.report("bench", "step", "--rows", 8, "--dim", 32, "--classes", 5, "--repeat", 2000, "--seed", seed,
                                 "--loss", "arcface:s=16,m=0", "--threads", 1)
            first, last = first + report["loss_first"], last + report["loss_last"]
        self.assertLess(last, 0.8 * first)

    def test_a_machine_is_measured_for_plan(self):
        report = self.report("bench", "machine", "--dim", 5, "--classes", 70, "--repeat", 1, "--threads", 2)
        self.assertEqual(list(report), MACHINE)
        self.assertEqual([report[key] for key in ("dim", "classes", "repeat", "threads")], [5, 70, 1, 2])
        self.assertTrue(report["name"] and report["memory"] > 1e6 and report["stream_bandwidth"] > 0)
        for key, words in (("gflops", ["f32", "f64", "bf16x3", "bf16"]), ("class_bandwidth", ["f32", "f64", "bf16x3", "bf16"]),
                           ("update_bandwidth", ["sgd", "adamw"])):
            self.assertEqual(list(report[key]), words)
            self.assertTrue(all(rate > 0 for rate in report[key].values()), key)
        text = self.succeeds("bench", "machine", "--dim", 5, "--classes", 70, "--repeat", 1, "--threads", 1)
        self.assertRegex(text, r"\A.*, 1 threads, .* GB of memory\n")

    def test_text_is_a_short_table(self):
        lines = self.succeeds("bench", "head", *SMALL).splitlines()
        self.assertRegex(lines[0], r"^arcface:.* 3 x 5, 7 classes, f32, grad, 2 threads, \w+, median of 2$")
        self.assertEqual([line.split("  ")[0] for line in lines[1:]], ["time", "speed", "roof", "extra memory"])

    def test_what_is_asked_wrongly(self):
        for args, message in (
            ([], "bench needs what to time: logitude bench head|step|machine"),
            (["tail"], "bench times one of head, step, machine, found 'tail'"),
            (["head", "tail"], "bench takes one word beside its options, found 'tail'; see 'logitude bench --help'"),
            (["head", "--classes", "0"], "--classes is '0', expected an integer from 1 to 1000000000000"),
            (["head", "--repeat", "0"], "--repeat is '0', expected an integer from 1 to 1000000"),
            (["head", "--dtype", "f16"], "--dtype is 'f16', expected one of f32, f64, bf16x3, bf16; did you mean 'bf16'?"),
            (["head", "--want", "dx"], "--want is 'dx', expected one of grad, loss"),
            (["head", "--optimizer", "sgd"], "--optimizer is no option of bench head"),
            (["head", "--sample-rate", "1"], "--sample-rate is no option of bench head"),
            (["machine", "--rows", "3"], "--rows is no option of bench machine"),
            (["machine", "--dtype", "f32"], "--dtype is no option of bench machine"),
            (["machine", "--loss", "softmax"], "--loss is no option of bench machine"),
            (["step", "--want", "grad"], "--want is no option of bench step"),
            (["step", "--dtype", "f64"], "--dtype f64: heads train in one of f32, bf16x3, bf16"),
            (["step", "--sample-rate", "0"], "--sample-rate is '0', expected a number from 1e-09 to 1"),
            (["head", "--loss", "arcfcae"], "there is no loss \"arcfcae\"; the nearest is \"arcface\""),
        ):
            self.fails(2, message, "bench", *args)
        with open(PROGRAM, "rb") as file:
            sanitized = b"__asan_init" in file.read()  # which ends the program on sizes that it cannot serve
        if not sanitized:
            self.fails(6, ["memory"], "bench", "head", "--classes", 10 ** 12, "--dim", 10 ** 9)
