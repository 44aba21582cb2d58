#!/usr/bin/env python3
"""The shared library exports what the public headers mark with LGT_API, all of it, and nothing else.
usage: check_symbols.py LIBRARY INCLUDE_FOLDER | --self-test"""
import os
import re
import subprocess
import sys
import tempfile

import checklib

DECLARATION = re.compile(r'\bLGT_API\b[^;({\[]*?(\w+)\s*[(\[;]')


def declared(folder):
    return {name for path in checklib.c_files(folder, '.')
            for name in DECLARATION.findall(checklib.code_only(checklib.read(folder, path)))}


def exported(library):
    """Names that begin with an underscore belong to the compiler and the linker."""
    listing = subprocess.run(['nm', '-D', '--defined-only', library], capture_output=True, text=True, check=True).stdout
    return {name for name in (line.split()[-1] for line in listing.splitlines()) if not name.startswith('_')}


def check(library, folder):
    promised, present = declared(folder), exported(library)
    problems = [f'{name}: exported, but its name does not begin with lgt_' for name in present if not name.startswith('lgt_')]
    problems += [f'{name}: exported, but no public header declares it with LGT_API' for name in present - promised]
    problems += [f'{name}: declared with LGT_API, but not exported' for name in promised - present]
    return sorted(problems)


HEADER = '#define LGT_API\n/* LGT_API int lgt_no(void); */\nLGT_API const char *lgt_f(int a,\n  int b);\nLGT_API extern const double lgt_t[2];\n'
SOURCE = 'const char *lgt_f(int a, int b) { return a == b ? "" : 0; }\nconst double lgt_t[2] = {1, 2};\n'
CASES = [('', '', None), ('LGT_API int lgt_g(void);\n', '', 'lgt_g: declared'), ('', 'int lgt_h(void) { return 1; }\n', 'lgt_h: exported'),
         ('LGT_API int other(void);\n', 'int other(void) { return 1; }\n', 'other: exported, but its name')]


def self_test():
    for header, source, wanted in CASES:
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, 'lib.so')
            with open(os.path.join(folder, 'a.h'), 'w', encoding='utf-8') as file:
                file.write(HEADER + header)
            subprocess.run(['cc', '-shared', '-fPIC', '-x', 'c', '-o', library, '-'], input=SOURCE + source, text=True, check=True)
            problems = check(library, folder)
        if bool(problems) != bool(wanted) or (wanted and not any(p.startswith(wanted) for p in problems)):
            print(f'self-test: wanted "{wanted}", got {problems}')
            return 1
    print(f'self-test: {len(CASES)} libraries judged as they should be')
    return 0


if __name__ == '__main__':
    if sys.argv[1:] == ['--self-test']:
        sys.exit(self_test())
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found = check(sys.argv[1], sys.argv[2])
    print('\n'.join(found) if found else 'no problem found')
    sys.exit(1 if found else 0)
