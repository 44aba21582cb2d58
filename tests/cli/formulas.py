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


def widened(c, m, tail):
    """cos(theta + m) and its tails"""
    theta = math.acos(c)
    if tail == "easy":
        return math.cos(theta + m) if c > 0 else c
    if theta + m <= math.pi or tail == "none":
        return math.cos(theta + m)
    return {"continuous": c - 1 + math.cos(m), "cosface": c - m * math.sin(m),
            "fold": -math.cos(theta + m) - 2, "clip": -1.0}[tail]


def clipped(value, low, high):
    return max(low, min(high, value))


def penalty(name, params, x):
    """What a loss adds for the norm of x."""
    if name != "magface":
        return 0.0
    a = clipped(math.sqrt(dot(x, x)), params["l_a"], params["u_a"])
    return params["lambda_g"] * (a / params["u_a"] ** 2 + 1 / a)


def margin_of(name, params, y, margins):
    if margins:
        return margins[y]
    return params.get("m2" if name == "combined" else "m")


def target(name, params, s, m, c, r, quality):
    """The bent target logit in terms of its cosine, the norm of x and the quality of the sample; COS losses."""
    tail = params.get("tail", "continuous")
    if name == "normalized":
        return s * c
    if name == "cosface":
        return s * (c - m)
    if name in ("arcface", "curricularface", "subcenter"):
        return s * widened(c, m, tail)
    if name == "combined":
        return s * (fold(params["m1"] * math.acos(c) + m) - params["m3"])
    if name == "sphereface-r":
        return s * fold(m * math.acos(c))
    if name == "adaface":
        h = clipped(params["h"] * (quality - params["mean"]) / (params["deviation"] + 0.001), -1.0, 1.0)
        return s * (widened(c, -m * h, tail) - m * h - m)
    if name == "magface":
        a = clipped(r, params["l_a"], params["u_a"])
        share = (a - params["l_a"]) / (params["u_a"] - params["l_a"])
        return s * widened(c, params["l_m"] + (params["u_m"] - params["l_m"]) * share, tail)
    raise KeyError(name)


def logits(name, params, x, w, b, y, margins=None, scales=None, quality=None):
    """All logits of one row, the target's bent; y None: no target. quality: that of the row where it is not its norm."""
    k, r = params.get("k", 1), math.sqrt(dot(x, x))
    m = margin_of(name, params, y, margins)
    if name in ("softmax", "lsoftmax"):
        z = [dot(x, row) + bias for row, bias in zip(w, b or [0.0] * len(w))]
        if name == "lsoftmax" and y is not None:
            c, blend = cosine(x, w[y]), params["lambda"]
            z[y] = r * math.sqrt(dot(w[y], w[y])) * (psi(math.acos(c), m) + blend * c) / (1 + blend)
        return z
    c = [max(cosine(x, row) for row in w[j:j + k]) for j in range(0, len(w), k)]
    if name == "sphereface":
        z = [r * value for value in c]
        if y is not None:
            z[y] = r * (psi(math.acos(c[y]), m) + params["lambda"] * c[y]) / (1 + params["lambda"])
        return z
    s = scales or [params["s"]] * len(c)
    z = [scale * value for scale, value in zip(s, c)]
    if y is None:
        return z
    if name == "curricularface":
        brink = math.cos(math.acos(c[y]) + m)
        z = [value * (params["t"] + cosine_j) if cosine_j > brink else value for value, cosine_j in zip(z, c)]
    z[y] = target(name, params, s[y], m, c[y], r, r if quality is None else quality)
    return z


def row_loss(z, targets, smoothing=0.0, z_loss=0.0):
    """lse - sum_j t_j z_j + zeta lse^2 with smoothed targets"""
    top = max(z)
    lse = top + math.log(math.fsum(math.exp(value - top) for value in z))
    mixed = [(1 - smoothing) * t + smoothing / len(z) for t in targets]
    return math.fsum(t * (lse - value) for t, value in zip(mixed, z)) + z_loss * lse * lse


def loss(name, params, x, w, b, labels, sample_weights=None, class_weights=None, smoothing=0.0, z_loss=0.0,
         ignore=None, reduction="mean", upstream=None, soft=None, margins=None, scales=None, qualities=None):
    total, weight, rows = [], [], []
    for i, y in enumerate(labels):
        if y == ignore:
            rows.append(0.0)
            continue
        own = None if soft else y
        z = logits(name, params, x[i], w, b, own, margins, scales, qualities[i] if qualities else None)
        targets = soft[i] if soft else [float(j == y) for j in range(len(z))]
        rows.append(row_loss(z, targets, smoothing, z_loss) + penalty(name, params, x[i]))
        a = (sample_weights[i] if sample_weights else 1.0)
        a *= math.fsum(t * k for t, k in zip(targets, class_weights)) if class_weights else 1.0
        total.append((upstream[i] if upstream else 1.0) * a * rows[-1])
        weight.append(a)
    scale = math.fsum(weight) if reduction == "mean" else 1.0
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
