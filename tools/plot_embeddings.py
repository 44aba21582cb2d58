#!/usr/bin/env python3
"""Draws 2-D embeddings as one self-contained SVG: a round panel for each file, points coloured by class, and a ray and a
name at the rim in the direction of every class weight. Needs nothing but Python 3.

    plot_embeddings.py --labels LABELS --out FILE.svg --panel TITLE EMBEDDINGS [WEIGHTS] [--panel ...]

EMBEDDINGS is an .npy file that `logitude embed` wrote, WEIGHTS a model.safetensors or an .npy file, LABELS an IDX or an
.npy file. Any of them may be gzipped. What follows a `|` in TITLE is written small below it.
"""
import argparse
import ast
import gzip
import json
import math
import struct
import sys
from xml.sax.saxutils import escape

FASHION = 'T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot'
# Ten colours that stay apart under colour-vision deficiencies: M. A. Petroff, arXiv:2107.02270. On dark ground the two
# darkest are lightened.
LIGHT = '#3f90da #ffa90e #bd1f01 #94a4a2 #832db6 #a96b59 #e76300 #b9ac70 #717581 #92dadd'.split()
DARK = '#3f90da #ffa90e #e0402a #94a4a2 #a963d8 #b57a68 #f07a1e #b9ac70 #7d8291 #92dadd'.split()

RADIUS, WIDTH, TOP = 178, 480, 84  # of a panel, in pixels; TOP is the room for the titles and the names at the rim
LEGEND_ROW, FRAME_SHARE, LAYERS = 24, 0.99, 8
NPY_TYPES = {'f4': 'f', 'f8': 'd', 'u1': 'B', 'i1': 'b', 'i2': 'h', 'i4': 'i', 'i8': 'q'}
IDX_TYPES = {8: 'B', 9: 'b', 11: 'h', 12: 'i', 13: 'f', 14: 'd'}


def parse_npy(data):
    wide = 2 if data[6] == 1 else 4
    start = 8 + wide + int.from_bytes(data[8:8 + wide], 'little')
    header = ast.literal_eval(data[8 + wide:start].decode())
    if header['fortran_order'] or header['descr'][1:] not in NPY_TYPES:
        raise ValueError(f'expected a C-ordered array of numbers, found {header}')
    order = '>' if header['descr'][0] == '>' else '<'
    return header['shape'], order, NPY_TYPES[header['descr'][1:]], data[start:]


def parse_idx(data):
    shape = struct.unpack_from(f'>{data[3]}I', data, 4)
    return shape, '>', IDX_TYPES[data[2]], data[4 + 4 * data[3]:]


def parse_safetensors(data):
    size = int.from_bytes(data[:8], 'little')
    tensor = json.loads(data[8:8 + size])['head.weight']
    begin, end = tensor['data_offsets']
    return tensor['shape'], '<', {'F32': 'f', 'F64': 'd'}[tensor['dtype']], data[8 + size + begin:8 + size + end]


def read_array(path, axes):
    """Numbers of a file with so many axes: a flat list, or a list of rows."""
    with open(path, 'rb') as file:
        data = file.read()
    if data[:2] == b'\x1f\x8b':
        data = gzip.decompress(data)
    parse = parse_npy if data[:6] == b'\x93NUMPY' else parse_idx if data[:2] == b'\0\0' else parse_safetensors
    shape, order, kind, body = parse(data)
    if len(shape) != axes or axes == 2 and shape[1] != 2:
        raise ValueError(f'{path}: shape {tuple(shape)}, expected {"(N, 2)" if axes == 2 else "(N,)"}')
    values = struct.unpack_from(f'{order}{math.prod(shape)}{kind}', body)
    return list(zip(values[::2], values[1::2])) if axes == 2 else list(values)


def spread(angles, gap):
    """Angles nearest to those given that lie at least `gap` apart on the circle."""
    order = sorted(range(len(angles)), key=lambda i: angles[i])
    placed = list(angles)
    gap = min(gap, 2 * math.pi / len(angles))
    for _ in range(500):
        for a, b in zip(order, order[1:] + order[:1]):
            lack = gap - (placed[b] - placed[a]) % (2 * math.pi)
            if 0 < lack < gap and len(order) > 1:
                placed[a] -= lack / 2
                placed[b] += lack / 2
    return placed


def draw_points(points, labels, n_classes):
    """Dots of one class and layer are one path of round caps: a few bytes a point; layers keep any class from covering
    the others."""
    for layer in range(LAYERS):
        for j in range(n_classes):
            rows = [i for i in range(layer, len(points), LAYERS) if labels[i] == j]
            path = ''.join(f'M{points[i][0]:.1f} {points[i][1]:.1f}h0' for i in rows)
            if path:
                yield f'<path class="dot c{j}" d="{path}"/>'


def draw_rays(weights, names):
    angles = [math.atan2(-y, x) for x, y in weights]
    for j, (angle, place) in enumerate(zip(angles, spread(angles, math.radians(13)))):
        x, y = math.cos(angle), math.sin(angle)
        u, v = math.cos(place), math.sin(place)
        anchor = 'middle' if abs(u) < 0.2 else 'start' if u > 0 else 'end'
        yield f'<path class="ray c{j}" d="M0 0L{RADIUS * x:.1f} {RADIUS * y:.1f}"/>'
        yield (f'<path class="tick c{j}" d="M{RADIUS * x:.1f} {RADIUS * y:.1f}'
               f'L{(RADIUS + 9) * u:.1f} {(RADIUS + 9) * v:.1f}"/>')
        yield (f'<text class="name" x="{(RADIUS + 14) * u:.1f}" y="{(RADIUS + 14) * v + 4 + 4 * v:.1f}" '
               f'text-anchor="{anchor}">{escape(names[j])}</text>')


