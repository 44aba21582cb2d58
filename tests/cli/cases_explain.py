"""explain: forces against formulas written once more, files, summaries, models, and what is asked wrongly."""

import json
import math
import random

from tools import Case, clusters, read_npy

ROW = ["row", "class", "loss", "p_y", "theta", "alpha", "x_norm", "w_norm", "attraction", "repulsion", "attraction_share",
       "penalty", "gradient", "tangential", "radial", "radial_share", "sensitivity", "bound", "tight_bound",
       "exact_detached_angle", "exact_detached_ratio", "nearest", "pushers"]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def unit(v):
    return [value / math.sqrt(dot(v, v)) for value in v]


def arcface(x, w, y, s, m):
    """Attraction and repulsion of one row, by theta, alpha and projections alone (Eq. 8, 66)."""
    r, at = math.sqrt(dot(x, x)), unit(x)
    cosines = [dot(at, unit(v)) for v in w]
    theta = math.acos(cosines[y])
    z = [s * c for c in cosines]
    z[y] = s * math.cos(theta + m)
    p = [math.exp(value) / sum(map(math.exp, z)) for value in z]
    across = [[a - c * b for a, b in zip(unit(v), at)] for v, c in zip(w, cosines)]
    alpha = math.sin(theta + m) / math.sin(theta)
    attraction = [-(s / r) * (1 - p[y]) * alpha * value for value in across[y]]
    pushes = [[s / r * p[j] * value for value in across[j]] if j != y else [0] * len(x) for j in range(len(w))]
    lengths = [math.sqrt(dot(v, v)) for v in pushes]
    return theta, alpha, p[y], attraction, [sum(v) for v in zip(*pushes)], [v / sum(lengths) for v in lengths]


