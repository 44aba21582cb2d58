#!/usr/bin/python3
"""Times the main job, ten epochs of ArcFace on Fashion-MNIST, against the same in PyTorch, in alternation: medians and minima of
the training alone, and the peak memory of each process. Prints a table, and with --json one object.

    bench/training.py [--program build/logitude] [--epochs 10] [--repeat 3] [--threads 2] [--json]
"""
import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(command):
    """The JSON that a command prints, with the peak memory of its process in MiB."""
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} ended with status {status}")
    return dict(json.loads(text), peak_mib=usage.ru_maxrss / 1024)


def ours(a, out):
    return run([a.program, "train", "--data", "fashion-mnist", "--loss", "arcface:s=16,m=0.2", "--encoder", "mlp:512,512",
                "--dim", 128, "--batch", 128, "--optimizer", "adamw", "--lr", "1e-3", "--epochs", a.epochs, "--threads", a.threads,
                "--out", out, "--quiet", "--json"])


def theirs(a):
    return run([sys.executable, HERE / "torch_training.py", "--data", a.data, "--epochs", a.epochs, "--threads", a.threads])


def summary(runs):
    seconds = [one["seconds"] for one in runs]
    return {"seconds": statistics.median(seconds), "seconds_min": min(seconds), "runs": len(runs),
            "test_accuracy": statistics.median(one["test_accuracy"] for one in runs),
            "peak_mib": max(one["peak_mib"] for one in runs)}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--program", default="build/logitude")
    options.add_argument("--data", default=os.environ.get("LOGITUDE_DATA", "/usr/share/datasets/fashion-mnist"))
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--json", action="store_true")
    a = options.parse_args()
    has_torch = importlib.util.find_spec("torch") is not None
    if not has_torch:
        print("PyTorch is not installed here (python3-torch): only Logitude is timed", file=sys.stderr)
    runs = {"logitude": [], "pytorch": []}
    with tempfile.TemporaryDirectory() as out:
        for _ in range(a.repeat):
            runs["logitude"].append(ours(a, out))
            if has_torch:
                runs["pytorch"].append(theirs(a))
    result = {name: summary(some) for name, some in runs.items() if some}
    if has_torch:
        result["ratio"] = result["pytorch"]["seconds"] / result["logitude"]["seconds"]
    if a.json:
        print(json.dumps(result))
        return
    print(f"{'':10}  {'median s':>9}  {'least s':>9}  {'accuracy':>9}  {'peak MiB':>9}")
    for name in runs:
        if name in result:
            r = result[name]
            print(f"{name:10}  {r['seconds']:9.2f}  {r['seconds_min']:9.2f}  {r['test_accuracy']:9.4f}  {r['peak_mib']:9.0f}")
    if has_torch:
        print(f"{'ratio':10}  {result['ratio']:9.2f}   ({a.threads} threads, {a.epochs} epochs, {a.repeat} runs of each in turn)")


main()
