"""grad: parity with plain formulas, what it writes, and everything it refuses."""

import os
import random

import formulas
from tools import Case, flatten, read_npy

LOSSES = {
    "softmax": [("softmax", {})],
    "normalized": [("normalized:s=7.5", {"s": 7.5})],
    "cosface": [("cosface:s=10,m=0.35", {"s": 10.0, "m": 0.35})],
    "arcface": [("arcface:s=12,m=0.5,tail=" + tail, {"s": 12.0, "m": 0.5, "tail": tail})
                for tail in ("continuous", "cosface", "fold", "none", "clip", "easy")],
    "combined": [("combined:s=12,m1=1.2,m2=0.4,m3=0.15", {"s": 12.0, "m1": 1.2, "m2": 0.4, "m3": 0.15})],
    "sphereface-r": [("sphereface-r:s=9,m=2.6", {"s": 9.0, "m": 2.6})],
    "lsoftmax": [("lsoftmax:m=1", {"m": 1, "lambda": 0.0}),
                 ("lsoftmax:m=3,lambda=2", {"m": 3, "lambda": 2.0}),
                 ("lsoftmax:m=4,lambda=geometric/6/0.9/1", {"m": 4, "lambda": 6.0}),
                 ("lsoftmax:m=2,lambda=power/8/0.1/1/0", {"m": 2, "lambda": 8.0})],
    "sphereface": [("sphereface:m=1", {"m": 1, "lambda": 0.0}), ("sphereface:m=4,lambda=0.5", {"m": 4, "lambda": 0.5})],
    "adaface": [("adaface:s=12,m=0.4,h=0.9,mean=2,deviation=0.5,ema=0",
                 {"s": 12.0, "m": 0.4, "h": 0.9, "mean": 2.0, "deviation": 0.5})],
    "magface": [("magface:s=8,l_m=0.2,u_m=0.9,l_a=0.5,u_a=4,lambda_g=6",
                 {"s": 8.0, "l_m": 0.2, "u_m": 0.9, "l_a": 0.5, "u_a": 4.0, "lambda_g": 6.0})],
    "curricularface": [("curricularface:s=12,m=0.5,t=%g,ema=0" % t, {"s": 12.0, "m": 0.5, "t": t}) for t in (0.0, 0.4)],
    "subcenter": [("subcenter:s=12,m=0.5,k=2,tail=fold", {"s": 12.0, "m": 0.5, "k": 2, "tail": "fold"})],
}

# Inputs that stand in a parameter's place; the option of each, and what it is called in formulas.py.
EXTRAS = {"soft": "soft-targets", "margins": "class-margins", "scales": "class-scales", "qualities": "qualities"}
WITH_EXTRAS = [("softmax", ("soft",)), ("normalized", ("soft", "scales")), ("cosface", ("margins", "scales")),
               ("arcface", ("margins",)), ("combined", ("margins", "scales")), ("sphereface-r", ("margins", "scales")),
               ("lsoftmax", ("margins",)), ("sphereface", ("margins",)), ("magface", ("scales",)),
               ("adaface", ("margins", "scales", "qualities")), ("curricularface", ("margins", "scales")),
               ("subcenter", ("margins", "scales"))]


def problem(seed, n_rows=5, n_classes=4, dim=3, centres=1):
    rng = random.Random(seed)
    x = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_rows)]
    w = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_classes * centres)]
    y = [rng.randrange(n_classes) for _ in range(n_rows)]
    x[0] = [-1.2 * value + 0.05 * rng.gauss(0, 1) for value in w[y[0] * centres]]  # behind the class: the tail of a margin
    return x, w, y


