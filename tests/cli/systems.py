#!/usr/bin/python3
"""`logitude grad --like SYSTEM` against what that system computes, written down once more in a few lines of PyTorch in
double precision: the loss, the gradient of x, and that of w where the system has one that can be compared.
systems.py PROGRAM [PATTERN...]: systems or losses whose name holds a pattern.  Exits 77 (skipped) without PyTorch."""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import torch
    from torch.nn.functional import cross_entropy, normalize
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM, PATTERNS = sys.argv[1], sys.argv[2:]
GATE = 1e-10  # of the loss, and of a gradient's largest entry
N, D, C = 24, 16, 40
SYSTEMS = {}  # (system, loss): function of x, w, y


def system(name, loss):
    def keep(function):
        SYSTEMS[name, loss] = function
        return function
    return keep


def cosines(x, w):
    return normalize(x) @ normalize(w).T


def with_target(plain, y, bent):
    """The plain logits, those of the labels replaced."""
    return plain.scatter(1, y[:, None], bent[:, None])


def at(plain, y):
    return plain.gather(1, y[:, None])[:, 0]


def centres(x, w, k):
    """Class j's rows of w are j k to j k + k - 1; the nearest counts."""
    return cosines(x, w).view(len(x), -1, k).max(dim=2)[0]


# --- insightface: the margin is added in place, out of the differentiation's sight; no tail ---


@system("insightface", "arcface")
def _(x, w, y):
    c = cosines(x, w).clamp(-1, 1)
    with torch.no_grad():
        c.arccos_()
        c[torch.arange(len(y)), y] += 0.5
        c.cos_()
    return cross_entropy(64 * c, y)


@system("insightface", "cosface")
def _(x, w, y):
    c = cosines(x, w)
    return cross_entropy(64 * with_target(c, y, at(c, y) - 0.4), y)


@system("insightface", "subcenter")
def _(x, w, y):
    c = centres(x, w, 3)
    return cross_entropy(64 * with_target(c, y, torch.cos(torch.acos(at(c, y)) + 0.5)), y)


# --- opensphere: unit weights in place, the bend a constant ---


def opensphere(x, w, y, s, bend):
    with torch.no_grad():
        w.data = normalize(w.data)
    c = normalize(x) @ w.T
    with torch.no_grad():
        constant = bend(c, y) - c
    return cross_entropy(s * (c + constant), y)


@system("opensphere", "normalized")
def _(x, w, y):
    return opensphere(x, w, y, 30, lambda c, y: c)


@system("opensphere", "cosface")
def _(x, w, y):
    return opensphere(x, w, y, 64, lambda c, y: with_target(c, y, at(c, y) - 0.35))


@system("opensphere", "arcface")
def _(x, w, y):
    def bend(c, y):
        theta = torch.acos(c.clamp(-1 + 1e-5, 1 - 1e-5))
        return torch.cos(with_target(theta, y, at(theta, y) + 0.5).clamp(1e-5, 3.14159))
    return opensphere(x, w, y, 64, bend)


@system("opensphere", "sphereface-r")
def _(x, w, y):
    def bend(c, y):
        theta = torch.acos(c.clamp(-1 + 1e-5, 1 - 1e-5))
        phi = with_target(theta, y, at(theta, y) * 1.7)
        k = torch.floor(phi / math.pi)
        return (1 - 2 * torch.remainder(k, 2)) * torch.cos(phi) - 2 * k
    return opensphere(x, w, y, 30, bend)


# --- pytorch-metric-learning: automatic differentiation of cosines of sums of angles ---


def pml_arcface(c, y):
    m = math.radians(28.6)
    theta = torch.acos(at(c, y).clamp(-1, 1))
    bent = torch.where(theta <= math.pi - m, torch.cos(theta + m), torch.cos(theta) - m * math.sin(m))
    return cross_entropy(64 * with_target(c, y, bent), y)


