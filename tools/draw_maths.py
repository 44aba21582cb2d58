#!/usr/bin/env python3
"""Draws the figures of docs/maths.md and docs/second_order.md into docs/figures/ from numbers of the program: losses and
gradients that `logitude grad` gives for small constructed arrays. Needs nothing but Python 3 and the built program.

    draw_maths.py [--program build/logitude] [--out docs/figures]
"""
import argparse
import math
import os
import random
import struct
import subprocess
import tempfile

from svgchart import BLUE, BROWN, DEGREES, GREY, INK, ORANGE, RED, TEAL, VIOLET, Axis, Panel, figure

PROGRAM = 'build/logitude'


def write_npy(path, rows, kind='d'):
    flat = [value for row in rows for value in row] if isinstance(rows[0], (list, tuple)) else rows
    shape = f'({len(rows)}, {len(rows[0])})' if flat is not rows else f'({len(rows)},)'
    header = f"{{'descr': '<{'f8' if kind == 'd' else 'i8'}', 'fortran_order': False, 'shape': {shape}, }}"
    header += ' ' * (-(len(header) + 11) % 64) + '\n'
    with open(path, 'wb') as file:
        file.write(b'\x93NUMPY\1\0' + struct.pack('<H', len(header)) + header.encode())
        file.write(struct.pack(f'<{len(flat)}{kind}', *flat))


def read_npy(path):
    with open(path, 'rb') as file:
        data = file.read()
    body = data[10 + struct.unpack_from('<H', data, 8)[0]:]
    return struct.unpack(f'<{len(body) // 8}d', body)


def gradients(loss, x, w, labels):
    """Losses of the rows and their gradients by x, each row for itself, in double."""
    with tempfile.TemporaryDirectory() as folder:
        write_npy(f'{folder}/x.npy', x), write_npy(f'{folder}/w.npy', w), write_npy(f'{folder}/y.npy', labels, 'q')
        subprocess.run([PROGRAM, 'grad', '--loss', loss, '--features', f'{folder}/x.npy', '--weights',
                        f'{folder}/w.npy', '--labels', f'{folder}/y.npy', '--reduction', 'sum', '--engine', 'reference',
                        '--out', f'{folder}/g', '-q'], check=True, stdout=subprocess.DEVNULL)
        flat, dim = read_npy(f'{folder}/g/dx.npy'), len(x[0])
        return read_npy(f'{folder}/g/loss_rows.npy'), [flat[i:i + dim] for i in range(0, len(flat), dim)]


def dot(a, b):
    return sum(p * q for p, q in zip(a, b))


def norm(a):
    return math.sqrt(dot(a, a))


def target(loss, angles):
    """Target logit and force -dz_y/dtheta of rows at those angles to their class: from loss and gradient in a head with
    one other class, which lies across and has the logit 0."""
    x = [[math.cos(a), math.sin(a), 0.0] for a in angles]
    rows, dx = gradients(loss, x, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [0] * len(angles))
    logits = [-math.log(math.expm1(row)) for row in rows]
    forces = [(g[1] * -math.cos(a) + g[0] * math.sin(a)) / math.expm1(-row) for a, g, row in zip(angles, dx, rows)]
    return logits, forces


def broken(angles, values, jump):
    """Points in degrees, with a gap wherever the values jump."""
    points = []
    for i, (a, value) in enumerate(zip(angles, values)):
        if i and abs(value - values[i - 1]) > jump:
            points.append(None)
        points.append((math.degrees(a), value))
    return points


ANGLES = [math.radians(a) for a in [0.2, *(1.5 * i for i in range(1, 120)), 179.8]]


def draw_tails():
    late = Axis(DEGREES.name, 90, 180, [90, 105, 120, 135, 150, 165, 180])
    logit = Panel('target logit', late, Axis('z / s', -1.3, 0.1))
    force = Panel('force towards the class', DEGREES, Axis('\u2212dz/d\u03b8 / s', -0.6, 1.1))
    tails = [('continuous', BLUE), ('cosface', RED), ('fold', TEAL), ('none', ORANGE), ('clip', VIOLET), ('easy', BROWN)]
    plain = target('normalized:s=1', ANGLES)
    for panel, values in zip((logit, force), plain):
        panel.line(broken(ANGLES, values, 9), GREY, 'no margin', dash=True)
    for place, (tail, colour) in enumerate(tails):
        for panel, values in zip((logit, force), target(f'arcface:s=1,m=0.5,tail={tail}', ANGLES)):
            points = broken(ANGLES, values, 0.09)
            # Before their tails all are one curve, drawn once.
            if place:
                points = [p for p in points if p is None or p[0] >= (90 if tail == 'easy' else 149)]
            panel.line(points, colour, tail, wide=place == 0)
    for panel in (logit, force):
        panel.band(180 - math.degrees(0.5), 180)
    return figure([logit, force], 'ArcFace with m = 0.5 and its six tails: target logit and force over the angle, in units '
                  'of s. The shaded range is where theta + m exceeds pi.')


