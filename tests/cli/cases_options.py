"""The command line itself: help, suggestions, bounds, configuration files, environment, standard output."""

import json
import os
import re
import subprocess
from pathlib import Path

import tools
from tools import Case

COMMON = ["threads", "max-isa", "config", "json", "quiet", "verbose", "help"]
OPTIONS = {
    "train": ["data", "test-data", "label-column", "standardize", "loss", "like", "encoder", "dim", "no-bias", "epochs",
              "batch", "optimizer", "tolerance", "max-iterations", "lr", "momentum", "weight-decay", "l2", "schedule",
              "warmup", "align", "label-smoothing", "z-loss", "dtype", "workspace", "sample-rate", "no-sample-correction", "seed",
              "out", "log-every", "no-report", "checkpoint-every", "keep", "resume", "mpi-reduce", "mpi-timeout"],
    "eval": ["model", "data", "label-column", "protocol", "mpi-timeout"],
    "predict": ["model", "data", "label-column", "top", "out", "mpi-timeout"],
    "embed": ["model", "data", "label-column", "out", "mpi-timeout"],
    "report": ["out"],
    "grad": ["loss", "like", "features", "weights", "labels", "bias", "sample-weights", "class-weights",
             "soft-targets", "class-margins", "class-scales", "qualities", "upstream", "direction-x", "direction-w",
             "direction-b", "dtype", "engine", "reduction", "label-smoothing", "z-loss", "ignore-label", "workspace", "out"],
    "check": ["loss", "like", "engine", "dtype", "problems", "seed"],
    "lint": ["loss", "like", "step", "norm", "strict", "curve", "steps", "dim", "target", "classes", "probability"],
    "explain": ["model", "data", "label-column", "loss", "like", "features", "weights", "labels", "bias",
                "soft-targets", "class-margins", "class-scales", "qualities", "rows", "limit", "label-smoothing", "z-loss",
                "ignore-label", "step", "pushers", "out"],
    "curvature": ["wrt", "top", "bottom", "tolerance", "max-products", "seed", "label-smoothing", "z-loss",
                  "along-gradient", "direction-x", "direction-w", "direction-b", "direction-z", "loss", "like", "features",
                  "weights", "labels", "bias", "logits", "model", "data", "label-column", "limit"],
    "conflict": ["loss", "like", "features", "weights", "labels", "bias", "dtype", "model", "data", "label-column", "align",
                 "terms", "out"],
    "bench": ["loss", "like", "rows", "dim", "classes", "dtype", "repeat", "seed", "workspace", "want",
              "optimizer", "sample-rate"],
    "plan": ["classes", "dim", "batch", "dtype", "optimizer", "sample-rate", "workspace", "encoder", "inputs", "ranks",
             "network", "latency", "memory", "machine"],
    "losses": ["like"],
    "info": [],
    "convert": ["to", "dtype", "prefix", "shards", "loss", "weight", "bias", "transpose"],
    "completion": [],
}
ERRORS = [
    # verbs
    ([], "a verb is missing; see 'logitude --help'"),
    (["tarin"], "unknown verb 'tarin'; did you mean 'train'?"),
    (["predcit"], "unknown verb 'predcit'; did you mean 'predict'?"),
    (["hlep"], "unknown verb 'hlep'; did you mean 'help'?"),
    (["xyzzy"], "unknown verb 'xyzzy'; see 'logitude --help'"),
    (["--versoin"], "unknown option '--versoin'; did you mean '--version'?"),
    (["help", "grda"], "unknown verb 'grda'; did you mean 'grad'?"),
    (["help", "grad", "eval"], "help takes one verb, found 'eval'"),
    # options
    (["train", "--epohcs", "3"], "train has no option '--epohcs'; did you mean '--epochs'?"),
    (["train", "--learning-rate", "3"], "train has no option '--learning-rate'; did you mean '--lr'?"),
    (["train", "--learning_rate=3"], "train has no option '--learning_rate'; did you mean '--lr'?"),
    (["train", "--batch-size", "3"], "train has no option '--batch-size'; did you mean '--batch'?"),
    (["train", "--n-epochs", "3"], "train has no option '--n-epochs'; did you mean '--epochs'?"),
    (["embed", "--output", "3"], "embed has no option '--output'; did you mean '--out'?"),
    (["eval", "--learning-rate", "3"], "eval has no option '--learning-rate'; see 'logitude eval --help'"),
    (["train", "--test", "d"], "train has no option '--test'; did you mean '--test-data'?"),
    (["train", "--zzz"], "train has no option '--zzz'; see 'logitude train --help'"),
    (["grad", "--epochs", "3"], "grad has no option '--epochs'; see 'logitude grad --help'"),
    (["train", "--augment", "x"], "train has no option '--augment'; see 'logitude train --help'"),
    (["check", "-x"], "check has no option '-x'; see 'logitude check --help'"),
    (["check", "--seed"], "--seed needs a value: --seed S"),
    (["train", "--data", "--loss", "softmax"], "--data needs a value: --data D"),
    (["train", "--data="], "--data is empty, expected D"),
    (["check", "--json=1"], "--json takes no value, found '1'"),
    (["check", "arcface"], "check takes options only, found 'arcface'; see 'logitude check --help'"),
    (["losses", "a", "b"], "losses takes one word beside its options, found 'b'; see 'logitude losses --help'"),
    (["report"], "report needs the folder of a run: logitude report RUN..."),
    (["report", *["r"] * 33], "report takes at most 32 words beside its options, found 'r'; see 'logitude report --help'"),
    (["train"], "train needs --data D; see 'logitude train --help'"),
    (["train", "--data", "x"], "train needs --loss SPEC; see 'logitude train --help'"),
    (["eval", "--data", "x"], "eval needs --model FILE; see 'logitude eval --help'"),
    # values
    (["train", "--epochs", "0"], "--epochs is '0', expected an integer from 1 to 1000000"),
    (["train", "--epochs", "1.5"], "--epochs is '1.5', expected an integer from 1 to 1000000"),
    (["train", "--epochs", "99999999999999999999"],
     "--epochs is '99999999999999999999', expected an integer from 1 to 1000000"),
    (["train", "--lr", "0"], "--lr is '0', expected a number from 1e-30 to 1000000"),
    (["train", "--lr", "nan"], "--lr is 'nan', expected a number from 1e-30 to 1000000"),
    (["train", "--lr", "1e999"], "--lr is '1e999', expected a number from 1e-30 to 1000000"),
    (["train", "--lr", "0x1p3"], "--lr is '0x1p3', expected a number from 1e-30 to 1000000"),
    (["train", "--lr", " 1"], "--lr is ' 1', expected a number from 1e-30 to 1000000"),
    (["train", "--l2=-1"], "--l2 is '-1', expected a number from 0 to 1000000"),
    (["train", "--z-loss=-1"], "--z-loss is '-1', expected a number from 0 to 1000000"),
    (["grad", "--z-loss", "1e7"], "--z-loss is '1e7', expected a number from 0 to 1000000"),
    (["train", "--warmup=-1"], "--warmup is '-1', expected an integer of at least 0"),
    (["train", "--label-smoothing=1"], "--label-smoothing is '1', expected a number from 0 to below 1"),
    (["grad", "--ignore-label", "none"], "--ignore-label is 'none', expected an integer"),
    (["train", "--threads", "1025"], "--threads is '1025', expected an integer from 1 to 1024"),
    (["grad", "--dtype", "fp16"], "--dtype is 'fp16', expected one of f64, f32, bf16x3, bf16; did you mean 'bf16'?"),
    (["grad", "--workspace", "0"], "--workspace is '0', expected an integer of at least 1"),
    (["info", "--max-isa", "amy"],
     "--max-isa is 'amy', expected one of generic, avx2, avx512, avx512bf16, amx, best; did you mean 'amx'?"),
    (["train", "--dtype", "bf16x3"], "--dtype is 'bf16x3', expected one of f32, bf16; did you mean 'bf16'?"),
    (["train", "--optimizer", "adam"], "--optimizer is 'adam', expected one of sgd, adamw, lbfgs, newton-cg; did you mean 'adamw'?"),
    (["train", "--data", "x", "--loss", "softmax", "--optimizer", "lbfgs"],
     "--optimizer lbfgs trains a head alone, on fixed features: --encoder is 'mlp:512,512', expected none"),
    (["train", "--data", "x", "--loss", "softmax", "--optimizer", "newton-cg", "--encoder", "linear"],
     "--optimizer newton-cg trains a head alone, on fixed features: --encoder is 'linear', expected none"),
    (["train", "--tolerance", "0"], "--tolerance is '0', expected a number from 1e-30 to 1"),
    (["eval", "--protocol", "verify"],
     "--protocol is 'verify', expected one of classification, verification, retrieval, all"),
    (["TRAIN"], "unknown verb 'TRAIN'; did you mean 'train'?"),
    (["losses", "ARCFACE"], "unknown loss 'ARCFACE'; did you mean 'arcface'?"),
    (["train", "--data", "x", "--loss", "ARCFACE"], 'there is no loss "ARCFACE"; the nearest is "arcface"'),
    (["losses", "arcfcae"], "unknown loss 'arcfcae'; did you mean 'arcface'?"),
]


