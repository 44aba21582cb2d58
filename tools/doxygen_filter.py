#!/usr/bin/env python3
"""Marks the plain comments of a public header for Doxygen, and prints the header: doxygen_filter.py HEADER.

A comment behind code describes what it stands behind, one on lines of its own what follows up to the next blank line, the first
one the file. Indented lines are code. What Doxygen would read as a command or a tag is escaped."""
import os
import re
import sys

COMMENT = re.compile(r'/\*(.*?)\*/', re.S)
SPECIAL = re.compile(r'[\\@<>#&]')


def lines_of(text):
    """The comment's lines, the code in it marked; a command stands on the line it opens or closes."""
    was_code = False
    lines = text.split('\n')
    for i, line in enumerate(lines):
        is_code = bool(re.match(r' \* {4,}\S', line)) and not re.match(r' \* +- ', line)
        mark = ''
        if is_code and not was_code:
            mark, line = '@code{.c} ', line[2:]
        elif was_code and not is_code:
            mark, line = '@endcode ', re.sub(r'^ \*', '', line)
        if not is_code:
            line = SPECIAL.sub(r'\\\g<0>', line)
            line = re.sub(r'\bEq\. ', 'Eq.\\\\ ', line)  # no end of a sentence
        was_code = is_code
        yield ' * ' + mark + line if mark else line
    if was_code:
        raise SystemExit('a comment ends with code: ' + text)


def marked(match, name):
    before = match.string[:match.start()]
    line = before[before.rfind('\n') + 1:]
    if re.match(r' ---', match.group(1)) or (line.startswith('#') and not line.startswith('#define')):
        return match.group()
    start = '/**'
    if not before:
        start += ' @mainpage Logitude\n' if name == 'logitude.h' else ' @file\n *'
    elif line.strip():
        start += '<'
    return start + '\n'.join(lines_of(match.group(1))) + '*/'


def repeated(text):
    """Declarations that share a comment each get it: Doxygen gives it to the first alone."""
    comment, is_open, is_used = '', False, False
    for line in text.split('\n'):
        if line.startswith('/** ') or is_open:
            comment = line if not is_open else comment + re.sub(r'^ \*(?!/)', '', line)
            is_open, is_used = '*/' not in line, False
        elif not line.strip():
            comment = ''
        elif line.startswith('LGT_API') and comment and '@code' not in comment:
            if is_used and '/**<' not in line:
                line = f'{comment} {line}'
            is_used = True
        yield line


def filtered(text, name):
    return '\n'.join(repeated(COMMENT.sub(lambda match: marked(match, name), text)))


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding='utf-8') as file:
        sys.stdout.write(filtered(file.read(), os.path.basename(sys.argv[1])))