class Explain(Case):
    def write_problem(self, n_rows=6, n_classes=5, dim=3, seed=1):
        rng = random.Random(seed)
        x = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_rows)]
        w = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_classes)]
        # Within pi - m of the class: no tail.
        y = [max(range(n_classes), key=lambda j: dot(unit(row), unit(w[j]))) for row in x]
        self.write_npy("x.npy", x)
        self.write_npy("w.npy", w)
        self.write_npy("y.npy", y, "i8")
        return x, w, y, ["--features", "x.npy", "--weights", "w.npy", "--labels", "y.npy"]

    def test_forces_are_the_formula(self):
        x, w, y, inputs = self.write_problem()
        report = self.report("explain", "--loss", "arcface:s=6,m=0.4", *inputs)
        self.assertEqual(list(report), ["schema", "spec", "step", "gradient_mode", "rows", "summary", "files"])
        self.assertEqual((report["step"], report["gradient_mode"], len(report["rows"])), (0, "exact", 6))
        for i, row in enumerate(report["rows"]):
            self.assertEqual(list(row), ROW)
            theta, alpha, p, attraction, repulsion, shares = arcface(x[i], w, y[i], 6, 0.4)
            total = [a + b for a, b in zip(attraction, repulsion)]
            # acos of a cosine loses digits: its angles are good to 1e-10 here.
            for key, value in (("theta", theta), ("alpha", alpha), ("p_y", p), ("loss", -math.log(p)),
                               ("attraction", math.sqrt(dot(attraction, attraction))),
                               ("repulsion", math.sqrt(dot(repulsion, repulsion))),
                               ("gradient", math.sqrt(dot(total, total))), ("x_norm", math.sqrt(dot(x[i], x[i])))):
                self.assertAlmostEqual(row[key], value, delta=1e-9 * max(1, abs(value)), msg=key)
            self.assertEqual((row["row"], row["class"]), (i, y[i]))
            order = sorted(range(5), key=lambda j: -shares[j])[:3]
            self.assertEqual([pusher["class"] for pusher in row["pushers"]], order)
            self.assertAlmostEqual(row["pushers"][0]["share"], shares[order[0]], delta=1e-9)
            self.assertLess(row["radial_share"], 1e-20)
            self.assertLessEqual(row["gradient"], row["tight_bound"])
            self.assertLess(row["tight_bound"], row["bound"])
            self.assertGreater(row["exact_detached_angle"], 0)

    def test_files_add_up_to_what_grad_writes(self):
        _, _, _, inputs = self.write_problem(n_rows=7)
        inputs += ["--loss", "lsoftmax:m=3,lambda=1", "--label-smoothing", 0.1, "--z-loss", 0.02]
        self.succeeds("grad", *inputs, "--reduction", "sum", "--out", "g")
        report = self.report("explain", *inputs, "--out", "f", "--pushers", 2)
        dx, rows = read_npy(self.path("g/dx.npy")), read_npy(self.path("f/attraction.npy"))
        self.assertEqual((rows[0], rows[1]), ("f8", (7, 3)))
        for a, b, whole in zip(rows[2], read_npy(self.path("f/repulsion.npy"))[2], dx[2]):
            self.assertAlmostEqual(a + b, whole, delta=1e-12 * max(map(abs, dx[2])))
        self.assertEqual(read_npy(self.path("f/rows.npy")), ("i8", (7,), list(range(7))))
        self.assertEqual(read_npy(self.path("f/pushers.npy"))[:2], ("i8", (7, 2)))
        self.assertEqual(read_npy(self.path("f/theta.npy"))[2], [row["theta"] for row in report["rows"]])
        self.assertEqual(len(report["files"]), len([name for name in self.names() if name.startswith("f/")]))

    def test_chosen_rows_and_a_summary(self):
        _, _, _, inputs = self.write_problem(n_rows=30)
        inputs += ["--loss", "adaface:s=9,ema=0.5"]
        whole = self.report("explain", *inputs)
        some = self.report("explain", *inputs, "--rows", "17,0")
        self.assertEqual(some["rows"], [whole["rows"][17], whole["rows"][0]])
        self.assertEqual(len(self.report("explain", *inputs, "--limit", 4)["rows"]), 4)
        theta = sorted(row["theta"] for row in whole["rows"])
        summary = whole["summary"]
        self.assertEqual(summary["rows"], 30)
        self.assertEqual((summary["theta"]["min"], summary["theta"]["max"]), (theta[0], theta[-1]))
        self.assertAlmostEqual(summary["theta"]["mean"], sum(theta) / 30, delta=1e-14)
        self.assertEqual(sum(summary["theta"]["histogram"]["counts"]), 30)
        text = self.succeeds("explain", *inputs)
        self.assertIn("\ntheta (rad)  ", text)
        self.assertIn("\ngradient=exact: the derivative of the loss\n", text)
        self.assertEqual(len(self.succeeds("explain", *inputs, "--rows", "3").splitlines()), 4)

    def test_ignored_rows_and_soft_targets(self):
        _, w, y, inputs = self.write_problem()
        row = self.report("explain", "--loss", "softmax", *inputs, "--ignore-label", y[2])["rows"][2]
        self.assertEqual((row["class"], row["gradient"], row["theta"], row["pushers"]), (None, 0, None, []))
        hard = [[float(j == label) for j in range(len(w))] for label in y]
        soft = self.report("explain", "--loss", "softmax", *inputs[:4], "--soft-targets", self.write_npy("t.npy", hard))
        for a, b in zip(soft["rows"], self.report("explain", "--loss", "softmax", *inputs)["rows"]):
            self.assertIsNone(a["theta"])
            self.assertAlmostEqual(a["attraction"], b["attraction"], delta=1e-12)
            self.assertAlmostEqual(a["tight_bound"], b["tight_bound"], delta=1e-12)

    def test_a_model_is_explained_by_its_labels(self):
        rows, labels = clusters(60, 4, 3, 1)
        names = ["ant", "bee", "cow"]
        lines = ["a,b,c,d,kind"] + [",".join(map(str, row)) + "," + names[y] for row, y in zip(rows, labels)]
        self.write("d.csv", "\n".join(lines) + "\n")
        self.succeeds("train", "--data", "d.csv", "--loss", "curricularface:s=8", "--encoder", "none", "--epochs", 2,
                      "--batch", 20, "--out", "run", "-q")
        inputs = ["--model", "run/model.safetensors", "--data", "d.csv"]
        report = self.report("explain", *inputs, "--rows", "1,59")
        self.assertEqual([row["label"] for row in report["rows"]], [names[labels[1]], names[labels[59]]])
        self.assertIn(report["rows"][0]["pushers"][0]["label"], names)
        self.assertGreater(report["step"], 0)
        self.assertEqual(report["spec"], self.report("explain", *inputs, "--limit", 1)["spec"])
        self.assertIn(" " + names[labels[1]] + " ", self.succeeds("explain", *inputs, "--rows", "1"))

    def test_threads_do_not_change_a_digit(self):
        _, _, _, inputs = self.write_problem(n_rows=40)
        inputs += ["--loss", "magface", "--json"]
        self.assertEqual(self.succeeds("explain", *inputs, "--threads", 1), self.succeeds("explain", *inputs, "--threads", 3))

    def test_what_is_asked_wrongly(self):
        _, _, _, inputs = self.write_problem()
        all_inputs = ["--loss", "softmax", *inputs]
        missing = "explain needs --model and --data, or --loss, --features, --weights and --labels; found no "
        for args, message in (
            ([], missing + "--loss"),
            (["--loss", "softmax", *inputs[:4]], missing + "--labels"),
            (["--model", "m"], missing + "--data"),
            (["--model", "m", "--data", "d", "--loss", "softmax"], "--loss belongs to arrays, but --model is given"),
            (["--data", "d"], "--data belongs to a model: give --model FILE as well"),
            ([*all_inputs, "--rows", "1", "--limit", "2"], "found --rows and --limit, expected one of them"),
            ([*all_inputs, "--rows", "0,6"], "--rows: found '6', expected row numbers from 0 to 5"),
            ([*all_inputs, "--rows", "0,,1"], "--rows: found ',1', expected row numbers from 0 to 5"),
            ([*all_inputs, "--rows", "1;2"], "--rows: found '1;2', expected row numbers from 0 to 5"),
            (["--loss", "arcface", *inputs, "--bias", "y.npy"], "--bias is y.npy, expected none: arcface has no bias"),
        ):
            self.fails(2, message, "explain", *args)
        self.write_npy("bad.npy", [0, 1, 2, 9, 0, 0], "i8")
        self.fails(3, "bad.npy: row 3: found label 9, expected 0 to 4", "explain", *all_inputs[:-1], "bad.npy")
        self.fails(3, ["t.npy", "expected 5 columns"], "explain", *all_inputs, "--soft-targets",
                   self.write_npy("t.npy", [[1.0]] * 6))
        self.fails(2, ["soft targets are defined for softmax"], "explain", "--loss", "arcface", *inputs, "--soft-targets",
                   self.write_npy("s.npy", [[0.2] * 5] * 6), "--out", "never")
        self.assertNotIn("never", self.names())
        json.loads(self.succeeds("explain", *all_inputs, "--json", "--pushers", 0))
