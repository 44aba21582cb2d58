#!/usr/bin/env python3
"""What a call from Python costs beyond the work: the median time of calls on arrays so small that the work is nothing.

    python_overhead.py [--repeat 11] [--calls 2000]
"""
import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'python'))
import logitude  # noqa: E402  the package of this tree


def median(call, repeat, calls):
    times = []
    for _ in range(repeat + 1):  # the first warms up
        start = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times[1:]) * 1e6, min(times[1:]) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--repeat', type=int, default=11)
    parser.add_argument('--calls', type=int, default=2000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x, w, y = rng.normal(size=(2, 4)), rng.normal(size=(3, 4)), np.array([0, 2])
    dx, dw = np.empty_like(x), np.empty_like(w)
    print(f'N=2 D=4 C=3 float64, microseconds a call: median (best) of {options.repeat} x {options.calls} calls')
    for threads in (1, 0):
        context = logitude.Context(threads=threads)
        plan = logitude.Head('arcface', 4, 3, context).plan(2, np.float64)
        for name, call in (
                ('plan.run', lambda: plan.run(x, w, y)),
                ('plan.run into given arrays', lambda: plan.run(x, w, y, dx=dx, dw=dw)),
                ('loss_and_gradients', lambda: logitude.loss_and_gradients(x, w, y, loss='arcface', context=context))):
            print(f'{name}, threads={context.threads}: {"%.1f (%.1f)" % median(call, options.repeat, options.calls)}')


if __name__ == '__main__':
    main()
