#!/usr/bin/env python3
"""Packs python/logitude and the shared library as a wheel: no compiler, no network, the same bytes for the same files.

    make_wheel.py [--library build/liblogitude.so] [--out build]     prints the wheel's path
    make_wheel.py --installed FOLDER      writes its files there, without the library: where the system has one

The library's own needs (Requires-External) are the system's and are not packed."""
import argparse
import base64
import hashlib
import re
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDS = 'libpthreadpool.so.0, libjansson.so.4, libz.so.1'.split(', ')


def metadata(version):
    lines = ['Metadata-Version: 2.1', 'Name: logitude', f'Version: {version}',
             'Summary: Softmax-family classification heads with exact analytic gradients', 'License: MIT',
             'Requires-Python: >=3.9', 'Requires-Dist: numpy>=1.20', *(f'Requires-External: {need}' for need in NEEDS),
             'Description-Content-Type: text/markdown', '', (ROOT / 'docs' / 'python.md').read_text(encoding='utf-8')]
    return '\n'.join(lines)


def contents(library, version, tag):
    """Pairs of a name in the wheel and its bytes; RECORD, which lists them all, comes last. No library: none packed."""
    info = f'logitude-{version}.dist-info'
    files = [(f'logitude/{path.name}', path.read_bytes())
             for path in sorted((ROOT / 'python' / 'logitude').iterdir()) if path.suffix in ('.py', '.typed')]
    if library:
        files += [('logitude/liblogitude.so', Path(library).resolve().read_bytes())]
    files += [(f'{info}/LICENSE', (ROOT / 'LICENSE').read_bytes()),
              (f'{info}/METADATA', metadata(version).encode()),
              (f'{info}/WHEEL', f'Wheel-Version: 1.0\nGenerator: logitude\nRoot-Is-Purelib: false\nTag: {tag}\n'.encode())]
    digest = lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
    record = ''.join(f'{name},sha256={digest(data)},{len(data)}\n' for name, data in files)
    return files + [(f'{info}/RECORD', f'{record}{info}/RECORD,,\n'.encode())]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--library', default=ROOT / 'build' / 'liblogitude.so')
    parser.add_argument('--out', default=ROOT / 'build')
    parser.add_argument('--installed')
    options = parser.parse_args()
    version = re.search(r"'(.+)'", (ROOT / 'python' / 'logitude' / '_version.py').read_text(encoding='utf-8'))[1]
    tag = 'py3-none-' + re.sub(r'[-.]', '_', sysconfig.get_platform())
    if options.installed:
        for name, data in contents(None, version, 'py3-none-any'):
            path = Path(options.installed) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return
    path = Path(options.out) / f'logitude-{version}-{tag}.whl'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as wheel:
        for name, data in contents(options.library, version, tag):
            entry = zipfile.ZipInfo(name)  # of 1980: the same files give the same bytes
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
    print(path)


if __name__ == '__main__':
    main()
