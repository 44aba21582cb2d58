#!/usr/bin/python3
"""`logitude grad` against double-precision autograd of the losses' plain formulas in PyTorch, twice differentiated, on both
engines in both types, and its finiteness at the corners.  autograd.py PROGRAM.  Exits 77 (skipped) without NumPy or PyTorch."""
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
TAILS = {"continuous": lambda c, m, wide: c - 1 + torch.cos(m), "cosface": lambda c, m, wide: c - m * torch.sin(m),
         "fold": lambda c, m, wide: -wide - 2, "none": lambda c, m, wide: wide, "clip": lambda c, m, wide: 0 * c - 1}


def widened(c, m, tail):
    """cos(theta + m) with its tails; m is a number or a tensor"""
    m = torch.as_tensor(m, dtype=torch.float64)
    wide = c * torch.cos(m) - torch.sqrt(1 - c * c) * torch.sin(m)
    if tail == "easy":
        return torch.where(c > 0, wide, c)
    return torch.where(torch.acos(c) + m > math.pi, TAILS[tail](c, m, wide), wide)


def fold(phi):
    k = torch.floor(phi.detach() / math.pi)
    return (1 - 2 * torch.remainder(k, 2)) * torch.cos(phi) - 2 * k


def psi_blended(c, p, m):
    return (fold(m * torch.acos(c)) + p["lambda"] * c) / (1 + p["lambda"])


def adaptive(c, p, m, r, qualities):
    norms = r.detach() if qualities is None else torch.tensor(qualities)
    h = torch.clamp(p["h"] * (norms - p["mean"]) / (p["deviation"] + 1e-3), -1, 1)
    return widened(c, -m * h, p.get("tail", "continuous")) - m * h - m


def clipped(p, r):
    return torch.clamp(r, p["l_a"], p["u_a"])


def magnitude_margin(p, r):
    return p["l_m"] + (p["u_m"] - p["l_m"]) * (clipped(p, r) - p["l_a"]) / (p["u_a"] - p["l_a"])


def logits(name, p, x, w, b, y, extra):
    rows = torch.arange(len(y))
    r, q = x.norm(dim=1), w.norm(dim=1)
    c = (x @ w.T / (r[:, None] * q[None, :])).reshape(len(x), C, -1).max(dim=2).values  # of a class, its nearest centre
    s = torch.tensor(extra["scales"]) if "scales" in extra else p.get("s")
    m = torch.tensor(extra["margins"])[y] if "margins" in extra else p.get("m")
    if name in ("softmax", "lsoftmax"):
        z = x @ w.T + (b if name == "softmax" else 0)
    else:
        z = r[:, None] * c if name == "sphereface" else s * c
    cy, plain, tail = c[rows, y], z[rows, y], p.get("tail", "continuous")
    if name == "curricularface":
        hard = c.detach() > torch.cos(torch.acos(cy.detach()) + m)[:, None]
        z = torch.where(hard, z * (p["t"] + c), z)
    sy = s[y] if torch.is_tensor(s) else s
    target = {"softmax": lambda: plain, "normalized": lambda: plain, "cosface": lambda: sy * (cy - m),
              "arcface": lambda: sy * widened(cy, m, tail), "curricularface": lambda: sy * widened(cy, m, tail),
              "subcenter": lambda: sy * widened(cy, m, tail),
              "adaface": lambda: sy * adaptive(cy, p, m, r, extra.get("qualities")),
              "magface": lambda: sy * widened(cy, magnitude_margin(p, r), tail),
              "combined": lambda: sy * (fold(p["m1"] * torch.acos(cy) + (m if m is not None else p["m2"])) - p["m3"]),
              "sphereface-r": lambda: sy * fold(m * torch.acos(cy)),
              "sphereface": lambda: r * psi_blended(cy, p, m), "lsoftmax": lambda: r * q[y] * psi_blended(cy, p, m)}[name]()
    z = z.clone()
    z[rows, y] = target
    return z


def objective(name, p, x, w, b, y, extra):
    z = logits(name, p, x, w, b, y, extra)
    if "soft" in extra:
        return torch.nn.functional.cross_entropy(z, torch.tensor(extra["soft"]))
    loss = torch.nn.functional.cross_entropy(z, y)
    if name == "magface":
        a = clipped(p, x.norm(dim=1))
        loss = loss + p["lambda_g"] * (a / p["u_a"] ** 2 + 1 / a).mean()
    return loss