def draw_alpha():
    angles = [10 ** (-8 + 0.05 * i) for i in range(170) if 10 ** (-8 + 0.05 * i) < 3.1]
    axis = Axis('angle to the true class, in radians', 1e-8, 4, [1e-8, 1e-6, 1e-4, 1e-2, 1], log=True)
    left = Panel('the force is bounded, its factor \u03b1 is not', axis,
                 Axis('size', 1e-1, 1e8, [1, 1e2, 1e4, 1e6, 1e8], log=True))
    degrees = [math.radians(0.5 * i) for i in range(2, 300)]
    right = Panel('the same at ordinary angles', Axis('angle to the true class, in degrees', 0, 150, [0, 30, 60, 90, 120, 150]),
                  Axis('size', 0, 6))
    for panel, places, scale in ((left, angles, 1), (right, degrees, 180 / math.pi)):
        forces = target('arcface:s=1,m=0.5', places)[1]
        keep = [(a, f) for a, f in zip(places, forces) if a + 0.5 < math.pi]
        panel.line([(a * scale, f) for a, f in keep], BLUE, 'force / (s/r) = sin(\u03b8 + m)', wide=True)
        panel.line([(a * scale, f / math.sin(a)) for a, f in keep], RED, '\u03b1 = sin(\u03b8 + m) / sin \u03b8')
        panel.line([(a * scale, 1) for a, _ in keep], GREY, 'no margin: \u03b1 = 1', dash=True)
    return figure([left, right], 'ArcFace with m = 0.5: the force stays below s/r at every angle while alpha grows without '
                  'bound as the angle goes to 0.')


def draw_lsoftmax():
    logit = Panel('target logit, \u03bb = 0', DEGREES, Axis('z / (|w||x|)', -7.2, 1.2, [-7, -5, -3, -1, 1]), width=290)
    force = Panel('force, \u03bb = 0', DEGREES, Axis('\u2212dz/d\u03b8', 0, 4.4), width=290)
    blend = Panel('force, m = 4 under \u03bb', DEGREES, Axis('\u2212dz/d\u03b8', 0, 4.4), width=290)
    for m, colour in ((1, GREY), (2, BLUE), (3, TEAL), (4, RED)):
        for panel, values in zip((logit, force), target(f'lsoftmax:m={m},lambda=0', ANGLES)):
            panel.line(broken(ANGLES, values, 9), colour, f'm = {m}', dash=m == 1)
    for value, colour in ((0, RED), (1, ORANGE), (5, VIOLET), (100, INK)):
        blend.line(broken(ANGLES, target(f'lsoftmax:m=4,lambda={value}', ANGLES)[1], 9), colour,
                   f'\u03bb = {value}' if value else None)
    for panel in (force, blend):
        panel.band(84, 96)
    return figure([logit, force, blend],
                  'L-Softmax: target logit and force over the angle for unit norms. The shaded range, 90 degrees plus and '
                  'minus 6, holds 95 % of random pairs in 365 dimensions: there even multiples have no force.')


def draw_rayleigh():
    """v^T S v for unit directions v across the constant one, C = 3; the program gives losses and p along each."""
    logits, h = [1.2, 0.3, -0.6], 1e-3
    a, b = [math.sqrt(1 / 2), -math.sqrt(1 / 2), 0], [math.sqrt(1 / 6), math.sqrt(1 / 6), -math.sqrt(2 / 3)]
    directions = [[math.cos(t) * p + math.sin(t) * q for p, q in zip(a, b)] for t in
                  (math.radians(3 * i) for i in range(61))]
    rows = [logits] + [[z + k * h * v for z, v in zip(logits, d)] for d in directions[::4] for k in (-1, 1)]
    identity = [[1.0 if i == j else 0.0 for j in range(3)] for i in range(3)]
    losses, dx = gradients('softmax', rows, identity, [0] * len(rows))
    p = [g + (j == 0) for j, g in enumerate(dx[0])]
    second = [(losses[1 + 2 * i] + losses[2 + 2 * i] - 2 * losses[0]) / h ** 2 for i in range(len(directions[::4]))]
    variances = [dot(p, [x * x for x in v]) - dot(p, v) ** 2 for v in directions]
    # Eigenvalues of S other than 0: the roots of sum_j p_j / (p_j - x) = 0, for C = 3 a quadratic.
    trace, minor = 1 - dot(p, p), 3 * p[0] * p[1] * p[2]
    root = math.sqrt(trace ** 2 - 4 * minor)
    panel = Panel('curvature of the loss along unit directions of the logits',
                  Axis('direction in the plane across (1, 1, 1), in degrees', 0, 180, [0, 30, 60, 90, 120, 150, 180]),
                  Axis('v\u1d40 S v', 0, 0.55), width=520)
    panel.line([(0, 0.5), (180, 0.5)], INK, 'bound 1/2', dash=True)
    for value in ((trace + root) / 2, (trace - root) / 2):
        panel.line([(0, value), (180, value)], GREY, 'eigenvalues of S', dash=True)
    panel.line([(3 * i, v) for i, v in enumerate(variances)], BLUE, 'variance of v under p', wide=True)
    panel.dots([(12 * i, v) for i, v in enumerate(second)], RED, 'second difference of the loss')
    shown = ', '.join(f'{x:.3f}' for x in p)
    return figure([panel], f'Three classes with probabilities {shown}: the second derivative of the loss along v is the '
                  'variance of v under p, and lies between the eigenvalues of S.')


