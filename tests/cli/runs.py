"""Trainings that stop and go on, for the cases and the kill campaign: what must be the same whether they stopped or not."""

import json
import os
import re

# Wall-clock time: all that two runs of one training may differ in (docs/checkpoints.md).
TIMES = ("seconds", "samples_per_second")


def small_training(data, test, *more, loss="arcface:s=16,m=0.2", out="run"):
    """55 steps of 11 an epoch, in a few milliseconds."""
    return ["train", "--data", data, "--test-data", test, "--loss", loss, "--encoder", "mlp:7,5", "--dim", "5",
            "--epochs", "5", "--batch", "16", "--lr", "0.01", "--log-every", "3", "-q", "--out", out,
            *map(str, more)]


def without_times(value, left_out=TIMES):
    if isinstance(value, dict):
        return {k: without_times(v, left_out) for k, v in value.items() if k not in left_out}
    return [without_times(v, left_out) for v in value] if isinstance(value, list) else value


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def outcome(folder, report=True):
    """Everything a finished run says, but times and paths, and of the configuration what may be otherwise."""
    run = json.loads(read(folder, "run.json"))
    for key in ("threads", "out", "checkpoint-every", "keep", "json", "quiet"):
        run["config"].pop(key)
    run.pop("threads")
    best = run["results"].pop("best", None)
    for key in ("model", "metrics", "run", "report"):
        run["results"].pop(key)
    lines = [without_times(json.loads(line)) for line in read(folder, "metrics.jsonl").splitlines()]
    found = {"model": read(folder, "model.safetensors"), "run": without_times(run), "metrics": lines}
    if best:
        found["best"] = read(folder, "best.safetensors")
    if report:
        found["analysis"] = read(folder, "analysis.json")
    return found


def checkpoints(folder):
    """The steps of the checkpoints in a folder, rising."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = [re.fullmatch(r"checkpoint-(\d{12})\.safetensors", name) for name in names]
    return sorted(int(match.group(1)) for match in found if match)


def litter(folder):
    return [name for name in os.listdir(folder) if name.startswith(".lgt-")]
