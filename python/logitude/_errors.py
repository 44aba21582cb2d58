"""Exceptions: one for each status of the library, each also the exception of Python's own that fits it best."""
from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Iterable, NoReturn


class Error(Exception):
    """Every error of Logitude. str() is the library's message, which carries the values at fault; `status` its number."""
    status = 1


class InternalError(Error, RuntimeError):
    """A defect of the library."""


class UsageError(Error, ValueError):
    """An argument, option or specification is wrong."""
    status = 2


class DataError(Error, ValueError):
    """Input data are malformed, mismatched or not finite."""
    status = 3


class NonFiniteError(Error, FloatingPointError):
    """A computation left the range of its type."""
    status = 4


class FileError(Error, OSError):
    """The operating system refused to read or write."""
    status = 5


class MemoryLimitError(Error, MemoryError):
    """An allocation failed or a limit was reached."""
    status = 6


class CheckError(Error):
    """A check ran and found a defect."""
    status = 7


class UnsupportedError(Error, NotImplementedError):
    """A valid request that this engine or build does not serve."""
    status = 8


class InterruptedByCaller(Error):
    """A callback asked to stop."""
    status = 9


class CommError(Error, ConnectionError):
    """Another rank of a shared computation failed, or did not answer."""
    status = 10


KINDS = {kind.status: kind for kind in (InternalError, UsageError, DataError, NonFiniteError, FileError, MemoryLimitError,
                                        CheckError, UnsupportedError, InterruptedByCaller, CommError)}


def unknown(name: str, known: Iterable[str]) -> UsageError:
    """The error for an argument by a name that there is not."""
    known = list(known)
    near = get_close_matches(name, known, 1)
    return UsageError(f'unknown argument "{name}", {f"""the nearest is "{near[0]}"; """ if near else ""}expected one of '
                      f'{", ".join(known)}')


def one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuses a word that there is not."""
    known = list(known)
    if value not in known:
        raise UsageError(f'{name} is {value!r}, expected one of {", ".join(known)}')


def raise_error(status: int, message: str) -> NoReturn:
    raise KINDS.get(status, InternalError)(message or f'status {status}')
