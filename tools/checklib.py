"""What the source checks share: C text without comments, file lists, and the command line with its self-test."""
import argparse
import os
import re
import sys
import tempfile

_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
_DIRECTIVE = re.compile(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.M)


def _blank(match):
    return re.sub(r'[^\n]', ' ', match.group())


def without_comments(text):
    """Comments become blanks; strings stay. Lines keep their numbers."""
    return _TOKEN.sub(lambda m: _blank(m) if m.group().startswith('/') else m.group(), text)


def code_only(text):
    """Comments, strings and preprocessor directives become blanks."""
    return _DIRECTIVE.sub(_blank, _TOKEN.sub(_blank, text))


def line_of(text, position):
    return text.count('\n', 0, position) + 1


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        return file.read()


def c_files(root, *folders):
    """Paths, relative to the root, of the .c and .h files below the folders."""
    for folder in folders:
        for where, _, names in sorted(os.walk(os.path.join(root, folder))):
            for name in sorted(names):
                if name.endswith(('.c', '.h')):
                    yield os.path.relpath(os.path.join(where, name), root).replace(os.sep, '/')


def _self_test(check, good, bad):
    """The good tree has no problem; each bad file on top of it gives a problem that names the file and the words."""
    for path, text, words in [(None, '', '')] + bad:
        with tempfile.TemporaryDirectory() as root:
            for name, content in {**good, **({path: text} if path else {})}.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), 'w', encoding='utf-8') as file:
                    file.write(content)
            problems = check(root)
        found = [p for p in problems if path and path in p and words in p]
        if bool(problems) != bool(path) or (path and not found):
            print(f'self-test: {path or "the good tree"} (wanted "{words}") gave {problems}')
            return 1
    print(f'self-test: the good tree passes and {len(bad)} bad ones fail')
    return 0


def main(check, good, bad, description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('root', nargs='?', default='.', help='the project folder')
    parser.add_argument('--self-test', action='store_true', help='prove that the check fails on bad examples')
    args = parser.parse_args()
    if args.self_test:
        sys.exit(_self_test(check, good, bad))
    problems = check(args.root)
    print('\n'.join(problems) if problems else 'no problem found')
    sys.exit(1 if problems else 0)
