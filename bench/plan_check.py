#!/usr/bin/python3
"""Holds `logitude plan` against measurements on this machine: calibrates by `bench machine`, then runs heads and steps and asks
the model for the same, in alternation. Prints a table in Markdown.

    bench/plan_check.py                                one process: heads and steps of 10,000, 100,000 and 1,000,000 classes
    bench/plan_check.py --ranks 1 2 4 --network 6.7GB/s      trainings of one thread a rank under mpirun, on random data

Measured are the least of the times, as the calibration takes them, and the median beside it. Ranks share this machine: --network
is what a rank receives from a neighbour's memory (docs/scaling.md has such figures), and ranks beyond its processors take turns, which
multiplies the model's compute and memory. A machine with other work measures that work.
"""
import argparse
import array
import json
import os
import random
import shlex
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def ask(*words):
    """The JSON that a command prints."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} ended with status {done.returncode}")
    return json.loads(done.stdout)


def npy(path, letter, code, shape, fill):
    """Writes a .npy of `shape` row by row; fill(n) gives n values as an array."""
    header = "{'descr': '<%s', 'fortran_order': False, 'shape': %r, }" % (code, shape)
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for _ in range(shape[0]):
            array.array(letter, fill(shape[1] if len(shape) > 1 else 1)).tofile(file)


def write_data(folder, classes, dim):
    """One row of every class: random features, none twice; labels in a random order."""
    draw, block = random.Random(0), [random.Random(1).uniform(-1, 1) for _ in range(4 * dim + 4096)]
    labels = iter(draw.sample(range(classes), classes))

    def row(n):
        at = draw.randrange(len(block) - n)
        return block[at:at + n]
    npy(folder / "x.npy", "f", "f4", (classes, dim), row)
    npy(folder / "y.npy", "q", "i8", (classes,), lambda n: [next(labels) for _ in range(n)])


class Check:
    def __init__(self, a, machine):
        self.a, self.machine = a, machine

    def plan(self, classes, dtype, optimizer, *more):
        a = self.a
        return ask(a.program, "plan", "--classes", classes, "--dim", a.dim, "--batch", a.rows, "--dtype", dtype, "--optimizer",
                   optimizer, "--machine", self.machine, "--json", *more)

    def bench(self, what, classes, dtype, *more):
        a = self.a
        repeat = max(5, min(30, int(2e6 / classes)))
        return ask(a.program, "bench", what, "--rows", a.rows, "--dim", a.dim, "--classes", classes, "--dtype", dtype,
                   "--repeat", repeat, "--threads", a.threads, "--json", *more)

    def line(self, name, classes, least, median, plan):
        error = plan["seconds"] / least - 1
        print(f"| {name} | {classes:,} | {1e3 * plan['seconds']:,.3g} | {1e3 * least:,.3g} | {1e3 * median:,.3g} | "
              f"{100 * error:+.0f} % | {1e3 * plan['compute_seconds']:,.3g}, {1e3 * plan['memory_seconds']:,.3g}, "
              f"{1e3 * plan['network_seconds']:,.3g} |", flush=True)

    def one_process(self):
        for dtype in self.a.dtypes:
            for classes in self.a.classes:
                got = self.bench("head", classes, dtype)
                self.line(f"head, {dtype}", classes, got["seconds_min"], got["seconds"], self.plan(classes, dtype, "none"))
        for dtype in self.a.dtypes:
            for classes in self.a.classes:
                got = self.bench("step", classes, dtype, "--optimizer", "sgd")
                self.line(f"step, {dtype}, sgd", classes, got["seconds_min"], got["seconds"], self.plan(classes, dtype, "sgd"))

    def over_ranks(self, folder):
        a = self.a
        classes = min(a.classes)
        write_data(folder, classes, a.dim)
        seconds = {ranks: [] for ranks in a.ranks}
        for ranks in a.ranks * a.rounds:
            launch = shlex.split(a.launch.format(ranks=ranks)) if ranks > 1 else []
            got = ask(*launch, a.program, "train", "--data", f"{folder}/x.npy,{folder}/y.npy", "--loss", "arcface", "--encoder",
                      "none", "--standardize", "none", "--epochs", 1, "--batch", a.rows, "--optimizer", "sgd", "--threads", 1,
                      "--no-report", "--out", folder / f"run-{ranks}", "--json", "-q")
            seconds[ranks].append(got["seconds"] / got["steps"])
        for ranks, times in seconds.items():
            plan = self.plan(classes, "f32", "sgd", "--ranks", ranks, "--threads", 1, "--network", a.network, "--latency", a.latency)
            turns = max(1, ranks / os.cpu_count())  # ranks beyond the processors work one after another
            for part in ("compute_seconds", "memory_seconds"):
                plan["seconds"] += (turns - 1) * plan[part]
                plan[part] *= turns
            self.line(f"training, f32, sgd, ranks {ranks}", classes, min(times), sorted(times)[len(times) // 2], plan)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=str(HERE.parent / "build" / "logitude"))
    p.add_argument("--machine", help="a file of bench machine --json; without it the machine is measured first")
    p.add_argument("--classes", type=int, nargs="+", default=[10000, 100000, 1000000])
    p.add_argument("--rows", type=int, default=256)
    p.add_argument("--dim", type=int, default=512)
    p.add_argument("--dtypes", nargs="+", default=["f32", "bf16"])
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--ranks", type=int, nargs="+", help="time trainings over so many ranks in place of heads and steps")
    p.add_argument("--launch", default="mpirun -n {ranks}", help="what starts them")
    p.add_argument("--network", default="6.7GB/s")
    p.add_argument("--latency", type=float, default=2, help="microseconds")
    p.add_argument("--rounds", type=int, default=3, help="of every training")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        machine = a.machine or f"{folder}/machine.json"
        if not a.machine:
            with open(machine, "w", encoding="utf-8") as file:
                json.dump(ask(a.program, "bench", "machine", "--dim", a.dim, "--threads", a.threads, "--json"), file)
        print("| what | classes | model, ms | measured, ms | median, ms | model over it | compute, memory, network, ms |\n"
              "|---|---|---|---|---|---|---|")
        check = Check(a, machine)
        if a.ranks:
            check.over_ranks(Path(folder))
        else:
            check.one_process()


main()
