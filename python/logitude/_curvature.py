"""Curvature: spectral norms, the spectrum of the softmax, extremal eigenvalues of a head's Hessian, derivatives."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from . import _arrays as arrays
from ._context import Context, in_context
from ._errors import UsageError, one_of
from ._head import Options, plan_for
from ._library import LIB, TYPES, VALUES, initialised, put
from ._loss import Loss

if TYPE_CHECKING:
    from typing_extensions import Unpack

Array = np.ndarray
BY = {'features': VALUES['LGT_BY_FEATURES'], 'weights': VALUES['LGT_BY_WEIGHTS'],
      'both': VALUES['LGT_BY_FEATURES'] | VALUES['LGT_BY_WEIGHTS']}


def _real(value: Any, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim != 1:
        raise UsageError(f'{name} has the shape {array.shape}, expected one axis')
    return arrays.vector(array, name, len(array), arrays.FLOAT64)


def softmax(z: Any) -> Array:
    """p_j = exp(z_j) / sum_k exp(z_k) of finite logits z (n).

    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    z = _real(z, 'z')
    out = np.empty_like(z)
    LIB.lgt_softmax(arrays.address(z), len(z), arrays.address(out))
    return out


def softmax_product(p: Any, v: Any) -> Array:
    """(diag(p) - p p^T) v, to the last digits also where p is near 1."""
    p = _real(p, 'p')
    v = arrays.vector(v, 'v', len(p), arrays.FLOAT64)
    out = np.empty_like(p)
    LIB.lgt_softmax_product(arrays.address(p), arrays.address(v), len(p), arrays.address(out))
    return out


def softmax_variance(p: Any, v: Any) -> float:
    """v^T (diag(p) - p p^T) v, the variance of v under p."""
    p = _real(p, 'p')
    v = arrays.vector(v, 'v', len(p), arrays.FLOAT64)
    return LIB.lgt_softmax_variance(arrays.address(p), arrays.address(v), len(p))


def softmax_spectrum(p: Any, *, vectors: bool = False, context: Optional[Context] = None) -> tuple[Array, Optional[Array]]:
    """All eigenvalues of diag(p) - p p^T by falling value, and with vectors=True unit eigenvectors, one a row.

    >>> softmax_spectrum([0.5, 0.5])[0].tolist()
    [0.5, 0.0]
    """
    p, at = _real(p, 'p'), in_context(context)
    values, rows = np.empty_like(p), np.empty((len(p), len(p))) if vectors else None
    at.call(LIB.lgt_softmax_spectrum, at.address, arrays.address(p), len(p), arrays.address(values),
            None if rows is None else arrays.address(rows))
    return values, rows


def spectral_norm(w: Any, *, centred: bool = False, directions: bool = False,
                  context: Optional[Context] = None) -> tuple[float, float]:
    """(|w|_2, a proven upper bound of it) of w (C, D). directions: rows are divided by their lengths first; centred: their
    mean is taken out.

    >>> import numpy as np
    >>> norm, upper = spectral_norm(np.diag([3.0, 4.0]))
    >>> round(norm, 9), 4 <= upper < 4.000001
    (4.0, True)
    """
    w, at = arrays.matrix(w, 'w', (None, None)), in_context(context)
    norm, upper = ctypes.c_double(), ctypes.c_double()
    at.call(LIB.lgt_spectral_norm, at.address, arrays.view(w), centred, directions, ctypes.byref(norm),
            ctypes.byref(upper))
    return norm.value, upper.value


@dataclass
class Spectrum:
    """values by falling value, the largest, then the smallest; residuals |H v - value v|; vectors (n, size) or None."""
    values: Array
    residuals: Array
    vectors: Optional[Array]
    n_products: int
    converged: bool


@dataclass
class Derivatives:
    """Of J along v: first <grad J, v>, second v^T H v, rayleigh v^T H v / v^T v, length |v|."""
    first: float
    second: float
    rayleigh: float
    length: float


def _prepare(by: str, loss: Any, x: Any, w: Any, labels: Any, b: Any, context: Any, options: Any) -> tuple[Any, Any, int]:
    """(plan, inputs, the length of vectors)"""
    one_of('by', by, BY)
    plan, more = plan_for(loss, x, w, context, options, second_order=True)
    given = plan._inputs(x, w, labels, b, more)
    return plan, given, LIB.lgt_curvature_size(ctypes.byref(given.c), BY[by])


def spectrum(x: Any, w: Any, labels: Any = None, *, loss: Union[str, Loss] = 'softmax', b: Any = None, by: str = 'both',
             top: int = 1, bottom: int = 0, vectors: bool = False, max_products: int = 1000, tolerance: float = 1e-10,
             seed: int = 0, context: Optional[Context] = None, **options: Unpack[Options]) -> Spectrum:
    """Extremal eigenvalues of the exact Hessian of J by 'features', 'weights' (and bias) or 'both', never formed.

    x, w and b are float64; vectors list x, then w, then b, each row by row.

    >>> import numpy as np
    >>> found = spectrum(np.eye(2), np.eye(2), [0, 1], by='weights', top=1, bottom=1)
    >>> abs(found.values).round(6).tolist(), found.converged
    ([0.196612, 0.0], True)
    """
    plan, given, size = _prepare(by, loss, x, w, labels, b, context, options)
    c, out, most = initialised('lgt_spectrum_options'), TYPES['lgt_spectrum'](), max(top, 0) + max(bottom, 0)
    for name, value in (('top', top), ('bottom', bottom), ('max_products', max_products), ('tolerance', tolerance),
                        ('seed', seed)):
        put(c, name, value)
    values, residuals, rows = np.empty(most), np.empty(most), np.empty((most, size)) if vectors else None
    out.values, out.residuals = arrays.address(values), arrays.address(residuals)
    if rows is not None:
        out.vectors = arrays.address(rows)
    at = plan.head.context
    with at._lock:
        at.call(LIB.lgt_plan_spectrum, at.address, plan._handle.address, ctypes.byref(given.c), BY[by], ctypes.byref(c),
                ctypes.byref(out))
    n = out.n_found
    return Spectrum(values[:n], residuals[:n], None if rows is None else rows[:n], out.n_products, bool(out.converged))


def derivatives(x: Any, w: Any, labels: Any = None, *, loss: Union[str, Loss] = 'softmax', b: Any = None,
                by: str = 'both', v: Any = None, context: Optional[Context] = None,
                **options: Unpack[Options]) -> Derivatives:
    """First and second derivative of J along v, or along -grad J where v is None; x, w and b are float64."""
    plan, given, size = _prepare(by, loss, x, w, labels, b, context, options)
    along = None if v is None else arrays.vector(v, 'v', size, arrays.FLOAT64)
    out, at = TYPES['lgt_derivatives'](), plan.head.context
    with at._lock:
        at.call(LIB.lgt_plan_derivatives, at.address, plan._handle.address, ctypes.byref(given.c), BY[by],
                None if along is None else arrays.address(along), ctypes.byref(out))
    return Derivatives(out.first, out.second, out.rayleigh, out.length)
