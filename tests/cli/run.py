#!/usr/bin/env python3
"""Tests of the command line: run.py PROGRAM [PATTERN...], tests whose name holds a pattern. Python's standard library only."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: run.py PROGRAM [PATTERN...]")
    sys.dont_write_bytecode = True
    sys.path.insert(0, HERE)
    import tools
    tools.PROGRAM = os.path.abspath(sys.argv[1])
    modules = sorted(name[:-3] for name in os.listdir(HERE) if name.startswith("cases_") and name.endswith(".py"))
    suite = unittest.TestSuite()
    loader = unittest.TestLoader()
    loader.testNamePatterns = ["*%s*" % pattern for pattern in sys.argv[2:]] or None
    for module in modules:
        suite.addTests(loader.loadTestsFromName(module))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)


if __name__ == "__main__":
    main()
