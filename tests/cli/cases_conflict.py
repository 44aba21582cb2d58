"""conflict and train --align: forces against plain formulas, totals against rows, what is recorded, what is refused."""

import csv
import json
import math
import random

import tools
from tools import Case, clusters

KEYS = ["schema", "loss", "align", "align_loss", "rows", "compared", "neighbours", "undefined_angles", "conflict_rate",
        "mean_cosine", "sufficient_rate", "sufficient_wrong", "printed_rate", "printed_wrong", "cosine_histogram"]


def dot(a, b):
    return sum(p * q for p, q in zip(a, b))


def unit(a):
    length = math.sqrt(dot(a, a))
    return [p / length for p in a]


def across(v, x):
    """v without its part along the unit vector x"""
    return [p - dot(v, x) * q for p, q in zip(v, x)]


class Conflict(Case):
    def write_problem(self, seed, n_rows=24, classes=3, dim=4):
        rng = random.Random(seed)
        x = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_rows)]
        w = [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(classes)]
        y = [rng.randrange(classes) for _ in range(n_rows)]
        for name, values, dtype in (("x", x, "f8"), ("w", w, "f8"), ("y", y, "i8")):
            self.write_npy(name + ".npy", values, dtype)
        return x, w, y

    def arrays(self):
        return ["--features", "x.npy", "--weights", "w.npy", "--labels", "y.npy"]

    def head(self, x, w, y):
        """-P_x dJ/dx of softmax, a mean over rows"""
        z = [dot(x, row) for row in w]
        p = [math.exp(value - max(z)) for value in z]
        p = [value / sum(p) for value in p]
        force = [sum(((j == y) - p[j]) * w[j][k] for j in range(len(w))) for k in range(len(x))]
        return across(force, unit(x))

    def test_rows_are_those_of_plain_formulas(self):
        x, w, y = self.write_problem(1)
        n, k = len(x), 2
        report = self.report("conflict", "--loss", "softmax", *self.arrays(), "--align",
                             "pga:k=2,symmetric=off,full_rows=off", "--out", "rows.csv")
        self.assertEqual(list(report), KEYS + ["out"])
        with open(self.path("rows.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        compared = conflicts = printed_wrong = 0
        for i, row in enumerate(rows):
            own = unit(x[i])
            near = sorted(((dot(own, unit(x[j])), j) for j in range(n) if j != i and y[j] == y[i]), reverse=True)
            near = [j for c, j in near[:k] if c > 0]
            self.assertEqual((int(row["label"]), int(row["neighbours"])), (y[i], len(near)))
            if not near:
                self.assertEqual((row["inner"], row["exact"]), ("", ""))
                continue
            head = [value / n for value in self.head(x[i], w, y[i])]
            tangents = [across(unit(x[j]), own) for j in near]
            length = math.sqrt(dot(x[i], x[i]))
            pull = [sum(t[d] for t in tangents) / len(near) / n / length for d in range(len(own))]
            cosines = [dot(unit(head), unit(t)) for t in tangents]
            self.assertAlmostEqual(float(row["inner"]), dot(head, pull), delta=1e-8 * abs(dot(head, pull)))
            self.assertAlmostEqual(float(row["cosine"]), dot(unit(head), unit(pull)), delta=1e-8)
            self.assertAlmostEqual(float(row["largest_deg"]), math.degrees(math.acos(min(cosines))), delta=1e-5)
            self.assertAlmostEqual(float(row["smallest_deg"]), math.degrees(math.acos(max(cosines))), delta=1e-5)
            flags = [min(cosines) >= 0, dot(head, pull) >= 0, max(cosines) >= 0]
            self.assertEqual([row[key] == "1" for key in ("sufficient", "exact", "printed")], flags)
            compared, conflicts = compared + 1, conflicts + (not flags[1])
            printed_wrong += flags[2] and not flags[1]
        self.assertEqual((report["rows"], report["compared"]), (n, compared))
        self.assertAlmostEqual(report["conflict_rate"], conflicts / compared, delta=1e-15)
        self.assertEqual((report["printed_wrong"], report["sufficient_wrong"]), (printed_wrong, 0))
        self.assertEqual(sum(report["cosine_histogram"]), compared)

    def test_terms_are_listed_and_the_page_has_them_all(self):
        report = json.loads(self.succeeds("conflict", "--terms", "--json"))
        self.assertEqual([term["name"] for term in report["terms"]], ["pga", "k", "z"])
        page = open(tools.os.path.join(tools.os.path.dirname(__file__), "../../docs/alignment.md"), encoding="utf-8").read()
        text = self.succeeds("conflict", "--terms")
        for term in report["terms"]:
            for param in term["parameters"]:
                self.assertIn(param["help"].split(";")[0].split(":")[0][:20], text)
                self.assertIn("| `%s` | %s |" % (param["key"], param["default"]), page)

    def test_a_model_and_its_data_stand_in_place_of_arrays(self):
        rows, labels = clusters(120, 6, 4, 1)
        self.write_npy("x.npy", rows, "f4"), self.write_npy("y.npy", labels, "i8")
        train = ["train", "--data", "x.npy,y.npy", "--loss", "arcface:s=8,m=0.2", "--encoder", "mlp:8,8", "--dim", "5",
                 "--epochs", "3", "--batch", "40", "-q"]
        trained = self.report(*train, "--align", "pga:targets=memory,k=3", "--align", "k:k=3", "--out", "run")
        self.assertTrue(trained["align"].startswith("pga:phi=linear") and "+k:k=3" in trained["align"])
        self.assertTrue(0 <= trained["conflict_rate"] <= 1)
        lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
        for line in lines:
            self.assertEqual((line["kind"], line["conflict"]["rows"]), ("epoch", 120))
            self.assertEqual(sum(line["conflict"]["cosine_histogram"]), line["conflict"]["compared"])
            self.assertEqual(line["conflict"]["sufficient_wrong"], 0)
            self.assertNotEqual(line["align_loss"], 0)
        report = self.report("conflict", "--model", "run/model.safetensors", "--data", "x.npy,y.npy")
        self.assertEqual((report["loss"], report["rows"]), (trained["loss"], 120))
        memory = self.report("conflict", "--model", "run/model.safetensors", "--data", "x.npy,y.npy", "--align",
                             "pga:targets=memory,neighbours=memory")
        self.assertEqual(memory["neighbours"], 5 * 120)
        names = [tensor["name"] for tensor in self.report("info", "run/model.safetensors")["tensors"]]
        self.assertEqual([name for name in names if name.startswith("align.")],
                         ["align.ids", "align.labels", "align.scores", "align.directions"]
                         + [f"align.k.{layer}.{part}" for layer in (0, 1) for part in ("ids", "labels", "scores")])
        joined = self.report(*train, "--align", "pga:targets=memory,k=3+k:k=3", "--out", "again")
        self.assertEqual(joined["objective"], trained["objective"])
        plain = self.report(*train, "--out", "plain")
        self.assertNotIn("align", plain)
        self.assertNotEqual(plain["objective"], trained["objective"])

    def test_what_is_refused(self):
        self.write_problem(2)
        loss = ["--loss", "softmax", *self.arrays()]
        self.fails(2, ["conflict needs --loss"], "conflict")
        self.fails(2, ["conflict needs --data D"], "conflict", "--model", "m.safetensors")
        self.fails(2, ["found both"], "conflict", *loss, "--model", "m", "--data", "d")
        self.fails(2, ["expected pga alone"], "conflict", *loss, "--align", "k")
        self.fails(2, ["targets=layer needs another layer"], "conflict", *loss, "--align", "pga:targets=layer")
        self.fails(2, ["targets=memory needs a bank"], "conflict", *loss, "--align", "pga:targets=memory")
        self.fails(2, ['there is no alignment "pgo"; the nearest is "pga"'], "conflict", *loss, "--align", "pgo")
        self.fails(2, ["is given twice"], "train", "--data", "x.npy,y.npy", "--loss", "softmax", "--align", "k",
                   "--align", "k")
        self.write_npy("short.npy", [0, 1], "i8")
        self.fails(3, ["short.npy: shape (2,), expected 24 labels"], "conflict", "--loss", "softmax", "--features",
                   "x.npy", "--weights", "w.npy", "--labels", "short.npy")
