"""Every Python example of the pages for beginners (docs/start) and of the guides (docs/guides) runs and prints what it says."""
import doctest
import importlib.util
import re
import unittest
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / 'docs'
PAGES = [page for folder in ('start', 'guides') for page in sorted((DOCS / folder).glob('*.md'))
         if '>>> ' in page.read_text(encoding='utf-8')]


class Guides(unittest.TestCase):
    def test_there_are_some(self):
        self.assertGreaterEqual(len(PAGES), 3)

    def test_pages(self):
        for page in PAGES:
            text = re.sub(r'^```.*$', '', page.read_text(encoding='utf-8'), flags=re.M)
            if 'logitude.sklearn' in text and importlib.util.find_spec('sklearn') is None:
                text = text[:text.index('>>> from logitude.sklearn')]
            runner = doctest.DocTestRunner()
            runner.run(doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0))
            with self.subTest(page.name):
                self.assertEqual(runner.failures, 0)
                self.assertGreater(runner.tries, 3)


if __name__ == '__main__':
    unittest.main()
