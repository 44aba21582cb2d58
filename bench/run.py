#!/usr/bin/python3
"""Times `logitude bench head` against PyTorch and scikit-learn, in alternation and on the same numbers, and tells where the goals
are met: tables in Markdown, charts as SVG. ArcFace forward and backward, 256 rows of 512 dimensions, two threads.

    bench/run.py                                    all of it: about six minutes
    bench/run.py --quick                            one round, PyTorch and up to 100,000 classes: about a minute
    bench/run.py --docs docs                        writes the tables into docs/benchmarks.md and the charts beside it
    bench/run.py --json results.json                keeps what was measured; --from results.json reports it again

Both sides run in every round, one after the other; a ratio is the median of the rounds' ratios, so that a machine busy for a
while is busy for both. A run of Logitude also measures the processor's roof, in alternation with itself.
"""
import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import head_report

HERE = Path(__file__).resolve().parent
ROWS, DIM = 256, 512
TYPES = ["f32", "bf16x3", "bf16"]


class Bench:
    """Runs cases; a case is {"who", "loss", "rows", "classes", "dtype", "threads", "want", "rounds": [...]}."""

    def __init__(self, a):
        self.a, self.cases = a, []
        self.has = {name: importlib.util.find_spec(name) is not None for name in ("torch", "sklearn")}
        for name, there in self.has.items():
            if not there:
                print(f"{name} is not installed here: left out", file=sys.stderr)

    def steps(self, case):
        """As many as take a second and a half by a guess, and 4 at least: with three rounds no fewer than 12; --quick 3."""
        speed = {"f32": 120e9, "f64": 60e9, "bf16x3": 200e9, "bf16": 500e9}[case["dtype"]]
        guess = 6.0 * case["rows"] * DIM * case["classes"] / speed * (4 if case["who"] != "logitude" else 1)
        return int(min(max(1.5 / guess, 3 if self.a.quick else 4), 40))

    def ours(self, case):
        words = [self.a.program, "bench", "head", "--loss", case["loss"], "--rows", case["rows"], "--dim", DIM, "--classes",
                 case["classes"], "--dtype", case["dtype"], "--threads", case["threads"], "--repeat", self.steps(case), "--json",
                 "--workspace", case.get("workspace", 0), "--max-isa", case.get("isa", "best")]
        return json.loads(subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True).stdout)

    def peer(self, case):
        script = {"torch": ["torch_head.py", "--head", case["loss"]], "sklearn": ["sklearn_head.py"]}[case["who"]]
        words = [sys.executable, HERE / script[0], *script[1:], "--rows", case["rows"], "--dim", DIM, "--classes", case["classes"],
                 "--dtype", case["dtype"], "--threads", case["threads"], "--repeat", 0]
        return subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def group(self, title, cases, rounds=None):
        """Runs cases in alternation; those of peers that are not installed are left out."""
        cases = [dict(case, group=title, rounds=[]) for case in cases if self.has.get(case["who"], True)]
        started = time.time()
        peers = {i: self.peer(case) for i, case in enumerate(cases) if case["who"] != "logitude"}
        for _ in range(rounds or self.a.rounds):
            for i, case in enumerate(cases):
                if i not in peers:
                    case["rounds"].append(self.ours(case))
                    continue
                peers[i].stdin.write(f"{self.steps(case)}\n")
                peers[i].stdin.flush()
                line = peers[i].stdout.readline()
                if not line:
                    sys.exit(f"{case['who']} ended early")
                case["rounds"].append(json.loads(line))
        for process in peers.values():
            process.stdin.close()
            process.wait()
        check_losses(cases)
        self.cases += cases
        print(f"{title}: {time.time() - started:.0f} s", file=sys.stderr)


def check_losses(cases):
    """Both sides must have computed the same thing: to float32's accuracy, or bfloat16's."""
    for one in cases:
        for other in cases:
            same = [one[key] == other[key] for key in ("loss", "rows", "classes")]
            a, b = one["rounds"][0]["loss"], other["rounds"][0]["loss"]
            limit = 2e-2 if "bf16" in (one["dtype"], other["dtype"]) else 1e-4
            if all(same) and abs(a - b) > limit * abs(b):
                sys.exit(f"losses differ: {a} of {one['who']} {one['dtype']}, {b} of {other['who']} {other['dtype']}")


def head(who, classes, dtype="f32", rows=ROWS, threads=2, loss="arcface", **more):
    return dict(who=who, loss=loss, rows=rows, classes=classes, dtype=dtype, threads=threads, **more)


def measure(a):
    bench = Bench(a)
    for classes in (1000, 10000, 100000):
        ours = [head("logitude", classes, dtype) for dtype in TYPES]
        more = [head("logitude", classes, isa="avx512")]  # the same by multiply-adds where there are tiles
        if classes == 100000:
            more.append(head("logitude", classes, workspace=ROWS * classes * 4 + (64 << 20)))
        rounds = bench.a.rounds * (3 if classes == 1000 else 1)  # a goal of their own, and they are short
        bench.group("classes", [head("torch", classes), *ours, *more], rounds)
    if a.quick:
        return bench.cases
    for dtype in TYPES:  # what a class costs, in alternation
        bench.group("cost", [head("logitude", classes, dtype) for classes in (50000, 1000000)])
    for rows in (16, 64, 1024):
        bench.group("rows", [head("torch", 10000, rows=rows), *(head("logitude", 10000, dtype, rows=rows) for dtype in TYPES)])
    for dtype in TYPES + ["f64"]:
        bench.group("threads", [head("logitude", 10000, dtype, threads=threads) for threads in (1, 2)])
    for classes in (1000, 10000):
        bench.group("softmax", [head("torch", classes, loss="softmax"), head("logitude", classes, loss="softmax"),
                                head("sklearn", classes, "f64", loss="softmax"),
                                head("logitude", classes, "f64", loss="softmax")])
    return bench.cases


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} x {model}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=str(HERE.parent / "build" / "logitude"))
    p.add_argument("--quick", action="store_true", help="one round of the main cases")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", metavar="FILE", help="write everything measured")
    p.add_argument("--from", dest="source", metavar="FILE", help="report what --json wrote, measure nothing")
    p.add_argument("--docs", metavar="DIR", help="write tables into DIR/benchmarks.md and charts into DIR/figures")
    a = p.parse_args()
    if a.quick:
        a.rounds = 1
    if a.source:
        with open(a.source, encoding="utf-8") as file:
            results = json.load(file)
    else:
        load = os.getloadavg()[0]
        results = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "load": load, "cases": measure(a)}
    if a.json:
        with open(a.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    report = head_report.Report(results)
    print(report.text())
    if a.docs:
        report.write(Path(a.docs))


main()
