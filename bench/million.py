#!/usr/bin/python3
"""Training steps of heads with a million classes and more on this machine: `logitude bench step` on random data, ArcFace, 512
dimensions, batch 128, float32 master weights, bfloat16 products, within 24 GiB of address space. Prints a table in Markdown.

    bench/million.py                    one million, with a tenth of the classes drawn as well, and two million
    bench/million.py --classes 100000 --torch     beside PyTorch, in alternation

Steps a second are medians, the peak memory is that of the whole process (weights, momentum, data).
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT = 24 << 30


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))


def run(words):
    """The JSON that a command prints, with the peak memory of its process; None when memory was refused."""
    child = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, preexec_fn=limited)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode == 6:
        return None
    if child.returncode:
        sys.exit(f"{words[0]} ended with status {child.returncode}")
    return dict(json.loads(text), peak_gib=usage.ru_maxrss / 2 ** 20)


def ours(a, classes, dtype, optimizer, rate, keep):
    """keep: room for all weights of the products, two bytes each."""
    return run([a.program, "bench", "step", "--rows", a.rows, "--dim", a.dim, "--classes", classes, "--dtype", dtype,
                "--optimizer", optimizer, "--sample-rate", rate, "--threads", a.threads, "--repeat", a.repeat,
                "--workspace", keep and (64 << 20) + 2 * a.rows * classes, "--json"])


def theirs(a, classes):
    return run([sys.executable, HERE / "torch_head.py", "--sgd", "--rows", a.rows, "--dim", a.dim, "--classes", classes,
                "--threads", a.threads, "--repeat", a.repeat])


def cases(a):
    """(name, classes, function) of every line of the table."""
    for classes in a.classes:
        if a.torch:
            yield "PyTorch, f32, momentum", classes, lambda c=classes: theirs(a, c)
        for dtype, optimizer, rate, keep in (("f32", "sgd", 1, 0), ("bf16", "sgd", 1, 0), ("bf16", "sgd", 1, 1),
                                             ("bf16", "sgd", 0.1, 0), ("bf16", "adamw", 1, 0)):
            if dtype == "f32" and not a.torch or optimizer == "adamw" and classes > 1000000:
                continue
            name = f"{dtype}, {'momentum' if optimizer == 'sgd' else 'AdamW'}"
            name += ", a tenth drawn" if rate < 1 else ", `--workspace` for one pass" if keep else ""
            yield name, classes, lambda c=classes, w=(dtype, optimizer, rate, keep): ours(a, c, *w)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=str(HERE.parent / "build" / "logitude"))
    p.add_argument("--classes", type=int, nargs="+", default=[1000000, 2000000])
    p.add_argument("--rows", type=int, default=128)
    p.add_argument("--dim", type=int, default=512)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeat", type=int, default=10)
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--torch", action="store_true", help="beside PyTorch's head with SGD and momentum")
    p.add_argument("--json", metavar="FILE", help="write everything measured")
    a = p.parse_args()
    lines = [(name, classes, function, []) for name, classes, function in cases(a)]
    for _ in range(a.rounds):
        for name, classes, function, rounds in lines:
            rounds.append(function())
    print("| classes | | step, ms | least, ms | steps a second | peak GiB |\n|---|---|---|---|---|---|")
    for name, classes, _, rounds in lines:
        if not all(rounds):
            print(f"| {classes:,} | {name} | beyond 24 GiB | | | |")
            continue
        seconds, least = statistics.median(r["seconds"] for r in rounds), min(r["seconds_min"] for r in rounds)
        print(f"| {classes:,} | {name} | {1e3 * seconds:,.0f} | {1e3 * least:,.0f} | {1 / seconds:.2f} | "
              f"{max(r['peak_gib'] for r in rounds):.1f} |")
    if a.json:
        with open(a.json, "w", encoding="utf-8") as file:
            json.dump([{"name": name, "classes": classes, "rounds": rounds} for name, classes, _, rounds in lines], file, indent=1)


main()
