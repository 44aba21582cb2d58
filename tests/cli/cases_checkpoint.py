"""Trainings that stop and go on: to the bits of one that never stopped, for every loss, optimiser and feature; whatever
fails while a checkpoint is written leaves one to go on from; what does not belong together is refused by name."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import tools
from cases_faults import strace_works
from runs import checkpoints, litter, outcome, read, small_training
from tools import Case, clusters

PGA = "pga:k=3,targets=memory,beta=reliability,neighbours=memory,capacity=60"
STEPS = 55

# loss, optimiser and what else a training may have; the stops of each are drawn from its number.
TRAININGS = [
    ("softmax", "sgd", []),
    ("softmax", "adamw", ["--sample-rate", "0.3", "--l2", "0.01"]),
    ("normalized:s=8", "sgd", ["--dtype", "bf16"]),
    ("cosface", "adamw", ["--dtype", "bf16", "--sample-rate", "0.4"]),
    ("arcface:s=16,m=0.2", "sgd", ["--schedule", "step"]),
    ("arcface:s=16,m=0.2", "adamw", ["--align", PGA]),
    ("lsoftmax:m=2,lambda=geometric/100/0.9/1", "sgd", ["--warmup", "9"]),
    ("sphereface", "adamw", ["--standardize", "feature"]),
    ("curricularface:s=16", "sgd", []),
    ("curricularface:s=16", "adamw", ["--sample-rate", "0.5"]),
    ("adaface:s=16", "sgd", ["--align", "k+z:layers=hidden", "--encoder", "mlp:5,5"]),
    ("adaface:s=16", "adamw", ["--dtype", "bf16", "--no-report"]),
    ("magface", "sgd", ["--no-bias"]),
    ("subcenter:k=2", "adamw", ["--sample-rate", "0.3"]),
    ("softmax", "adamw", ["--encoder", "none", "--label-smoothing", "0.1", "--z-loss", "0.001"]),
]


class Runs(Case):
    """Six clusters; a training takes some tens of milliseconds, and on a real disk as much again for every fsync."""

    PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

    def setUp(self):
        super().setUp()
        for name, n_rows, seed in (("train", 170, 1), ("test", 50, 2)):
            rows, labels = clusters(n_rows, 6, 6, seed, 0.8)
            self.write_npy(name + "-x.npy", rows, "f4")
            self.write_npy(name + "-y.npy", labels, "i8")

    def small(self, *more, **options):
        return small_training("train-x.npy,train-y.npy", "test-x.npy,test-y.npy", *more, **options)

    def go(self, args, code=0, **options):
        done = self.run_program(*args, **options)
        self.assertEqual(done.returncode, code, (args, done.stderr))
        return done

    def whole(self, *more, out="whole", **options):
        """The outcome of the same training without a stop."""
        self.go(self.small(*more, out=out, **options))
        return outcome(self.path(out), "--no-report" not in more)

    def keep_every_step(self, *more, out="steps", **options):
        self.go(self.small(*more, "--checkpoint-every", 1, "--keep", 1000, out=out, **options))
        self.assertEqual(checkpoints(self.path(out)), list(range(1, STEPS + 1)))

    def cut_at(self, step, source="steps", out="run"):
        """The folder as it is when the process is killed some time after the checkpoint of a step: later lines and a
        torn file are there already, what is written at the end is not."""
        shutil.rmtree(self.path(out), True)
        shutil.copytree(self.path(source), self.path(out))
        for name in ("model.safetensors", "run.json", "analysis.json", "report.html"):
            if os.path.exists(self.path(out + "/" + name)):
                os.remove(self.path(out + "/" + name))
        for later in range(step + 1, STEPS + 1):
            os.remove(self.path(out + "/checkpoint-%012d.safetensors" % later))


class Resume(Runs):
    def test_every_training_goes_on_to_the_same_bits_from_any_step(self):
        for number, (loss, optimizer, more) in enumerate(TRAININGS):
            more = ["--optimizer", optimizer, *more]
            whole = self.whole(*more, loss=loss)
            self.keep_every_step(*more, loss=loss)
            for step in sorted({1, 10 + number, 11 * (1 + number % 5), STEPS - 1 - number}):
                self.cut_at(step)
                self.go(self.small(*more, "--resume", "--threads", 1 + step % 3, loss=loss))
                self.assertEqual(outcome(self.path("run"), "--no-report" not in more), whole, (loss, more, step))
            shutil.rmtree(self.path("steps"))

    def test_one_training_goes_on_from_every_step(self):
        whole = self.whole("--align", PGA, "--sample-rate", 0.5, loss="adaface:s=16")
        self.keep_every_step("--align", PGA, "--sample-rate", 0.5, loss="adaface:s=16")
        for step in range(1, STEPS + 1):
            self.cut_at(step)
            self.go(self.small("--align", PGA, "--sample-rate", 0.5, "--resume", loss="adaface:s=16"))
            self.assertEqual(outcome(self.path("run")), whole, step)

    def test_the_last_two_are_kept_and_checkpoints_change_nothing(self):
        whole = self.whole()
        self.go(self.small("--checkpoint-every", 10))
        self.assertEqual(checkpoints(self.path("run")), [40, 50])
        self.assertEqual(outcome(self.path("run")), whole)
        self.go(self.small("--checkpoint-every", 10, "--keep", 1))
        self.assertEqual(checkpoints(self.path("run")), [50])
        self.go(self.small())  # a training that begins anew leaves none of an earlier one
        self.assertEqual(checkpoints(self.path("run")), [])

    def test_without_a_checkpoint_the_training_begins_and_says_so(self):
        whole = self.whole()
        args = [a for a in self.small("--resume") if a != "-q"]
        self.assertIn("run: no checkpoint, the training begins\n", self.go(args).stderr)
        self.assertEqual(outcome(self.path("run")), whole)

    def test_a_finished_run_may_be_resumed(self):
        whole = self.whole()
        for every in (10, 11):  # 55, the last step, is a multiple of the second
            self.go(self.small("--checkpoint-every", every))
            args = [a for a in self.small("--resume") if a != "-q"]
            self.assertIn("run: goes on after step %d of 55\n" % (55 - 55 % every), self.go(args).stderr)
            self.assertEqual(outcome(self.path("run")), whole)

    def test_a_damaged_checkpoint_gives_way_to_the_one_before(self):
        whole = self.whole()
        self.keep_every_step()
        newest = "run/checkpoint-000000000030.safetensors"
        args = [a for a in self.small("--resume") if a != "-q"]
        content = read(self.path("steps"), "checkpoint-000000000030.safetensors")
        flipped = content[:-9] + bytes([content[-9] ^ 16]) + content[-8:]
        for damaged, why in ((flipped, "is damaged: its checksum is "), (content[:1000], "run/"), (b"", "run/")):
            self.cut_at(30)
            self.write(newest, damaged)
            err = self.go(args).stderr
            self.assertRegex(err, "a checkpoint is passed over: %s: .*%s" % (re.escape(newest), "" if why == "run/" else why))
            self.assertIn("run: goes on after step 29 of 55\n", err)
            self.assertEqual(outcome(self.path("run")), whole)

    def test_without_a_whole_checkpoint_nothing_is_touched(self):
        self.keep_every_step()
        self.cut_at(2)
        for step in (1, 2):
            self.write("run/checkpoint-%012d.safetensors" % step, "torn")
        before = {name: read(self.path("run"), name) for name in os.listdir(self.path("run"))}
        done = self.fails(3, ["run: none of its 2 checkpoints is whole; remove them to begin anew"], *self.small("--resume"))
        self.assertRegex(done.stderr, r"\Alogitude: run: none .* anew; the last one tried: run/checkpoint-000000000001\.safetensors: ")
        self.assertEqual({name: read(self.path("run"), name) for name in os.listdir(self.path("run"))}, before)

    def test_metrics_that_were_cut_take_the_checkpoint_before_them(self):
        whole = self.whole()
        self.keep_every_step()
        self.cut_at(30)
        metrics = read(self.path("run"), "metrics.jsonl").splitlines(True)
        self.write("run/metrics.jsonl", b"".join(metrics[:5]))  # lines of steps 3, 6, 9 and 11, and of 12
        args = [a for a in self.small("--resume") if a != "-q"]
        err = self.go(args).stderr
        self.assertIn("belongs to a log of at least ", err)
        self.assertIn("run: goes on after step 14 of 55\n", err)
        self.assertEqual(outcome(self.path("run")), whole)


    def test_a_best_model_that_is_gone_is_noted_and_not_named(self):
        self.keep_every_step("--lr", 0.05)
        best = json.loads(self.read("steps/run.json"))["results"]
        self.assertLess(best["best_epoch"], 5)
        args = [a for a in self.small("--resume", "--lr", 0.05) if a != "-q"]
        for step, path in ((11 * best["best_epoch"] + 1, None), (11 * best["best_epoch"], "run/best.safetensors")):
            self.cut_at(step)
            os.remove(self.path("run/best.safetensors"))
            err = self.go(args).stderr  # of the second the model is made again
            results = json.loads(self.read("run/run.json"))["results"]
            note = "run/best.safetensors: is not there, the best model so far, of epoch %d, is lost\n" % best["best_epoch"]
            self.assertEqual((note in err, results["best"]), (path is None, path), err)
            self.assertEqual([results[key] for key in ("best_epoch", "best_test_accuracy")],
                             [best[key] for key in ("best_epoch", "best_test_accuracy")])
            self.assertEqual(os.path.exists(self.path("run/best.safetensors")), path is not None)


class Refused(Runs):
    def test_what_is_not_the_same_training_is_refused_by_name(self):
        self.go(self.small("--checkpoint-every", 20))
        rows, labels = clusters(170, 6, 6, 9, 0.8)
        self.write_npy("other-x.npy", rows, "f4")
        before = {name: read(self.path("run"), name) for name in os.listdir(self.path("run"))}
        at = "run/checkpoint-000000000040.safetensors: "
        for code, part, more in (
                (2, "loss is 'arcface:", ["--loss", "cosface"]), (2, "lr is '0.01' in the checkpoint and '0.02' here", ["--lr", "0.02"]),
                (2, "optimizer is 'adamw'", ["--optimizer", "sgd"]), (2, "epochs is '5'", ["--epochs", 6]),
                (2, "batch is '16'", ["--batch", 17]), (2, "seed is ", ["--seed", 1]),
                (2, "precision is 'full'", ["--dtype", "bf16"]), (2, "encoder is 'mlp:7,5'", ["--encoder", "linear"]),
                (2, "log-every is '3'", ["--log-every", 4]), (2, "report is 'yes'", ["--no-report"]),
                (2, "align is 'none'", ["--align", "pga"]), (2, "sample_rate is '1'", ["--sample-rate", 0.5]),
                (2, "dim is '5'", ["--dim", 6]),
                (2, "isa is ", ["--max-isa", "generic"]),
                (3, "data.fingerprint is ", ["--data", "other-x.npy,train-y.npy"]),
                (3, "data.rows is '170'", ["--data", "test-x.npy,test-y.npy"]),
                (3, "data.test is ", ["--test-data", "train-x.npy,train-y.npy"])):
            if part == "isa is " and json.loads(read(self.path("run"), "run.json"))["isa"] == "generic":
                continue
            self.fails(code, [at, part], *self.small("--resume", *more))
            self.assertEqual({name: read(self.path("run"), name) for name in os.listdir(self.path("run"))}, before)

    def test_another_version_is_refused_by_name(self):
        self.go(self.small("--checkpoint-every", 20, "--keep", 1))
        path = self.path("run/checkpoint-000000000040.safetensors")
        self.write("run/checkpoint-000000000040.safetensors", forge(open(path, "rb").read(), "version", "9.9.9"))
        self.fails(2, ["version is '9.9.9' in the checkpoint and '"], *self.small("--resume"))

    def test_optimizers_without_checkpoints_say_so(self):
        for optimizer in ("lbfgs", "newton-cg"):
            for option in (["--checkpoint-every", 5], ["--resume"]):
                self.fails(2, "%s is for --optimizer sgd and adamw: %s has no checkpoints" % (option[0], optimizer),
                           *self.small(*option, "--encoder", "none", "--optimizer", optimizer, loss="softmax"))
        self.assertFalse(os.path.exists(self.path("run")))


def forge(content, key, value):
    """A checkpoint with other metadata and a checksum that suits them: CRC-32 over what lgt_tensors_checksum tells."""
    import struct
    import zlib
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    header["__metadata__"][key] = value
    text = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in header["__metadata__"].items() if k != "checksum")
    crc = zlib.crc32(text)
    numbers = {"F32": 0, "F64": 1, "I64": 5}
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        crc = zlib.crc32(name.encode() + b"\0" + struct.pack("<q", numbers[tensor["dtype"]]), crc)
        crc = zlib.crc32(b"".join(struct.pack("<q", n) for n in tensor["shape"]), crc)
        crc = zlib.crc32(content[8 + length + begin:8 + length + end], crc)
    header["__metadata__"]["checksum"] = "%08x" % crc
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    return struct.pack("<Q", len(text)) + text + content[8 + length:]


class Started(Runs):
    """Trainings to meet in the midst."""

    def start(self, *more):
        return subprocess.Popen([tools.PROGRAM, *map(str, self.small(*more))], cwd=self.folder, text=True,
                                env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_for(self, child, ready):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None and not ready():
            time.sleep(0.002)


class Signals(Started):
    def test_a_signal_ends_the_step_writes_a_checkpoint_and_the_run_goes_on_from_it(self):
        more = ["--epochs", 300, "--no-report"]
        whole = self.whole(*more)
        for number in (signal.SIGINT, signal.SIGTERM):
            shutil.rmtree(self.path("run"), True)
            asked = ["--checkpoint-every", 1000000] if number == signal.SIGINT else []
            child = self.start(*more, *asked)
            self.wait_for(child, lambda: os.path.exists(self.path("run/metrics.jsonl")) and
                          self.read("run/metrics.jsonl").count("\n") > 20)
            child.send_signal(number)
            printed, err = child.communicate(timeout=60)
            self.assertEqual((child.returncode, printed), (128 + number, ""), err)
            step = int(re.fullmatch(r"logitude: interrupted after step (\d+) of 3300; the model as it stands is "
                                    r"run/model\.safetensors; --resume goes on from its checkpoint\n", err).group(1))
            self.assertEqual(checkpoints(self.path("run")), [step])
            self.go(self.small(*more, *asked, "--resume"))
            self.assertEqual(outcome(self.path("run"), False), whole)
            self.assertEqual(checkpoints(self.path("run")), [step] if asked else [])

    def stop_behind_the_last_step(self):
        """What a training ends with whose signal comes when its epoch is written and its objective being measured, which
        takes tenths of a second; it may still come too late."""
        more = ["--epochs", 1, "--batch", 2000, "--encoder", "none", "--no-report", "--checkpoint-every", 1000]
        for _ in range(5):
            shutil.rmtree(self.path("run"), True)
            child = self.start(*more)
            self.wait_for(child, lambda: os.path.exists(self.path("run/metrics.jsonl")) and
                          '"kind":"epoch"' in self.read("run/metrics.jsonl"))
            child.send_signal(signal.SIGINT)
            printed, err = child.communicate(timeout=60)
            if child.returncode:
                break
        return more, child.returncode, printed, err

    def test_a_signal_behind_the_last_step_leaves_the_objective_for_later(self):
        n = 60000
        rows, _ = clusters(n, 6, 6, 1, 0.8)
        self.write_npy("train-x.npy", rows, "f4")
        self.write_npy("train-y.npy", [i % 6000 for i in range(n)], "i8")
        self.write_npy("test-y.npy", [i % 6000 for i in range(50)], "i8")
        more, code, printed, err = self.stop_behind_the_last_step()
        self.assertEqual((code, printed), (130, ""), err)
        self.assertEqual(err, "logitude: interrupted after step 30 of 30; the model as it stands is run/model.safetensors; "
                              "--resume goes on from its checkpoint\n")
        results = json.loads(self.read("run/run.json"))["results"]
        self.assertEqual((results["status"], results["objective"]), ("interrupted", None))
        self.go(self.small(*more, "--resume"))
        self.assertEqual(outcome(self.path("run"), False), self.whole(*more))

    def test_a_second_signal_ends_it_at_once(self):
        child = self.start("--epochs", 1000000, "--no-report", "--checkpoint-every", 1)
        self.wait_for(child, lambda: len(checkpoints(self.path("run"))) == 2)
        os.kill(child.pid, signal.SIGSTOP)  # both signals arrive before the step can end
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        os.kill(child.pid, signal.SIGCONT)
        child.communicate(timeout=60)
        self.assertIn(child.returncode, (-signal.SIGINT, -signal.SIGTERM))
        self.assertLess(time.monotonic() - begin, 10)


class Busy(Started):
    """A folder has one training at a time, and is free when that has ended in whatever way."""

    def setUp(self):
        super().setUp()
        self.child = self.start("--epochs", 1000000, "--checkpoint-every", 1, "--keep", 1000)
        self.addCleanup(self.child.communicate)
        self.addCleanup(self.child.kill)
        self.wait_for(self.child, lambda: len(checkpoints(self.path("run"))) > 5)

    def test_a_second_training_is_refused_and_touches_nothing(self):
        os.symlink("run", self.path("link"))
        again = self.small("--epochs", 1000000)
        solved = self.small("--encoder", "none", "--optimizer", "lbfgs", loss="softmax")
        for args in (self.small(), [*again, "--resume"], [*again, "--out", "link"], solved):
            self.fails(5, ["%s: another training is using this folder" % ("link" if "link" in args else "run")], *args)
            self.assertIsNone(self.child.poll())
        self.child.send_signal(signal.SIGTERM)
        self.child.communicate(timeout=60)
        self.assertEqual(self.child.returncode, 143)
        steps = checkpoints(self.path("run"))
        self.assertEqual(steps, list(range(steps[-1] - len(steps) + 1, steps[-1] + 1)))
        self.assertEqual(steps[0], max(1, steps[-1] - 999))
        lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
        logged = [line["step"] for line in lines if line["kind"] == "step"]
        self.assertEqual(logged, list(range(3, steps[-1] + 1, 3)))

    def test_one_that_was_killed_holds_nothing(self):
        self.child.kill()
        self.child.wait()
        self.go(self.small())
        self.assertEqual(outcome(self.path("run")), self.whole())

    def test_a_metrics_file_that_is_a_device_is_no_ones(self):
        for out in ("a", "b"):
            os.mkdir(self.path(out))
            os.symlink("/dev/null", self.path(out + "/metrics.jsonl"))
        first = self.start("--epochs", 1000000, "--no-report", "--checkpoint-every", 1, "--out", "a")
        self.addCleanup(first.communicate)
        self.addCleanup(first.kill)
        self.wait_for(first, lambda: len(checkpoints(self.path("a"))) > 1)
        self.go(self.small("--no-report", out="b"))


class Broken(Runs):
    """Whatever fails, a checkpoint is left, and a resumed run has the bits of one that nothing happened to."""

    ARGS = ["--checkpoint-every", 20]

    def goes_on(self, whole, least=0):
        self.assertGreaterEqual(max(checkpoints(self.path("run")), default=0), least)
        self.go(self.small(*self.ARGS, "--resume"))
        self.assertEqual(outcome(self.path("run")), whole)
        self.assertEqual(litter(self.path("run")), [])
        self.assertIn(checkpoints(self.path("run")), ([20, 40], [40]))

    def strace(self, calls, action, *more):
        command = ["strace", "-f", "-o", os.devnull, "-e", "trace=" + calls, "-e", "inject=%s:%s" % (calls, action),
                   tools.PROGRAM, *map(str, self.small(*self.ARGS, "--threads", 1, *more))]
        return subprocess.run(command, cwd=self.folder, env=self.environment(LSAN_OPTIONS="detect_leaks=0"),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=60)

    CALLS = ("write", "fsync", "rename,renameat,renameat2", "close", "openat", "unlink,unlinkat")

    @unittest.skipUnless(strace_works(), "strace is not here or may not trace")
    def test_a_kill_at_any_system_call_of_checkpoints_leaves_one(self):
        whole, kills, resumes = self.whole(), 0, 0
        for calls in self.CALLS:  # files, folders and what is in them change at these alone
            for number in range(1, 400):
                shutil.rmtree(self.path("run"), True)
                done = self.strace(calls, "signal=KILL:when=%d" % number)
                if done.returncode == 0:
                    break
                self.assertIn(done.returncode, (137, -9), (calls, number, done.stderr))
                kills += 1
                resumes += bool(checkpoints(self.path("run")))
                self.goes_on(whole)
            self.assertEqual(done.returncode, 0, calls)
        print("%d kills at system calls, %d of them resumed from a checkpoint, all to the same bits" % (kills, resumes))
        self.assertGreater(resumes, 20)

    @unittest.skipUnless(strace_works(), "strace is not here or may not trace")
    def test_a_signal_while_an_earlier_run_is_cleared_away_leaves_a_model(self):
        self.go(self.small(*self.ARGS))
        for number in range(1, 100):
            done = self.strace("unlink,unlinkat", "signal=INT:when=%d" % number)
            if done.returncode == 0:
                break
            self.assertEqual(done.returncode, 130, (number, done.stderr))
            self.assertEqual(json.loads(self.read("run/run.json"))["results"]["status"], "interrupted")
            self.assertTrue(os.path.exists(self.path("run/model.safetensors")), number)
        self.assertGreater(number, 3)

    @unittest.skipUnless(strace_works(), "strace is not here or may not trace")
    def test_a_kill_at_every_system_call_of_one_checkpoint_leaves_it_or_the_one_before(self):
        whole, seen = self.whole(), set()
        args = [tools.PROGRAM, *map(str, self.small(*self.ARGS, "--keep", 1, "--threads", 1))]
        options = {"cwd": self.folder, "env": self.environment(LSAN_OPTIONS="detect_leaks=0"), "timeout": 60,
                   "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        subprocess.run(["strace", "-o", self.path("log"), *args], check=True, **options)
        calls = self.read("log").splitlines()
        first = next(i for i, line in enumerate(calls) if "000000000020.safetensors\") = 0" in line and "rename" in line)
        last = next(i for i, line in enumerate(calls) if "000000000020.safetensors\") = 0" in line and "unlink" in line)
        names = [re.match(r"\w*", line).group() for line in calls]
        for at in range(first, last + 2):
            number = names[:at + 1].count(names[at])  # strace counts every kind of call by itself
            shutil.rmtree(self.path("run"), True)
            done = subprocess.run(["strace", "-o", os.devnull, "-e", "trace=" + names[at], "-e",
                                   "inject=%s:signal=KILL:when=%d" % (names[at], number), *args], **options)
            self.assertIn(done.returncode, (137, -9), (calls[at], done.stderr))
            found = checkpoints(self.path("run"))
            self.assertTrue(found in ([], [20], [20, 40], [40]), (calls[at], found))
            seen.add(tuple(found))
            self.goes_on(whole)
        print("%d system calls of a checkpoint" % (last + 2 - first))
        self.assertTrue({(20,), (20, 40), (40,)} <= seen, seen)

    @unittest.skipUnless(strace_works(), "strace is not here or may not trace")
    def test_a_system_call_that_fails_ends_the_run_or_changes_nothing(self):
        whole, failures = self.whole(), 0
        for calls, errors in (("write", ("ENOSPC", "EIO")), ("fsync", ("EIO", "ENOSPC")),
                              ("rename,renameat,renameat2", ("EIO", "EROFS")), ("unlink,unlinkat", ("EIO",))):
            for error in errors:
                for number in range(1, 200):
                    shutil.rmtree(self.path("run"), True)
                    done = self.strace(calls, "error=%s:when=%d" % (error, number))
                    if done.returncode == 0:
                        if calls.startswith("unlink") and number < 3:
                            continue  # removing what is not there
                        break
                    self.assertEqual(done.returncode, 5, (calls, error, number, done.stderr))
                    self.assertRegex(done.stderr, r"\Alogitude: (\S+|standard output): cannot ")
                    failures += 1
                    self.goes_on(whole)
        self.assertGreater(failures, 30)

    @unittest.skipUnless(strace_works(), "strace is not here or may not trace")
    def test_writes_without_progress_end_the_run(self):
        whole = self.whole()
        done = self.strace("write", "retval=0:when=20")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("cannot write: Input/output error", done.stderr)
        self.goes_on(whole)

    def test_a_file_size_limit_stops_a_write_half_way(self):
        whole = self.whole()
        script = 'ulimit -f 2; exec "$@"'  # blocks of 512 or 1024 bytes: less than a checkpoint
        done = subprocess.run(["sh", "-c", script, "sh", tools.PROGRAM, *map(str, self.small(*self.ARGS))],
                              cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("cannot write: File too large", done.stderr)
        self.assertEqual((checkpoints(self.path("run")), litter(self.path("run"))), ([], []))
        self.goes_on(whole)

    @unittest.skipIf(os.geteuid() == 0, "nothing is read-only to the superuser")
    def test_a_folder_that_became_read_only_keeps_what_it_has(self):
        whole = self.whole()
        self.go(self.small(*self.ARGS))
        os.chmod(self.path("run"), 0o555)
        try:
            self.fails(5, ["run"], *self.small(*self.ARGS, "--resume"))
        finally:
            os.chmod(self.path("run"), 0o755)
        self.goes_on(whole, 40)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "mounting a small disk needs the superuser")
    def test_a_full_and_a_read_only_disk(self):
        whole = self.whole("--no-report", "--checkpoint-every", 50)
        os.mkdir(self.path("disk"))
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", self.path("disk")], capture_output=True).returncode:
            self.skipTest("mounting is not allowed here")
        try:
            args = self.small("--no-report", "--checkpoint-every", 5, "--keep", 3, out="disk/run")
            size = os.path.getsize(self.path("whole/checkpoint-000000000050.safetensors"))
            room = 12 * 1024 + 5 * size // 2  # for the metrics and two checkpoints, not for a third
            self.write("disk/ballast", b"x" * (256 * 1024 - room))
            done = self.run_program(*args)
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn("No space left on device", done.stderr)
            found = checkpoints(self.path("disk/run"))
            self.assertTrue(found and litter(self.path("disk/run")) == [], found)
            subprocess.run(["mount", "-o", "remount,ro", self.path("disk")], check=True)
            self.fails(5, ["Read-only file system"], *args, "--resume")
            self.assertEqual(checkpoints(self.path("disk/run")), found)
            subprocess.run(["mount", "-o", "remount,rw,size=1m", self.path("disk")], check=True)
            self.go([*args, "--resume"])
            self.assertEqual(outcome(self.path("disk/run"), False), whole)
        finally:
            subprocess.run(["umount", self.path("disk")], check=True)