def psi(c, m):
    """cos(m theta) by binomials in c and 1 - c^2, and by branches k of constant sign."""
    multiple = sum((-1) ** n * math.comb(m, 2 * n) * c ** (m - 2 * n) * (1 - c * c) ** n for n in range(m // 2 + 1))
    k = torch.floor(m * torch.acos(c.detach().clamp(-1, 1)) / math.pi)
    return (1 - 2 * torch.remainder(k, 2)) * multiple - 2 * k


@system("pml", "normalized")
def _(x, w, y):
    return cross_entropy(cosines(x, w) / 0.05, y)


@system("pml", "cosface")
def _(x, w, y):
    c = cosines(x, w)
    return cross_entropy(64 * with_target(c, y, at(c, y) - 0.35), y)


@system("pml", "arcface")
def _(x, w, y):
    return pml_arcface(cosines(x, w), y)


@system("pml", "subcenter")
def _(x, w, y):
    return pml_arcface(centres(x, w, 3), y)


@system("pml", "lsoftmax")
def _(x, w, y):
    c = cosines(x, w)
    return cross_entropy(with_target(c, y, psi(at(c, y), 4)) * x.norm(dim=1)[:, None] * w.norm(dim=1), y)


@system("pml", "sphereface")
def _(x, w, y):
    c = cosines(x, w)
    return cross_entropy(with_target(c, y, psi(at(c, y), 4)) * x.norm(dim=1)[:, None], y)


# --- Paddle: cos(m1 theta + m2) - m3, whatever the angle ---


@system("paddle", "arcface")
@system("paddle", "combined")
def _(x, w, y, m1=1.0, m2=0.5, m3=0.0):
    c = cosines(x, w)
    return cross_entropy(64 * with_target(c, y, torch.cos(m1 * torch.acos(at(c, y)) + m2) - m3), y)


# --- L-Softmax: mx-lsoftmax's beta, and the Caffe layer's signs (without its 1e-9 on norms), both for m = 4 ---


def lsoftmax(x, w, y, angular, blend):
    z, sizes = x @ w.T, x.norm(dim=1) * w.norm(dim=1)[y]
    return cross_entropy(with_target(z, y, (sizes * angular + blend * at(z, y)) / (1 + blend)), y)


@system("mx-lsoftmax", "lsoftmax")
def _(x, w, y):
    return lsoftmax(x, w, y, psi(at(cosines(x, w), y), 4), 100)


def caffe_signs(c):
    s0 = torch.sign(c)
    s3 = s0 * torch.sign(2 * c * c - 1)
    return s3, 2 * s0 + s3 - 3


@system("caffe", "lsoftmax")
def _(x, w, y):
    c = at(cosines(x, w), y)
    s3, s4 = caffe_signs(c)
    return lsoftmax(x, w, y, s3 * (8 * c ** 4 - 8 * c * c + 1) + s4, 1000)


class CaffeSphereFace(torch.autograd.Function):
    """Logits of unit weights w; lambda = 0. df/dx = coeff_w w + coeff_x x, both over sqrt(coeff_w^2 + coeff_x^2)."""

    @staticmethod
    def forward(ctx, x, w, y):
        r = x.norm(dim=1)
        c = at(x @ w.T, y) / r
        s3, s4 = caffe_signs(c)
        value = s3 * (8 * c ** 4 - 8 * c * c + 1) + s4
        slope = s3 * (32 * c ** 3 - 16 * c)
        coeff_w, coeff_x = slope, (value - c * slope) / r
        size = torch.sqrt(coeff_w ** 2 + coeff_x ** 2)
        ctx.save_for_backward(x, w, y, coeff_w / size, coeff_x / size)
        return with_target(x @ w.T, y, r * value)

    @staticmethod
    def backward(ctx, g):
        x, w, y, coeff_w, coeff_x = ctx.saved_tensors
        own = at(g, y)[:, None]
        return g @ w - own * w[y] + own * (coeff_w[:, None] * w[y] + coeff_x[:, None] * x), None, None


@system("caffe", "sphereface")
def _(x, w, y):
    return cross_entropy(CaffeSphereFace.apply(x, normalize(w.detach()), y), y)


# --- wespeaker: sine from a root, 1 - cos m behind the end, at its step 0 ---


def wespeaker_arcface(c, y):
    own = at(c, y)
    wide = own * math.cos(0.2) - torch.sqrt(1 - own ** 2) * math.sin(0.2)
    return cross_entropy(32 * with_target(c, y, torch.where(own > math.cos(math.pi - 0.2), wide, own - 1 + math.cos(0.2))), y)


@system("wespeaker", "cosface")
def _(x, w, y):
    c = cosines(x, w)
    return cross_entropy(32 * with_target(c, y, at(c, y) - 0.2), y)


@system("wespeaker", "arcface")
def _(x, w, y):
    return wespeaker_arcface(cosines(x, w), y)


@system("wespeaker", "sphereface")
def _(x, w, y, blend=1000):
    c = cosines(x, w)
    return cross_entropy(with_target(c, y, at(c, y) + (psi(at(c, y), 4) - at(c, y)) / (1 + blend)) * x.norm(dim=1)[:, None], y)


@system("wespeaker", "subcenter")
def _(x, w, y):
    return wespeaker_arcface(centres(x, w, 3), y)


# --- the comparison ---


def problem(seed, rows_a_class):
    random = np.random.default_rng(seed)
    x, w = random.normal(size=(N, D)), random.normal(size=(C * rows_a_class, D))
    y = random.integers(0, C, N)
    for i in range(0, 8, 2):  # behind the class, where the tails are: at 171 degrees or so, and at every other angle
        own = w[y[i] * rows_a_class:(y[i] + 1) * rows_a_class].mean(axis=0)
        x[i] = -own + (0.04 + 0.2 * i) * random.normal(size=D)
    return x, w, y


def grad(folder, name, spec, x, w, y, engine):
    for key, value in (("x", x), ("w", w), ("y", y)):
        np.save(folder / f"{key}.npy", value)
    command = [PROGRAM, "grad", "--loss", spec, "--like", name, "--features", folder / "x.npy", "--weights", folder / "w.npy",
               "--labels", folder / "y.npy", "--engine", engine, "--out", folder / "out", "--json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (name, spec, done.stderr)
    return {path.stem: np.load(path) for path in (folder / "out").glob("*.npy")}


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def project(rows, w):
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    return rows - (rows * unit).sum(1, keepdims=True) * unit


def compare(folder, name, loss, x, w, y, spec=None):
    """The errors of the loss, of dx and, where it can be compared, of dw; the worse engine's."""
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    value = SYSTEMS[name, loss](tx, tw, torch.tensor(y))
    value.backward()
    worst = []
    for engine in ("reference", "cpu"):
        found = grad(folder, name, spec or loss, x, w, y, engine)
        errors = [abs(found["loss"] - value.item()) / abs(value.item()), error(found["dx"], tx.grad.numpy())]
        if name == "opensphere":  # theirs is of the unit weights and not projected; ours divides by the norm
            theirs = tw.grad.numpy()
            unit = w / np.linalg.norm(w, axis=1, keepdims=True)
            assert error(theirs, project(theirs, w)) > 1e-3, "the weights' gradient is said not to be projected"
            errors.append(error(found["dw"] * np.linalg.norm(w, axis=1, keepdims=True), project(theirs, unit)))
        elif tw.grad is not None:
            errors.append(error(found["dw"], tw.grad.numpy()))
        worst = [max(pair) for pair in zip(worst or errors, errors)]
    return worst


def agrees(folder, name, loss):
    worst = 0
    for seed in range(3):
        x, w, y = problem(seed, 3 if loss == "subcenter" else 1)
        spec = None
        if (name, loss) == ("caffe", "sphereface"):  # what agrees, and what is said not to
            spec = "sphereface:lambda=0"
            apart = compare(folder, name, loss, 3 * x, w, y, spec)
            assert apart[0] <= GATE < 1e-3 < apart[1], (apart, "gradient=unit is said to agree for |x| = 1 alone")
            x /= np.linalg.norm(x, axis=1, keepdims=True)
        if name == "opensphere" and loss != "normalized":
            x[9] = 2 * w[y[9]]  # an angle of 0, inside the clamp
            x[11] = -0.5 * w[y[11]]
        errors = compare(folder, name, loss, x, w, y, spec)
        assert max(errors) <= GATE, (name, loss, seed, errors)
        worst = max(worst, *errors)
    print(f"{name:12s} {loss:12s} agrees to {worst:.1e}")


def presets():
    done = subprocess.run([PROGRAM, "losses", "--json"], capture_output=True, text=True, timeout=60, check=True)
    return {(preset["system"], loss["name"]) for loss in json.loads(done.stdout)["losses"] for preset in loss["presets"]}


def main():
    assert presets() == set(SYSTEMS), (presets() ^ set(SYSTEMS), "every preset has its formula here")
    with tempfile.TemporaryDirectory() as place:
        chosen = [key for key in SYSTEMS if not PATTERNS or any(p in "/".join(key) for p in PATTERNS)]
        for name, loss in chosen:
            agrees(Path(place), name, loss)
        assert chosen, "no system matches"


main()
