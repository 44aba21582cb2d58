#!/usr/bin/env python3
"""Writes docs/losses.md and docs/figures/losses/ from what the program says of its losses (`logitude losses --json`).
With --check nothing is written: the exit code is 1 where the page or a figure is not what the program would give.

    write_losses.py [--check] [--program build/logitude] [--docs docs]
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys

from svgchart import BLUE, DEGREES, GREY, Axis, Panel, figure, plain, ticks

HEAD = '''# Losses

Written by `tools/write_losses.py` from `logitude losses --json`: change the losses, not this page. What the symbols mean, and
why the losses are what they are, is told in [maths.md](maths.md).

Every parameter is a key of a specification, `NAME:key=value,...`. Angles are radians, or degrees with the suffix `deg`.
`gradient` is told in [maths.md](maths.md#gradient-modes), schedules of `lambda` in [maths.md](maths.md#schedules-and-warm-up).

The curves show, over the angle to the true class, the target logit z and its force -dz/dtheta, per unit of (1 - p)/|x|, of the
loss with its defaults (dashed: the plain head without a margin). Norms are 1 unless stated, and schedules have ended.
`logitude losses NAME --json` gives the numbers.
'''
SPACES = {'dot': 'dot products, `z_j = <w_j, x>`', 'cos': 'cosines, `z_j = s cos(theta_j)`',
          'cosw': 'unit classes and free features, `z_j = |x| cos(theta_j)`'}


def ask(program, *words):
    done = subprocess.run([program, 'losses', *words, '--json'], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)['losses']


def bounds_of(param):
    if param['kind'] == 'choice':
        return ', '.join(f'`{word}`' for word in param['words'])
    if param['kind'] == 'schedule':
        return 'a constant or a schedule'
    if param['kind'] == 'warmup':
        return '`none` or a schedule'
    if param['kind'] == 'angle':
        return '0 to pi, pi excluded'
    return f"{param['low']:.6g} to {param['high']:.6g}"


def cell(text):
    return text.replace('|', '\\|')


def parameters_of(loss):
    yield '| parameter | default | values | meaning |'
    yield '|---|---|---|---|'
    for param in loss['parameters']:
        yield f"| `{param['key']}` | {param['default']} | {bounds_of(param)} | {cell(param['help'])} |"


def roles_of(loss):
    by_role = {}
    for param in loss['parameters']:
        by_role.setdefault(param.get('role', 'fixed'), []).append(f"`{param['key']}`")
    if 'state' in by_role:
        yield f"- state, carried from step to step and kept with the model: {', '.join(by_role['state'])}"
    if 'margin' in by_role:
        yield f"- margins per class stand in the place of {by_role['margin'][0]} (Eq. 33)"
    if 'scale' in by_role:
        yield f"- scales per class stand in the place of {by_role['scale'][0]} (Eq. 34)"


def presets_of(loss):
    if loss.get('presets'):
        yield ''
        yield 'In other systems:'
        yield ''
        yield '| `--like` | specification here | what remains different |'
        yield '|---|---|---|'
        for preset in loss['presets']:
            yield f"| {preset['system']} | `{preset['spec']}` | {cell(preset['difference'])} |"


def section(loss):
    curve, norms = loss['curve'], []
    if curve['feature_norm'] != 1:
        norms.append(f"\\|x\\| = {plain(curve['feature_norm'])}")
    if curve['quality'] != curve['feature_norm']:
        norms.append(f"quality {plain(curve['quality'])}")
    yield f"\n## {loss['name']}\n"
    yield f"**{loss['title']}**\n"
    yield f"    {loss['equation']}\n"
    yield f"- space: {SPACES[loss['space']]}{' plus a bias' if loss['bias'] else ''}"
    yield from roles_of(loss)
    yield f"- source: {loss['citation']}\n"
    yield f"![Target logit and force of {loss['name']} over the angle](figures/losses/{loss['name']}.svg)\n"
    if norms:
        yield f"The curves hold for {', '.join(norms)}.\n"
    yield from parameters_of(loss)
    yield from presets_of(loss)


def page(losses):
    lines = [HEAD, '| loss | title | target logit |', '|---|---|---|']
    lines += [f"| [{loss['name']}](#{loss['name']}) | {loss['title']} | `{cell(loss['equation'])}` |" for loss in losses]
    for loss in losses:
        lines += section(loss)
    return '\n'.join(lines) + '\n'


def range_of(values):
    """A frame with round ends round the values."""
    low, high = min(values), max(values)
    marks = ticks(low, high, 5)
    step = marks[1] - marks[0]
    return round(step * math.floor(low / step + 1e-6), 9), round(step * math.ceil(high / step - 1e-6), 9)


def with_gaps(points, jump):
    for i, point in enumerate(points):
        if i and abs(point[1] - points[i - 1][1]) > jump:
            yield None
        yield point


def draw(loss):
    curve = loss['curve']
    angles = curve['theta'][::3]
    size, panels = curve['size_of_plain'], []
    for title, name, key, wave in (('target logit', 'z', 'logit', math.cos), ('force', '\u2212dz/d\u03b8', 'force', math.sin)):
        own, without = curve[key][::3], [size * wave(a) for a in angles]
        low, high = range_of(own + without)
        panel = Panel(title, DEGREES, Axis(name, low, high, ticks(low, high, 5)), width=300, height=170)
        panel.line([(math.degrees(a), v) for a, v in zip(angles, without)], GREY, 'no margin', dash=True)
        panel.line(with_gaps([(math.degrees(a), v) for a, v in zip(angles, own)], (high - low) / 4), BLUE, loss['name'])
        panels.append(panel)
    return figure(panels, f"{loss['name']}: target logit and force over the angle to the true class.", small=True)


def same(a, b):
    """Whether two files agree, numbers to a tenth: what may differ between machines is a rounding of a pixel."""
    number = re.compile(r'\d+\.\d+')
    if number.sub('#', a) != number.sub('#', b):
        return False
    return all(abs(float(x) - float(y)) < 0.11 for x, y in zip(number.findall(a), number.findall(b)))


def stale(path, text, compare):
    try:
        with open(path, encoding='utf-8') as file:
            return not compare(file.read(), text)
    except FileNotFoundError:
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--program', default='build/logitude')
    parser.add_argument('--docs', default='docs')
    args = parser.parse_args()
    losses = [ask(args.program, loss['name'])[0] for loss in ask(args.program)]
    figures = os.path.join(args.docs, 'figures', 'losses')
    files = {os.path.join(args.docs, 'losses.md'): (page(losses), str.__eq__)}
    files.update({os.path.join(figures, f"{loss['name']}.svg"): (draw(loss), same) for loss in losses})
    found = {os.path.join(figures, name) for name in os.listdir(figures)} if os.path.isdir(figures) else set()
    wrong = [path for path, (text, compare) in files.items() if stale(path, text, compare)]
    left = sorted(found - set(files))
    if args.check:
        for path in wrong + left:
            print(f'{path} is not what the program gives: run tools/write_losses.py')
        sys.exit(1 if wrong + left else 0)
    os.makedirs(figures, exist_ok=True)
    for path in wrong:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(files[path][0])
    for path in left:
        os.remove(path)


if __name__ == '__main__':
    main()
