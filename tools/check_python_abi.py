#!/usr/bin/env python3
"""The Python package declares the C interface as the headers have it: every struct, field, offset, enum, constant and
prototype of python/logitude/_table.py, by a C program that compiles only where they agree.
usage: check_python_abi.py ROOT | --self-test"""
import importlib
import os
import re
import subprocess
import sys
import tempfile
import types

CHECKED = '/* What the Python package believes, as code that holds only where the headers agree. */'


def claim(condition, what):
    return f'_Static_assert({condition}, "{what}");'


def zeros(library, name):
    """An initialiser with a 0 for every field that the package knows; the compiler warns where there are more."""
    found = []
    for part in dict(library.entries(library._table.STRUCTS))[name]:
        for base, stars, _, length in library.declarators(part):
            value = zeros(library, base) if base in library.TYPES and not stars else '0'
            found.append(f'{{{value}}}' if length else value)
    return f'{{{", ".join(found)}}}'


def field_lines(library, name, kind, parts):
    """Type, offset and size of each field, and by an initialiser without a gap that there is no other field."""
    for part in parts:
        callback = '(*' in part
        for base, stars, field, length in library.declarators(part):
            descriptor = getattr(kind, field)
            yield claim(f'offsetof({name}, {field}) == {descriptor.offset} && sizeof((({name} *)0)->{field}) == '
                        f'{descriptor.size}', f'{name}.{field}: place or size')
            constant = 'const ' if part.startswith('const ') else ''
            inner = '*const *' if '*const *' in part else '*' * stars
            wanted = f'{constant}{base} {inner}' if not length else f'{base} (*)[{length}]'
            if not callback:
                tested = f'&(({name} *)0)->{field}' if length else f'(({name} *)0)->{field}'
                yield claim(f'_Generic(({tested}), {wanted}: 1, default: 0)', f'{name}.{field}: type')
    yield f'{name} probe_{name}(void); {name} probe_{name}(void) {{ {name} v = {zeros(library, name)}; return v; }}'


def program(library, table):
    """The C text; `table` gives the functions as they are written."""
    lines = [CHECKED, '#include <logitude/logitude.h>', '#include <stddef.h>']
    for name, parts in library.entries(table.STRUCTS):
        kind = library.TYPES[name]
        lines.append(claim(f'sizeof({name}) == {library.ctypes.sizeof(kind)}', f'{name}: size'))
        lines += field_lines(library, name, kind, parts)
    lines += [claim(f'(long long){name} == {value}', f'{name}: value') for name, value in library.VALUES.items()]
    lines += [claim(f'sizeof({name}) == sizeof(int)', f'{name}: size') for name in sorted(library.ENUMS) if name != 'enum']
    lines += [f'{line};' for line in library.lines(table.FUNCTIONS)]  # a second declaration must be the same as the first
    return '\n'.join(lines) + '\n'


def problems(root, text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'believed.c')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        command = [os.environ.get('CC', 'cc'), '-std=c11', '-Wall', '-Wextra', '-Werror', '-Wno-missing-braces',
               '-fsyntax-only', '-I',
                   os.path.join(root, 'include'), path]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return run.stderr if run.returncode else ''


BROKEN = [('int64_t rows, cols, ld; lgt_dtype dtype', 'int64_t rows, ld, cols; lgt_dtype dtype'),
          ('int n_params', 'int64_t n_params'), ('; int passed', ''), ('const double *upstream', 'double *upstream'),
          ('LGT_F16 = 2', 'LGT_F16 = 3'), ('LGT_LINT_MOST=128', 'LGT_LINT_MOST=127'),
          ('double lgt_softmax_variance(const double *p', 'double lgt_softmax_variance(double *p'),
          ('; int frozen; lgt_view below', '; lgt_view below')]


def package(root, edit=None):
    """The package's (_declare, _table), without running its __init__ and so without a library; with an error in the table
    if one is wanted."""
    for name in [name for name in sys.modules if name.split('.')[0] == 'logitude']:
        del sys.modules[name]
    parent = sys.modules['logitude'] = types.ModuleType('logitude')
    parent.__path__ = [os.path.join(root, 'python', 'logitude')]
    table = importlib.import_module('logitude._table')
    if edit:
        for text in ('STRUCTS', 'ENUMS', 'CONSTANTS', 'FUNCTIONS'):
            setattr(table, text, re.sub(r'\n +', ' ', getattr(table, text)).replace(*edit))
    return importlib.import_module('logitude._declare'), table


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.argv[1] != '--self-test':
        found = problems(sys.argv[1], program(*package(sys.argv[1])))
        print(found or 'the package and the headers agree')
        return 1 if found else 0
    for edit in [None] + BROKEN:
        library, table = package(root, edit)
        if bool(problems(root, program(library, table))) != bool(edit):
            print(f'self-test: {edit} was not judged as it should be')
            return 1
    print(f'self-test: {len(BROKEN)} errors were noticed')
    return 0


if __name__ == '__main__':
    sys.exit(main())
