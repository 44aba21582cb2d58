"""Reads _table.py: ctypes structs, the values of enums and constants, and the signatures of functions."""
from __future__ import annotations

import ctypes
import re
from typing import Any, Iterator

from . import _table

BASE = {'int': ctypes.c_int, 'int64_t': ctypes.c_int64, 'uint64_t': ctypes.c_uint64, 'size_t': ctypes.c_size_t,
        'double': ctypes.c_double, 'float': ctypes.c_float, 'char': ctypes.c_char, 'void': None,
        'lgt_solve_watch': ctypes.c_void_p, 'lgt_pass_watch': ctypes.c_void_p}
NUMBERS = ('int', 'int64_t', 'uint64_t', 'size_t', 'double')


def lines(text: str) -> Iterator[str]:
    """Entries of a table; what begins with blanks belongs to the entry before."""
    return iter(re.sub(r'\n\s+', ' ', text.strip('\n')).split('\n'))


def declarators(text: str) -> Iterator[tuple[str, int, str, str]]:
    """(base type, stars, name, array length or '') of 'const double *a, b[3]'; a callback counts as void **."""
    callback = re.match(r'.*?\(\*(\w+)\)\(.*\)$', text)
    if callback:
        yield 'void', 2, callback[1], ''
        return
    text = re.sub(r'\bconst\b', '', text).strip()
    base, rest = re.match(r'(\w+)\s*(.*)', text).groups()  # type: ignore[union-attr]
    for part in rest.split(','):
        stars, name, length = re.match(r'\s*([*\s]*)(\w*)(?:\[(\w+)\])?\s*$', part).groups()  # type: ignore[union-attr]
        yield base, stars.count('*'), name, length or ''


def entries(text: str) -> Iterator[tuple[str, list[str]]]:
    """(name, the parts behind the colon) of STRUCTS and ENUMS."""
    for line in lines(text):
        name, _, body = line.partition(': ')
        yield name, re.split(r';\s*(?![^(]*\))' if text is _table.STRUCTS else r',\s*', body)


class Number:
    """The type of a number among arguments. ctypes would not name it, and of an integer too large take the low bits."""

    def __init__(self, kind: Any, name: str):
        self.kind, self.name = kind, name

    def from_param(self, value: Any) -> Any:
        try:
            made = self.kind(value)
        except TypeError as error:
            raise TypeError(f'{self.name} is {value!r}: {error}') from None
        if isinstance(made.value, int) and made.value != value:
            raise OverflowError(f'{self.name} is {value}, which {8 * ctypes.sizeof(made)} bits do not hold')
        return made


def argument(base: str, stars: int, name: str) -> Any:
    kind = c_type(base, stars)
    return Number(kind, name) if stars == 0 and base in NUMBERS else kind


def enum_values() -> dict[str, int]:
    pairs = [part.split('=') for _, parts in entries(_table.ENUMS) for part in parts]
    pairs += [word.split('=') for word in _table.CONSTANTS.split()]
    return {name.strip(): int(value) for name, value in pairs}


VALUES = enum_values()
ENUMS = {name for name, _ in entries(_table.ENUMS)}
TYPES: dict[str, Any] = {}  # structs by name


def c_type(base: str, stars: int, length: str = '') -> Any:
    """The ctypes type: structs by value or by POINTER, text as c_char_p, every other pointer as an address."""
    plain = TYPES.get(base) or (ctypes.c_int if base in ENUMS else BASE.get(base))
    if stars == 0:
        return plain * VALUES.get(length, int(length) if length.isdigit() else 0) if length else plain
    if base in TYPES or base == 'char':
        kind = ctypes.c_char_p if base == 'char' else ctypes.POINTER(plain)
        return kind if stars == 1 else ctypes.POINTER(kind)
    return ctypes.c_void_p


for _name, _parts in entries(_table.STRUCTS):
    TYPES[_name] = type(_name, (ctypes.Structure,), {'_fields_': [
        (field, c_type(base, stars, length)) for part in _parts for base, stars, field, length in declarators(part)]})


def functions() -> Iterator[tuple[str, str, int, list[tuple[str, int, str, str]]]]:
    """(name, base type and stars of the result, declarators of the arguments)."""
    for line in lines(_table.FUNCTIONS):
        result, arguments = re.match(r'(.*?)\((.*)\)$', line).groups()  # type: ignore[union-attr]
        base, stars, name, _ = next(declarators(result))
        yield name, base, stars, [d for part in arguments.split(', ') if part != 'void' for d in declarators(part)]
