#!/usr/bin/env python3
"""No tracked file holds a path of one machine or a note of unfinished work; no library code takes an angle from an
arc cosine or a sine from sqrt(1 - c^2), which lose all digits near 0; and a file that names its interpreter is executable, since
pages call scripts by their names."""
import os
import re
import subprocess
import sys

import checklib

ANYWHERE = [('a path of one machine', re.compile(r'(?<![\w.])/(?:root|home|work)/')),
            ('unfinished work', re.compile(r'\b(?:TODO|FIXME|XXX)\b'))]
LIBRARY = [('an angle from an arc cosine', re.compile(r'\bacos[fl]?\s*\(')),
           ('a sine from a root', re.compile(r'\bsqrt[fl]?\s*\(\s*1(?:\.0*)?[fl]?\s*-'))]
EXEMPT = 'tools/check_words.py'


def tracked(root):
    listing = subprocess.run(['git', '-C', root, 'ls-files', '-z'], capture_output=True, check=False)
    return [p for p in listing.stdout.decode().split('\0') if p] if listing.returncode == 0 else None


def every_file(root):
    return [os.path.relpath(os.path.join(where, name), root) for where, _, names in os.walk(root) for name in names]


def check(root, files=None):
    problems = []
    for path in files if files is not None else every_file(root):
        if path == EXEMPT or not os.path.isfile(os.path.join(root, path)):
            continue
        try:
            text = checklib.read(root, path)
        except UnicodeDecodeError:
            continue  # not text
        if text.startswith('#!') and not os.access(os.path.join(root, path), os.X_OK):
            problems.append(f'{path}:1: a script that is not executable: {text.splitlines()[0]}')
        code = checklib.code_only(text) if path.startswith('src/') else ''
        for where, rules in ((text, ANYWHERE), (code, LIBRARY)):
            for what, pattern in rules:
                for match in pattern.finditer(where):
                    problems.append(f'{path}:{checklib.line_of(where, match.start())}: {what}: {match.group()}')
    return problems


def check_tracked(root):
    files = tracked(root)
    if files is None:
        print('skipped: not a git checkout')
        return []
    return check(root, files)


GOOD = {'src/math/a.c': '/* acos(c), sqrt(1 - c * c) */ double a = atan2(1, 2), b = sqrt(2 - c);\n',
        'tests/t.c': 'double a = acos(0.5);\n', 'tools/t.sh': 'mktemp /tmp/x.XXXXXX  # ../house/home/\n'}
BAD = [('docs/a.md', 'see /' + 'root/x\n', 'a path'), ('tools/a.sh', 'cd /' + 'home/me\n', 'a path'),
       ('src/base/a.c', '\n/* TODO' + ' */\n', ':2: unfinished'), ('README.md', 'FIXME' + ': x\n', 'unfinished'),
       ('src/math/b.c', 'double a = acosf (x);\n', 'arc cosine'),
       ('tools/b.py', '#!/usr/bin/env python3\n', 'not executable'), ('src/math/c.c', 'double a = sqrt( 1.0 - x * x);\n', 'a sine')]

if __name__ == '__main__':
    checklib.main(check if '--self-test' in sys.argv else check_tracked, GOOD, BAD, __doc__)
