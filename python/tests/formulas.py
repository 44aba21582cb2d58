"""The losses by their plain formulas in NumPy, and derivatives by central differences: what the package is compared with."""
import numpy as np


def cosines(x, w):
    unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
    return unit(x) @ unit(w).T


def logits(name, x, w, b, y, s=16.0, m=0.35):
    rows = np.arange(len(y))
    if name == 'softmax':
        return x @ w.T + (0 if b is None else b)
    z = cosines(x, w)
    if name == 'cosface':
        z[rows, y] -= m
    elif name == 'arcface':
        c = z[rows, y]
        wide = np.where(np.arccos(c) + m > np.pi, c - 1 + np.cos(m), np.cos(np.arccos(c) + m))
        z[rows, y] = wide
    return s * z


def row_losses(z, y):
    top = z.max(axis=1)
    lse = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return lse - z[np.arange(len(y)), y], lse


def differences(function, at, step=1e-6):
    """The gradient of a scalar function at an array."""
    out = np.empty_like(at)
    for index in np.ndindex(at.shape):
        there = at.copy()
        there[index] += step
        up = function(there)
        there[index] -= 2 * step
        out[index] = (up - function(there)) / (2 * step)
    return out


def problem(seed=1, n=9, d=5, c=7, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(c, d)).astype(dtype), rng.integers(0, c, n)
