"""Every loss as plain Python in double precision, straight from its formula, and gradients by central differences."""

import math


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def cosine(a, b):
    return max(-1.0, min(1.0, dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))))


def psi(theta, m):
    """(-1)^k cos(m theta) - 2k, k = floor(m theta / pi)"""
    k = min(math.floor(m * theta / math.pi), m - 1)
    return (-1) ** k * math.cos(m * theta) - 2 * k


def fold(phi):
    """(-1)^k cos(phi) - 2k, k = floor(phi / pi)"""
    k = math.floor(phi / math.pi)
    return (-1) ** k * math.cos(phi) - 2 * k


def arcface_target(c, s, m, tail):
    theta = math.acos(c)
    if tail == "easy":
        return s * (math.cos(theta + m) if c > 0 else c)
    if theta + m <= math.pi or tail == "none":
        return s * math.cos(theta + m)
    return s * {"continuous": c - 1 + math.cos(m), "cosface": c - m * math.sin(m),
                "fold": -math.cos(theta + m) - 2, "clip": -1.0}[tail]


def logits(name, params, x, w, b, y):
    """All logits of one row, the target's bent."""
    c = [cosine(x, row) for row in w]
    if name == "softmax":
        return [dot(x, row) + bias for row, bias in zip(w, b or [0.0] * len(w))]
    if name == "lsoftmax":
        z = [dot(x, row) for row in w]
        size = math.sqrt(dot(x, x) * dot(w[y], w[y]))
        m, blend = params["m"], params["lambda"]
        z[y] = size * (psi(math.acos(c[y]), m) + blend * c[y]) / (1 + blend)
        return z
    s = params["s"]
    z = [s * value for value in c]
    if name == "cosface":
        z[y] = s * (c[y] - params["m"])
    elif name == "arcface":
        z[y] = arcface_target(c[y], s, params["m"], params["tail"])
    elif name == "combined":
        z[y] = s * (fold(params["m1"] * math.acos(c[y]) + params["m2"]) - params["m3"])
    elif name == "sphereface-r":
        z[y] = s * fold(params["m"] * math.acos(c[y]))
    elif name != "normalized":
        raise KeyError(name)
    return z


def row_loss(z, y, smoothing=0.0, z_loss=0.0):
    top = max(z)
    lse = top + math.log(math.fsum(math.exp(value - top) for value in z))
    return lse - (1 - smoothing) * z[y] - smoothing / len(z) * math.fsum(z) + z_loss * lse * lse


def loss(name, params, x, w, b, labels, sample_weights=None, class_weights=None, smoothing=0.0, z_loss=0.0,
         ignore=None, reduction="mean"):
    total, weight, rows = [], [], []
    for i, y in enumerate(labels):
        if y == ignore:
            rows.append(0.0)
            continue
        rows.append(row_loss(logits(name, params, x[i], w, b, y), y, smoothing, z_loss))
        a = (sample_weights[i] if sample_weights else 1.0) * (class_weights[y] if class_weights else 1.0)
        total.append(a * rows[-1])
        weight.append(a)
    scale = 1.0 if reduction == "sum" else math.fsum(weight)
    return math.fsum(total) / scale, rows


def difference(function, array):
    """Gradient of function() by central differences over the nested list `array`, in its order."""
    gradient = []
    for row in array if isinstance(array[0], list) else [array]:
        for k, value in enumerate(row):
            h = 6e-6 * max(1.0, abs(value))
            row[k] = value + h
            above = function()
            row[k] = value - h
            below = function()
            row[k] = value
            gradient.append((above - below) / (2 * h))
    return gradient
