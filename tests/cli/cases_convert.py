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
