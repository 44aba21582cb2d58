"""- in place of a file: standard input and standard output, of every verb that reads or writes one; and named pipes."""

import gzip
import json
import os
import random
import socket
import subprocess
import threading

import tools
from tools import Case, clusters, idx_bytes, npy_bytes, read_npy


class Streams(Case):
    def setUp(self):
        super().setUp()
        self.rows, self.labels = clusters(60, 4, 3, 5)
        self.write_npy("x.npy", self.rows, "f4")
        self.write_npy("y.npy", self.labels, "i8")
        self.csv = "a,b,c,d,label\n" + "".join(
            ",".join("%.9g" % v for v in row) + ",%d\n" % y for row, y in zip(self.rows, self.labels))
        self.write("d.csv", self.csv)
        self.succeeds("train", "--data", "d.csv", "--loss", "softmax", "--encoder", "none", "--epochs", 3, "--out", "run",
                      "-q")
        self.model = os.path.join("run", "model.safetensors")

    def content(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def piped(self, content, *args, env=None):
        """The program with these bytes on standard input; what it prints stays bytes."""
        content = content if isinstance(content, bytes) else content.encode()
        return subprocess.run([tools.PROGRAM, *map(str, args)], cwd=self.folder, env=self.environment(**(env or {})),
                              input=content, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)

    def gives(self, content, *args):
        done = self.piped(content, *args)
        self.assertEqual((done.returncode, done.stderr), (0, b""), args)
        return done.stdout

    def fails_on(self, content, code, message, *args, env=None):
        before = self.names()
        done = self.piped(content, *args, env=env)
        self.assertEqual((done.returncode, done.stdout, done.stderr.decode()), (code, b"", "logitude: %s\n" % message), args)
        self.assertEqual(self.names(), before)


class Input(Streams):
    def test_a_dataset_of_every_format_predicts_what_its_file_does(self):
        unlabelled = "\n".join(line.rsplit(",", 1)[0] for line in self.csv.splitlines()) + "\n"
        images = bytes(random.Random(1).randrange(256) for _ in range(40))
        for content in (unlabelled.encode(), gzip.compress(unlabelled.encode()), self.content("x.npy"),
                        gzip.compress(self.content("x.npy")), idx_bytes(images, (10, 4)),
                        gzip.compress(idx_bytes(images, (10, 2, 2)))):
            self.write("file", content)
            for verb in ("predict", "embed"):
                expected = self.succeeds(verb, "--model", self.model, "--data", "file")
                self.assertEqual(self.gives(content, verb, "--model", self.model, "--data", "-").decode(), expected)

    def test_more_than_any_buffer(self):
        rows = [[float(i % 7), 1.0, -1.0, float(i)] for i in range(40000)]
        self.write_npy("large.npy", rows, "f4")
        expected = self.succeeds("embed", "--model", self.model, "--data", "large.npy")
        self.assertEqual(self.gives(self.content("large.npy"), "embed", "--model", self.model, "--data", "-").decode(),
                         expected)

    def test_features_or_labels_alone(self):
        train = ("train", "--loss", "softmax", "--encoder", "none", "--epochs", 2, "-q", "--json", "--out")
        self.succeeds(*train, "files", "--data", "x.npy,y.npy")
        self.gives(self.content("x.npy"), *train, "one", "--data", "-,y.npy")
        self.gives(self.content("y.npy"), *train, "two", "--data", "x.npy,-")
        self.gives(self.csv, *train, "csv", "--data", "-", "--test-data", "d.csv", "--label-column", "label")
        for run in ("one", "two"):
            self.assertEqual(self.content(run + "/model.safetensors"), self.content("files/model.safetensors"))
        self.assertEqual(json.loads(self.read("one/run.json"))["config"]["data"], "/dev/stdin,y.npy")

    def test_eval_and_a_model(self):
        ask = ("eval", "--json")
        expected = self.report("eval", "--model", self.model, "--data", "d.csv")
        for content, model, data in ((self.csv, self.model, "-"), (self.content(self.model), "-", "d.csv")):
            report = json.loads(self.gives(content, *ask, "--model", model, "--data", data))
            self.assertEqual((report["model"], report["data"]),
                             tuple("/dev/stdin" if name == "-" else name for name in (model, data)))
            self.assertEqual(report["accuracy"], expected["accuracy"])
            self.assertEqual(report["nll"], expected["nll"])

    def test_arrays(self):
        self.write_npy("w.npy", self.rows[:3], "f4")
        arrays = {"--features": "x.npy", "--weights": "w.npy", "--labels": "y.npy"}
        more = {"grad": {"--sample-weights": "a.npy", "--direction-x": "x.npy"}, "explain": {"--class-scales": "s.npy"},
                "curvature": {"--direction-w": "w.npy"}, "conflict": {}}
        self.write_npy("a.npy", [1.0 + i for i in range(60)])
        self.write_npy("s.npy", [4.0, 5.0, 6.0])
        for verb, own in more.items():
            given = {**arrays, **own}
            words = {name: [part for item in given.items() for part in item] for name in given}
            expected = self.succeeds(verb, "--loss", "arcface", *words["--labels"])
            for name in given:
                changed = [part for item in {**given, name: "-"}.items() for part in item]
                printed = self.gives(self.content(given[name]), verb, "--loss", "arcface", *changed)
                if verb != "curvature":  # which prints seconds
                    self.assertEqual(printed.decode(), expected, (verb, name))

    def test_info_and_convert_read_any_format(self):
        self.succeeds("convert", self.model, "m.npz", "-q")
        self.succeeds("convert", self.model, "m.npy", "-q")
        self.succeeds("convert", self.model, "m.txt", "--to", "liblinear", "-q")
        for name in (self.model, "m.npz", "m.npy", "m.txt"):
            told, piped = self.report("info", name), json.loads(self.gives(self.content(name), "info", "-", "--json"))
            self.assertEqual(piped.pop("file"), "/dev/stdin")
            del told["file"]
            self.assertEqual(piped, told)
            self.succeeds("convert", name, "of-file.npy", "-q")
            self.gives(self.content(name), "convert", "-", "of-pipe.npy", "-q", "--json")
            self.assertEqual(self.content("of-pipe.npy"), self.content("of-file.npy"))
        self.succeeds("convert", self.model, "of-file.onnx")
        self.gives(self.content(self.model), "convert", "-", "of-pipe.onnx")
        self.assertEqual(self.content("of-pipe.onnx"), self.content("of-file.onnx"))

    def test_configuration_and_machine(self):
        config = "model = %s\ndata = d.csv\n" % self.model
        self.assertEqual(self.gives(config, "eval", "--config", "-").decode(),
                         self.succeeds("eval", "--model", self.model, "--data", "d.csv"))
        self.write("own.conf", "data = -\nmodel = %s\n" % self.model)
        self.assertIn(b"/dev/stdin", self.gives(self.csv, "eval", "--config", "own.conf"))
        self.fails_on("data = -\nmodel = m\n", 2, "standard input (-) is named by --data and again by --config, expected once",
                      "eval", "--config", "-")
        self.fails_on("\ndato = 1\n", 2, "standard input:2: found 'dato', expected the name of an option of eval; did you mean "
                      "'data'?", "eval", "--config", "-")
        self.fails_on("{", 3, "standard input:1: string or '}' expected near end of file, expected JSON", "plan", "--classes",
                      10, "--machine", "-")

    def test_a_byte_order_mark_before_a_configuration(self):
        text = "model = %s\n# \ndata = d.csv\n" % self.model
        for content in ("\ufeff" + text, "\ufeff# first\n" + text, "\ufeff\n" + text):
            self.write("bom.conf", content.encode())
            self.assertEqual(self.succeeds("eval", "--config", "bom.conf"), self.gives(content, "eval", "--config", "-").decode())
        self.write("bom.conf", ("model = m\n\ufeffdata = d\n").encode())  # elsewhere it is no mark
        self.fails(2, ["bom.conf:2: found '\ufeffdata'"], "eval", "--config", "bom.conf")

    def test_standard_input_is_there_once(self):
        for args, first, second in ((("predict", "--model", "-", "--data", "-"), "--model", "--data"),
                                    (("eval", "--model", "m", "--data", "-,-"), "--data", "--data"),
                                    (("train", "--loss", "softmax", "--data", "-", "--test-data", "-"), "--data", "--test-data"),
                                    (("grad", "--loss", "softmax", "--features", "-", "--weights", "w", "--labels", "/dev/stdin"),
                                     "--features", "--labels"),
                                    (("info", "-", "--config", "-"), "--config", "the first word")):
            self.fails_on("", 2, "standard input (-) is named by %s and again by %s, expected once" % (first, second), *args)

    def test_ranks_do_not_share_it(self):
        for size in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"):
            self.fails_on("", 2, "--data is -, but of several ranks only the first has standard input", "eval", "--model", "m",
                          "--data", "-", env={size: "2"})

    def test_errors_tell_line_and_row(self):
        ask = ("eval", "--model", self.model, "--data", "-")
        self.fails_on("a,b,c,d,label\n1,2,3,4,0\n1,2,3,0\n", 3, "standard input:3: has 4 cells, expected 5 as in line 1", *ask)
        self.fails_on("", 3, "standard input: is empty, expected rows of numbers", *ask)
        self.fails_on(npy_bytes([[1, 2, 3, 4], [1, float("nan"), 3, 4]], "f4"), 3,
                      "standard input: row 1, column 1 is nan, expected a finite number", "predict", "--model", self.model,
                      "--data", "-")
        self.fails_on(npy_bytes([[1.0, 2.0]])[:-1], 3,
                      "standard input: declares 16 bytes of data, but at most 15 can follow", "info", "-")
        self.fails_on(gzip.compress(npy_bytes([[1.0, 2.0]]))[:-1], 3, "standard input: the gzip data end early", "info", "-")
        self.fails_on(b"PK\3\4" + b"x" * 40, 3, "standard input: is a ZIP archive (.npz), expected safetensors", "predict",
                      "--model", "-", "--data", "d.csv")

    def run_with(self, stdin, *args, **options):
        return subprocess.run([tools.PROGRAM, *args], cwd=self.folder, env=self.environment(), stdin=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **options)

    def test_what_standard_input_may_be(self):
        expected = self.succeeds("info", "x.npy").replace("x.npy", "/dev/stdin")
        with open(self.path("x.npy"), "rb") as file:
            self.assertEqual(self.run_with(file, "info", "-").stdout, expected)
        self.write("behind", b"above" + self.content("x.npy"))
        with open(self.path("behind"), "rb", buffering=0) as file:
            file.read(5)
            self.assertEqual(self.run_with(file, "info", "-").stdout, expected)
        here, there = socket.socketpair()
        with here, there:
            there.sendall(self.content("x.npy"))
            there.close()
            self.assertEqual(self.run_with(here, "info", "-").stdout, expected)
        device = "logitude: standard input: is a device, expected a regular file or a pipe\n"
        with open("/dev/zero", "rb") as file:
            self.assertEqual(self.run_with(file, "info", "-").stderr, device)
        closed = self.run_with(None, "info", "-", preexec_fn=lambda: os.close(0))
        self.assertEqual((closed.returncode, closed.stderr), (5, device))
        folder = os.open(self.folder, os.O_RDONLY)
        done = self.run_with(folder, "info", "-")
        os.close(folder)
        self.assertEqual((done.returncode, done.stderr),
                         (5, "logitude: standard input: is a folder, expected a regular file or a pipe\n"))

    def test_a_file_called_dash_has_a_path(self):
        self.write("-", self.content("x.npy"))
        self.assertEqual(self.report("info", "./-")["shape"], [60, 4])

    def test_named_pipes(self):
        os.mkfifo(self.path("pipe"))
        content = self.content(self.model)

        def feed(content):
            with open(self.path("pipe"), "wb") as file:
                file.write(content)

        def fed(content, *args):
            writer = threading.Thread(target=feed, args=(content,))
            writer.start()
            printed = self.succeeds(*args)
            writer.join()
            return printed
        for args in (("info",), ("predict", "--data", "x.npy", "--model")):
            printed = fed(content, *args, "pipe")
            self.assertEqual(printed.replace("pipe: ", self.model + ": "), self.succeeds(*args, self.model))
        self.assertEqual(fed(b"model = %s\ndata = d.csv\n" % self.model.encode(), "eval", "--config", "pipe"),
                         self.succeeds("eval", "--model", self.model, "--data", "d.csv"))
        self.fails(5, "pipe: is a pipe that nobody wrote into within 5 seconds", "info", "pipe")
        self.fails(5, "pipe: cannot open: Connection timed out", "eval", "--config", "pipe")


class Output(Streams):
    def test_convert_writes_one_file(self):
        for to in ("safetensors", "npz", "npy", "sklearn", "torch", "liblinear", "model", "onnx"):
            report = self.report("convert", self.model, "file", "--to", to)
            self.assertEqual(report["files"], ["file"])
            done = self.piped("", "convert", self.model, "-", "--to", to, "-q")
            self.assertEqual((done.returncode, done.stderr), (0, b""), to)
            self.assertEqual(done.stdout, self.content("file"), to)
        both = self.gives(self.content(self.model), "convert", "-", "-", "--to", "npy", "-q")
        self.write("both.npy", both)
        self.assertEqual(read_npy(self.path("both.npy"))[1], (3, 4))
        self.fails(2, "-: the suffix tells no format, expected --to FORMAT", "convert", self.model, "-")
        self.fails(2, "OUT is -, but insightface is one file a rank, and standard output takes one", "convert", self.model, "-",
                   "--to", "insightface")
        self.fails(2, "OUT - and --json both want standard output, expected one of them", "convert", self.model, "-", "--to",
                   "npy", "--json")

    def test_a_page(self):
        report = ("report", "run", "--out")
        self.succeeds(*report, "page.html")
        self.assertEqual(self.succeeds(*report, "-"), self.read("page.html"))
        self.fails(2, "--out - and --json both want standard output, expected one of them", *report, "-", "--json")
        self.fails(2, "report reads folders, found -", "report", "run", "-")

    def test_rows_of_conflict(self):
        conflict = ("conflict", "--model", self.model, "--data", "d.csv", "--out")
        self.succeeds(*conflict, "rows.csv")
        self.assertEqual(self.succeeds(*conflict, "-"), self.read("rows.csv"))
        self.fails(2, "--out - and --json both want standard output, expected one of them", *conflict, "-", "--json")

    def test_folders_are_none(self):
        arrays = ("--loss", "arcface", "--features", "x.npy", "--weights", "x.npy", "--labels", "y.npy", "--out", "-")
        for args in (("grad", *arrays), ("explain", *arrays),
                     ("train", "--data", "d.csv", "--loss", "softmax", "--out", "-")):
            self.fails(2, "--out is -, expected a folder: standard output takes one file, not several", *args)
        self.assertNotIn("-", self.names())

    def test_what_stands_before_and_behind_stays(self):
        self.succeeds("report", "run", "--out", "page.html")
        with open(self.path("all"), "wb", buffering=0) as file:
            file.write(b"before")
            for args in (("report", "run", "--out", "-"), ("convert", self.model, "-", "--to", "safetensors")):
                self.succeeds(*args, stdout=file)
            file.write(b"behind")
        self.assertEqual(self.content("all"), b"before" + self.content("page.html") + self.content(self.model) + b"behind")

    def test_a_reader_that_leaves_is_no_failure(self):
        self.write_npy("large.npy", [[float(i)] * 20 for i in range(20000)])
        for args in (("convert", "large.npy", "-", "--to", "npy"), ("report", "run", "--out", "-")):
            end, out = os.pipe()
            os.close(end)
            self.succeeds(*args, stdout=out)
            os.close(out)
        with open("/dev/full", "wb") as full:
            done = self.run_program("convert", "large.npy", "-", "--to", "npy", stdout=full)
        self.assertEqual((done.returncode, done.stderr),
                         (5, "logitude: standard output: cannot write: No space left on device\n"))