class Grad(Case):
    def assert_close(self, found, wanted, tolerance, what):
        scale = max(map(abs, wanted)) or 1.0
        self.assertEqual(len(found), len(wanted), what)
        worst = max(abs(a - b) for a, b in zip(found, wanted)) / scale
        self.assertLessEqual(worst, tolerance, what)

    def write_problem(self, x, w, y):
        self.write_npy("x.npy", x)
        self.write_npy("w.npy", w)
        self.write_npy("y.npy", y, "i8")
        return ["--features", "x.npy", "--weights", "w.npy", "--labels", "y.npy"]

    def test_every_loss_has_a_formula_here(self):
        known = [loss["name"] for loss in self.report("losses")["losses"]]
        self.assertEqual(sorted(known), sorted(LOSSES))

    def test_gradients_equal_differences_of_the_plain_formula(self):
        # Central differences with a step of 6e-6 err by about 1e-10 of the largest entry; 1e-6 leaves room for curvature.
        for number, spec in enumerate(s for specs in LOSSES.values() for s in specs):
            x, w, y = problem(number, centres=spec[1].get("k", 1))
            name = spec[0].split(":")[0]
            rng = random.Random(100 + number)
            bias = [rng.gauss(0, 1) for _ in w] if name == "softmax" else None
            extra = {"sample_weights": [rng.random() for _ in x], "class_weights": [0.5 + rng.random() for _ in range(4)],
                     "smoothing": 0.1, "z_loss": 0.01, "ignore": 77, "reduction": ("mean", "sum")[number % 2]}
            y[3] = 77
            if name == "adaface":  # the norm, read as the quality, is a constant to every derivative
                extra["qualities"] = [formulas.dot(row, row) ** 0.5 for row in x]
            inputs = self.write_problem(x, w, y)
            inputs += ["--sample-weights", self.write_npy("a.npy", extra["sample_weights"]),
                       "--class-weights", self.write_npy("k.npy", extra["class_weights"]),
                       "--label-smoothing", 0.1, "--z-loss", 0.01, "--ignore-label", 77,
                       "--reduction", extra["reduction"]]
            if bias:
                inputs += ["--bias", self.write_npy("b.npy", bias)]

            def value():
                return formulas.loss(name, spec[1], x, w, bias, y, **extra)[0]
            for engine in ("cpu", "reference"):
                what = (spec[0], engine)
                report = self.report("grad", "--loss", spec[0], *inputs, "--engine", engine, "--out", "g")
                _, rows = formulas.loss(name, spec[1], x, w, bias, y, **extra)
                self.assert_close([report["loss"]], [value()], 1e-12, what)
                self.assert_close(read_npy(self.path("g/loss_rows.npy"))[2], rows, 1e-12, what)
                self.assert_close(read_npy(self.path("g/dx.npy"))[2], formulas.difference(value, x), 1e-6, what)
                self.assert_close(read_npy(self.path("g/dw.npy"))[2], formulas.difference(value, w), 1e-6, what)
                if bias:
                    self.assert_close(read_npy(self.path("g/db.npy"))[2], formulas.difference(value, bias), 1e-6, what)

    def test_inputs_in_a_parameter_s_place_equal_the_plain_formula(self):
        for number, (name, wanted) in enumerate(WITH_EXTRAS):
            spec, params = LOSSES[name][-1]
            x, w, y = problem(50 + number, centres=params.get("k", 1))
            rng = random.Random(200 + number)
            whole = name in ("lsoftmax", "sphereface")
            drawn = {"soft": [[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.125, 0.875]] + [[0.25] * 4] * 2,
                     "margins": [float(rng.randint(1, 4)) if whole else 0.2 + rng.random() for _ in range(4)],
                     "scales": [7 + rng.random() for _ in range(4)], "qualities": [1 + 2 * rng.random() for _ in x]}
            if name == "sphereface-r":
                drawn["margins"] = [1 + value for value in drawn["margins"]]
            extra = {key: drawn[key] for key in wanted}
            inputs = self.write_problem(x, w, y)
            for key, values in extra.items():
                inputs += ["--" + EXTRAS[key], self.write_npy(key + ".npy", values)]

            def value():
                return formulas.loss(name, params, x, w, None, y, **extra)[0]
            for engine in ("cpu", "reference"):
                report = self.report("grad", "--loss", spec, *inputs, "--engine", engine, "--out", "g")
                self.assert_close([report["loss"]], [value()], 1e-12, (spec, engine))
                if name != "adaface" or "qualities" in extra:  # a norm that is read as a quality is a constant
                    self.assert_close(read_npy(self.path("g/dx.npy"))[2], formulas.difference(value, x), 1e-6, (spec, engine))
                self.assert_close(read_npy(self.path("g/dw.npy"))[2], formulas.difference(value, w), 1e-6, (spec, engine))

    def test_files_have_the_promised_shapes_and_types(self):
        x, w, y = problem(1)
        inputs = self.write_problem(x, w, y) + ["--bias", self.write_npy("b.npy", [0.0, 1.0, 2.0, 3.0])]
        for dtype, letter in (("f64", "f8"), ("f32", "f4"), ("bf16x3", "f4"), ("bf16", "f4")):
            report = self.report("grad", "--loss", "softmax", *inputs, "--dtype", dtype, "--out", dtype)
            self.assertEqual(list(report), ["schema", "spec", "loss", "weight", "n_used", "n_correct", "n_zero_rows",
                                            "n_zero_classes", "files"])
            self.assertEqual((report["n_used"], report["weight"]), (5, 5.0))
            found = {name: read_npy(self.path("%s/%s.npy" % (dtype, name)))[:2]
                     for name in ("loss", "loss_rows", "dx", "dw", "db")}
            self.assertEqual(found, {"loss": ("f8", ()), "loss_rows": ("f8", (5,)), "dx": (letter, (5, 3)),
                                     "dw": (letter, (4, 3)), "db": (letter, (4,))})
            self.assertEqual(report["files"], ["%s/%s.npy" % (dtype, name) for name in found])
            self.assertEqual(read_npy(self.path(dtype + "/loss.npy"))[2], [report["loss"]])

    def test_directions_add_the_products_of_second_order(self):
        x, w, y = problem(4)
        inputs = self.write_problem(x, w, y) + ["--bias", self.write_npy("b.npy", [0.0, 1.0, 2.0, 3.0])]
        for option, shape, values in (("x", (5, 3), [[1.0] * 3] * 5), ("w", (4, 3), [[1.0] * 3] * 4), ("b", (4,), [1.0] * 4)):
            report = self.report("grad", "--loss", "softmax", *inputs, "--direction-" + option,
                                 self.write_npy("v.npy", values), "--out", option)
            names = ["loss", "loss_rows", "dx", "dw", "db", "hvp_x", "hvp_w", "hvp_b"]
            self.assertEqual(report["files"], ["%s/%s.npy" % (option, name) for name in names])
            self.assertEqual(read_npy(self.path("%s/hvp_%s.npy" % (option, option)))[:2], ("f8", shape))
        # The same number added to every bias changes nothing.
        self.assertLess(max(map(abs, read_npy(self.path("b/hvp_x.npy"))[2])), 1e-15)

    def test_without_a_bias_no_db_is_written_and_without_out_nothing(self):
        inputs = self.write_problem(*problem(2))
        self.succeeds("grad", "--loss", "softmax", *inputs, "--out", "deep/er")
        self.assertEqual(sorted(n for n in self.names() if n.startswith("deep/er/")),
                         ["deep/er/" + n + ".npy" for n in ("dw", "dx", "loss", "loss_rows")])
        before = self.names()
        self.assertEqual(self.report("grad", "--loss", "softmax", *inputs)["files"], [])
        self.assertEqual(self.names(), before)

    def test_results_of_an_earlier_run_that_this_one_has_not_are_removed(self):
        x, w, y = problem(4)
        inputs = self.write_problem(x, w, y)
        more = ["--bias", self.write_npy("b.npy", [0.0] * len(w)), "--direction-x", inputs[inputs.index("--features") + 1]]
        self.succeeds("grad", "--loss", "softmax", *inputs, *more, "--out", "g")
        self.write("g/notes.npy", "mine")
        every = ["db.npy", "dw.npy", "dx.npy", "hvp_b.npy", "hvp_w.npy", "hvp_x.npy", "loss.npy", "loss_rows.npy", "notes.npy"]
        self.assertEqual(sorted(os.listdir(self.path("g"))), every)
        self.fails(2, ["arcfase"], "grad", "--loss", "arcfase", *inputs, "--out", "g")
        self.assertEqual(sorted(os.listdir(self.path("g"))), every)
        report = self.report("grad", "--loss", "softmax", *inputs, "--out", "g")
        kept = ["dw.npy", "dx.npy", "loss.npy", "loss_rows.npy"]
        self.assertEqual(sorted(os.listdir(self.path("g"))), [*kept, "notes.npy"])
        self.assertEqual(sorted(report["files"]), ["g/" + name for name in kept])

    def test_inputs_of_other_types_are_converted(self):
        x, w, y = [[1.0, 2.0], [3.0, -4.0]], [[1.0, 0.0], [0.0, 1.0]], [1, 0]
        wanted = self.report("grad", "--loss", "softmax", *self.write_problem(x, w, y))["loss"]
        self.write_npy("x.npy", x, "f4")
        self.write_npy("w.npy", [[1, 0], [0, 1]], "u1")
        for dtype in ("u1", "i4", "f8"):
            self.write_npy("y.npy", y, dtype)
            found = self.report("grad", "--loss", "softmax", "--features", "x.npy", "--weights", "w.npy", "--labels",
                                "y.npy")["loss"]
            self.assertEqual(found, wanted, dtype)

    def test_threads_and_instruction_sets_change_no_digit(self):
        inputs = self.write_problem(*problem(3, 70, 33, 9))
        files = {}
        for threads in (1, 2, 5):
            self.succeeds("grad", "--loss", "arcface", *inputs, "--dtype", "f32", "--threads", threads, "--out", "g")
            files[threads] = [read_npy(self.path("g/%s.npy" % n)) for n in ("loss", "dx", "dw")]
        self.assertEqual(files[1], files[2])
        self.assertEqual(files[1], files[5])
        self.succeeds("grad", "--loss", "arcface", *inputs, "--dtype", "f32", "--max-isa", "generic", "--out", "g")
        self.assert_close(read_npy(self.path("g/dw.npy"))[2], files[1][2][2], 1e-4, "generic against best, float32")

    def test_low_precision_is_near_on_every_instruction_set(self):
        inputs = self.write_problem(*problem(5, 70, 33, 40))
        self.succeeds("grad", "--loss", "arcface:s=16", *inputs, "--out", "g")
        exact = {name: read_npy(self.path("g/%s.npy" % name))[2] for name in ("dx", "dw")}
        for isa in ("generic", "avx2", "avx512", "avx512bf16", "amx"):
            for dtype, gate in (("f32", 5e-6), ("bf16x3", 5e-5), ("bf16", 2e-2)):
                self.succeeds("grad", "--loss", "arcface:s=16", *inputs, "--dtype", dtype, "--max-isa", isa, "--out", "g")
                for name, wanted in exact.items():
                    self.assert_close(read_npy(self.path("g/%s.npy" % name))[2], wanted, gate, (dtype, isa, name))
        # The last run was bf16, and that can be told from the numbers.
        self.assertGreater(max(abs(a - b) for a, b in zip(read_npy(self.path("g/dw.npy"))[2], exact["dw"])),
                           1e-5 * max(map(abs, exact["dw"])))

    def test_the_workspace_changes_no_digit(self):
        inputs = self.write_problem(*problem(6, 70, 33, 9))
        files = []
        for workspace in (1, 1 << 20, 1 << 30):
            self.succeeds("grad", "--loss", "cosface", *inputs, "--dtype", "f32", "--workspace", workspace, "--out", "g")
            files.append([read_npy(self.path("g/%s.npy" % n)) for n in ("loss", "dx", "dw")])
        self.assertEqual(files[0], files[1])
        self.assertEqual(files[0], files[2])

    def test_no_rows_at_all_give_a_loss_of_zero(self):
        self.write_problem([[1.0]], [[1.0], [2.0]], [0])
        self.write_npy("x.npy", [], shape=(0, 1))
        self.write_npy("y.npy", [], "i8")
        report = self.report("grad", "--loss", "normalized", "--features", "x.npy", "--weights", "w.npy", "--labels",
                             "y.npy", "--out", "g")
        self.assertEqual((report["loss"], report["n_used"]), (0.0, 0))
        self.assertEqual(flatten(read_npy(self.path("g/dw.npy"))[2]), [0.0, 0.0])

    def test_zero_vectors_are_counted(self):
        inputs = self.write_problem([[0.0, 0.0], [1.0, 2.0]], [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]], [1, 1])
        report = self.report("grad", "--loss", "arcface", *inputs)
        self.assertEqual((report["n_zero_rows"], report["n_zero_classes"]), (1, 2))


