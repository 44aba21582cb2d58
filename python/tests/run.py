#!/usr/bin/env python3
"""Runs test modules of this folder: run.py NAME...  Exits 77 (skipped) without NumPy. The package is taken from the folder
above, the library from LOGITUDE_LIBRARY or where the package finds it."""
import importlib.util
import sys
import unittest
from pathlib import Path

if importlib.util.find_spec('numpy') is None:
    print('skipped: there is no NumPy')
    sys.exit(77)
here = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(here.parent), str(here)]
unittest.main(module=None, argv=['run.py', '-v', *(f'test_{name}' for name in sys.argv[1:])])
