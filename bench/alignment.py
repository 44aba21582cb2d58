#!/usr/bin/python3
"""Does alignment help on classes that were never seen? Trains on one set of classes under each alignment and seed, verifies on
another, and prints a table of means (and every seed's TAR at FAR 1e-3), with --json one object.

    bench/alignment.py --train IMAGES,LABELS --test IMAGES,LABELS [--seeds 0,1,2] [--batch 128] [--epochs 40]
                       [--align SPEC ...] [--program build/logitude] [--json]

A SPEC of "none" trains without alignment.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile

DEFAULTS = ["none", "pga:full_rows=off", "k:full_rows=off", "z:full_rows=off",
            "pga:full_rows=off+k:full_rows=off+z:full_rows=off"]


def report(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return json.loads(done.stdout)


def measure(a, align, seed, out):
    more = [] if align == "none" else ["--align", align]
    trained = report([a.program, "train", "--data", a.train, "--loss", "arcface:s=16,m=0.3", "--encoder", "mlp:512,512", "--dim",
                      128, "--batch", a.batch, "--optimizer", "adamw", "--lr", "1e-3", "--epochs", a.epochs, "--seed", seed,
                      "--out", out, "--no-report", "--quiet", "--json", *more])
    found = report([a.program, "eval", "--model", f"{out}/model.safetensors", "--data", a.test, "--protocol", "all", "--json"])
    return {"align": align, "seed": seed, "auc": found["auc"], "tar": found["tar_at_far"]["0.001"],
            "recall": found["recall_at"]["1"], "seconds": trained["seconds"], "conflict_rate": trained.get("conflict_rate")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--align", action="append")
    parser.add_argument("--program", default="build/logitude")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    runs = []
    if not a.json:
        print("| align | TAR at FAR 1e-3 | AUC | recall@1 | seconds | TAR of each seed |\n|---|---|---|---|---|---|", flush=True)
    for align in a.align or DEFAULTS:
        with tempfile.TemporaryDirectory() as out:
            mine = [measure(a, align, int(seed), out) for seed in a.seeds.split(",")]
        runs += mine
        if not a.json:
            mean = {key: statistics.mean(run[key] for run in mine) for key in ("tar", "auc", "recall", "seconds")}
            print(f"| `{align}` | {mean['tar']:.4f} | {mean['auc']:.4f} | {mean['recall']:.4f} | {mean['seconds']:.1f} | "
                  + ", ".join(f"{run['tar']:.4f}" for run in mine) + " |", flush=True)
    if a.json:
        print(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()
