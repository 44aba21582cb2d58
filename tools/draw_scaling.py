#!/usr/bin/env python3
"""Draws docs/figures/scaling.svg from `logitude plan --json`: step time and memory a rank up to a billion classes, and what a step
is made of by ranks. Every curve is the model's, with the built-in speeds of a machine.
usage: draw_scaling.py [PROGRAM [OUT]]"""
import json
import subprocess
import sys
from pathlib import Path

import svgchart as chart

ROOT = Path(__file__).resolve().parent.parent
CLASSES = [round(10 ** (5 + i / 8)) for i in range(33)]
RANKS = [1, 4, 16, 64, 256]
COLOURS = [chart.INK, chart.BLUE, chart.VIOLET, chart.ORANGE, chart.RED]
SHARED = ['--dim', '512', '--batch', '8192', '--dtype', 'bf16', '--network', '100Gb/s']


def plan(program, *words):
    done = subprocess.run([program, 'plan', *SHARED, *map(str, words), '--json'], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def large(value):
    return {1e5: '100k', 1e6: '1M', 1e7: '10M', 1e8: '100M', 1e9: '1G'}.get(value, f'{value:g}')


def by_classes(program):
    x = chart.Axis('classes', 1e5, 1e9, log=True, label=large)
    time = chart.Panel('A step', x, chart.Axis('seconds', 0.1, 100000, log=True), width=300)
    memory = chart.Panel('Memory of a rank', x, chart.Axis('GB', 0.1, 10000, log=True), width=300)
    for ranks, colour in zip(RANKS, COLOURS):
        plans = [(n, plan(program, '--classes', n, '--ranks', ranks)) for n in CLASSES]
        key = f'{ranks} rank{"s" if ranks > 1 else ""}'
        time.line([(n, p['seconds']) for n, p in plans], colour, key)
        memory.line([(n, p['memory_bytes']['total'] / 1e9) for n, p in plans], colour)
    memory.line([(1e5, plans[0][1]['machine']['memory'] / 1e9), (1e9, plans[0][1]['machine']['memory'] / 1e9)], chart.GREY,
                'memory of the machine', dash=True)
    return [time, memory]


def by_ranks(program):
    x = chart.Axis('ranks', 1, 1024, [4 ** i for i in range(6)], log=True, label=chart.plain)
    parts = chart.Panel('A step: 100M classes, a tenth drawn', x, chart.Axis('seconds', 0.001, 1000, log=True), width=300)
    plans = [(2 ** i, plan(program, '--classes', 100000000, '--sample-rate', 0.1, '--ranks', 2 ** i)) for i in range(11)]
    for key, colour in (('compute', chart.TEAL), ('memory', chart.BROWN), ('network', chart.GREY)):
        parts.line([(ranks, p[f'{key}_seconds']) for ranks, p in plans if p[f'{key}_seconds'] > 0], colour, key)
    parts.line([(ranks, p['seconds']) for ranks, p in plans], chart.INK, 'a whole step', dash=True)
    return parts


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / 'build' / 'logitude')
    out = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / 'docs' / 'figures' / 'scaling.svg')
    text = chart.figure([*by_classes(program), by_ranks(program)],
                        'Modelled, not measured: logitude plan, 512 dimensions, batch 8192, bf16, AdamW, 100 Gb/s')
    with open(out, 'w', encoding='utf-8') as file:
        file.write(text)


main()
