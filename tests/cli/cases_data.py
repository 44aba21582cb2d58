"""The same rows in every format that data may have give the same model, and the same measures of it."""

import json
import struct
import zipfile

from tools import Case, clusters, npy_bytes

MODEL = "run/model.safetensors"


class Formats(Case):
    def setUp(self):
        super().setUp()
        rows, self.labels = clusters(120, 5, 4, 1)
        self.rows = [[round(v, 2) if abs(v) > 0.3 else 0.0 for v in row] for row in rows]
        for row in self.rows[60:]:
            row[4] = 0.0  # the last column of the second half: nothing in sparse text
        self.write_npy("x.npy", self.rows, "f4")
        self.write_npy("y.npy", self.labels, "i8")

    def write_sparse(self, name, first=0, sign=""):
        lines = ["%s%d %s" % (sign, y, " ".join(f"{k + 1}:{v}" for k, v in enumerate(row) if v))
                 for row, y in zip(self.rows[first:], self.labels[first:])]
        self.write(name, "\n".join(lines) + "\n")

    def write_csv(self, name):
        self.write(name, "".join(",".join(map(str, row + [y])) + "\n" for row, y in zip(self.rows, self.labels)))

    def write_npz(self, name, packing, **arrays):
        with zipfile.ZipFile(self.path(name), "w", packing) as archive:
            for key, (values, dtype) in arrays.items():
                archive.writestr(key + ".npy", npy_bytes(values, dtype))

    def write_safetensors(self, name):
        x = b"".join(struct.pack("<5f", *row) for row in self.rows)
        y = struct.pack("<%di" % len(self.labels), *self.labels)
        header = json.dumps({"features": {"dtype": "F32", "shape": [120, 5], "data_offsets": [0, len(x)]},
                             "labels": {"dtype": "I32", "shape": [120], "data_offsets": [len(x), len(x) + len(y)]}})
        with open(self.path(name), "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header.encode() + x + y)

    def train(self, data, *more, **options):
        self.report("train", "--data", data, "--loss", "softmax", "--encoder", "none", "--epochs", 3, "--no-report",
                    "--out", "run", *more, **options)
        with open(self.path(MODEL), "rb") as file:
            return file.read()

    def test_every_format_trains_the_same_model(self):
        whole = self.train("x.npy,y.npy")
        self.write_sparse("xy.svm")
        self.write_sparse("signed.svm", sign="+")
        self.write_csv("xy.csv")
        self.write_safetensors("xy.safetensors")
        for packing, name in ((zipfile.ZIP_STORED, "stored.npz"), (zipfile.ZIP_DEFLATED, "packed.npz")):
            self.write_npz(name, packing, X=(self.rows, "f4"), y=(self.labels, "i2"))
        self.write_npz("x.npz", zipfile.ZIP_STORED, anything=(self.rows, "f4"))
        for kind in ("i1", "u2", "i2", "u4", "u8", "f4"):
            self.write_npy(f"y-{kind}.npy", self.labels, kind)
        for data in ("xy.svm", "signed.svm", "xy.csv", "xy.safetensors", "stored.npz", "packed.npz", "x.npz,y.npy",
                     "x.npy,packed.npz", "xy.svm,y.npy",
                     *(f"x.npy,y-{kind}.npy" for kind in ("i1", "u2", "i2", "u4", "u8", "f4"))):
            self.assertEqual(self.train(data), whole, data)

    def test_sparse_rows_are_widened_to_the_model_or_the_training(self):
        self.write_sparse("xy.svm")
        self.write_sparse("narrow.svm", first=60)
        self.train("xy.svm", "--test-data", "narrow.svm")
        self.write_npy("half-x.npy", self.rows[60:], "f4")
        self.write_npy("half-y.npy", self.labels[60:], "i8")
        measured = [self.report("eval", "--model", MODEL, "--data", data) for data in ("narrow.svm", "half-x.npy,half-y.npy")]
        self.assertEqual(measured[0]["nll"], measured[1]["nll"])
        self.train("narrow.svm")
        self.fails(3, ["xy.svm: 5 features a row, expected 4"], "eval", "--model", MODEL, "--data", "xy.svm")

    def test_info_and_standard_input_take_them_too(self):
        self.write_sparse("xy.svm")
        self.write_safetensors("xy.safetensors")
        table = self.report("info", "xy.svm")
        self.assertEqual([table[k] for k in ("format", "rows", "columns", "classes")], ["libsvm", 120, 5, 4])
        self.assertNotIn("label_column", table)
        self.assertIn("libsvm, 120 rows, 5 columns, labels of 4 classes", self.succeeds("info", "xy.svm"))
        for name in ("xy.svm", "xy.safetensors"):
            whole = self.train(name)
            with open(self.path(name), "rb") as file:
                self.assertEqual(self.train("-", stdin=file), whole, name)

    def test_labels_that_are_not_needed_may_be_anything(self):
        self.train("x.npy,y.npy")
        whole = self.succeeds("predict", "--model", MODEL, "--data", "x.npy")
        self.write_npz("odd.npz", zipfile.ZIP_STORED, x=(self.rows, "f4"), y=([0.5] * 7, "f8"))
        self.assertEqual(self.succeeds("predict", "--model", MODEL, "--data", "odd.npz"), whole)

    def test_what_is_not_read_is_bad_data(self):
        for dtype, values in (("c8", b"\0" * 960), ("U3", b"\0" * 1440)):
            head = "{'descr': '<%s', 'fortran_order': False, 'shape': (120,), }" % dtype
            with open(self.path("odd.npy"), "wb") as file:
                file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head) + 1) + head.encode() + b"\n" + values)
            self.fails(3, [f"odd.npy: holds '<{dtype}', expected f2, f4, f8, integers or b1"], "train", "--data",
                       "x.npy,odd.npy", "--loss", "softmax")
            self.fails(3, ["odd.npy: holds"], "grad", "--loss", "softmax", "--features", "odd.npy", "--weights", "x.npy",
                       "--labels", "y.npy", "--out", "g")
        for names, line in (("Doe, J0\nDoe, J1\n", 1), ("Roe\nDoe, J1\n", 2), ('"Doe, J0"\nRoe\nDoe, J1\n', 3), ("a,b\n1,2\n", 1)):
            self.write("y.txt", names)
            self.fails(3, "y.txt:%d: has 2 columns, expected one of labels; a name with a comma in it stands in quotes" % line,
                       "train", "--data", "x.npy,y.txt", "--loss", "softmax")
        self.write("semicolons.csv", "1;2;3\n4;5;6\n")
        self.fails(3, ["semicolons.csv: has a column of labels and none of features; in CSV commas separate"], "train",
                   "--data", "semicolons.csv", "--loss", "softmax")
        self.write_npz("two.npz", zipfile.ZIP_STORED, left=(self.rows, "f4"), right=(self.labels, "i8"))
        self.fails(3, ["two.npz: has the arrays left, right, expected one named features"], "train", "--data", "two.npz",
                   "--loss", "softmax")
        self.fails(2, ["x.npy: is no CSV table: it has no column 2"], "train", "--data", "x.npy,y.npy", "--label-column", 2,
                   "--loss", "softmax")
