#!/usr/bin/env python3
"""Kills trainings by SIGKILL at random moments, resumes them until they end, and compares with runs that never stopped.
usage: kill_campaign.py PROGRAM [KILLS [SEED [FOLDER]]]"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PGA = "pga:k=3,targets=memory,beta=reliability,neighbours=memory,capacity=60"
TRAININGS = [
    ["--loss", "arcface:s=16,m=0.2", "--align", PGA],
    ["--loss", "adaface:s=16", "--sample-rate", "0.3", "--optimizer", "sgd"],
    ["--loss", "lsoftmax:m=2,lambda=geometric/100/0.99/1", "--dtype", "bf16"],
    ["--loss", "curricularface:s=16", "--sample-rate", "0.5", "--schedule", "step"],
]


class Campaign:
    def __init__(self, program, seed, folder):
        self.program, self.folder, self.random = program, folder, random.Random(seed)
        self.kills = self.resumes = self.afresh = self.finished = 0
        self.whole, self.seconds = {}, {}

    def command(self, number, out, *more):
        return [self.program, "train", "--data", "x.npy,y.npy", "--encoder", "mlp:16", "--dim", "8", "--epochs", "30",
                "--batch", "16", "--lr", "0.003", "--log-every", "5", "-q", "--out", out, *TRAININGS[number], *more]

    def start(self, number, out, *more):
        return subprocess.Popen(self.command(number, out, *more), cwd=self.folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(self, child):
        err = child.communicate(timeout=300)[1]
        if child.returncode != 0:
            sys.exit("FAILED: exit code %d: %s" % (child.returncode, err))

    def prepare(self):
        """What every training comes to without a stop, and how long it takes with checkpoints."""
        from runs import outcome
        for number in range(len(TRAININGS)):
            self.finish(self.start(number, "whole"))
            self.whole[number] = outcome(os.path.join(self.folder, "whole"))
            begin = time.monotonic()
            self.finish(self.start(number, "timed", "--checkpoint-every", "7"))
            self.seconds[number] = time.monotonic() - begin

    def run(self, kills):
        from runs import checkpoints, litter, outcome
        out = os.path.join(self.folder, "run")
        while self.kills < kills:
            number = self.random.randrange(len(TRAININGS))
            shutil.rmtree(out, True)
            # Killed often, some runs would never end: after a while they are left alone.
            for attempt in range(self.random.randrange(2, 12)):
                found = checkpoints(out)
                child = self.start(number, "run", "--resume", "--checkpoint-every", self.random.choice("1 3 7 20".split()),
                                   "--threads", self.random.choice("123"))
                self.resumes, self.afresh = self.resumes + bool(found), self.afresh + (not found)
                time.sleep(self.random.uniform(0, 1.1 * self.seconds[number]))
                child.kill()
                child.communicate(timeout=60)
                if child.returncode == -9:
                    self.kills += 1
                elif child.returncode != 0:
                    sys.exit("FAILED: exit code %d" % child.returncode)
            self.resumes += bool(checkpoints(out))
            self.finish(self.start(number, "run", "--resume", "--checkpoint-every", "7"))
            self.finished += 1
            if outcome(out) != self.whole[number]:
                sys.exit("FAILED: %s does not end as it does without a stop, see %s" % (TRAININGS[number], out))
            if litter(out):
                sys.exit("FAILED: %s is left in %s" % (litter(out), out))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.dont_write_bytecode = True
    sys.path.insert(0, HERE)
    from tools import clusters, npy_bytes
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    place = sys.argv[4] if len(sys.argv) > 4 else "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="logitude-kill-", dir=place)
    rows, labels = clusters(400, 8, 10, seed, 0.8)
    for name, values, dtype in (("x.npy", rows, "f4"), ("y.npy", labels, "i8")):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(npy_bytes(values, dtype))
    campaign = Campaign(os.path.abspath(sys.argv[1]), seed, folder)
    campaign.prepare()
    campaign.run(kills)
    print("seed %d: %d kills, %d resumes from a checkpoint, %d starts without one; %d trainings ended, all with the bits of "
          "one that never stopped" % (seed, campaign.kills, campaign.resumes, campaign.afresh, campaign.finished))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
