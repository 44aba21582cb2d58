"""convert: formats by suffix and content, exact bits, what is said of mistakes, and nothing left behind by them. What NumPy,
scikit-learn, PyTorch and ONNX make of the files is interchange.py's."""

import gzip
import json
import os
import struct
import zipfile

import tools
from tools import Case, npy_bytes, read_npy


def safetensors_bytes(tensors, metadata=None):
    """tensors: {name: (kind, shape, bytes)}"""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def floats(*values):
    return struct.pack("<%df" % len(values), *values)


def doubles(*values):
    return struct.pack("<%dd" % len(values), *values)


class Convert(Case):
    def read_tensors(self, name):
        with open(self.path(name), "rb") as file:
            data = file.read()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:start])
        notes = header.pop("__metadata__", {})
        return {key: (t["dtype"], t["shape"], data[start + t["data_offsets"][0]:start + t["data_offsets"][1]])
                for key, t in header.items()}, notes

    def write_head(self, name="h.safetensors", **more):
        return self.write(name, safetensors_bytes({"fc.weight": ("F32", [3, 2], floats(1, 2, 3, 4, -0.0, 6)),
                                                   "fc.bias": ("F32", [3], floats(7, 8, 9)), **more}, {"made": "here"}))

    def test_everything_goes_round_through_an_archive(self):
        tensors = {"a": ("F16", [2], b"\x00\x3c\xff\x7b"), "b/c": ("I64", [], struct.pack("<q", -5)),
                   "none": ("F64", [0, 3], b""), "u": ("U8", [3], b"\0\1\xff"), "i": ("I32", [1], struct.pack("<i", -2))}
        self.write("t.safetensors", safetensors_bytes(tensors))
        self.assertEqual(self.report("convert", "t.safetensors", "t.npz"),
                         {"schema": "logitude.convert/1", "in": "t.safetensors", "from": "safetensors", "to": "npz",
                          "files": ["t.npz"]})
        with zipfile.ZipFile(self.path("t.npz")) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(archive.namelist(), [name + ".npy" for name in tensors])
        self.report("convert", "t.npz", "again.safetensors")
        self.assertEqual(self.read_tensors("again.safetensors"), (tensors, {}))
        first = open(self.path("t.npz"), "rb").read()
        self.report("convert", "again.safetensors", "t.npz")
        self.assertEqual(open(self.path("t.npz"), "rb").read(), first)  # the same bytes every time
        self.assertEqual(self.names(), ["again.safetensors", "t.npz", "t.safetensors"])
        self.assertEqual(self.report("convert", "t.npz", ".safetensors")["to"], "safetensors")  # a suffix and nothing else

    def test_gzip_around_a_file_is_unpacked(self):
        for name, content in (("h.safetensors", open(self.path(self.write_head()), "rb").read()),
                              ("l.model", b"solver_type L2R_LR\nnr_class 2\nlabel 1 0\nnr_feature 2\nbias -1\nw\n1 \n2 \n"),
                              ("w.npy", npy_bytes([[1, 2], [3, 4]], "f4"))):
            self.write(name, content)
            self.write(name + ".gz", gzip.compress(content[:40]) + gzip.compress(content[40:]))
            plain, packed = (self.report("info", path) for path in (name, name + ".gz"))
            self.assertEqual(dict(packed, file=name), plain)
            plain, packed = (self.report("convert", path, path + ".npz") for path in (name, name + ".gz"))
            self.assertEqual(packed["from"], plain["from"])
            self.assertEqual(*(open(self.path(path + ".npz"), "rb").read() for path in (name, name + ".gz")))
        self.write("a.npz.gz", gzip.compress(open(self.path("w.npy.npz"), "rb").read()))
        for verb in (["info", "a.npz.gz"], ["convert", "a.npz.gz", "a.safetensors"]):
            self.fails(3, ["a.npz.gz: is a ZIP archive within gzip"], *verb)
        self.write("cut.gz", gzip.compress(content)[:5])
        self.fails(3, ["cut.gz: "], "info", "cut.gz")

    def test_what_has_no_place_is_said(self):
        self.write_head()
        done = self.run_program("convert", "h.safetensors", "h.npz")
        self.assertEqual((done.returncode, done.stderr),
                         (0, "logitude: h.safetensors: metadata have no place in .npz and are left out\n"))
        done = self.run_program("convert", "h.safetensors", "h.npy")
        self.assertEqual((done.returncode, done.stderr),
                         (0, "logitude: h.safetensors: has a bias, which one .npy leaves out\n"))
        self.assertEqual(read_npy(self.path("h.npy")), ("f4", (3, 2), [1, 2, 3, 4, -0.0, 6]))

    def test_whether_there_is_a_bias_is_told_of_what_is_written(self):
        self.write_head()
        self.write_npy("w.npy", [[1, 2], [3, 4], [5, 6]], "f4")
        for args, wanted in ((["o.npy"], False), (["o{rank}.npy"], False), (["o.npz", "--to", "sklearn"], True),
                             (["o.txt", "--to", "liblinear"], True), (["o.safetensors", "--to", "model"], True)):
            self.assertIs(self.report("convert", "h.safetensors", *args, "-q")["bias"], wanted, args)
        self.assertIs(self.report("convert", "w.npy", "o.safetensors", "--to", "torch")["bias"], False)
        self.assertRegex(self.succeeds("convert", "h.safetensors", "o.npy", "-q"), r"(?m)^bias +no$")
        self.assertRegex(self.succeeds("convert", "h.safetensors", "o.pt", "--to", "torch"), r"(?m)^bias +yes$")

    def test_a_state_of_pytorch_and_back(self):
        self.write_head()
        report = self.report("convert", "h.safetensors", "n.safetensors", "--to", "torch", "--prefix", "net.0.")
        self.assertEqual((report["classes"], report["dim"], report["dtype"], report["bias"]), (3, 2, "f32", True))
        tensors, notes = self.read_tensors("n.safetensors")
        self.assertEqual(notes, {"format": "pt"})
        self.assertEqual(tensors, {"net.0.weight": ("F32", [3, 2], floats(1, 2, 3, 4, -0.0, 6)),
                                   "net.0.bias": ("F32", [3], floats(7, 8, 9))})
        self.report("convert", "n.safetensors", "w.safetensors", "--to", "torch", "--dtype", "f64")
        self.assertEqual(self.read_tensors("w.safetensors")[0]["weight"], ("F64", [3, 2], doubles(1, 2, 3, 4, -0.0, 6)))

    def test_the_head_is_named_where_it_cannot_be_told(self):
        more = {"a.weight": ("F32", [3, 2], floats(0, 0, 0, 0, 0, 1)), "shift": ("F32", [3], floats(1, 1, 2))}
        self.write("two.safetensors", safetensors_bytes({"b.weight": ("F32", [3, 2], floats(*range(6))), **more}))
        self.fails(3, ["two.safetensors: 2 matrices are called weight", "--weight"], "convert", "two.safetensors", "o.npy")
        self.report("convert", "two.safetensors", "o.safetensors", "--to", "torch", "--weight", "a.weight", "--bias", "shift")
        self.assertEqual(self.read_tensors("o.safetensors")[0]["bias"][2], floats(1, 1, 2))
        self.fails(3, 'two.safetensors: has no tensor "c" (--weight)', "convert", "two.safetensors", "o.npy", "--weight", "c")
        self.fails(3, 'two.safetensors: has no tensor "c" (--bias)', "convert", "two.safetensors", "o.npy", "--weight",
                   "a.weight", "--bias", "c")
        self.fails(3, ["two.safetensors: shift is f32 with 1 axes"], "convert", "two.safetensors", "o.npy", "--weight", "shift")
        self.fails(3, ["the bias is f32 of 6 elements, expected 3"], "convert", "two.safetensors", "o.npy", "--weight",
                   "a.weight", "--bias", "b.weight")

    def test_shards_are_read_while_there_are_any(self):
        for rank, rows in enumerate(([[1, 2], [3, 4]], [[5, 6]])):
            self.write_npy("s%d.npy" % rank, rows, "f4")
        report = self.report("convert", "s{rank}.npy", "all.npy")
        self.assertEqual((report["from"], report["classes"]), ("insightface", 3))
        self.assertEqual(read_npy(self.path("all.npy")), ("f4", (3, 2), [1, 2, 3, 4, 5, 6]))
        self.assertEqual(self.report("convert", "all.npy", "p-{rank}", "--shards", 2)["files"], ["p-0", "p-1"])
        self.assertEqual(read_npy(self.path("p-1")), ("f4", (1, 2), [5, 6]))
        self.fails(2, ["--shards is 4, expected at most 3"], "convert", "all.npy", "q{rank}", "--shards", 4)
        self.write_npy("s2.npy", [[1, 2, 3]], "f4")
        self.fails(3, "s2.npy: has rows of 3 f32, but the first shard has 2 f32", "convert", "s{rank}.npy", "all.npy")
        self.write_npy("s2.npy", [[1, 2]], "f8")
        self.fails(3, "s2.npy: has rows of 2 f64, but the first shard has 2 f32", "convert", "s{rank}.npy", "all.npy")
        self.fails(5, ["gone0.npy: cannot open"], "convert", "gone{rank}.npy", "all.npy")

    def test_a_model_has_whole_loss_labels_and_no_nonsense(self):
        self.write_head()
        self.report("convert", "h.safetensors", "m.safetensors", "--to", "model")
        tensors, notes = self.read_tensors("m.safetensors")
        self.assertEqual((notes["loss"].split(":")[0], notes["classes"], notes["sample_shape"]), ("softmax", "3", "2"))
        self.assertEqual(tensors["head.weight"][2], floats(1, 2, 3, 4, -0.0, 6))
        self.fails(2, "h.safetensors: has a bias, but arcface has none", "convert", "h.safetensors", "n.safetensors", "--to",
                   "model", "--loss", "arcface")
        self.write_npy("w.npy", [[1, 2], [3, 4], [5, 6]], "f8")
        self.fails(2, ["w.npy: weight has 3 rows, expected a multiple of the 2 centres"], "convert", "w.npy", "n.safetensors",
                   "--to", "model", "--loss", "subcenter:k=2")
        self.write_npy("w.npy", [[1, 2], [3, float("nan")]], "f8")
        self.fails(3, "w.npy: weight: element 3 is not finite", "convert", "w.npy", "n.safetensors", "--to", "model")
        self.fails(2, ["arcfaec"], "convert", "w.npy", "n.safetensors", "--to", "model", "--loss", "arcfaec")
        self.assertEqual(self.names(), ["h.safetensors", "m.safetensors", "w.npy"])

    def test_labels_go_along(self):
        self.write("l.txt", "solver_type MCSVM_CS\nnr_class 3\nlabel 30 10 20\nnr_feature 1\nbias 1\nw\n1 2 3\n4 5 6\n")
        self.report("convert", "l.txt", "m.safetensors", "--to", "model")
        self.assertEqual(json.loads(self.read_tensors("m.safetensors")[1]["label_names"]), ["30", "10", "20"])
        self.report("convert", "m.safetensors", "again.txt", "--to", "liblinear")
        self.assertEqual(self.read("again.txt").splitlines()[2:], ["label 30 10 20", "nr_feature 1", "bias 1", "w", "1 2 3 ",
                                                                  "4 5 6 "])
        self.report("convert", "l.txt", "s.npz", "--to", "sklearn")
        with zipfile.ZipFile(self.path("s.npz")) as archive:
            self.write("classes.npy", archive.read("classes_.npy"))
        self.assertEqual(read_npy(self.path("classes.npy")), ("i8", (3,), [30, 10, 20]))
        text = self.succeeds("info", "l.txt")
        self.assertIn("l.txt: liblinear, 3 tensors\n", text)
        self.assertEqual([t["name"] for t in self.report("info", "s.npz")["tensors"]], ["coef_", "intercept_", "classes_"])

    def write_archive(self, name="s.npz", **arrays):
        """arrays: (values, type) by name."""
        with zipfile.ZipFile(self.path(name), "w") as archive:
            for key, (values, dtype) in arrays.items():
                archive.writestr(key + ".npy", npy_bytes(values, dtype))
        return name

    def read_member(self, archive, member):
        with zipfile.ZipFile(self.path(archive)) as file:
            self.write("member.npy", file.read(member + ".npy"))
        return read_npy(self.path("member.npy"))

    def names_of(self, model):
        return json.loads(self.read_tensors(model)[1]["label_names"])

    def test_labels_of_any_integers(self):
        for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
            self.write_archive(coef_=([[1, 2], [3, 4], [5, 6]], "f8"), intercept_=([1, 2, 3], "f8"), classes_=([7, 100, 0], dtype))
            self.report("convert", "s.npz", "m.safetensors", "--to", "model")
            self.assertEqual(self.names_of("m.safetensors"), ["7", "100", "0"], dtype)
            self.report("convert", "s.npz", "l.txt", "--to", "liblinear")
            self.assertIn("label 7 100 0\n", self.read("l.txt"))
        self.write_archive(coef_=([[1, 2], [3, 4]], "f8"), classes_=([16777217, 16777216], "f8"))  # the same in float32
        self.report("convert", "s.npz", "m.safetensors", "--to", "model")
        self.assertEqual(self.names_of("m.safetensors"), ["16777217", "16777216"])
        self.report("convert", "s.npz", "o.npz", "--to", "npz", "--dtype", "f32")
        self.assertEqual(self.read_member("o.npz", "classes_"), ("f4", (2,), [16777216, 16777216]))

    def test_labels_that_are_none_matter_where_labels_do(self):
        for values, dtype, found in (([0, 1.5, 2], "f8", "s.npz: classes_: row 1 is 1.5, expected an integer"),
                                     ([0, 1], "i8", "s.npz: classes_ is i64 of 2 elements with 1 axes, expected 3 integers")):
            self.write_archive(coef_=([[1, 2], [3, 4], [5, 6]], "f8"), classes_=(values, dtype))
            for to in ("model", "sklearn", "liblinear"):
                self.fails(3, found, "convert", "s.npz", "o", "--to", to)
            for to in ("npy", "torch"):
                self.assertEqual(self.report("convert", "s.npz", "o", "--to", to)["classes"], 3)
            self.report("convert", "s.npz", "o{rank}", "--shards", 2)
            for name in ("o", "o0", "o1"):
                os.remove(self.path(name))

    def test_labels_given_twice(self):
        self.write_archive(coef_=([[1, 2], [3, 4], [5, 6], [7, 8]], "f8"), classes_=([3, 3, 0, 1], "i8"))
        truth = npy_bytes([1, 0, 1, 0], "u1").replace(b"|u1", b"|b1")
        with zipfile.ZipFile(self.path("b.npz"), "w") as archive:
            archive.writestr("coef_.npy", npy_bytes([[1, 2], [3, 4], [5, 6], [7, 8]], "f8"))
            archive.writestr("classes_.npy", truth)
        for to in ("model", "liblinear", "sklearn"):
            self.fails(3, "s.npz: classes_: 3 is given twice, expected a label of its own a class", "convert", "s.npz", "o",
                       "--to", to)
            self.fails(3, "b.npz: classes_: 0 is given twice, expected a label of its own a class", "convert", "b.npz", "o",
                       "--to", to)
        self.assertEqual(self.names(), ["b.npz", "s.npz"])
        matrix = {"head.weight": ("F32", [2, 1], floats(1, 2))}
        for names, found in ('["a", "a"]', "'a' is given twice, expected a name"), ('["7", "7"]', ": 7 is given twice"), (
                '["a", 3]', "entry 1 is no text"), ('["a"]', "no list of 2 names"):
            self.write("n.safetensors", safetensors_bytes(matrix, {"label_names": names}))
            self.fails(3, ["n.safetensors: metadata label_names", found], "convert", "n.safetensors", "o", "--to", "model")

    def test_a_bias_that_is_a_number(self):
        self.write_archive(coef_=([[1, 2], [3, 4], [5, 6]], "f8"), intercept_=(0.5, "f8"))
        self.report("convert", "s.npz", "o.npz", "--to", "sklearn")
        self.assertEqual(self.read_member("o.npz", "intercept_"), ("f8", (3,), [0.5, 0.5, 0.5]))
        self.assertIs(self.report("convert", "s.npz", "m.safetensors", "--to", "model")["bias"], True)
        self.assertEqual(self.read_tensors("m.safetensors")[0]["head.bias"], ("F32", [3], floats(0.5, 0.5, 0.5)))
        self.write_archive(coef_=([[1, 2]], "f8"), intercept_=(0, "f8"), classes_=([4, 9], "u1"))
        self.report("convert", "s.npz", "l.txt", "--to", "liblinear")
        self.assertIn("label 9 4\n", self.read("l.txt"))

    def test_a_model_is_written_as_train_writes_it(self):
        self.write("x.csv", "".join("%d,%d,%s\n" % (i % 5, i % 7, "abc"[i % 3]) for i in range(30)))
        self.write_npy("x.npy", [[1, 2], [3, 4]], "f4")
        for loss in ("softmax", "subcenter:k=2"):
            model = loss[:3] + "/model.safetensors"
            self.run_program("train", "--data", "x.csv", "--loss", loss, "--encoder", "none", "--epochs", 1, "--out", loss[:3],
                             "--no-report", "-q")
            self.report("convert", model, "m.safetensors", "--to", "model")
            (made, notes), (trained, wanted) = self.read_tensors("m.safetensors"), self.read_tensors(model)
            self.assertEqual(*({name: t[:2] for name, t in tensors.items()} for tensors in (made, trained)))
            self.assertEqual(json.loads(notes.pop("label_names")), json.loads(wanted.pop("label_names")))
            self.assertEqual(dict(notes, step=wanted["step"]), wanted)
            self.succeeds("predict", "--model", "m.safetensors", "--data", "x.npy")  # it loads

    def test_a_model_of_several_centres(self):
        rows, labels = tools.clusters(40, 3, 4, seed=1)
        self.write("x.csv", "".join("%r,%r,%r,%d\n" % (*row, 10 * y + 3) for row, y in zip(rows, labels)))
        self.run_program("train", "--data", "x.csv", "--loss", "subcenter:k=3", "--encoder", "none", "--epochs", 1, "--out", "run",
                         "--no-report", "-q")
        self.run_program("convert", "run/model.safetensors", "h.npz", "-q")
        for args in (["o.npy"], ["o.safetensors", "--to", "torch"], ["o{rank}", "--shards", 5],
                     ["m.safetensors", "--to", "model"]):
            report = self.report("convert", "run/model.safetensors", *args)
            self.assertEqual((report["classes"], report["dim"]), (4, 3), args)
        self.assertEqual(read_npy(self.path("o.npy"))[1], (12, 3))
        notes, trained = self.read_tensors("m.safetensors")[1], self.read_tensors("run/model.safetensors")[1]
        for key in ("loss", "classes"):
            self.assertEqual(notes[key], trained[key])
        self.assertEqual(self.names_of("m.safetensors"), ["3", "13", "23", "33"])
        self.write_npy("x.npy", rows)
        rows = self.succeeds("predict", "--model", "m.safetensors", "--data", "x.npy", "--top", 1).splitlines()[1:]
        self.assertLessEqual({row.split(",")[1] for row in rows}, {"3", "13", "23", "33"})
        for to in ("sklearn", "liblinear"):
            self.fails(2, ["the logits of subcenter are cosines"], "convert", "run/model.safetensors", "o", "--to", to)
        self.fails(3, "run/model.safetensors: metadata label_names is no list of 12 names, one a class", "convert",
                   "run/model.safetensors", "n.safetensors", "--to", "model", "--loss", "cosface")
        self.write_npy("w.npy", [[1, 2], [3, 4], [5, 6], [7, 8]], "f4")
        report = self.report("convert", "w.npy", "k.safetensors", "--to", "model", "--loss", "subcenter:k=2")
        self.assertEqual((report["classes"], self.read_tensors("k.safetensors")[1]["classes"]), (2, "2"))
        matrix = {"head.weight": ("F32", [3, 1], floats(1, 2, 3))}
        self.write("bad.safetensors", safetensors_bytes(matrix, {"encoder": "none", "classes": "2"}))
        self.fails(3, ['bad.safetensors: metadata classes is "2", expected a divisor of the 3 rows'], "convert", "bad.safetensors",
                   "o", "--to", "npy")

    def test_a_model_keeps_its_loss(self):
        self.write_npy("w.npy", [[1, 2], [3, 4]], "f4")
        self.report("convert", "w.npy", "m.safetensors", "--to", "model", "--loss", "arcface:s=16,m=0.25")
        self.report("convert", "m.safetensors", "again.safetensors", "--to", "model")
        self.assertEqual(self.read_tensors("again.safetensors"), self.read_tensors("m.safetensors"))
        self.report("convert", "m.safetensors", "c.safetensors", "--to", "model", "--loss", "cosface")
        self.assertEqual(self.read_tensors("c.safetensors")[1]["loss"].split(":")[0], "cosface")
        matrix = {"head.weight": ("F32", [2, 1], floats(1, 2))}
        self.write("m.safetensors", safetensors_bytes(matrix, {"encoder": "none", "loss": "none such"}))
        self.fails(3, ["m.safetensors: ", "none such"], "convert", "m.safetensors", "o", "--to", "model")
        self.write("m.safetensors", safetensors_bytes(matrix, {"encoder": "none"}))
        self.fails(3, ['m.safetensors: no metadata "loss"'], "convert", "m.safetensors", "o", "--to", "model")

    def test_the_type_asked_for_is_that_of_what_is_computed_too(self):
        self.write("x.csv", "".join("%d,%d,%d\n" % (i % 5, i % 7, i % 2) for i in range(30)))
        self.run_program("train", "--data", "x.csv", "--loss", "softmax", "--encoder", "none", "--epochs", 1, "--out", "run",
                         "--no-report", "-q")
        for dtype, kind in (("f32", "f4"), ("f64", "f8"), ("keep", "f8")):
            report = self.report("convert", "run/model.safetensors", "s.npz", "--to", "sklearn", "--dtype", dtype)
            self.assertEqual(report["dtype"], "f32" if kind == "f4" else "f64")
            for member in ("coef_", "intercept_"):
                self.assertEqual(self.read_member("s.npz", member)[:1], (kind,))
        self.write_archive(coef_=([[1, 2], [3, 1e300]], "f8"))
        self.fails(3, "s.npz: coef_: element 1 is 1e+300, expected a number in the range of f32", "convert", "s.npz", "o", "--to",
                   "sklearn", "--dtype", "f32")

    def test_shards_of_an_earlier_writing_are_removed(self):
        self.write_npy("w.npy", [[1, 2], [3, 4], [5, 6], [7, 8]], "f4")
        os.mkdir(self.path("d"))
        for out in ("p-{rank}.npy", "d/{rank}"):
            self.report("convert", "w.npy", out, "--to", "insightface", "--shards", 4)
            for other in ("x", "01", "2024010112"):
                self.write(out.replace("{rank}", other), "other")
            os.mkdir(self.path(out.replace("{rank}", "9")))  # a folder is no shard
            done = self.run_program("convert", "w.npy", out, "--to", "insightface", "--shards", 2)
            self.assertEqual((done.returncode, done.stderr), (0, "".join(
                "logitude: %s: a shard of an earlier writing is removed\n" % out.replace("{rank}", str(i)) for i in (2, 3))))
            self.assertEqual(self.report("convert", out, "all.npy")["classes"], 4)
            self.assertEqual(self.read(out.replace("{rank}", "01")), "other")
        self.report("convert", "p-{rank}.npy", "p-{rank}.npy", "--shards", 1)
        self.assertEqual([name for name in self.names() if name.startswith("p-")],
                         ["p-0.npy", "p-01.npy", "p-2024010112.npy", "p-9.npy", "p-x.npy"])
        self.write_npy("p-7.npy", [[1, 2], [3, 4]], "f4")
        self.fails(2, "p-7.npy: is IN and would count as shard 7 of OUT, expected another name", "convert", "p-7.npy",
                   "p-{rank}.npy", "--shards", 2)

    def test_a_shard_that_is_missing(self):
        for rank in (0, 1, 3):
            self.write_npy("s%d.npy" % rank, [[rank, 2]], "f4")
            self.write_npy("n-%d-of-4.npy" % rank, [[rank, 2]], "f4")
        self.fails(3, "s2.npy: is missing, but there is s3.npy; expected shards without a gap", "convert", "s{rank}.npy", "o.npy")
        os.remove(self.path("n-3-of-4.npy"))
        self.fails(3, "n-2-of-4.npy: is missing: its name counts 4 shards, found 2", "convert", "n-{rank}-of-4.npy", "o.npy")
        for rank in range(2, 5):
            self.write_npy("n-%d-of-4.npy" % rank, [[rank, 2]], "f4")
        self.fails(3, "n-{rank}-of-4.npy: the name counts 4 shards, found 5", "convert", "n-{rank}-of-4.npy", "o.npy")
        os.remove(self.path("n-4-of-4.npy"))
        self.report("convert", "n-{rank}-of-4.npy", "o.npy")
        self.fails(2, "--shards is 2, but the name m-{rank}-of-4 counts 4", "convert", "o.npy", "m-{rank}-of-4", "--shards", 2)

    def test_what_is_empty_is_said_to_be(self):
        self.write_npy("w.npy", [], "f8", (0, 6))
        self.fails(3, "w.npy: weight is empty, (0, 6), expected at least one row and one column", "convert", "w.npy", "o",
                   "--to", "model")
        self.write("e.safetensors", safetensors_bytes({}))
        for more in ([], ["--weight", "a"]):
            self.fails(3, "e.safetensors: has no tensors, expected a head's matrix", "convert", "e.safetensors", "o.npy", *more)

    def test_labels_that_are_texts(self):
        self.write("x.csv", "".join("%d,%d,%s\n" % (i % 3, i % 2, "abc"[i % 3]) for i in range(12)))
        self.run_program("train", "--data", "x.csv", "--loss", "softmax", "--encoder", "none", "--epochs", 1, "--out", "run",
                         "--no-report", "-q")
        self.fails(3, "run/model.safetensors: label 0 is 'a', but those of liblinear are integers", "convert",
                   "run/model.safetensors", "l.txt", "--to", "liblinear")
        done = self.run_program("convert", "run/model.safetensors", "s.npz", "--to", "sklearn")
        self.assertEqual((done.returncode, done.stderr),
                         (0, "logitude: run/model.safetensors: labels are texts; classes_ is left out\n"))

    def test_heads_of_cosines_are_not_linear(self):
        self.write_npy("w.npy", [[1, 2], [3, 4]], "f4")
        self.report("convert", "w.npy", "m.safetensors", "--to", "model", "--loss", "arcface")
        for to in ("sklearn", "liblinear"):
            self.fails(2, ["m.safetensors: the logits of arcface are cosines"], "convert", "m.safetensors", "o", "--to", to)
        done = self.run_program("convert", "m.safetensors", "o.npy")
        self.assertEqual((done.returncode, done.stderr),
                         (0, "logitude: m.safetensors: the head takes features as the model standardises them\n"))

    def test_mistakes_of_the_command_line(self):
        self.write_head()
        for parts, args in ((["1 files are given, expected IN and OUT"], ["h.safetensors"]),
                            (["o.bin: the suffix tells no format"], ["h.safetensors", "o.bin"]),
                            (["expected {rank}"], ["h.safetensors", "o.npy", "--to", "insightface"]),
                            (["only insightface"], ["h.safetensors", "o{rank}", "--to", "npy"]),
                            (["--prefix is for --to torch, found --to npy"], ["h.safetensors", "o.npy", "--prefix", "a"]),
                            (["--loss is for --to model"], ["h.safetensors", "o.npy", "--loss", "softmax"]),
                            (["--shards is for --to insightface"], ["h.safetensors", "o.npy", "--shards", "2"]),
                            (["--weight is for formats of a head alone"], ["h.safetensors", "o.npz", "--weight", "a"]),
                            (["--transpose is for"], ["h.safetensors", "o.safetensors", "--transpose"]),
                            (["--dtype is f64, but onnx is f32"], ["h.safetensors", "o.onnx", "--dtype", "f64"])):
            self.fails(2, parts, "convert", *args)
        self.write_npy("w.npy", [[1, 2]], "f4")
        self.fails(2, "w.npy: has no names of tensors for --weight and --bias", "convert", "w.npy", "o.npy", "--weight", "a")
        self.fails(3, ['h.safetensors: no metadata "format"', "expected a model"], "convert", "h.safetensors", "o.onnx")
        self.fails(5, ["gone: "], "convert", "gone", "o.npy")
        self.fails(5, ["no/o.npy: cannot write there"], "convert", "w.npy", "no/o.npy")
        self.assertEqual(self.names(), ["h.safetensors", "w.npy"])

    def test_damaged_files_are_told_and_nothing_is_written(self):
        self.write_head()
        self.run_program("convert", "h.safetensors", "h.npz", "-q")
        self.write("l.txt", "solver_type L2R_LR\nnr_class 2\nlabel 1 2\nnr_feature 2\nbias -1\nw\n1.5\n-2\n")
        self.write_npy("w.npy", [[1, 2], [3, 4]], "f8")
        for name in ("h.safetensors", "h.npz", "l.txt", "w.npy"):
            with open(self.path(name), "rb") as file:
                whole = file.read()
            for cut in list(range(0, len(whole) - 6, 37)):
                self.write("cut", whole[:cut])
                done = self.run_program("convert", "cut", "o.safetensors", "--to", "torch")
                self.assertEqual(done.returncode, 3, (name, cut, done.stderr))
                self.assertTrue(done.stderr.startswith("logitude: cut:"), done.stderr)
                self.assertFalse(os.path.exists(self.path("o.safetensors")))
            for at in range(0, len(whole), 23):
                self.write("cut", whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1:])
                done = self.run_program("convert", "cut", "o.safetensors", "--to", "torch", "-q")
                self.assertIn(done.returncode, (0, 2, 3, 6), (name, at, done.stderr))
                self.assertEqual(done.returncode == 0, os.path.exists(self.path("o.safetensors")))
                if done.returncode == 0:
                    os.remove(self.path("o.safetensors"))

    def test_a_file_is_replaced_whole_or_stands(self):
        self.write_npy("w.npy", [[1, 2]], "f4")
        self.write("o.npz", b"old")
        self.write("bad", npy_bytes([[1.0, 2.0]])[:-1])
        self.fails(3, ["bad: "], "convert", "bad", "o.npz")
        self.assertEqual(self.read("o.npz"), "old")
        self.report("convert", "w.npy", "o.npz")
        self.assertEqual(self.names(), ["bad", "o.npz", "w.npy"])
