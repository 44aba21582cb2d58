#!/usr/bin/env python3
"""Runs test modules of this folder: run.py NAME...  Exits 77 (skipped) without NumPy, and those of torch without PyTorch. The
package is taken from the folder above, the library from LOGITUDE_LIBRARY or where the package finds it."""
import importlib.util
import sys
import unittest
from pathlib import Path

needed = ['numpy'] + ['torch'] * any(name.startswith('torch') for name in sys.argv[1:])
missing = [name for name in needed if importlib.util.find_spec(name) is None]
if missing:
    print(f'skipped: there is no {missing[0]}')
    sys.exit(77)
here = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(here.parent), str(here)]
unittest.main(module=None, argv=['run.py', '-v', *(f'test_{name}' for name in sys.argv[1:])])