class Help(Case):
    def test_the_program_lists_the_verbs_it_has_and_no_other(self):
        text = self.succeeds("--help")
        verbs = re.search(r"Verbs\n(.*?)\n\n", text, re.S).group(1)
        self.assertEqual([line.split()[0] for line in verbs.splitlines()], list(OPTIONS))
        self.assertEqual(text, self.succeeds("-h"))
        for words in (["help"], ["help", "help"], ["help", "--help"], ["--help", "-h"]):
            self.assertEqual(text, self.succeeds(*words))

    def test_every_verb_shows_all_its_options_and_examples(self):
        for verb, names in OPTIONS.items():
            text = self.succeeds(verb, "--help")
            found = re.findall(r"^ {2}(?:-\w, | {4})--([\w-]+)", text, re.M)
            self.assertEqual(found, names + COMMON, verb)
            self.assertRegex(text, r"\nExamples\n  logitude %s" % verb)
            self.assertEqual(text, self.succeeds("help", verb))
            self.assertEqual(text, self.succeeds(verb, "-h"))
            for line in text.splitlines():
                self.assertLessEqual(len(line), 110, verb)

    def test_the_page_has_every_verb_and_names_those_that_take_like(self):
        page = Path(__file__).resolve().parents[2].joinpath("docs", "cli.md").read_text(encoding="utf-8")
        table = page.split("| verb | does |\n|---|---|\n")[1].split("\n\n")[0]
        self.assertEqual(sorted(re.findall(r"^\| `(\w+)`", table, re.M)), sorted(OPTIONS))
        sentence = re.search(r"`--like SYSTEM` on ([^.]*?) gives", page).group(1)
        self.assertEqual(sorted(re.findall(r"`(\w+)`", sentence)),
                         sorted(verb for verb, names in OPTIONS.items() if "like" in names and verb != "losses"))

    def test_defaults_units_and_ranges_are_shown(self):
        text = self.succeeds("train", "--help")
        for part in ("[default: 128 rows; 1 to 1000000000]", "[default: 0.001; 1e-30 to 1000000]", "[default: adamw; sgd|adamw|lbfgs|newton-cg]",
                     "[required]", "[default: 0.9; 0 to below 1]"):
            self.assertIn(part, text)

    def test_version(self):
        self.assertRegex(self.succeeds("--version"), r"\Alogitude \d+\.\d+\.\d+\n\Z")


