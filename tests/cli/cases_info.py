"""check, losses and info."""

import json
import math
import os

import tools
from tools import Case, idx_bytes


class Check(Case):
    def test_every_loss_and_tail_passes(self):
        report = self.report("check", "--problems", 3)
        names = [loss["name"] for loss in self.report("losses")["losses"]]
        self.assertEqual(sorted(set(loss["name"] for loss in report["losses"])), sorted(names))
        self.assertIs(report["passed"], True)
        for loss in report["losses"]:
            self.assertIs(loss["passed"], True)
            self.assertEqual(list(loss), ["name", "spec", "problems", "dx", "dw", "db", "hvp", "engine_dx",
                                          "engine_dw", "engine_db", "engine_hvp", "tolerance", "engine_tolerance",
                                          "engine_hvp_tolerance", "passed"])
            self.assertLessEqual(loss["dx"], loss["tolerance"])
            self.assertTrue(0 < loss["hvp"] <= loss["tolerance"])
        for loss in self.report("losses")["losses"]:
            words = [p["words"] for p in loss["parameters"] if p["key"] == "tail"] or [[]]
            margins = [p for p in loss["parameters"] if p["role"] == "margin"]
            wide = ["%s=%.3g," % (p["key"], min(2, 0.95 * p["high"])) for p in margins if words[0]]
            specs = [checked["spec"] for checked in report["losses"] if checked["name"] == loss["name"]]
            self.assertEqual(len(specs), 1 + len(words[0]))
            for word, spec in zip(words[0], specs[1:]):
                self.assertIn(",tail=%s," % word, spec)
                for margin in wide:
                    self.assertIn(margin, spec)

    def test_one_loss_prints_a_table_with_its_verdict(self):
        text = self.succeeds("check", "--loss", "cosface:m=0.2", "--problems", 2, "--dtype", "f32")
        self.assertRegex(text, r"(?m)^cosface:m=0\.2 .* passed$")
        self.assertEqual(len(text.splitlines()), 2)

    def test_a_large_scale_passes(self):
        for dtype in ("f64", "f32"):
            self.succeeds("check", "--loss", "arcface:s=10000", "--problems", 100, "--dtype", dtype, "-q")

    def test_a_loss_beyond_its_tolerance_exits_with_7(self):
        # Differences cannot follow a scale of 1e6: a sound loss, but a check that must fail.
        done = self.run_program("check", "--loss", "normalized:s=1000000", "--problems", 200, "--json")
        self.assertEqual((done.returncode, done.stderr), (7, "logitude: 1 of 1 losses are outside their tolerance\n"))
        report = json.loads(done.stdout)
        self.assertEqual((report["passed"], report["losses"][0]["passed"]), (False, False))
        done = self.run_program("check", "--loss", "normalized:s=1000000", "--problems", 200)
        self.assertRegex(done.stdout, r"(?m)^normalized:s=1000000 .* FAILED$")

    def test_a_gradient_that_is_not_exact_has_nothing_to_be_compared_with(self):
        self.fails(2, ["gradient", "exact"], "check", "--loss", "arcface:gradient=detached", "--json")

    def test_a_seed_repeats_its_problems(self):
        first, again, other = (self.succeeds("check", "--loss", "arcface", "--problems", 2, "--json", "--seed", seed)
                               for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)


class Losses(Case):
    def test_each_loss_is_described_whole(self):
        for loss in self.report("losses")["losses"]:
            self.assertEqual(list(loss), ["name", "title", "space", "bias", "equation", "citation", "parameters",
                                          "presets"])
            self.assertIn(loss["space"], ("dot", "cos", "cosw"))
            for param in loss["parameters"]:
                self.assertTrue({"key", "kind", "default", "help", "role"} <= set(param), loss["name"])
                self.assertIn(param["role"], ("fixed", "scale", "margin", "state"))
                self.assertEqual("words" in param, param["kind"] == "choice")
                self.assertEqual("low" in param, param["kind"] in ("real", "integer", "angle"))

    def test_defaults_are_a_specification_that_is_accepted(self):
        for loss in self.report("losses")["losses"]:
            spec = loss["name"] + ":" + ",".join("%s=%s" % (p["key"], p["default"]) for p in loss["parameters"])
            self.report("check", "--loss", spec, "--problems", 1)

    def test_one_loss_shows_equation_bounds_and_source(self):
        text = self.succeeds("losses", "arcface")
        for part in ("equation", "source", "tail", "continuous|cosface", "default 0.5"):
            self.assertIn(part, text)
        self.assertEqual([loss["name"] for loss in self.report("losses", "arcface")["losses"]], ["arcface"])

    def test_one_loss_has_a_curve(self):
        curves = {name: self.report("losses", name)["losses"][0]["curve"] for name in ("arcface", "lsoftmax", "magface")}
        for curve in curves.values():
            self.assertEqual({len(curve[key]) for key in ("theta", "logit", "force")}, {181})
            # The force is the logit's slope: central differences at 30 degrees, good to (pi/180)^2 m^2 / 6 at m = 4.
            slope = (curve["logit"][29] - curve["logit"][31]) / (curve["theta"][31] - curve["theta"][29])
            self.assertLess(abs(slope / curve["force"][30] - 1), 1e-3)
        self.assertAlmostEqual(curves["arcface"]["logit"][60], 64 * math.cos(math.pi / 3 + 0.5), 12)
        self.assertAlmostEqual(curves["magface"]["logit"][60], 64 * math.cos(math.pi / 3 + 0.625), 12)  # |x| = 60
        self.assertEqual(curves["lsoftmax"]["logit"][90], -3 / 6)  # lambda has fallen to 5

    def test_the_list_has_one_line_a_loss(self):
        lines = self.succeeds("losses").splitlines()
        for loss in self.report("losses")["losses"]:
            self.assertEqual(sum(line.split()[:1] == [loss["name"]] for line in lines), 1)


