#!/usr/bin/env python3
"""Every relative link of README, CHANGELOG, CONTRIBUTING and docs/ leads to a file that exists, every anchor to a heading;
every page of docs/ stands in the navigation of the site (mkdocs.yml), and everything that stands there exists."""
import os
import re

import checklib

LINK = re.compile(r'(\]\()([^()\s]+)\)')
CODE = re.compile(r'^```.*?^```|^(?: {4}|\t).*?$|`[^`\n]+`', re.M | re.S)


def outside_code(pattern, replace, text):
    """re.sub that leaves code alone."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [pattern.sub(replace, text[end:code.start()]), code.group()]
        end = code.end()
    return ''.join(parts) + pattern.sub(replace, text[end:])


def pages(root):
    top = [name for name in ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md') if os.path.isfile(os.path.join(root, name))]
    below = [os.path.relpath(os.path.join(where, name), root) for where, _, names in os.walk(os.path.join(root, 'docs'))
             for name in names if name.endswith('.md')]
    return top + sorted(below)


def anchors(text):
    """Of all headings, as GitHub and MkDocs name them: small letters, digits, - for blanks, the rest left out."""
    without = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    return {re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')
            for heading in re.findall(r'^#+ (.*)$', without, re.M)}


def links(text):
    """Pairs of a position and a target."""
    blank = CODE.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)
    return [(m.start(), m[2]) for m in LINK.finditer(blank)]


def check(root):
    problems, found = [], pages(root)
    for path in found:
        text = checklib.read(root, path)
        for position, link in links(text):
            if '://' in link or link.startswith('mailto:'):
                continue
            name, _, anchor = link.partition('#')
            target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            where = f'{path}:{checklib.line_of(text, position)}'
            if not os.path.exists(os.path.join(root, target)):
                problems.append(f'{where}: {link}: there is no {target}')
            elif anchor and target.endswith('.md') and anchor not in anchors(checklib.read(root, target)):
                problems.append(f'{where}: {link}: {target} has no such heading')
    named = re.findall(r'(\S+\.md)$', checklib.read(root, 'mkdocs.yml'), re.M)
    problems += [f'mkdocs.yml: {name}: there is no such page' for name in named  # a folder's index.md is made by make_site.py
                 if name not in found and not (name.endswith('/index.md') and os.path.isdir(os.path.join(root, name[:-9])))]
    problems += [f'mkdocs.yml: {name} is missing in the navigation' for name in found if name not in named]
    return problems


GOOD = {'README.md': '[a](docs/a.md#what-it-is) [`b`](docs/b.c) [c](https://x.org/no) `[d](no.md)`\n\n    [e](no.md)\n',
        'docs/a.md': '# A\n\n## What it is\n\n[up](../README.md) [here](#a)\n', 'docs/b.c': '',
        'mkdocs.yml': 'nav:\n  - README.md\n  - A: docs/a.md\n'}
BAD = [('README.md', 'text\n[a](docs/none.md)\n', ':2: docs/none.md: there is no'), ('docs/a.md', '# A\n[a](#b)\n', 'no such heading'),
       ('docs/a.md', '# A\n[`a`](../docs/b.h)\n', 'there is no docs/b.h'), ('mkdocs.yml', '  - README.md\n', 'docs/a.md is missing'),
       ('mkdocs.yml', '  - README.md\n  - docs/a.md\n  - docs/b.md\n', 'docs/b.md: there is no')]

if __name__ == '__main__':
    checklib.main(check, GOOD, BAD, __doc__)