def draw_panel(place, title, embeddings, labels, weights, names):
    lengths = sorted(math.hypot(*z) for z in embeddings)
    frame = lengths[math.ceil(FRAME_SHARE * len(lengths)) - 1] or 1.0
    scale = (RADIUS - 4) / frame
    shown = [i for i, z in enumerate(embeddings) if math.hypot(*z) <= frame]
    points = [(scale * embeddings[i][0], -scale * embeddings[i][1]) for i in shown]
    head, _, small = title.partition('|')
    middle = WIDTH * place + WIDTH / 2
    yield f'<text class="title" x="{middle}" y="26" text-anchor="middle">{escape(head.strip())}</text>'
    yield f'<text class="small" x="{middle}" y="47" text-anchor="middle">{escape(small.strip())}</text>'
    yield f'<g transform="translate({middle} {TOP + RADIUS})">'
    yield f'<circle class="frame" r="{RADIUS}"/>'
    yield from draw_points(points, [labels[i] for i in shown], len(names))
    yield from draw_rays(weights, names) if weights else ()
    yield '</g>'


def draw_legend(names, width, top):
    columns = max(1, min(len(names), int(width // 150)))
    columns = math.ceil(len(names) / math.ceil(len(names) / columns))  # rows of equal length
    step = min(150, width / columns)
    left = (width - step * columns) / 2 + 24
    for j, name in enumerate(names):
        x, y = left + step * (j % columns), top + LEGEND_ROW * (j // columns)
        yield f'<path class="key c{j}" d="M{x:.0f} {y}h0"/>'
        yield f'<text class="label" x="{x + 13:.0f}" y="{y + 4.5}">{escape(name)}</text>'
    yield math.ceil(len(names) / columns) * LEGEND_ROW


def style(n_classes):
    def colours(palette):
        return ''.join(f'.c{j}{{stroke:{palette[j]}}}' for j in range(n_classes))
    return ('text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#57606a}'
            '.title{font-size:19px;font-weight:600;fill:#24292f}.small{font-size:13.5px}.name{font-size:11.5px}'
            '.label{font-size:13px}path{fill:none;stroke-linecap:round}.dot{stroke-width:4.2;stroke-opacity:.72}'
            '.key{stroke-width:11}.ray{stroke-width:1;stroke-opacity:.55}.tick{stroke-width:1.6}'
            '.frame{fill:#808890;fill-opacity:.05;stroke:#808890;stroke-opacity:.45}' + colours(LIGHT) +
            '@media(prefers-color-scheme:dark){text{fill:#9aa4af}.title{fill:#e6edf3}' + colours(DARK) + '}')


def draw(panels, labels, names):
    width, bottom = WIDTH * len(panels), TOP + 2 * RADIUS + 62
    body = [line for place, panel in enumerate(panels) for line in draw_panel(place, *panel, names)]
    *legend, rows = draw_legend(names, width, bottom)
    height = bottom + rows
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img">', f'<title>{escape("; ".join(p[0].replace("|", ", ") for p in panels))}</title>',
        f'<desc>Embeddings in the plane, {len(labels)} rows in each panel, coloured by class. The frame is drawn round '
        f'the shortest {FRAME_SHARE:.0%} of them; longer ones are left out. Rays are class weights.</desc>',
        f'<style>{style(len(names))}</style>', *body, *legend, '</svg>', ''])


def load_panel(panel, keep, n_rows, n_classes):
    title, embeddings = panel[0], read_array(panel[1], 2)
    weights = read_array(panel[2], 2) if len(panel) == 3 else []
    if len(embeddings) != n_rows or weights and len(weights) != n_classes:
        raise ValueError(f'{panel[1]}: {len(embeddings)} rows for {n_rows} labels, '
                         f'{len(weights)} weights for {n_classes} classes')
    return title, [embeddings[i] for i in keep], weights


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--labels', required=True)
    parser.add_argument('--panel', nargs='+', action='append', required=True, metavar='TITLE EMBEDDINGS [WEIGHTS]')
    parser.add_argument('--names', default=FASHION, help='names of the classes, with commas [default: Fashion-MNIST]')
    parser.add_argument('--points', type=int, default=1200, help='most points in a panel [default: %(default)s]')
    parser.add_argument('--out', required=True)
    args = parser.parse_args()
    names = args.names.split(',')
    if len(names) > len(LIGHT) or any(len(panel) not in (2, 3) for panel in args.panel) or args.points < 1:
        parser.error(f'expected at most {len(LIGHT)} classes, TITLE EMBEDDINGS [WEIGHTS] in each panel, and points')
    labels = [int(label) for label in read_array(args.labels, 1)]
    if not labels or not 0 <= min(labels) <= max(labels) < len(names):
        raise ValueError(f'{args.labels}: expected labels from 0 to {len(names) - 1}')
    count = min(args.points, len(labels))
    keep = [i * len(labels) // count for i in range(count)]
    panels = [load_panel(panel, keep, len(labels), len(names)) for panel in args.panel]
    shown = [labels[i] for i in keep]
    with open(args.out, 'w', encoding='utf-8') as file:
        file.write(draw([(title, points, shown, weights) for title, points, weights in panels], shown, names))


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError, KeyError, struct.error) as error:
        sys.exit(f'plot_embeddings.py: {error}')
