#!/usr/bin/python3
"""`logitude grad` against double-precision autograd of the losses' plain formulas in PyTorch, on both engines in both types,
and its finiteness at the corners.  autograd.py PROGRAM.  Exits 77 (skipped) without NumPy or PyTorch."""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import torch
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM = sys.argv[1]
GATES = {"f64": 1e-10, "f32": 1e-4}  # relative to the largest entry
N, D, C = 24, 16, 70
TAILS = {"continuous": lambda c, m, wide: c - 1 + math.cos(m), "cosface": lambda c, m, wide: c - m * math.sin(m),
         "fold": lambda c, m, wide: -wide - 2, "none": lambda c, m, wide: wide, "clip": lambda c, m, wide: 0 * c - 1}


def arcface(c, m, tail):
    wide = c * math.cos(m) - torch.sqrt(1 - c * c) * math.sin(m)
    if tail == "easy":
        return torch.where(c > 0, wide, c)
    return torch.where(torch.acos(c) + m > math.pi, TAILS[tail](c, m, wide), wide)


def fold(phi):
    k = torch.floor(phi.detach() / math.pi)
    return (1 - 2 * torch.remainder(k, 2)) * torch.cos(phi) - 2 * k


def logits(name, p, x, w, b, y):
    rows = torch.arange(len(y))
    u = x @ w.T
    r, q = x.norm(dim=1), w.norm(dim=1)
    c = u / (r[:, None] * q[None, :])
    z = u + b if name == "softmax" else u if name == "lsoftmax" else p["s"] * c
    c, plain = c[rows, y], z[rows, y]
    target = {"softmax": lambda: plain, "normalized": lambda: plain, "cosface": lambda: p["s"] * (c - p["m"]),
              "arcface": lambda: p["s"] * arcface(c, p["m"], p["tail"]),
              "combined": lambda: p["s"] * (fold(p["m1"] * torch.acos(c) + p["m2"]) - p["m3"]),
              "sphereface-r": lambda: p["s"] * fold(p["m"] * torch.acos(c)),
              "lsoftmax": lambda: r * q[y] * (fold(p["m"] * torch.acos(c)) + p["lambda"] * c) / (1 + p["lambda"])}[name]()
    z = z.clone()
    z[rows, y] = target
    return z


CASES = [("softmax", {}), ("normalized", {"s": 16}), ("cosface", {"s": 64, "m": 0.35}), ("lsoftmax", {"m": 1, "lambda": 0}),
         ("lsoftmax", {"m": 2, "lambda": 0}), ("lsoftmax", {"m": 3, "lambda": 1}), ("lsoftmax", {"m": 4, "lambda": 5}),
         ("arcface", {"s": 64, "m": 0.5, "tail": "continuous"}), ("sphereface-r", {"s": 30, "m": 1.7}),
         ("combined", {"s": 64, "m1": 1.2, "m2": 0.4, "m3": 0.1})]
CASES += [("arcface", {"s": 30, "m": 1.9, "tail": tail}) for tail in [*TAILS, "easy"]]


def run(folder, spec, arrays, dtype, engine, *more):
    for name, value in arrays.items():
        np.save(folder / f"{name}.npy", value)
    command = [PROGRAM, "grad", "--loss", spec, "--features", folder / "x.npy", "--weights", folder / "w.npy", "--labels",
               folder / "y.npy", "--dtype", dtype, "--engine", engine, "--out", folder / "out", "--json", *more]
    if "b" in arrays:
        command += ["--bias", folder / "b.npy"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (spec, done.stderr)
    json.loads(done.stdout)
    return {path.stem: np.load(path) for path in (folder / "out").glob("*.npy")}


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def agrees_with_autograd(folder):
    worst = {"f64": 0, "f32": 0}
    for seed, (name, p) in enumerate(CASES):
        random = np.random.default_rng(seed)
        x, w, b = random.normal(size=(N, D)), random.normal(size=(C, D)), random.normal(size=C)
        y = random.integers(0, C, N)
        spec = name + (":" if p else "") + ",".join(f"{k}={v}" for k, v in p.items())
        for dtype in GATES:
            arrays = {"x": x, "w": w, "y": y}
            if name == "softmax":
                arrays["b"] = b
            if dtype == "f32":
                arrays = {k: v.astype(np.float32) if v.dtype == float else v for k, v in arrays.items()}
            tx, tw, tb = (torch.tensor(v.astype(np.float64), requires_grad=True)
                          for v in (arrays["x"], arrays["w"], arrays.get("b", b)))
            loss = torch.nn.functional.cross_entropy(logits(name, p, tx, tw, tb, torch.tensor(y)), torch.tensor(y))
            loss.backward()
            for engine in ("reference", "cpu"):
                found = run(folder, spec, arrays, dtype, engine)
                errors = [error(found["dx"], tx.grad.numpy()), error(found["dw"], tw.grad.numpy()),
                          abs(found["loss"] - loss.item()) / abs(loss.item())]
                if name == "softmax":
                    errors.append(error(found["db"], tb.grad.numpy()))
                assert max(errors) <= GATES[dtype], (spec, dtype, engine, errors)
                worst[dtype] = max(worst[dtype], *errors)
    print(f"{len(CASES)} losses on 2 engines agree with autograd: f64 to {worst['f64']:.1e}, f32 to {worst['f32']:.1e}")


def stays_finite(folder):
    random = np.random.default_rng(99)
    w, y = random.normal(size=(5, 8)), np.array([0, 1, 2, 3, 4, 0])
    own = w[y]
    side = np.roll(own, 1, axis=1)
    side -= own * (side * own).sum(1, keepdims=True) / (own * own).sum(1, keepdims=True)
    corners = {"parallel": (3 * own, w), "antiparallel": (-2 * own, w), "orthogonal": (side, w), "zero x": (0 * own, w),
               "zero w": (own, 0 * w), "huge": (1e120 * own, 1e120 * w), "huge random": (1e120 * side, 1e120 * w),
               "tiny": (1e-200 * own, 1e-200 * w), "tiny random": (1e-200 * side, 1e-200 * w), "one class": (own, w[:1])}
    for name, (x, classes) in corners.items():
        labels = np.zeros_like(y) if len(classes) == 1 else y
        for loss in ("softmax", "normalized", "cosface", "arcface", "arcface:gradient=detached", "arcface:gradient=unit",
                     "combined", "sphereface-r", "lsoftmax", "lsoftmax:m=4,lambda=0"):
            for engine in ("reference", "cpu"):
                for ignored in ((), ("--ignore-label", "0")):
                    found = run(folder, loss, {"x": x, "w": classes, "y": labels}, "f64", engine, *ignored)
                    bad = [key for key, value in found.items() if not np.isfinite(value).all()]
                    assert not bad, (name, loss, engine, bad)
                    if len(classes) == 1:
                        assert found["loss"] == 0
    print(f"{len(corners)} corners are finite")


with tempfile.TemporaryDirectory() as place:
    agrees_with_autograd(Path(place))
    stays_finite(Path(place))
