#!/usr/bin/env python3
"""The shared library exports what the public headers mark with LGT_API, all of it, and nothing else; and that is the list of
tools/symbols.txt, so that a change of the interface shows in a review. --write makes the list anew.
usage: check_symbols.py LIBRARY INCLUDE_FOLDER LIST [--write] | --self-test"""
import os
import re
import subprocess
import sys
import tempfile

import checklib

DECLARATION = re.compile(r'\bLGT_API\b[^;({\[]*?(\w+)\s*[(\[;]')


def declared(folder, library):
    """The MPI libraries have a header of their own."""
    mpi = os.path.basename(library).startswith('liblogitude_mpi')
    return {name for path in checklib.c_files(folder, '.') if path.endswith('/mpi.h') == mpi
            for name in DECLARATION.findall(checklib.code_only(checklib.read(folder, path)))}


def exported(library):
    """Names that begin with an underscore belong to the compiler and the linker."""
    listing = subprocess.run(['nm', '-D', '--defined-only', library], capture_output=True, text=True, check=True).stdout
    return {name for name in (line.split()[-1] for line in listing.splitlines()) if not name.startswith('_')}


def listed(path):
    with open(path, encoding='utf-8') as file:
        return set(file.read().split())


def check(library, folder, path):
    promised, present, written = declared(folder, library), exported(library), listed(path)
    problems = [f'{name}: exported, but its name does not begin with lgt_' for name in present if not name.startswith('lgt_')]
    problems += [f'{name}: exported, but no public header declares it with LGT_API' for name in present - promised]
    problems += [f'{name}: declared with LGT_API, but not exported' for name in promised - present]
    problems += [f'{name}: exported, but not in {path}; a new symbol is added with --write' for name in present & promised - written]
    problems += [f'{name}: in {path}, but no longer exported: who uses it breaks' for name in written - present - promised]
    return sorted(problems)


HEADER = '#define LGT_API\n/* LGT_API int lgt_no(void); */\nLGT_API const char *lgt_f(int a,\n  int b);\nLGT_API extern const double lgt_t[2];\n'
SOURCE = 'const char *lgt_f(int a, int b) { return a == b ? "" : 0; }\nconst double lgt_t[2] = {1, 2};\n'
CASES = [('', '', None), ('LGT_API int lgt_g(void);\n', '', 'lgt_g: declared'), ('', 'int lgt_h(void) { return 1; }\n', 'lgt_h: exported'),
         ('LGT_API int lgt_new(void);\n', 'int lgt_new(void) { return 1; }\n', 'lgt_new: exported, but not in'),
         ('LGT_API int other(void);\n', 'int other(void) { return 1; }\n', 'other: exported, but its name')]


def self_test():
    for header, source, wanted, removed in [(*case, '') for case in CASES] + [('', '', 'lgt_gone: in', 'lgt_gone\n')]:
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, 'lib.so')
            with open(os.path.join(folder, 'a.h'), 'w', encoding='utf-8') as file:
                file.write(HEADER + header)
            subprocess.run(['cc', '-shared', '-fPIC', '-x', 'c', '-o', library, '-'], input=SOURCE + source, text=True, check=True)
            names = os.path.join(folder, 'symbols.txt')
            with open(names, 'w', encoding='utf-8') as file:
                file.write('lgt_f\nlgt_t\n' + ('' if header or source else removed))
            problems = check(library, folder, names)
        if bool(problems) != bool(wanted) or (wanted and not any(p.startswith(wanted) for p in problems)):
            print(f'self-test: wanted "{wanted}", got {problems}')
            return 1
    print(f'self-test: {len(CASES) + 1} libraries judged as they should be')
    return 0


if __name__ == '__main__':
    if sys.argv[1:] == ['--self-test']:
        sys.exit(self_test())
    if len(sys.argv) not in (4, 5) or sys.argv[4:] not in ([], ['--write']):
        sys.exit(__doc__)
    if sys.argv[4:]:
        with open(sys.argv[3], 'w', encoding='utf-8') as symbols:
            symbols.write(''.join(f'{name}\n' for name in sorted(exported(sys.argv[1]))))
    found = check(*sys.argv[1:4])
    print('\n'.join(found) if found else 'no problem found')
    sys.exit(1 if found else 0)