class Errors(Case):
    def test_every_usage_error_is_one_exact_line_and_code_2(self):
        for args, message in ERRORS:
            self.fails(2, message, *args)
        self.assertEqual(self.names(), [])

    def test_control_characters_of_arguments_do_not_reach_the_terminal(self):
        self.fails(2, "unknown verb 'a?[31m?'; see 'logitude --help'", "a\x1b[31m\n")

    def test_words_behind_two_dashes_are_not_options(self):
        self.fails(2, "unknown loss '--json'", "losses", "--", "--json")


class Order(Case):
    def test_the_last_of_repeated_options_wins(self):
        self.fails(2, "--optimizer is 'b', expected one of sgd, adamw, lbfgs, newton-cg", "train", "--optimizer", "sgd", "--optimizer=b")
        report = self.report("check", "--loss", "softmax", "--problems", 9, "--problems", 2)
        self.assertEqual(report["losses"][0]["problems"], 2)

    def test_short_flags_can_be_joined(self):
        self.succeeds("losses", "-q")
        self.assertEqual(self.succeeds("losses", "-qh"), self.succeeds("losses", "--help"))


class Config(Case):
    def test_a_file_sets_options_and_the_command_line_wins(self):
        self.write("check.conf", "# what to check\n\n  loss = cosface:m=0.2   # a comment\nproblems=3\njson = true\n")
        report = json.loads(self.succeeds("check", "--config", "check.conf"))
        self.assertEqual([(x["name"], x["problems"]) for x in report["losses"]], [("cosface", 3)])
        report = json.loads(self.succeeds("check", "--problems=2", "--config=check.conf"))
        self.assertEqual(report["losses"][0]["problems"], 2)

    def test_the_last_of_repeated_lines_wins(self):
        self.write("c", "problems = 5\nproblems = 2\nloss = softmax\n")
        self.assertEqual(self.report("check", "--config", "c")["losses"][0]["problems"], 2)

    def test_errors_name_file_and_line(self):
        for text, message in (
                ("seed = 1\nproblem = 3\n", "c.conf:2: found 'problem', expected the name of an option of check; did you "
                                            "mean 'problems'?"),
                ("\n\nproblems = many", "c.conf:3: problems is 'many', expected an integer from 1 to 1000000"),
                ("problems\n", "c.conf:1: found 'problems', expected `name = value`"),
                ("json = yes\n", "c.conf:1: json is 'yes', expected true or false"),
                ("loss =\n", "c.conf:1: loss is empty, expected SPEC"),
                ("config = other\n", "c.conf:1: found 'config', expected the name of an option of check"),
                ("dtype = bf16\n", "c.conf:1: dtype bf16 is not supported in this version, expected one of f64, f32"),
                ("problems = 2\0\n", "c.conf:1: found a zero byte, expected text")):
            self.write("c.conf", text)
            self.fails(2, message, "check", "--config", "c.conf")

    def test_a_file_that_cannot_be_read(self):
        self.fails(5, "gone.conf: cannot open: No such file or directory", "check", "--config", "gone.conf")
        os.mkdir(self.path("folder"))
        self.fails(5, "folder: cannot read: Is a directory", "check", "--config", "folder")