MAGNITUDE = {"s": 16, "l_m": 0.2, "u_m": 0.9, "l_a": 3.5, "u_a": 4.5, "lambda_g": 500}  # norms of 16 numbers: about 4
CURRICULUM = {"s": 30, "m": 0.5, "t": 0.3, "ema": 0}
QUALITY = {"s": 30, "m": 0.4, "h": 0.9, "mean": 4, "deviation": 0.6, "ema": 0}
CASES = [("softmax", {}), ("normalized", {"s": 16}), ("cosface", {"s": 64, "m": 0.35}), ("lsoftmax", {"m": 1, "lambda": 0}),
         ("lsoftmax", {"m": 2, "lambda": 0}), ("lsoftmax", {"m": 3, "lambda": 1}), ("lsoftmax", {"m": 4, "lambda": 5}),
         ("arcface", {"s": 64, "m": 0.5, "tail": "continuous"}), ("sphereface-r", {"s": 30, "m": 1.7}),
         ("combined", {"s": 64, "m1": 1.2, "m2": 0.4, "m3": 0.1}), ("sphereface", {"m": 1, "lambda": 0}),
         ("sphereface", {"m": 2, "lambda": 0}), ("sphereface", {"m": 4, "lambda": 0.5}), ("adaface", QUALITY),
         ("adaface", {**QUALITY, "m": 1.2, "h": 3, "tail": "fold"}), ("magface", MAGNITUDE),
         ("magface", {**MAGNITUDE, "l_m": 1.2, "u_m": 2.4, "lambda_g": 900, "tail": "cosface"}),
         ("curricularface", CURRICULUM), ("curricularface", {**CURRICULUM, "m": 1.3, "t": -0.4, "tail": "fold"}),
         ("subcenter", {"s": 30, "m": 0.5, "k": 3}), ("subcenter", {"s": 16, "m": 1.9, "k": 2, "tail": "clip"})]
CASES += [("arcface", {"s": 30, "m": 1.9, "tail": tail}) for tail in [*TAILS, "easy"]]
CASES = [(*case, ()) for case in CASES]
CASES += [("softmax", {}, ("soft",)), ("normalized", {"s": 16}, ("soft",)), ("normalized", {"s": 16}, ("soft", "scales")),
          ("adaface", QUALITY, ("qualities",)), ("adaface", QUALITY, ("margins", "scales", "qualities")),
          ("lsoftmax", {"m": 3, "lambda": 1}, ("margins",)), ("sphereface", {"m": 3, "lambda": 1}, ("margins",)),
          ("magface", MAGNITUDE, ("scales",))]
CASES += [(name, p, ("margins", "scales")) for name, p in (
    ("cosface", {"s": 64, "m": 0.35}), ("arcface", {"s": 30, "m": 1.2, "tail": "fold"}), ("sphereface-r", {"s": 30, "m": 1.7}),
    ("combined", {"s": 64, "m1": 1.2, "m2": 0.4, "m3": 0.1}), ("curricularface", CURRICULUM),
    ("subcenter", {"s": 30, "m": 0.5, "k": 3}))]


def extras(random, name, p, wanted):
    """Values of the inputs that stand in a parameter's place, around the parameter."""
    drawn = {"soft": random.dirichlet(np.full(C, 0.3), N), "qualities": random.normal(4, 0.7, N).clip(0.1),
             "scales": p.get("s", 1) * random.uniform(0.7, 1.1, C)}
    if name in ("lsoftmax", "sphereface"):
        drawn["margins"] = random.integers(1, 5, C).astype(float)
    elif name == "sphereface-r":
        drawn["margins"] = random.uniform(1, 2.4, C)
    else:
        drawn["margins"] = p.get("m", p.get("m2", 0)) * random.uniform(0.5, 1.1, C)
    return {key: drawn[key] for key in wanted}


OPTIONS = {"b": "bias", "soft": "soft-targets", "margins": "class-margins", "scales": "class-scales", "qualities": "qualities",
           "vx": "direction-x", "vw": "direction-w", "vb": "direction-b"}


