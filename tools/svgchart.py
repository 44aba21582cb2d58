"""Charts as small self-contained SVG text: panels of lines, dots and bands; what the figure tools share. Coordinates are
rounded, so that figures are the same wherever the numbers agree to six digits."""
import math
from xml.sax.saxutils import escape

# Colours that stay apart under colour-vision deficiencies: M. A. Petroff, arXiv:2107.02270; lightened on dark ground.
LIGHT = '#3f90da #bd1f01 #832db6 #e08a00 #717581 #3a9188 #a96b59 #24292f'.split()
DARK = '#5aa5e6 #f0604a #b57ae0 #ffa90e #9a9fab #52b8ad #c98f7d #e6edf3'.split()
BLUE, RED, VIOLET, ORANGE, GREY, TEAL, BROWN, INK = range(8)

LEFT, TOP, BOTTOM, GAP = 58, 42, 46, 34  # margins round a panel: axis and its label, title, axis, next panel


def exact(value):
    """Six digits behind the point: what two machines agree on."""
    return round(value, 6) + 0.0


def ticks(low, high, most):
    """Round numbers, at most so many, that cover the range."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    while (high - low) / step > most:
        step *= 2 if (high - low) / (2 * step) <= most else 5 if (high - low) / (5 * step) <= most else 10
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def plain(value):
    return f'{value:.6g}'.replace('-', '\u2212')


def power(value):
    raised = ''.join('\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079'[int(d)] if d != '-' else '\u207b'
                     for d in str(round(math.log10(value))))
    return {'10\u2070': '1', '10\u00b9': '10'}.get('10' + raised, '10' + raised)


class Axis:
    """Maps numbers to pixels; `marks` are the places of its ticks, `label` writes one."""

    def __init__(self, name, low, high, marks=None, log=False, label=None):
        self.name, self.low, self.high, self.log = name, low, high, log
        if marks is None and log:
            marks = [10.0 ** i for i in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]
        self.marks = ticks(low, high, 6) if marks is None else marks
        self.label = label or (power if log else plain)

    def share(self, value):
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (exact(value) - self.low) / (self.high - self.low)


DEGREES = Axis('angle to the true class, in degrees', 0, 180, [0, 30, 60, 90, 120, 150, 180])


class Panel:
    def __init__(self, title, x, y, width=380, height=230):
        self.title, self.x, self.y, self.width, self.height = title, x, y, width, height
        self.parts, self.keys = [], []

    def at(self, point):
        return exact(self.width * self.x.share(point[0])), exact(self.height * (1 - self.y.share(point[1])))

    def line(self, points, colour, key=None, dash=False, wide=False):
        """Through points; None breaks it. What leaves the frame is clipped."""
        path, pen = '', 'M'
        for point in points:
            if point is None:
                pen = 'M'
                continue
            x, y = self.at(point)
            path += f'{pen}{x:.1f} {min(max(y, -999), 999):.1f}'
            pen = 'L'
        mark = ' dash' if dash else ''
        self.parts.append(f'<path class="line c{colour}{mark}{" wide" if wide else ""}" d="{path}"/>')
        self._key(key, colour, mark)

    def dots(self, points, colour, key=None):
        path = ''.join('M{:.1f} {:.1f}h0'.format(*self.at(point)) for point in points)
        self.parts.append(f'<path class="dot c{colour}" d="{path}"/>')
        self._key(key, colour, ' dot')

    def band(self, low, high, note=None):
        a, b = self.at((low, self.y.high))[0], self.at((high, self.y.high))[0]
        self.parts.insert(0, f'<path class="band" d="M{a:.1f} 0H{b:.1f}V{self.height}H{a:.1f}Z"/>')
        if note:
            self.parts.append(f'<text class="note" x="{b + 6:.1f}" y="16">{escape(note)}</text>')

    def note(self, point, text, anchor='start'):
        x, y = self.at(point)
        self.parts.append(f'<text class="note" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def _key(self, key, colour, mark):
        if key:
            self.keys.append((key, colour, mark))

    def draw(self, left, top, name):
        yield f'<g transform="translate({left} {top})">'
        yield f'<text class="title" x="0" y="-14">{escape(self.title)}</text>'
        for mark in self.y.marks:
            y = self.at((self.x.low, mark))[1]
            yield f'<path class="grid" d="M0 {y:.1f}h{self.width}"/>'
            yield f'<text class="tick" x="-7" y="{y + 4:.1f}" text-anchor="end">{self.y.label(mark)}</text>'
        for mark in self.x.marks:
            x = self.at((mark, self.y.low))[0]
            yield f'<path class="grid" d="M{x:.1f} 0v{self.height}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{self.height + 17}" text-anchor="middle">{self.x.label(mark)}</text>'
        yield (f'<text class="name" x="{self.width / 2:.0f}" y="{self.height + 36}" text-anchor="middle">'
               f'{escape(self.x.name)}</text>')
        yield (f'<text class="name" transform="translate(-42 {self.height / 2:.0f}) rotate(-90)" text-anchor="middle">'
               f'{escape(self.y.name)}</text>')
        yield f'<clipPath id="{name}"><path d="M0 -2H{self.width}V{self.height + 2}H0Z"/></clipPath>'
        yield f'<g clip-path="url(#{name})">'
        yield from self.parts
        yield '</g></g>'


def style(small):
    def colours(palette):
        return ''.join(f'.c{i}{{stroke:{colour}}}' for i, colour in enumerate(palette))
    size = 12 if small else 13
    return ('text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;'
            f'font-size:{size}px;fill:#57606a}}.title{{font-size:{size + 2}px;font-weight:600;fill:#24292f}}'
            f'.tick,.note{{font-size:{size - 1}px}}path{{fill:none;stroke-linecap:round;stroke-linejoin:round}}'
            '.grid{stroke:#808890;stroke-opacity:.22}.line{stroke-width:2}.wide{stroke-width:3.2}'
            '.dash{stroke-dasharray:5 5}.dot{stroke-width:4.6;stroke-opacity:.7}'
            '.band{fill:#808890;fill-opacity:.16}' + colours(LIGHT) +
            '@media(prefers-color-scheme:dark){text{fill:#9aa4af}.title{fill:#e6edf3}' + colours(DARK) + '}')


def legend(keys, width, top):
    """Keys in rows; the last thing given is the height."""
    x, y = LEFT, top
    for key, colour, mark in dict.fromkeys(keys):
        need = 42 + 6.9 * len(key)
        if x > LEFT and x + need > width:
            x, y = LEFT, y + 22
        yield f'<path class="line c{colour}{mark}" d="M{x:.0f} {y}h{0 if mark == " dot" else 22}"/>'
        yield f'<text x="{x + (9 if mark == " dot" else 29):.0f}" y="{y + 4.5}">{escape(key)}</text>'
        x += need
    yield y + 16 - top if keys else 0


def figure(panels, description, small=False):
    """SVG text of panels side by side with one legend."""
    width, left, body = 12, 0, []
    for i, panel in enumerate(panels):
        left = width + LEFT - 12
        body += panel.draw(left, TOP, f'p{i}')
        width = left + panel.width + GAP
    width = left + panels[-1].width + 18
    height = TOP + panels[0].height + BOTTOM
    *keys, extra = legend([key for panel in panels for key in panel.keys], width, height + 8)
    height += extra
    return '\n'.join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                      f'height="{height}" role="img">', f'<title>{escape("; ".join(p.title for p in panels))}</title>',
                      f'<desc>{escape(description)}</desc>', f'<style>{style(small)}</style>', *body, *keys, '</svg>', ''])