class GradRefuses(Case):
    """Every refusal: exit code, message with file and row, and nothing left behind."""

    def setUp(self):
        super().setUp()
        self.write_npy("x.npy", [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        self.write_npy("w.npy", [[1.0, 0.0], [0.0, 1.0]])
        self.write_npy("y.npy", [0, 1, 1], "i8")

    def refuses(self, code, message, **changes):
        options = {"loss": "softmax", "features": "x.npy", "weights": "w.npy", "labels": "y.npy", "out": "g"}
        options.update({key.replace("_", "-"): value for key, value in changes.items()})
        before = self.names()
        self.fails(code, message, "grad", *(part for key, value in options.items() for part in ("--" + key, value)))
        self.assertEqual(self.names(), before)

    def test_a_folder_in_the_place_of_a_result(self):
        os.makedirs(self.path("g/dw.npy"))
        self.refuses(5, "g/dw.npy: cannot write there: it is a folder")

    def test_labels_out_of_range(self):
        self.write_npy("big.npy", [0, 1, 2], "i8")
        self.refuses(3, "big.npy: row 2: found label 2, expected 0 to 1", labels="big.npy")
        self.write_npy("low.npy", [0, -1, 1], "i8")
        self.refuses(3, "low.npy: row 1: found label -1, expected 0 to 1", labels="low.npy")
        self.write_npy("half.npy", [0.0, 1.0, 0.5])
        self.refuses(3, ["half.npy: ", "row 2", "0.5"], labels="half.npy")
        os.rename(self.path("half.npy"), self.path("row"))
        self.refuses(3, "row: row 2 is 0.5, expected an integer", labels="row")

    def test_values_that_are_not_finite(self):
        nan, inf = float("nan"), float("inf")
        for name, array, option in (("nan.npy", [[1.0, 2.0], [3.0, nan], [5.0, 6.0]], "features"),
                                    ("inf.npy", [[1.0, 2.0], [-inf, 4.0]], "weights")):
            self.write_npy(name, array)
            self.refuses(3, [name + ": row 1, column "], **{option: name})
        self.write_npy("b.npy", [0.0, nan])
        self.refuses(3, "b.npy: row 1: found nan, expected a finite number", bias="b.npy")
        for option, values in (("sample_weights", [1.0, 1.0, -1.0]), ("class_weights", [1.0, inf])):
            self.write_npy("a.npy", values)
            self.refuses(3, ["a.npy: row %d: found" % (len(values) - 1), "at least 0"], **{option: "a.npy"})

    def test_numbers_beyond_float32(self):
        self.write_npy("huge.npy", [[1e300, 0.0], [0.0, 0.0], [0.0, 0.0]])
        self.refuses(3, ["huge.npy: ", "row 0"], features="huge.npy", dtype="f32")

    def test_shapes_that_do_not_match(self):
        self.write_npy("w3.npy", [[1.0, 0.0, 0.0]])
        self.refuses(3, "w3.npy: shape (1, 3), expected 2 columns as in the features", weights="w3.npy")
        self.write_npy("y2.npy", [0, 1], "i8")
        self.refuses(3, "y2.npy: shape (2,), expected 3 labels, one for every row of the features", labels="y2.npy")
        self.write_npy("flat.npy", [1.0, 2.0])
        self.refuses(3, "flat.npy: shape (2,), expected (rows, dimensions)", features="flat.npy")
        self.write_npy("scalar.npy", 1.0)
        self.refuses(3, "scalar.npy: shape (), expected (rows)", labels="scalar.npy")
        self.refuses(3, "y.npy: shape (3,), expected 2 values, one for every class", bias="y.npy")
        self.write_npy("none.npy", [], shape=(0, 2))
        self.refuses(3, "none.npy: no rows, expected at least one class", weights="none.npy")

    def test_inputs_in_a_parameter_s_place_that_make_no_sense(self):
        for name, values, option, loss, code, message in (
                ("t.npy", [[0.5, 0.5], [0.6, 0.5], [1.0, 0.0]], "soft_targets", "softmax", 3, ["row 1", "1.1", "expected 1"]),
                ("t.npy", [[0.5, 0.5], [1.5, -0.5], [1.0, 0.0]], "soft_targets", "softmax", 3,
                 "t.npy: row 1, column 1: found -0.5, expected a finite number of at least 0"),
                ("t.npy", [[0.5, 0.5]] * 3, "soft_targets", "arcface", 2, ["soft targets", "arcface"]),
                ("t.npy", [[0.5, 0.3, 0.2]] * 3, "soft_targets", "softmax", 3, "t.npy: shape (3, 3), expected 2 columns"),
                ("m.npy", [0.5, 4.0], "class_margins", "arcface", 3, ["class_margins", "4 at class 1", "from 0 to 3.14"]),
                ("m.npy", [0.5, 0.5], "class_margins", "softmax", 2, ["softmax has no margin"]),
                ("m.npy", [0.5], "class_margins", "arcface", 3, ["m.npy: shape (1,), expected 2 values"]),
                ("s.npy", [16.0, 0.0], "class_scales", "arcface", 3, ["class_scales", "0 at class 1"]),
                ("s.npy", [16.0, 16.0], "class_scales", "lsoftmax", 2, ["lsoftmax has no scale"]),
                ("q.npy", [1.0, 2.0, float("nan")], "qualities", "adaface", 3, ["q.npy: row 2: found nan"]),
                ("u.npy", [1.0, 1.0, 1.0], "upstream", "softmax", 2, ["upstream", "reduction none"]),
                ("v.npy", [[1.0, 1.0, 1.0]] * 3, "direction_x", "softmax", 3, ["v.npy: shape (3, 3), expected 2 columns"]),
                ("v.npy", [[1.0, 1.0]] * 3, "direction_x", "arcface:gradient=detached", 2, ["detached", "Hessian"]),
                ("v.npy", [1.0, 1.0], "direction_b", "arcface", 2, ["direction of b", "no bias"])):
            self.write_npy(name, values)
            self.refuses(code, message, loss=loss, **{option: name})
        self.refuses(2, ["reduction none", "upstream"], reduction="none")
        self.refuses(3, "w.npy: 2 rows, expected a multiple of the 3 centres a class", loss="subcenter:k=3")

    def test_files_that_are_missing_cut_or_lie(self):
        self.refuses(5, ["gone.npy: "], features="gone.npy")
        whole = open(self.path("x.npy"), "rb").read()
        for name, content in (("cut.npy", whole[:-1]), ("short.npy", whole[:20]), ("long.npy", whole + b"x"),
                              ("empty.npy", b""), ("text.npy", b"hello\n"),
                              ("lie.npy", whole.replace(b"(3, 2)", b"(9, 2)"))):
            self.write(name, content)
            self.refuses(3, [name + ": "], features=name)

    def test_losses_and_options_that_are_wrong(self):
        self.refuses(2, ["arcfase", "arcface"], loss="arcfase")
        self.refuses(2, ["scale", "cosface"], loss="cosface:scale=3")
        self.refuses(2, ["arcface", "m", "28.6"], loss="arcface:m=28.6")
        self.refuses(2, ["--label-smoothing is '1', expected a number from 0 to below 1"], label_smoothing="1")
        self.write_npy("v.npy", [[1.0, 1.0]] * 3)
        for low in ("bf16", "bf16x3"):
            self.refuses(2, "--dtype %s is for the engine cpu: the reference works in double" % low, dtype=low,
                         engine="reference")
            self.refuses(2, "--dtype %s has no second derivatives, expected f64 or f32 with a direction" % low, dtype=low,
                         direction_x="v.npy")
        self.refuses(2, "--engine is 'cuda', expected one of cpu, reference", engine="cuda")
        self.write_npy("b.npy", [0.0, 0.0])
        self.refuses(2, "--bias is b.npy, expected none: arcface has no bias", loss="arcface", bias="b.npy")

    def test_an_output_folder_that_cannot_be(self):
        self.refuses(5, ["x.npy/g: cannot write there: "], out="x.npy/g")
        self.refuses(5, "x.npy: cannot write there: x.npy is not a folder", out="x.npy")
