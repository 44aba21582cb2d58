"""NumPy arrays as the library's views: no copy is made of a matrix; what cannot be passed as it is is refused."""
from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence

import numpy as np

from ._errors import UsageError
from ._library import TYPES, VALUES

View, Mut = TYPES['lgt_view'], TYPES['lgt_mut']
FLOATS = {np.dtype(np.float32): VALUES['LGT_F32'], np.dtype(np.float64): VALUES['LGT_F64']}
INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)
MOST_INT64 = np.iinfo(np.int64).max


def shown(shape: Sequence[Optional[int]]) -> str:
    return '(' + ', '.join('any' if n is None else str(n) for n in shape) + (',)' if len(shape) == 1 else ')')


def address(array: np.ndarray) -> int:
    """Where the first element lies. The buffer protocol tells in a sixth of the time, of memory that may be written."""
    flags = array.flags
    if flags.writeable and flags.c_contiguous and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return array.__array_interface__['data'][0]


def fits(shape: Sequence[int], wanted: Sequence[Optional[int]]) -> bool:
    if len(shape) != len(wanted):
        return False
    for found, size in zip(shape, wanted):
        if size is not None and found != size:
            return False
    return True


def matrix(value: Any, name: str, shape: Sequence[Optional[int]], dtype: Optional[np.dtype] = None,
           writable: bool = False) -> np.ndarray:
    """The array itself, float32 or float64 (or `dtype`), rows contiguous, at any distance from one another."""
    if writable and not isinstance(value, np.ndarray):
        raise UsageError(f'{name} is {type(value).__name__}, expected a NumPy array to write into')
    if isinstance(value, np.ma.MaskedArray):
        raise UsageError(f'{name} is masked, and a mask would be lost; fill it by {name}.filled(...)')
    array = np.asarray(value)
    if array.dtype not in FLOATS or (dtype is not None and array.dtype != dtype):
        raise UsageError(f'{name} is {array.dtype.str} ({array.dtype}), expected {dtype or "float32 or float64"} in native '
                         f'byte order; convert it by {name}.astype(...)')
    if not fits(array.shape, shape):
        raise UsageError(f'{name} has the shape {array.shape}, expected {shown(shape)}')
    if writable and not array.flags.writeable:
        raise UsageError(f'{name} is read-only, expected an array to write into')
    if not array.flags.c_contiguous and array.size:
        rows, columns = array.shape if array.ndim == 2 else (1, array.shape[0])
        row, step = array.strides if array.ndim == 2 else (0, array.strides[0])
        size = array.itemsize
        if (columns > 1 and step != size) or (rows > 1 and (row < columns * size or row % size)):
            raise UsageError(f'{name} has the strides {array.strides}, expected contiguous rows; copy it by '
                             f'np.ascontiguousarray({name})')
    if not array.flags.aligned:
        raise UsageError(f'{name} is not aligned to its elements; copy it by {name}.copy()')
    return array


def fill(target: Any, array: np.ndarray) -> Any:
    """Writes where an array of one or two axes lies into a lgt_view or lgt_mut."""
    rows, columns = array.shape if array.ndim == 2 else (1, array.shape[0])
    apart = array.strides[0] // array.itemsize if array.ndim == 2 and rows > 1 and columns else columns
    target.__init__(address(array), rows, columns, apart, FLOATS[array.dtype])
    return target


def view(array: np.ndarray) -> Any:
    return fill(View(), array)


def vector(value: Any, name: str, length: int, dtype: np.dtype) -> np.ndarray:
    """A vector of numbers; the only thing that is converted where it is not of the type: it is small, and exactness is
    checked (labels of int32 are fine, labels of 0.5 are not)."""
    array = np.asarray(value)
    if array.shape != (length,):
        raise UsageError(f'{name} has the shape {array.shape}, expected ({length},)')
    if array.dtype != dtype:
        wanted = 'iu' if dtype == INT64 else 'fiu'
        if array.size and (array.dtype.kind not in wanted or not np.can_cast(array.dtype, dtype, 'same_kind')):
            raise UsageError(f'{name} is {array.dtype}, expected {dtype}')
        if dtype == INT64 and array.size and array.dtype.kind == 'u' and array.max() > MOST_INT64:
            raise UsageError(f'{name}[{array.argmax()}] is {array.max()}, expected {MOST_INT64} at most')
    return np.ascontiguousarray(array, dtype)


def output(wanted: Any, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Optional[np.ndarray]:
    """True: a new array; False or None: none; an array: that one, checked."""
    if wanted is True:
        return np.empty(shape, dtype)
    if wanted is False or wanted is None:
        return None
    return matrix(wanted, name, shape, dtype, writable=True)


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether an element is in both; columns of one array that lie side by side have none."""
    try:
        return bool(np.may_share_memory(a, b) and np.shares_memory(a, b, max_work=10000))
    except np.TooHardError:
        return True


def refuse_overlap(outputs: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Arrays given for output must share no memory with inputs or one another."""
    seen = dict(inputs)
    for name, array in outputs.items():
        for other, theirs in seen.items():
            if theirs is not None and array is not None and overlap(array, theirs):
                raise UsageError(f'{name} overlaps {other}, expected memory of its own')
        seen[name] = array
