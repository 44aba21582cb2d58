"""Finds the shared library, declares its functions (_declare.py), and turns its errors into exceptions."""
from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from ._declare import TYPES, VALUES, argument, c_type, functions
from ._errors import UsageError, raise_error
from ._version import __version__

__all__ = ['LIB', 'TYPES', 'VALUES', 'check', 'encoded', 'encoded_path', 'initialised', 'put']
NAME = 'liblogitude.so'

def places() -> list[Path]:
    """Where the library may lie, the best first: in the package (a wheel), where LOGITUDE_LIBRARY says, in the build
    tree of a checkout, where the system's loader looks."""
    here = Path(__file__).resolve().parent
    named = os.environ.get('LOGITUDE_LIBRARY')
    tree = here.parent.parent
    found = [here / NAME] + ([Path(named)] if named else [])
    if (tree / 'CMakeLists.txt').is_file():
        found.append(tree / 'build' / NAME)
    return found


def load() -> ctypes.CDLL:
    tried = []
    for path in places():
        if path.is_file():
            try:
                return ctypes.CDLL(str(path))
            except OSError as error:
                raise ImportError(f'{path} does not load: {error}. It needs libpthreadpool, libjansson and zlib '
                                  '(Debian: apt-get install libpthreadpool0 libjansson4 zlib1g)') from error
        if str(path) == os.environ.get('LOGITUDE_LIBRARY'):
            raise ImportError(f'LOGITUDE_LIBRARY names {path}, which is not there')
        tried.append(str(path))
    try:
        return ctypes.CDLL(NAME + '.0')
    except OSError as error:
        raise ImportError(f'{NAME} was found neither at {", ".join(tried)} nor by the system\'s loader; build it '
                          '(make), or name it in LOGITUDE_LIBRARY') from error


def declare(lib: ctypes.CDLL) -> None:
    for name, base, stars, arguments in functions():
        try:
            function = getattr(lib, name)
        except AttributeError:
            raise ImportError(f'{lib._name} has no {name}: it is not Logitude {__version__}') from None
        function.restype = c_type(base, stars)
        function.argtypes = [argument(b, s + bool(length), n) for b, s, n, length in arguments]


def verify(lib: ctypes.CDLL) -> None:
    """The library's version is the package's, and the structs that carry their size have the size they have there."""
    if not hasattr(lib, 'lgt_version'):
        raise ImportError(f'{lib._name} is no Logitude: it has no lgt_version')
    lib.lgt_version.restype = ctypes.c_char_p
    theirs = lib.lgt_version().decode()
    if theirs.split('.')[:2] != __version__.split('.')[:2]:
        raise ImportError(f'{lib._name} is Logitude {theirs}, this package is {__version__}')
    declare(lib)
    for name, kind in TYPES.items():
        if hasattr(kind, 'struct_size'):
            size = initialised(name, lib).struct_size
            if size != ctypes.sizeof(kind):
                raise ImportError(f'{name} has {size} bytes in {lib._name}, {ctypes.sizeof(kind)} in this package')


def initialised(name: str, lib: Any = None) -> Any:
    """An options struct with the library's defaults. Room behind it keeps a longer one of another library out of our memory."""
    room = ctypes.create_string_buffer(ctypes.sizeof(TYPES[name]) + 4096)
    options = TYPES[name].from_buffer(room)
    getattr(lib or LIB, name + '_init')(ctypes.byref(options))
    return options


def put(options: Any, name: str, value: Any) -> None:
    """Writes a field of a struct; ctypes' own complaint does not name it."""
    try:
        setattr(options, name, value)
    except TypeError as error:
        raise UsageError(f'{name} is {value!r}: {error}') from None
    made = getattr(options, name)
    if isinstance(made, int) and made != value:  # ctypes takes its low bits
        raise UsageError(f'{name} is {value}, which {8 * getattr(type(options), name).size} bits do not hold')


def encoded(value: Any, name: str) -> bytes:
    """Text as C has it."""
    if not isinstance(value, str):
        raise UsageError(f'{name} is {type(value).__name__}, expected text')
    return _whole(value.encode(), value, name)


def encoded_path(path: Any, name: str = 'path') -> bytes:
    return _whole(os.fsencode(path), path, name)


def _whole(found: bytes, value: Any, name: str) -> bytes:
    """C takes the first NUL for the end, and would leave out what stands behind it."""
    if b'\0' in found:
        raise UsageError(f'{name} is {value!r}, which has a NUL at byte {found.index(0)}, expected none')
    return found


def check(function: Any, *arguments: Any) -> None:
    """Calls a fallible function, which takes its error record last; raises what it returns."""
    error = Failure()
    try:
        status = function(*arguments, ctypes.byref(error))
    except ctypes.ArgumentError as wrong:
        raise UsageError(str(wrong).split(': ', 2)[-1]) from None  # behind 'argument 2: TypeError: '
    if status:
        raise_error(status, error.message.decode(errors='replace'))


Failure = TYPES['lgt_error']
LIB = load()
verify(LIB)
