#!/usr/bin/env python3
"""Lays out the sources of the documentation's site in FOLDER/source, as they lie in the tree, and builds it with MkDocs in
FOLDER/html.

    make_site.py FOLDER

Pages link to programs, headers and folders of the tree: programs and headers become pages that show them, folders
pages that list what is in them. Fails where a page would ask anything of another site. Skips (77) without MkDocs."""
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import check_links

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {'.c': 'c', '.h': 'c', '.py': 'python', '.sh': 'sh', '.html': 'html', '.css': 'css', '.js': 'js'}


def shown(path):
    """The Markdown page in the place of a file that is none."""
    return f'# {path.name}\n\n```{LANGUAGES.get(path.suffix, "text")}\n{path.read_text(encoding="utf-8")}```\n'


def listed(folder):
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    return f'# {folder.name}\n\n' + ''.join(f'- [{name}]({name}.md)\n' for name in names)


def bars(code):
    """Python-Markdown shows the backslash of a bar in code, which GitHub needs in tables and hides."""
    return code[0] if '\\|' not in code[1] else f'<code>{html.escape(code[1]).replace(chr(92) + "|", "&#124;")}</code>'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')


def page(path, sources):
    """Writes a page with links to what stands for their targets here, and that as well."""
    def moved(match):
        name, _, anchor = match[2].partition('#')
        target = Path(os.path.normpath(ROOT / path.parent / name))
        if not name or '://' in name or target.suffix in ('.md', '.svg', '.png'):
            return match[0]
        there = sources / target.relative_to(ROOT)
        if target.is_dir():
            write(there / 'index.md', listed(target))
            for file in target.iterdir():
                if file.is_file():
                    write(there / f'{file.name}.md', shown(file))
            name = name.rstrip('/') + '/index.md'
        else:
            write(there.parent / f'{there.name}.md', shown(target))
            name += '.md'
        return match[1] + name + ('#' + anchor if anchor else '') + ')'

    text = check_links.outside_code(check_links.LINK, moved, (ROOT / path).read_text(encoding='utf-8'))
    write(sources / path, re.sub(r'`([^`\n]*)`', bars, text).replace('\\<', '&lt;').replace('\n\n```\n', '\n```\n'))


FOREIGN = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)\s*=\s*["\']?(?:https?:)?//[^>]*>', re.I)
FOREIGN_STYLE = re.compile(r'(?:@import|url\()[\s"\'(]*(?:https?:)?//[^;)]*', re.I)


def foreign(site):
    """Scripts, styles, fonts and pictures that pages would ask of other sites."""
    for path in sorted(site.rglob('*')):
        expression = {'.html': FOREIGN, '.css': FOREIGN_STYLE}.get(path.suffix)
        for match in expression.finditer(path.read_text(encoding='utf-8')) if expression else ():
            yield f'{path.relative_to(site)}: {match[0]}: the site must ask nothing of another'


def main():
    if shutil.which('mkdocs') is None:
        print('skipped: no mkdocs here (on Debian: apt-get install mkdocs)')
        return 77
    folder = Path(sys.argv[1]).resolve()
    sources = folder / 'source'
    shutil.rmtree(sources, ignore_errors=True)
    for path in check_links.pages(ROOT):
        page(Path(path), sources)
    shutil.copytree(ROOT / 'docs' / 'figures', sources / 'docs' / 'figures')
    shutil.copy(ROOT / 'docs' / 'site.css', sources / 'docs')
    settings = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
    write(folder / 'mkdocs.yml', settings + f'docs_dir: {sources}\nsite_dir: {folder / "html"}\n')
    code = subprocess.run(['mkdocs', 'build', '--quiet', '--clean', '-f', folder / 'mkdocs.yml'], check=False).returncode
    found = list(foreign(folder / 'html'))
    for line in found:
        print(line)
    return code or bool(found)


if __name__ == '__main__':
    sys.exit(main())
