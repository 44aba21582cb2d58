"""Completion: the scripts complete verbs, options, choices and files. What a shell that is not there cannot show is said."""

import os
import shutil
import subprocess

import tools
from tools import Case

from cases_options import COMMON, OPTIONS

# What bash does when the user types the words and asks for the rest of the last.
DRIVER = """
eval "$("$PROGRAM" completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_logitude
printf '%s\\n' "${COMPREPLY[@]}"
"""


def dashed(names):
    return ["--" + name for name in names]


class Completion(Case):
    def bash(self, *words):
        done = subprocess.run(["bash", "-c", DRIVER, "bash", "logitude", *words], cwd=self.folder, stderr=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, timeout=60, env=dict(os.environ, PROGRAM=tools.PROGRAM))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def shell(self, name):
        if not shutil.which(name):
            self.skipTest("no %s here" % name)
        self.write("script." + name, self.succeeds("completion", name))
        done = subprocess.run([name, "-n", "script." + name], cwd=self.folder, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_bash_completes_verbs(self):
        self.assertEqual(self.bash(""), [*OPTIONS, "help", "--help", "--version"])
        self.assertEqual(self.bash("tr"), ["train"])
        self.assertEqual(self.bash("e"), ["eval", "embed", "explain"])
        self.assertEqual(self.bash("help", "g"), ["grad"])

    def test_bash_completes_every_option_of_every_verb(self):
        for verb, names in OPTIONS.items():
            self.assertEqual(self.bash(verb, "--"), dashed(names + COMMON), verb)
        self.assertEqual(self.bash("train", "--da"), ["--data"])
        self.assertEqual(self.bash("train", "--seed", "3", "--opt"), ["--optimizer"])
        self.assertEqual(self.bash("train", "--zzz"), [])

    def test_bash_completes_choices_with_a_blank_and_with_an_equals_sign(self):
        optimizers = ["sgd", "adamw", "lbfgs", "newton-cg"]
        self.assertEqual(self.bash("train", "--optimizer", ""), optimizers)
        self.assertEqual(self.bash("train", "--optimizer", "="), optimizers)
        self.assertEqual(self.bash("train", "--optimizer", "=", "ad"), ["adamw"])
        self.assertEqual(self.bash("eval", "--protocol", "cl"), ["classification"])
        self.assertEqual(self.bash("eval", "--max-isa", "avx"), ["avx2", "avx512", "avx512bf16"])

    def test_bash_completes_losses_and_the_words_of_verbs(self):
        self.assertEqual(self.bash("train", "--loss", "arc"), ["arcface"])
        self.assertEqual(self.bash("losses", "arc"), ["arcface"])
        self.assertEqual(self.bash("lint", "lsoft"), ["lsoftmax"])
        self.assertEqual(self.bash("completion", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.bash("bench", ""), ["head", "step", "machine"])

    def test_bash_completes_files_where_files_stand(self):
        self.write("model.safetensors", "")
        self.assertEqual(self.bash("eval", "--model", "mod"), ["model.safetensors"])
        self.assertEqual(self.bash("eval", "--data", ""), ["fashion-mnist", "model.safetensors"])
        self.assertEqual(self.bash("info", "m"), ["model.safetensors"])
        self.assertEqual(self.bash("train", "--epochs", ""), [])

    def test_zsh_reads_its_script(self):
        self.shell("zsh")

    def test_fish_completes(self):
        self.shell("fish")
        def fish(line):
            done = subprocess.run(["fish", "--no-config", "-c", "source script.fish; complete -C '%s'" % line], text=True,
                                  cwd=self.folder, stdout=subprocess.PIPE, timeout=60, env=dict(os.environ, HOME=self.folder))
            return [answer.split("\t")[0] for answer in done.stdout.splitlines()]
        self.assertEqual(fish("logitude tr"), ["train"])
        self.assertEqual(sorted(fish("logitude train --optimizer ")), ["adamw", "lbfgs", "newton-cg", "sgd"])
        self.assertIn("--optimizer", fish("logitude train --opt"))
        self.assertEqual(fish("logitude losses arc"), ["arcface"])

    def test_a_shell_is_needed(self):
        self.fails(2, "completion needs a shell: logitude completion bash|zsh|fish", "completion")
        self.fails(2, "the shell is 'csh', expected one of bash, zsh, fish", "completion", "csh")

    def test_a_script_is_no_json(self):
        self.fails(2, "--json has no object here: completion prints a script", "completion", "bash", "--json")


class Manual(Case):
    """The build leaves the pages beside the program."""

    def page(self, name):
        with open(os.path.join(os.path.dirname(tools.PROGRAM), "share", "man", "man1", name + ".1"), encoding="ascii") as file:
            return file.read()

    def test_every_verb_has_a_page_with_all_its_options(self):
        for verb, names in OPTIONS.items():
            text = self.page("logitude-" + verb)
            for option in names + COMMON:
                self.assertIn("\\fB\\-\\-%s\\fR" % option.replace("-", "\\-"), text)
            self.assertIn("logitude\\-%s (1)" % verb, self.page("logitude"))

    def test_groff_finds_nothing_to_warn_of(self):
        if not shutil.which("groff"):
            self.skipTest("no groff here")
        for name in ["logitude", *["logitude-" + verb for verb in OPTIONS]]:
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-rLL=100n"], input=self.page(name), text=True, timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn("LOGITUDE", done.stdout)