def run(folder, spec, arrays, dtype, engine, *more):
    for name, value in arrays.items():
        np.save(folder / f"{name}.npy", value)
    command = [PROGRAM, "grad", "--loss", spec, "--features", folder / "x.npy", "--weights", folder / "w.npy", "--labels",
               folder / "y.npy", "--dtype", dtype, "--engine", engine, "--out", folder / "out", "--json", *more]
    for name, option in OPTIONS.items():
        if name in arrays:
            command += ["--" + option, folder / f"{name}.npy"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (spec, done.stderr)
    json.loads(done.stdout)
    found = {path.stem: np.load(path) for path in (folder / "out").glob("*.npy")}
    for path in (folder / "out").glob("*.npy"):
        path.unlink()
    return found


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def rounded(arrays, dtype):
    """What the program reads in that type: the matrices of the problem and of the direction."""
    matrices = ("x", "w", "b", "soft", "vx", "vw", "vb")
    return {k: v.astype(np.float32) if dtype == "f32" and k in matrices else v for k, v in arrays.items()}


def derivatives(name, p, arrays, extra):
    """The loss, its gradients and Hessian-vector products, by name of the file the program writes."""
    keys = [key for key in "xwb" if key in arrays]
    at = [torch.tensor(arrays[key].astype(np.float64), requires_grad=True) for key in keys]
    loss = objective(name, p, at[0], at[1], at[2] if len(at) > 2 else 0, torch.tensor(arrays["y"]), extra)
    gradients = torch.autograd.grad(loss, at, create_graph=True)
    along = sum((g * torch.tensor(arrays["v" + key].astype(np.float64))).sum() for key, g in zip(keys, gradients))
    products = torch.autograd.grad(along, at)
    found = {"loss": np.array(loss.item())}
    for key, g, h in zip(keys, gradients, products):
        found.update({"d" + key: g.detach().numpy(), "hvp_" + key: h.numpy()})
    return found


def agrees_with_autograd(folder):
    worst = {"f64": 0, "f32": 0}
    for seed, (name, p, wanted) in enumerate(CASES):
        random = np.random.default_rng(seed)
        arrays = {"x": random.normal(size=(N, D)), "w": random.normal(size=(C * p.get("k", 1), D)),
                  "y": random.integers(0, C, N)}
        if name == "softmax":
            arrays["b"] = random.normal(size=C)
        arrays.update({"v" + key: random.normal(size=arrays[key].shape) for key in "xwb" if key in arrays})
        arrays.update(extras(random, name, p, wanted))
        spec = name + (":" if p else "") + ",".join(f"{k}={v}" for k, v in p.items())
        for dtype in GATES:
            inputs = rounded(arrays, dtype)
            extra = {key: inputs[key].astype(np.float64) for key in wanted}
            expected = derivatives(name, p, inputs, extra)
            for engine in ("reference", "cpu"):
                found = run(folder, spec, inputs, dtype, engine)
                assert set(found) == {*expected, "loss_rows"}, (spec, sorted(found))
                errors = {key: error(found[key], value) for key, value in expected.items()}
                assert max(errors.values()) <= GATES[dtype], (spec, wanted, dtype, engine, errors)
                worst[dtype] = max(worst[dtype], *errors.values())
    print(f"{len(CASES)} cases of {len({case[0] for case in CASES})} losses on 2 engines agree with autograd, twice: "
          f"f64 to {worst['f64']:.1e}, f32 to {worst['f32']:.1e}")


def every_loss_is_here():
    done = subprocess.run([PROGRAM, "losses", "--json"], capture_output=True, text=True, check=True)
    assert {loss["name"] for loss in json.loads(done.stdout)["losses"]} == {case[0] for case in CASES}


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
                     "combined", "sphereface-r", "lsoftmax", "lsoftmax:m=4,lambda=0", "sphereface:m=4,lambda=0", "adaface",
                     "magface", "curricularface:t=0.5", "subcenter:k=1"):
            for engine in ("reference", "cpu"):
                for ignored in ((), ("--ignore-label", "0")):
                    found = run(folder, loss, {"x": x, "w": classes, "y": labels}, "f64", engine, *ignored)
                    bad = [key for key, value in found.items() if not np.isfinite(value).all()]
                    assert not bad, (name, loss, engine, bad)
                    if len(classes) == 1 and loss != "magface":
                        assert found["loss"] == 0
    print(f"{len(corners)} corners are finite")


every_loss_is_here()
with tempfile.TemporaryDirectory() as place:
    agrees_with_autograd(Path(place))
    stays_finite(Path(place))
