#!/usr/bin/env python3
"""A training step of an ArcFace head (loss, gradients by features and weights, SGD with momentum) by logitude.torch and by plain
PyTorch, in turns; and what a call costs where the work is nothing.

    torch_module.py [--rows 128 256] [--dim 512] [--classes 100000] [--repeat 5] [--threads 0] [--calls 2000]
"""
import argparse
import math
import os
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'python'))
import logitude  # noqa: E402  the package of this tree
from logitude import torch as heads  # noqa: E402

MARGIN, SCALE = math.degrees(0.5), 64


class PlainArcFace(nn.Module):
    """As it is written everywhere: all N x C cosines, the margin on the target's."""

    def __init__(self, weight, low=False):
        super().__init__()
        self.weight, self.low = nn.Parameter(weight.clone()), low

    def forward(self, x, y):
        with torch.autocast('cpu', torch.bfloat16, enabled=self.low):
            cosines = functional.linear(functional.normalize(x), functional.normalize(self.weight)).float()
        target = cosines.gather(1, y[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        bent = torch.cos(torch.acos(target) + math.radians(MARGIN))
        return functional.cross_entropy(SCALE * cosines.scatter(1, y[:, None], bent), y)


def arcface(weight, context, **options):
    head = heads.ArcFaceLoss(*weight.shape, MARGIN, SCALE, tail='none', context=context, **options)
    head.weight.data.copy_(weight)
    return head


def step_of(head, x, y):
    """(a call that makes a step, and how long loss and backward of the last took)."""
    took = [0.0]
    optimizer = None if isinstance(head, heads.SteppedHead) else torch.optim.SGD(head.parameters(), 1e-3, momentum=0.9)

    def step():
        start = time.perf_counter()
        x.grad = None
        if optimizer:
            optimizer.zero_grad(set_to_none=True)
        head(x, y).backward()
        took[0] = time.perf_counter() - start
        if optimizer:
            optimizer.step()
    return step, took


def compare(rows, options, context):
    torch.manual_seed(0)
    weight = torch.randn(options.classes, options.dim)
    y = torch.randint(options.classes, (rows,))
    x = torch.randn(rows, options.dim).requires_grad_()
    makers = {'plain, f32': lambda: PlainArcFace(weight), 'plain, bf16': lambda: PlainArcFace(weight, low=True),
              'logitude, f32': lambda: arcface(weight, context, workspace=options.workspace),
              'logitude, bf16x3': lambda: arcface(weight, context, workspace=options.workspace, precision='bf16x3'),
              'logitude, bf16': lambda: arcface(weight, context, workspace=options.workspace, precision='bf16'),
              'stepped, f32': lambda: heads.SteppedHead(arcface(weight, context, workspace=options.workspace), lr=1e-3),
              'stepped, bf16': lambda: heads.SteppedHead(arcface(weight, context, workspace=options.workspace, precision='bf16'),
                                                         lr=1e-3)}
    steps = {name: step_of(make(), x, y) for name, make in makers.items()}
    seconds = {name: ([], []) for name in steps}
    for turn in range(options.repeat + 1):  # the first warms up
        for name, (step, took) in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                seconds[name][0].append(took[0])
                seconds[name][1].append(time.perf_counter() - start)
    best = [min(statistics.median(seconds[name][k]) for name in ('plain, f32', 'plain, bf16')) for k in (0, 1)]
    plain = [statistics.median(seconds['plain, f32'][k]) for k in (0, 1)]
    print(f'\nN={rows} D={options.dim} C={options.classes}; load {os.getloadavg()[0]:.1f}')
    print('| head | loss and gradients, s | times plain f32 | whole step, s | times plain f32 |')
    print('|---|---|---|---|---|')
    for name, parts in seconds.items():
        medians = [statistics.median(part) for part in parts]
        print(f'| {name} | {medians[0]:.3f} ({min(parts[0]):.3f}) | {plain[0] / medians[0]:.1f} | '
              f'{medians[1]:.3f} ({min(parts[1]):.3f}) | {plain[1] / medians[1]:.1f} |')
    print(f'plain at its best: {best[0]:.3f} and {best[1]:.3f} s')


def overhead(options):
    x, y = torch.randn(2, 4, requires_grad=True), torch.tensor([0, 2])
    head, plain = heads.ArcFaceLoss(3, 4, context=logitude.Context(threads=1)), PlainArcFace(torch.randn(3, 4))
    linear = nn.Linear(4, 3)
    print(f'\nN=2 D=4 C=3, microseconds a call: median (best) of 9 x {options.calls}')
    for name, call in (('forward', lambda: head(x, y)), ('forward and backward', lambda: head(x, y).backward()),
                       ('plain ArcFace, forward and backward', lambda: plain(x, y).backward()),
                       ('nn.Linear and cross_entropy, forward and backward',
                        lambda: functional.cross_entropy(linear(x), y).backward())):
        times = []
        for _ in range(10):
            start = time.perf_counter()
            for _ in range(options.calls):
                call()
            times.append((time.perf_counter() - start) / options.calls * 1e6)
        print(f'{name}: {statistics.median(times[1:]):.1f} ({min(times[1:]):.1f})')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0])
    parser.add_argument('--rows', type=int, nargs='+', default=[128, 256], metavar='N')
    for name, default in (('dim', 512), ('classes', 100000), ('repeat', 5), ('threads', 0), ('calls', 2000),
                          ('workspace', 1 << 28)):
        parser.add_argument(f'--{name}', type=int, default=default)
    options = parser.parse_args()
    context = logitude.Context(threads=options.threads)
    torch.set_num_threads(context.threads)
    print(f'{context}, PyTorch {torch.__version__} with {torch.get_num_threads()} threads, {options.repeat} turns: median (best)')
    for rows in options.rows:
        compare(rows, options, context)
    overhead(options)


if __name__ == '__main__':
    main()