class Info(Case):
    def test_the_build(self):
        report = self.report("info")
        self.assertTrue({"version", "cpu", "processors", "isa", "threads", "losses", "compiler"} <= set(report))
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        self.assertEqual(report["cpu"], models[0][:95] if models else None)
        self.assertEqual(report["processors"], len(os.sched_getaffinity(0)))
        self.assertEqual(self.report("info", "--threads", 3)["processors"], report["processors"])
        levels = ["generic", "avx2", "avx512", "avx512bf16", "amx"]
        best = levels.index(report["isa"])
        for level, name in enumerate(levels):
            self.assertEqual(self.report("info", "--max-isa", name)["isa"], levels[min(level, best)])
        self.assertEqual(self.report("info", "--max-isa", "best")["isa"], report["isa"])
        self.assertRegex(self.succeeds("info"), r"(?m)^threads +\d+$")

    def test_arrays_of_every_type(self):
        nan = float("nan")
        for dtype, values, wanted in (("f8", [[1.0, nan], [-3.0, 5.0]], (-3.0, 5.0, 1.0, 1)),
                                      ("f4", [[0.5, 1.5], [nan, nan]], (0.5, 1.5, 1.0, 2)),
                                      ("i8", [[-7, 9], [1, 1]], (-7.0, 9.0, 1.0, 0)),
                                      ("i4", [[-7, 9], [1, 1]], (-7.0, 9.0, 1.0, 0)),
                                      ("u1", [[0, 255], [1, 0]], (0.0, 255.0, 64.0, 0))):
            self.write_npy("a.npy", values, dtype)
            report = self.report("info", "a.npy")
            self.assertEqual((report["min"], report["max"], report["mean"], report["nan"]), wanted, dtype)
            self.assertEqual(report["shape"], [2, 2])
        self.assertRegex(self.succeeds("info", "a.npy"), r"\Aa\.npy: \(2, 2\) u8 +min 0 +max 255 +mean 64 +nan 0\n\Z")

    def test_an_idx_file_and_an_array_without_elements(self):
        self.write("i.idx", idx_bytes([1, 2, 3], (3,)))
        self.assertEqual(self.report("info", "i.idx")["max"], 3.0)
        self.write_npy("none.npy", [], shape=(0, 4))
        report = self.report("info", "none.npy")
        self.assertEqual((report["shape"], report["min"], report["nan"]), ([0, 4], None, 0))

    def test_a_table(self):
        self.write("t.csv", "a,b,kind\n1,2,x\n-3,4,y\n5,6,x\n")
        report = self.report("info", "t.csv")
        self.assertEqual(report, {"schema": "logitude.info/1", "file": "t.csv", "format": "csv", "rows": 3, "columns": 3,
                                  "label_column": 3, "classes": 2, "least_rows": 1, "most_rows": 2, "min": -3.0, "max": 6.0, "mean": 2.5, "nan": 0})
        self.assertEqual(self.succeeds("info", "t.csv"), "t.csv: csv, 3 rows, 3 columns, the last with labels of 2 classes"
                                                         "  min -3  max 6  mean 2.5  nan 0\n")
        self.write("t.csv", "a,b,kind\n1,2,x\n-3,two,y\n")
        self.fails(3, ["logitude: t.csv:3: column 2 is 'two'"], "info", "t.csv")

    def test_labels_one_a_line(self):
        for content, rows, least, most in (("b\na\nb\nc\nb\na\n", 6, 1, 3), ("img/0.jpg 7\n", 1, 1, 1), ("3\n-1\n3\n-1", 4, 2, 2),
                                           ('"Doe, J"\n"Doe, K"\n"Doe, J"\n', 3, 1, 2)):
            self.write("y.txt", content)
            classes = len(set(content.split("\n")) - {""})
            self.assertEqual(self.report("info", "y.txt"),
                             {"schema": "logitude.info/1", "file": "y.txt", "format": "csv", "rows": rows, "columns": 1,
                              "label_column": 1, "classes": classes, "least_rows": least, "most_rows": most})
            self.assertEqual(self.succeeds("info", "y.txt"), f"y.txt: csv, {rows} labels of {classes} classes, {least} to "
                                                             f"{most} rows a class\n")

    def test_files_that_are_none_of_these(self):
        self.fails(5, ["gone: "], "info", "gone")
        self.write("text", "hello, world, this is a text\n")
        self.fails(3, ["text: "], "info", "text")
        self.write("cut", tools.npy_bytes([1.0, 2.0])[:-3])
        self.fails(3, ["cut: "], "info", "cut", "--json")
        self.write("lie", (1 << 40).to_bytes(8, "little") + b"{" + b" " * 20)
        self.fails(3, ["lie: "], "info", "lie")

    def test_a_path_that_is_no_utf8(self):
        name = b"caf\xe9.npy"
        with open(self.folder.encode() + b"/" + name, "wb") as file:
            file.write(tools.npy_bytes([1.0]))
        self.assertEqual(self.report("info", os.fsdecode(name))["file"], "caf?.npy")

    def test_json_is_one_object(self):
        self.assertEqual(json.loads(self.succeeds("info", "--json"))["schema"], "logitude.info/1")
