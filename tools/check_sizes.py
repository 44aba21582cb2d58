#!/usr/bin/env python3
"""Files of at most 600 lines, functions of at most 60 (150 in src/kernel), no tabs, a comment on the first line."""
import re

import checklib

FILE_LINES, FUNCTION_LINES, KERNEL_LINES = 600, 60, 150
NAME = re.compile(r'(\w+)\s*\(')


def functions(code):
    """(name, first line, lines) of every brace block at file level that follows a parenthesis; `code` is blanked."""
    depth, start, head = 0, 0, 0
    code = re.sub(r'extern\s+\{', lambda m: re.sub(r'[^\n]', ' ', m.group()), code)
    for match in re.finditer(r'[{};]', code):
        at, sign = match.start(), match.group()
        if sign == '{':
            if depth == 0:
                head = at
            depth += 1
        elif sign == '}':
            depth = max(depth - 1, 0)  # the end of an extern block opens nothing
            before = code[start:head].strip()
            if depth == 0 and before.endswith(')') and head > start:
                first = checklib.line_of(code, start + len(code[start:head]) - len(code[start:head].lstrip()))
                yield NAME.search(before).group(1), first, checklib.line_of(code, at) - first + 1
        if depth == 0:
            start = at + 1


def check_text(path, text):
    most = KERNEL_LINES if path.startswith('src/kernel/') else FUNCTION_LINES
    lines = text.count('\n')
    if lines > FILE_LINES:
        yield f'{path}: {lines} lines, expected at most {FILE_LINES}'
    if not text.startswith(('/*', '//')):
        yield f'{path}:1: the first line is not a comment'
    if '\t' in text:
        yield f'{path}:{checklib.line_of(text, text.index(chr(9)))}: a tab'
    for name, first, length in functions(checklib.code_only(text)):
        if length > most:
            yield f'{path}:{first}: {name} has {length} lines, expected at most {most}'


def check(root):
    return [problem for path in checklib.c_files(root, 'include', 'src', 'cli', 'tests', 'examples')
            for problem in check_text(path, checklib.read(root, path))]


def function(name, lines):
    return f'/* x */\nstatic int {name}(int a) {{\n' + '    a++; /* } */\n' * (lines - 2) + '}\n'


GOOD = {'src/base/a.c': function('f', 60) + 'struct s { int a; };\n', 'src/kernel/k.c': function('g', 150),
        'src/base/table.c': '/* x */\nstatic const int t[] = {\n' + '    1,\n' * 100 + '};\n',
        'include/logitude/a.h': '/* x */\nextern "C" {\nint f(void);\n}\n' + '/* x */\n' * 590}
BAD = [('src/base/long.c', '/* x */\n' * 601, '601 lines'), ('cli/f.c', function('big', 61), 'big has 61 lines'),
       ('src/kernel/f.c', function('huge', 151), 'huge has 151 lines'), ('tests/f.c', 'int a;\n', 'not a comment'),
       ('examples/f.c', '/* x */\nint\ta;\n', ':2: a tab'),
       ('src/base/c.h', '/* x */\nextern "C" {\n' + function('inner', 70) + '}\n', 'inner has 70 lines')]

if __name__ == '__main__':
    checklib.main(check, GOOD, BAD, __doc__)