class Environment(Case):
    def test_threads_come_from_the_option_then_the_environment(self):
        def threads(*args, **env):
            return self.report("info", *args, env=env)["threads"]
        self.assertEqual(threads(LOGITUDE_NUM_THREADS="3"), 3)
        self.assertEqual(threads("--threads", 2, LOGITUDE_NUM_THREADS="3"), 2)
        self.write("c", "threads = 5\n")
        self.assertEqual(threads("--config", "c"), 5)
        self.assertEqual(threads("--config", "c", LOGITUDE_NUM_THREADS="3"), 3)
        self.assertEqual(threads(LOGITUDE_NUM_THREADS=""), threads())

    def test_a_wrong_number_of_threads_is_refused(self):
        for text in ("0", "two", "-1", "2000"):
            self.fails(2, "LOGITUDE_NUM_THREADS is '%s', expected an integer from 1 to 1024" % text, "info",
                       env={"LOGITUDE_NUM_THREADS": text})


class Output(Case):
    def test_a_full_standard_output_is_an_error_of_writing(self):
        for args in (["--help"], ["losses"], ["losses", "--json"], ["info"]):
            with open("/dev/full", "w") as full:
                done = self.run_program(*args, stdout=full)
            self.assertEqual((done.returncode, done.stderr),
                             (5, "logitude: standard output: cannot write: No space left on device\n"), args)

    def test_a_closed_standard_output_is_an_error_of_writing(self):
        done = subprocess.run(["sh", "-c", '"$0" losses >&-', tools.PROGRAM], stderr=subprocess.PIPE, text=True,
                              timeout=60)
        self.assertEqual((done.returncode, done.stderr),
                         (5, "logitude: standard output: cannot write: Bad file descriptor\n"))

    def test_a_closed_standard_output_is_not_lent_to_a_file(self):
        self.write_npy("x.npy", [[1.0]])
        subprocess.run(["sh", "-c", '"$0" grad --loss softmax --features x.npy --weights x.npy --labels y.npy --out g >&-',
                        tools.PROGRAM], cwd=self.folder, stderr=subprocess.PIPE, timeout=60)
        self.write_npy("y.npy", [0], "i8")
        done = subprocess.run(
            ["sh", "-c", '"$0" grad --loss softmax --features x.npy --weights x.npy --labels y.npy --out g >&-',
             tools.PROGRAM], cwd=self.folder, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 5)
        self.assertEqual(tools.read_npy(self.path("g/dx.npy"))[1:], ((1, 1), [0.0]))

    def test_a_reader_that_leaves_is_no_error(self):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w") as broken:
            done = self.run_program("losses", stdout=broken)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
