#!/usr/bin/env python3
"""Packs the wheel twice, installs it (by pip into a virtual environment, else by unpacking), and uses it far from the tree.
wheel.py LIBRARY.  Exits 77 (skipped) without NumPy."""
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USE = '''import doctest, logitude, pathlib
home = pathlib.Path(logitude.__file__).parent
assert pathlib.Path(logitude._library.LIB._name) == home / 'liblogitude.so', logitude._library.LIB._name
assert (home / 'py.typed').exists()
assert doctest.testmod(logitude).failed == 0
from importlib.metadata import version
assert version('logitude') == logitude.__version__
print('used', home)'''


def packed(library, folder):
    os.makedirs(folder)
    done = subprocess.run([sys.executable, ROOT / 'tools' / 'make_wheel.py', '--library', library, '--out', folder],
                          stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def installed(wheel, folder):
    """(interpreter, PYTHONPATH) that have the wheel: a virtual environment and pip, else an unpacked folder."""
    virtual = folder / 'venv'
    made = subprocess.run([sys.executable, '-m', 'venv', '--system-site-packages', virtual], capture_output=True, check=False)
    if made.returncode == 0:
        interpreter = virtual / 'bin' / 'python'
        subprocess.run([interpreter, '-m', 'pip', 'install', '-q', '--no-index', '--no-deps', wheel], check=True)
        return interpreter, ''
    print('no virtual environment can be made here: the wheel is unpacked')
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder / 'home')
    return sys.executable, str(folder / 'home')


def main():
    if importlib.util.find_spec('numpy') is None:
        print('skipped: there is no NumPy')
        return 77
    with tempfile.TemporaryDirectory() as folder:
        first, second = packed(sys.argv[1], f'{folder}/a'), packed(sys.argv[1], f'{folder}/b')
        assert first.read_bytes() == second.read_bytes(), 'two wheels of the same files differ'
        assert '-py3-none-linux' in first.name, first
        interpreter, home = installed(first, Path(folder))
        names = {k: v for k, v in os.environ.items() if k != 'LOGITUDE_LIBRARY'}
        names['PYTHONPATH'] = home
        subprocess.run([interpreter, '-c', USE], cwd=folder, env=names, check=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
