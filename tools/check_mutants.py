#!/usr/bin/env python3
"""The list of mutants (tools/mutants.txt) fits the sources: the text of each occurs once in its file.

The list is read as
    killers NAME...         the tests that may kill, tests/test_NAME.c, in the order in which they are tried
    file PATH [NAME...]     of the mutants below, down to the next `file`; its own killers come first
    # what the mutant breaks
    - text, a part of a line or several lines
    + what takes its place
with empty lines between; lines that begin with % are remarks."""
import os

import checklib

LIST = 'tools/mutants.txt'


class ListError(Exception):
    pass


class Mutant:
    def __init__(self, number, line, path, tests, what):
        self.number, self.line, self.path, self.tests, self.what = number, line, path, tests, what
        self.old, self.new = [], []

    def apply(self, text):
        return text.replace('\n'.join(self.old), '\n'.join(self.new))

    def __str__(self):
        return f'{LIST}:{self.line}: mutant {self.number} ({self.what})'


def parse(text):
    """(killers, mutants) of a list."""
    killers, mutants, path, tests = [], [], None, []
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.partition(' ')
        if word == 'killers':
            killers += rest.split()
        elif word == 'file':
            path, *tests = rest.split()
        elif word == '#' and path:
            mutants.append(Mutant(len(mutants) + 1, number, path, tests, rest))
        elif word in '-+' and word and mutants:
            (mutants[-1].old if word == '-' else mutants[-1].new).append(rest)
        elif line.strip() and word != '%':
            raise ListError(f'{LIST}:{number}: "{line}" is nothing that the list knows')
    return killers, mutants


def problems_of(mutant, source):
    old = '\n'.join(mutant.old)
    if source is None:
        yield f'{mutant}: there is no {mutant.path}'
    elif not old or old == '\n'.join(mutant.new):
        yield f'{mutant}: it changes nothing'
    elif source.count(old) != 1:
        yield f'{mutant}: its text occurs {source.count(old)} times in {mutant.path}'


def check(root):
    """Problems of the list, as lines."""
    try:
        killers, mutants = parse(checklib.read(root, LIST))
    except ListError as error:
        return [str(error)]
    sources, problems, names = {}, [], set(killers)
    for mutant in mutants:
        there = os.path.isfile(os.path.join(root, mutant.path))
        if mutant.path not in sources:
            sources[mutant.path] = checklib.read(root, mutant.path) if there else None
        problems += problems_of(mutant, sources[mutant.path])
        names.update(mutant.tests)
    problems += [f'{LIST}: there is no tests/test_{name}.c' for name in sorted(names)
                 if not os.path.isfile(os.path.join(root, f'tests/test_{name}.c'))]
    changes = {}
    for m in mutants:
        twin = changes.setdefault((m.path, *m.old, '', *m.new), m)
        if twin is not m:
            problems.append(f'{m}: it is mutant {twin.number} again')
    return problems if mutants else [f'{LIST}: it has no mutant']


def listing(*mutants):
    return 'killers a\n\nfile src/a.c a\n' + ''.join(f'\n# what\n{m}\n' for m in mutants)


GOOD = {LIST: '% a remark\n' + listing('- b + c\n+ b - c', '-     return b;\n- }\n+ }'),
        'src/a.c': 'int f(void) {\n    a = b + c;\n    return b;\n}\n', 'tests/test_a.c': ''}
BAD = [(LIST, listing('- b * c\n+ b'), 'occurs 0 times'), (LIST, listing('- b\n+ c'), 'occurs 2 times'),
       (LIST, listing('+ c'), 'changes nothing'), (LIST, listing('- c;\n+ c;'), 'changes nothing'),
       (LIST, listing('- b + c\n+ c', '- b + c\n+ c'), 'mutant 1 again'), (LIST, listing(), 'no mutant'),
       (LIST, 'killer a\n', 'knows'), (LIST, 'killers b\n' + listing('- b + c\n+ c')[9:], 'test_b.c'),
       (LIST, 'file src/b.c\n# what\n- b\n+ c\n', 'no src/b.c')]

if __name__ == '__main__':
    checklib.main(check, GOOD, BAD, __doc__)
