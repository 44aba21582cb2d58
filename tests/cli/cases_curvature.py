"""curvature: against closed forms, differences of the plain formulas and dense matrices; and what it refuses."""

import math
import random

import formulas
from tools import Case, clusters

KEYS = ["schema", "spec", "wrt", "rows", "classes", "size", "eigenvalues", "residuals", "rayleigh", "first_derivative",
        "second_derivative", "lambda_max_bound", "iterations", "converged"]


def softmax(z):
    e = [math.exp(x - max(z)) for x in z]
    return [x / sum(e) for x in e]


def largest_eigenvalue(matrix):
    """By the power method on a positive semidefinite matrix."""
    v = [1.0 + 0.1 * k for k in range(len(matrix))]
    for _ in range(3000):
        v = [sum(a * b for a, b in zip(row, v)) for row in matrix]
        size = math.sqrt(sum(x * x for x in v))
        v = [x / size for x in v]
    return size


def problem(seed, n_rows=5, n_classes=4, dim=3):
    rng = random.Random(seed)
    x = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_rows)]
    w = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_classes)]
    return x, w, [rng.randrange(n_classes) for _ in range(n_rows)]


class Curvature(Case):
    def write_problem(self, x, w, y):
        self.write_npy("x.npy", x)
        self.write_npy("w.npy", w)
        self.write_npy("y.npy", y, "i8")
        return ["--features", "x.npy", "--weights", "w.npy", "--labels", "y.npy"]

    def test_logits_have_the_eigenvalues_of_the_softmax(self):
        z = [[0.0, 0.0], [1.0, -2.0], [0.0, 40.0]]
        self.write_npy("z.npy", z)
        report = self.report("curvature", "--wrt", "logits", "--logits", "z.npy", "--top", 3, "--bottom", 1)
        self.assertEqual(list(report), KEYS[:8] + ["eigenvalue_rows"] + KEYS[8:])
        wanted = [2 * p * q for p, q in map(softmax, z)]
        for found, value in zip(report["eigenvalues"], wanted + [0.0]):
            self.assertAlmostEqual(found, value, delta=1e-14 * value)
        self.assertEqual(report["eigenvalue_rows"][:3], [0, 1, 2])
        self.assertEqual((report["lambda_max_bound"], report["converged"], report["spec"]), (0.5, True, None))
        self.assertEqual((report["rayleigh"], report["first_derivative"]), (None, None))

    def test_along_directions_of_the_logits_stands_the_variance(self):
        z, v, y = [[0.3, -1.0, 0.7]], [[1.0, 2.0, -1.5]], [2]
        self.write_npy("z.npy", z)
        self.write_npy("v.npy", v)
        self.write_npy("y.npy", y, "i8")
        p = softmax(z[0])
        mean = sum(a * b for a, b in zip(p, v[0]))
        variance = sum(a * (b - mean) ** 2 for a, b in zip(p, v[0]))
        common = ["curvature", "--wrt", "logits", "--logits", "z.npy", "--top", 0]
        report = self.report(*common, "--direction-z", "v.npy")
        self.assertAlmostEqual(report["second_derivative"], variance, delta=1e-14)
        self.assertAlmostEqual(report["rayleigh"], variance / 7.25, delta=1e-14)
        self.assertIsNone(report["first_derivative"])  # there is no loss without a label
        report = self.report(*common, "--direction-z", "v.npy", "--labels", "y.npy")
        self.assertAlmostEqual(report["first_derivative"], mean + 1.5, delta=1e-14)
        report = self.report(*common, "--along-gradient", "--labels", "y.npy")
        g = [p[0], p[1], p[2] - 1]
        self.assertAlmostEqual(report["first_derivative"], -sum(x * x for x in g), delta=1e-14)

    def test_the_largest_eigenvalue_by_the_features_is_that_of_the_worst_row(self):
        x, w, y = problem(1)
        report = self.report("curvature", "--loss", "softmax", *self.write_problem(x, w, y), "--wrt", "features")
        self.assertEqual(list(report), KEYS)
        found = []
        for row in x:
            p = softmax([sum(a * b for a, b in zip(row, u)) for u in w])
            mean = [sum(p[j] * w[j][k] for j in range(4)) for k in range(3)]
            found.append(largest_eigenvalue([[sum(p[j] * w[j][a] * w[j][b] for j in range(4)) - mean[a] * mean[b]
                                              for a in range(3)] for b in range(3)]) / len(x))
        self.assertAlmostEqual(report["eigenvalues"][0], max(found), delta=1e-9)
        self.assertTrue(max(found) <= report["lambda_max_bound"])
        self.assertEqual((report["size"], len(report["eigenvalues"]), report["converged"]), (15, 5, True))
        self.assertTrue(all(r < 1e-9 for r in report["residuals"]))

    def test_derivatives_are_differences_of_the_plain_formulas(self):
        # Second differences with a step of 1e-3: the fourth derivative leaves 1e-6, rounding 1e-16 / 1e-6.
        for number, (name, spec, values) in enumerate((
                ("softmax", "softmax", {}), ("arcface", "arcface:s=6,m=0.3", {"s": 6.0, "m": 0.3, "tail": "continuous"}),
                ("normalized", "normalized:s=5", {"s": 5.0}))):
            x, w, y = problem(10 + number)
            rng = random.Random(number)
            bias = [rng.gauss(0, 1) for _ in w] if name == "softmax" else None
            vx, vw = [[[rng.gauss(0, 1) for _ in row] for row in a] for a in (x, w)]
            inputs = ["--loss", spec] + self.write_problem(x, w, y)
            inputs += ["--bias", self.write_npy("b.npy", bias)] if bias else []
            inputs += ["--direction-x", self.write_npy("vx.npy", vx), "--direction-w", self.write_npy("vw.npy", vw)]
            report = self.report("curvature", *inputs, "--wrt", "both", "--top", 1, "--bottom", 1)
            extra = {"sample_weights": None, "class_weights": None, "smoothing": 0.0, "z_loss": 0.0, "ignore": None,
                     "reduction": "mean"}

            def moved(a, v, t):
                return [[p + t * q for p, q in zip(*rows)] for rows in zip(a, v)]

            def at(t):
                return formulas.loss(name, values, moved(x, vx, t), moved(w, vw, t), bias, y, **extra)[0]
            low, middle, high = at(-1e-3), at(0), at(1e-3)
            size = abs(report["first_derivative"]) + abs(report["second_derivative"])
            self.assertAlmostEqual(report["first_derivative"], (high - low) / 2e-3, delta=1e-4 * size)
            self.assertAlmostEqual(report["second_derivative"], (high - 2 * middle + low) / 1e-6, delta=1e-3 * size)
            top, bottom = report["eigenvalues"]
            self.assertTrue(bottom <= report["rayleigh"] <= top)
            self.assertIsNone(report["lambda_max_bound"])

    def test_the_step_of_gradient_descent_is_downhill(self):
        inputs = self.write_problem(*problem(3, 20, 5, 4))
        report = self.report("curvature", "--loss", "softmax", *inputs, "--along-gradient", "--bottom", 1)
        self.assertTrue(report["first_derivative"] < 0 < report["second_derivative"])
        self.assertTrue(report["rayleigh"] <= report["eigenvalues"][0] <= report["lambda_max_bound"])
        text = self.succeeds("curvature", "--loss", "softmax", *inputs, "--along-gradient")
        self.assertIn("Hessian by weights: 20 numbers, from 20 rows and 5 classes\n", text)
        self.assertIn("along the direction: first derivative -", text)
        self.assertIn("\nconverged after ", text)

    def test_threads_change_no_digit(self):
        inputs = ["curvature", "--loss", "arcface:s=8", *self.write_problem(*problem(4, 70, 33, 9)), "--top", 3]
        self.assertEqual(self.report(*inputs, "--threads", 1), self.report(*inputs, "--threads", 3))

    def test_too_few_products_are_told(self):
        inputs = ["curvature", "--loss", "softmax", *self.write_problem(*problem(5, 50, 30, 20)), "--top", 2,
                  "--max-products", 8]
        done = self.run_program(*inputs, "--json")
        self.assertEqual(done.returncode, 0)
        self.assertIn('"converged": false', done.stdout)
        self.assertIn("logitude: not converged after 8 products", done.stderr)

    def test_a_model_is_examined_on_its_data(self):
        rows, labels = clusters(60, 4, 3, 1)
        self.write_npy("x.npy", rows, "f4")
        self.write_npy("y.npy", labels, "i8")
        self.succeeds("train", "--data", "x.npy,y.npy", "--loss", "softmax", "--encoder", "none", "--dim", 4, "--epochs", 2,
                      "--out", "run", "-q")
        inputs = ["curvature", "--model", "run/model.safetensors", "--data", "x.npy,y.npy"]
        report = self.report(*inputs, "--along-gradient", "--limit", 40)
        self.assertEqual((report["rows"], report["classes"], report["size"], report["converged"]), (40, 3, 15, True))
        self.assertTrue(report["rayleigh"] <= report["eigenvalues"][0] <= report["lambda_max_bound"])
        report = self.report(*inputs, "--wrt", "logits", "--top", 1, "--bottom", 60)
        self.assertEqual((report["rows"], report["size"]), (60, 180))
        self.assertTrue(0 < report["eigenvalues"][0] <= 0.5)
        self.assertTrue(all(value < 1e-15 for value in report["eigenvalues"][1:]))

    def test_what_makes_no_sense_is_refused(self):
        x, w, y = problem(6)
        arrays = self.write_problem(x, w, y)
        self.write_npy("z.npy", x)
        head = ["curvature", "--loss", "softmax", *arrays]
        self.fails(2, ["gradient=detached", "it has no Hessian"], "curvature", "--loss", "arcface:gradient=detached",
                   *arrays)
        self.fails(2, ["gradient=unit", "it has no Hessian"], "curvature", "--loss", "sphereface:gradient=unit", *arrays)
        self.fails(2, "--logits needs --wrt logits: there is no head behind them", "curvature", "--logits", "z.npy")
        for term in ("--z-loss", "--label-smoothing"):
            self.fails(2, f"{term} does not go with --wrt logits, which is about the softmax alone", "curvature", "--wrt", "logits", "--logits", "z.npy", term, 0.1)
        self.fails(2, "--features does not go with --logits", "curvature", "--wrt", "logits", "--logits", "z.npy",
                   "--features", "x.npy")
        self.fails(2, "--data is missing: --model and --data go together", "curvature", "--model", "m")
        self.fails(2, "--loss does not go with --model", "curvature", "--model", "m", "--data", "d", "--loss", "softmax")
        self.fails(2, "--limit does not go with arrays", *head, "--limit", 3)
        self.fails(2, ["--loss is missing; expected --loss, --features"], "curvature")
        self.fails(2, "--direction-x is no direction of what --wrt weights differentiates by", *head, "--direction-x",
                   "x.npy")
        self.fails(2, "--direction-b is no direction of what --wrt weights differentiates by", *head, "--direction-b",
                   "x.npy")
        self.fails(2, "--along-gradient is a direction; no other goes with it", *head, "--direction-w", "w.npy",
                   "--along-gradient")
        self.fails(2, "--along-gradient needs --labels", "curvature", "--wrt", "logits", "--logits", "z.npy",
                   "--along-gradient")
        self.fails(3, ["x.npy: shape (5, 3), expected 4 as what it is a direction of"], *head, "--direction-w", "x.npy")
        self.write_npy("y.npy", [0, 1, 2, 4, 0], "i8")
        self.fails(3, "y.npy: row 3: found label 4, expected 0 to 3", *head)
        self.write_npy("z.npy", [[0.0, float("nan")]])
        self.fails(3, ["z.npy: row 0, column 1: found nan"], "curvature", "--wrt", "logits", "--logits", "z.npy")

    def test_empty_batches_have_flat_losses(self):
        self.write_npy("x.npy", [], shape=(0, 3))
        self.write_npy("w.npy", [[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
        self.write_npy("y.npy", [], "i8", shape=(0,))
        report = self.report("curvature", "--loss", "softmax", "--features", "x.npy", "--weights", "w.npy", "--labels",
                             "y.npy", "--top", 2, "--along-gradient")
        self.assertEqual((report["eigenvalues"], report["first_derivative"]), ([0.0, 0.0], 0.0))
        self.assertIsNone(report["rayleigh"])
