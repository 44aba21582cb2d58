#!/usr/bin/python3
"""`logitude train --optimizer lbfgs|newton-cg` against scikit-learn's softmax regression: the same objective, and a
certificate that covers what scikit-learn reaches. convex.py PROGRAM.  Exits 77 (skipped) without scikit-learn."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    from sklearn.linear_model import LogisticRegression
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM = sys.argv[1]
GATE = 1e-8  # relative, of objectives; the minimum is flat, and both stop at gradients far below 1e-6
PROBLEMS = [(400, 12, 4, 0.6, 1e-2), (300, 5, 2, 0.4, 1e-3), (150, 40, 3, 0.3, 1e-1), (900, 20, 7, 0.5, 1e-4)]


def problem(n, d, c, spread, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % c
    x = (spread * rng.standard_normal((c, d))[y] + rng.standard_normal((n, d))).astype(np.float32)
    return x * np.linspace(0.2, 3, d, dtype=np.float32) + np.float32(0.5), y.astype(np.int64)


def objective(w, b, x, y, l2):
    """(mean loss + l2/2 |w|^2, norms of its gradients by w and b) in double."""
    z = x.astype(float) @ w.T + b
    z -= z.max(1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + l2 / 2 * (w ** 2).sum()
    p[np.arange(len(y)), y] -= 1
    return loss, np.linalg.norm(p.T @ x / len(y) + l2 * w), np.linalg.norm(p.mean(0))


def peer(x, y, l2, bias):
    model = LogisticRegression(C=1 / (l2 * len(y)), max_iter=20000, tol=1e-7, solver="newton-cg", fit_intercept=bias,
                               multi_class="multinomial")
    model.fit(x.astype(float), y)
    w, b = model.coef_, model.intercept_
    if len(w) == 1:  # two classes share one vector of weights, which the l2 term splits evenly between them
        w, b = np.concatenate([-w, w]), np.concatenate([-b, b])
    return w, b


def tensors(path):
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            arrays[name] = np.frombuffer(raw[8 + size + begin:8 + size + end], "<f4").reshape(entry["shape"]).astype(float)
    return arrays


def check(folder, number, optimizer, bias):
    n, d, c, spread, l2 = PROBLEMS[number]
    x, y = problem(n, d, c, spread, number)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    done = subprocess.run([PROGRAM, "train", "--data", f"{folder}/x.npy,{folder}/y.npy", "--encoder", "none", "--loss",
                           "softmax", "--standardize", "none", "--l2", str(l2), "--optimizer", optimizer, "--tolerance",
                           "1e-9", "--no-report", "--json", "-q", "--out", str(folder / "run")]
                          + ([] if bias else ["--no-bias"]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)
    model = tensors(folder / "run/model.safetensors")
    value, by_w, by_b = objective(model["head.weight"], model.get("head.bias", np.zeros(c)), x, y, l2)
    norm = np.hypot(by_w, by_b if bias else 0)
    theirs = objective(*peer(x, y, l2, bias), x, y, l2)[0]
    assert ours["converged"], "not converged"
    assert abs(ours["objective"] - value) <= 1e-12, ("objective", ours["objective"], value)
    assert abs(ours["model_gradient_norm"] - norm) <= 1e-12, ("norm", ours["model_gradient_norm"], norm)
    assert abs(value - theirs) <= GATE * theirs, ("peer", value, theirs)
    assert ours["certified_gap"] >= 0 and value - theirs <= ours["certified_gap"] + 1e-13, ("gap", ours["certified_gap"])
    assert ours["certified_gap"] <= 1e-9, ("gap", ours["certified_gap"])
    print(f"problem {number} {optimizer} bias {bias}: {value:.12f}, scikit-learn {theirs - value:+.1e}, "
          f"gap at most {ours['certified_gap']:.1e}, {ours['evaluations']} evaluations, {ours['products']} products")


with tempfile.TemporaryDirectory() as name:
    for index in range(len(PROBLEMS)):
        for how in ("lbfgs", "newton-cg"):
            for has_bias in (True, False):
                check(Path(name), index, how, has_bias)
