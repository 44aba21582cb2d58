#!/usr/bin/env python3
"""Every public header compiles alone as C11 and, where there is a C++ compiler, as C++17."""
import os
import shutil
import subprocess

import checklib

COMPILERS = [('gcc', 'c', '-std=c11'), ('g++', 'c++', '-std=c++17')]


def check(root):
    problems = []
    folder = os.path.join(root, 'include')
    for compiler, language, standard in COMPILERS:
        if not shutil.which(compiler):
            print(f'skipped: no {compiler}, so {language} was not tried')
            continue
        for path in checklib.c_files(root, 'include'):
            command = [compiler, '-x', language, standard, '-Wall', '-Wextra', '-pedantic', '-Werror', '-fsyntax-only',
                       '-I', folder, '-']
            source = f'#include "{path[len("include/"):]}"\n'
            run = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
            if run.returncode:
                problems.append(f'{path}: does not compile alone with {compiler} {standard}:\n{run.stderr}')
    return problems


GOOD = {'include/logitude/a.h': '#include <stdint.h>\nint64_t f(int64_t a);\n'}
BAD = [('include/logitude/b.h', 'int64_t f(int64_t a);\n', 'gcc'), ('include/logitude/c.h', 'int f(int *class);\n#error x\n', 'gcc')]
if shutil.which('g++'):
    BAD.append(('include/logitude/d.h', 'int f(int *class);\n', 'g++'))

if __name__ == '__main__':
    checklib.main(check, GOOD, BAD, __doc__)
