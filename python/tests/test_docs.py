"""Every example in the docstrings and in docs/python.md runs and prints what it says."""
import doctest
import os
import re
import tempfile
import unittest
from pathlib import Path

import logitude

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'python.md'


class Examples(unittest.TestCase):
    def run_all(self, tests):
        runner = doctest.DocTestRunner()
        for test in tests:
            runner.run(test)
        self.assertEqual(runner.failures, 0)
        return runner.tries

    def test_docstrings(self):
        self.assertGreater(self.run_all(doctest.DocTestFinder().find(logitude)), 40)

    def test_the_page(self):
        text = re.sub(r'^```.*$', '', PAGE.read_text(encoding='utf-8'), flags=re.M)
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:  # the page writes a file
            os.chdir(folder)
            try:
                test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
                self.assertGreater(self.run_all([test]), 10)
            finally:
                os.chdir(before)

    def test_every_public_name_is_explained_and_listed_on_the_page(self):
        page = PAGE.read_text(encoding='utf-8')
        for name in logitude.__all__:
            with self.subTest(name):
                self.assertTrue((getattr(logitude, name).__doc__ or '').strip())
                self.assertIn(f'`{name}', page)


if __name__ == '__main__':
    unittest.main()