def largest_singular(w):
    v = [1.0 + 0.1 * k for k in range(len(w[0]))]
    for _ in range(500):
        u = [dot(row, v) for row in w]
        v = [sum(u[j] * w[j][k] for j in range(len(w))) for k in range(len(v))]
        v = [x / norm(v) for x in v]
    return norm([dot(row, v) for row in w])


def draw_bounds():
    draw = random.Random(5)
    dim, classes, count = 8, 10, 260
    w = [[draw.gauss(0, 1) + 1 for _ in range(dim)] for _ in range(classes)]
    mean = [sum(row[k] for row in w) / classes for k in range(dim)]
    centred = [[v - m for v, m in zip(row, mean)] for row in w]
    labels = [i % classes for i in range(count)]
    x = [[draw.gauss(0, 0.35) + draw.uniform(-0.2, 1.2) * w[y][k] / 4 for k in range(dim)] for y in labels]
    losses, dx = gradients('softmax', x, w, labels)
    loose, tight = math.sqrt(2) * largest_singular(w), math.sqrt(2) * largest_singular(centred)
    panel = Panel('length of the gradient by the feature, and its bounds', Axis('probability of the true class', 0, 1),
                  Axis('|dL/dx|', 0, 1.1 * loose), width=520)
    panel.line([(0, loose), (1, loose)], GREY, '\u221a2 |W|\u2082', dash=True)
    panel.line([(0, loose), (1, 0)], ORANGE, '\u221a2 (1 \u2212 p) |W|\u2082', dash=True)
    panel.line([(0, tight), (1, 0)], RED, '\u221a2 (1 \u2212 p) |W centred|\u2082', wide=True)
    panel.dots([(math.exp(-row), norm(g)) for row, g in zip(losses, dx)], BLUE, f'{count} samples')
    return figure([panel], 'Softmax with ten classes in eight dimensions whose weights share a common part: the loose bound '
                  'and the tight one, which counts what is left to learn and leaves out the common part.')


def draw_modes():
    force = Panel('force towards the class', DEGREES, Axis('\u2212dz/d\u03b8 / s', 0, 1.1))
    for mode, colour in (('exact', BLUE), ('detached', RED), ('unit', TEAL)):
        values = target(f'arcface:s=1,m=0.5,gradient={mode}', ANGLES)[1]
        force.line(broken(ANGLES, values, 0.2), colour, mode, wide=mode == 'exact', dash=mode == 'unit')
    draw = random.Random(3)
    dim, classes, count = 16, 20, 300
    w = [[draw.gauss(0, 1) for _ in range(dim)] for _ in range(classes)]
    labels = [i % classes for i in range(count)]
    x = [[draw.gauss(0, 1) + draw.uniform(-1, 4) * w[y][k] for k in range(dim)] for y in labels]
    ours, theirs = (gradients(f'arcface:s=16,m=0.5,gradient={mode}', x, w, labels)[1] for mode in ('exact', 'detached'))
    points = []
    for row, y, a, b in zip(x, labels, ours, theirs):
        angle = math.degrees(math.acos(dot(row, w[y]) / (norm(row) * norm(w[y]))))
        points.append((angle, norm([p - q for p, q in zip(a, b)]) / norm(a)))
    away = Panel('detached against exact gradients', DEGREES, Axis('|difference| / |exact|', 0, 1))
    away.dots(points, VIOLET, f'dL/dx of {count} samples, s = 16')
    return figure([force, away], 'ArcFace with m = 0.5 under three gradient modes: force on the target over the angle, and '
                  'the relative difference between detached and exact gradients of random samples.')


FIGURES = {'tails': draw_tails, 'alpha': draw_alpha, 'lsoftmax': draw_lsoftmax, 'rayleigh': draw_rayleigh,
           'bounds': draw_bounds, 'modes': draw_modes}


def main():
    global PROGRAM
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default=PROGRAM)
    parser.add_argument('--out', default='docs/figures')
    args = parser.parse_args()
    PROGRAM = args.program
    for name, draw in FIGURES.items():
        with open(os.path.join(args.out, f'{name}.svg'), 'w', encoding='utf-8') as file:
            file.write(draw())


if __name__ == '__main__':
    main()
