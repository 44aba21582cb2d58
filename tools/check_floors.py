#!/usr/bin/env python3
"""The law between rooms: a file includes its own room and lower floors only; each outside library has one home; library
code opens files in src/data alone and never prints, exits or reads the environment."""
import os
import re

import checklib

FLOORS = {'base': 0, 'math': 1, 'loss': 2, 'kernel': 2, 'engine': 3, 'head': 4, 'analysis': 5, 'align': 5, 'net': 5,
          'data': 5, 'comm': 5, 'train': 6, 'eval': 6, 'report': 7, 'bench': 7}
HOMES = {'pthreadpool.h': ('src/base/parallel.c', 'src/base/context.c'),
         'jansson.h': ('src/data/', 'src/report/', 'cli/'), 'zlib.h': ('src/data/',), 'mpi.h': ('src/comm/mpi/',)}
STANDARD = set('assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg '
               'stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar '
               'wctype'.split())
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
CALLS = [('src/', (), 'prints', r'(?:v?printf|puts|putchar|perror)\s*\(|(?:v?fprintf|fputs|putc)\s*\([^;]*\bstd(?:out|err)\b'),
         ('src/', (), 'leaves the process', r'(?:exit|_exit|_Exit|quick_exit|abort)\s*\('),
         ('src/', (), 'reads the environment', r'(?:secure_)?getenv\s*\('),
         ('src/', ('src/data/',), 'opens a file', r'(?:open|openat|creat|fopen|freopen|fdopen|tmpfile)\s*\(')]


def room_of(path):
    """('engine', 'cpu') of src/engine/cpu/cpu.c; ('base', '') of src/base/text.c."""
    parts = path.split('/')[:-1] + ['', '']
    return parts[0], parts[1]


def check_src_include(path, target):
    """What is wrong with `target` in src/`path`, or None."""
    if target.startswith('logitude/'):
        return None
    room, part = room_of(path)
    other, other_part = room_of(target)
    if room not in FLOORS:
        return f'room "{room}" has no floor'
    if other not in FLOORS:
        return f'"{target}" does not begin with a room'
    if other == room:
        return f'"{target}" lies in a sister part of {room}' if part and other_part and part != other_part else None
    if FLOORS[other] >= FLOORS[room]:
        return f'"{target}" goes {"up" if FLOORS[other] > FLOORS[room] else "sideways"}: {room} is on floor {FLOORS[room]}, {other} on {FLOORS[other]}'
    return None


def check_include(root, path, kind, target):
    home = HOMES.get(target)
    if home and not path.startswith(home):
        return f'{target} belongs to {" and ".join(home)} alone'
    if path.startswith('include/'):
        known = os.path.exists(os.path.join(root, os.path.dirname(path), target)) if kind == '"' else target[:-2] in STANDARD
        return None if known else f'a public header includes {target}, neither public nor standard'
    if path.startswith('src/'):
        return check_src_include(path[len('src/'):], target) if kind == '"' else None
    if kind == '<' or target.startswith('logitude/'):
        return None
    own = os.path.exists(os.path.join(root, os.path.dirname(path), target)) and '..' not in target
    return None if own else f'"{target}" is neither a public header nor one of this folder'


def check(root):
    problems = []
    for path in checklib.c_files(root, 'include', 'src', 'cli', 'examples'):
        text = checklib.read(root, path)
        for match in INCLUDE.finditer(checklib.without_comments(text)):
            problem = check_include(root, path, match.group(1), match.group(2))
            if problem:
                problems.append(f'{path}:{checklib.line_of(text, match.start(1))}: {problem}')
        code = checklib.code_only(text)
        for where, homes, what, pattern in CALLS:
            if path.startswith(where) and not (homes and path.startswith(homes)):
                for match in re.finditer(r'(?<![\w.>])(?:' + pattern + ')', code):
                    problems.append(f'{path}:{checklib.line_of(code, match.start())}: {what}: {match.group().split("(")[0]}')
    return problems


GOOD = {'src/base/text.h': '', 'src/eval/a.c': '#include <math.h>\n#include "base/text.h"\n#include "eval/b.h"\n#include "logitude/eval.h"\n',
        'src/base/parallel.c': '#include <pthreadpool.h>\n', 'src/data/file.c': 'int f = open("x");\n',
        'src/engine/engine.c': '#include "engine/cpu/cpu.h"\n', 'src/engine/cpu/cpu.c': '#include "engine/engine.h"\n',
        'src/base/quiet.c': '/* printf( */ int a = snprintf(b, 1, "exit(1)"), c = lgt_open(1), d = x->open(1);\n',
        'include/logitude/eval.h': '#include <stdint.h>\n', 'include/logitude/all.h': '#include "eval.h"\n',
        'cli/main.c': '#include "logitude/eval.h"\n#include "own.h"\n#include <jansson.h>\n', 'cli/own.h': ''}
BAD = [('src/base/up.c', '#include "math/lse.h"\n', 'goes up'), ('src/loss/side.c', '#include "kernel/k.h"\n', 'goes sideways'),
       ('src/engine/cpu/r.c', '#include "engine/reference/r.h"\n', 'sister'), ('src/eval/bare.c', '#include "b.h"\n', 'begin with a room'),
       ('src/cellar/a.c', '#include "base/text.h"\n', 'no floor'), ('src/eval/pool.c', '#include <pthreadpool.h>\n', 'belongs to'),
       ('src/eval/json.c', '#include <jansson.h>\n', 'belongs to'),
       ('cli/inside.c', '#include "base/text.h"\n', 'neither'), ('examples/up.c', '#include "../src/base/text.h"\n', 'neither'),
       ('include/logitude/leak.h', '#include "base/text.h"\n', 'public header'),
       ('include/logitude/system.h', '#include <unistd.h>\n', 'public header'),
       ('src/eval/open.c', 'int f(void) { return fopen("a", "b") != 0; }\n', 'opens a file'),
       ('src/data/say.c', 'void f(void) {\n printf("x"); }\n', ':2: prints'), ('src/eval/err.c', 'void f(void) { fprintf(stderr, "x"); }\n', 'prints'),
       ('src/eval/quit.c', 'void f(void) { exit(1); }\n', 'leaves'), ('src/eval/stop.c', 'void f(void) { abort(); }\n', 'leaves'),
       ('src/base/env.c', 'char *s = getenv("A");\n', 'environment')]

if __name__ == '__main__':
    checklib.main(check, GOOD, BAD, __doc__)
