"""Failing system calls, by strace: exit code 5, a message that names the file, the former output intact, nothing new."""

import os
import shutil
import subprocess
import unittest

import tools
from tools import Case, clusters

CALLS = ("write", "fsync", "rename,renameat,renameat2")


def strace_works():
    if not shutil.which("strace"):
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "-e", "trace=write", "true"], stderr=subprocess.DEVNULL)
    return done.returncode == 0


@unittest.skipUnless(strace_works(), "strace is not here or may not trace")
class Faults(Case):
    def setUp(self):
        super().setUp()
        rows, labels = clusters(60, 4, 3, 1)
        self.write_npy("x.npy", rows, "f4")
        self.write_npy("y.npy", labels, "i8")
        self.write_npy("w.npy", rows[:3], "f4")

    def break_every_call(self, args, output, hidden=(), gone=()):
        """Fails call after call until the program succeeds; `output` must then be what it was, or new and whole; of the
        files `hidden` holds the content is not looked at, those that `gone` holds may be missing."""
        self.succeeds(*args)
        before = self.snapshot(output)
        for calls in CALLS:
            for number in range(1, 200):
                command = ["strace", "-f", "-o", os.devnull, "-e", "trace=" + calls, "-e",
                           "inject=%s:error=ENOSPC:when=%d" % (calls, number), tools.PROGRAM, *map(str, args)]
                done = subprocess.run(command, cwd=self.folder, env=self.environment(LSAN_OPTIONS="detect_leaks=0"),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                      text=True, timeout=60)
                if done.returncode == 0:
                    break
                self.assertEqual(done.returncode, 5, (args, calls, number, done.stderr))
                self.assertRegex(done.stderr, r"\Alogitude: (\S+|standard output): cannot .*: No space left on device\n\Z")
                after = self.snapshot(output)
                self.assertEqual(sorted(set(after) | set(gone)), sorted(before), (args, calls, number))
                for name in set(after) - set(hidden) - set(gone):
                    self.assertEqual(after[name], before[name], (name, calls, number))
            self.assertEqual(done.returncode, 0, (args, calls))
            self.assertGreater(number, 1, (args, calls))

    def snapshot(self, output):
        top = self.path(output)
        if os.path.isfile(top):
            return {output: open(top, "rb").read()}
        return {name: open(os.path.join(top, name), "rb").read() for name in os.listdir(top)}

    def test_train(self):
        # Its metrics are written anew, and what an earlier training came to does not stay beside them.
        self.break_every_call(["train", "--data", "x.npy,y.npy", "--loss", "softmax", "--encoder", "none", "--epochs", 1,
                               "--out", "run", "--json", "-q"], "run", hidden=("metrics.jsonl",),
                              gone=("analysis.json", "model.safetensors", "report.html", "run.json"))

    def test_predict_and_embed(self):
        self.report("train", "--data", "x.npy,y.npy", "--loss", "softmax", "--encoder", "none", "--epochs", 1, "--out",
                    "run")
        for verb, out in (("predict", "p.csv"), ("predict", "p.npy"), ("embed", "z.csv"), ("embed", "z.npy")):
            self.break_every_call([verb, "--model", "run/model.safetensors", "--data", "x.npy", "--out", out], out)

    def test_grad(self):
        self.break_every_call(["grad", "--loss", "arcface", "--features", "x.npy", "--weights", "w.npy", "--labels",
                               "y.npy", "--out", "g", "-q"], "g")
