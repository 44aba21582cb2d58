"""Alignment: pulling features towards reliable neighbours of their own class, and its conflict with a head."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Sequence, Union

import numpy as np

from . import _arrays as arrays
from ._context import Context, Handle, OfThisProcess, create, in_context
from ._errors import UsageError
from ._head import Options, Wanted, loss_and_gradients
from ._library import LIB, TYPES, check, encoded
from ._loss import Loss, parameters_of, ParameterInfo, text

if TYPE_CHECKING:
    from typing_extensions import Unpack

Array = np.ndarray
Terms = TYPES['lgt_align_terms']


@dataclass(frozen=True)
class AlignInfo:
    """An alignment term of this build (docs/alignment.md)."""
    name: str
    title: str
    equation: str
    parameters: tuple[ParameterInfo, ...]


@dataclass(frozen=True)
class Conflict:
    """Totals over rows: conflicts are rows where head and pull oppose (Eq. 82); histogram is of their cosines over
    [-1, 1]."""
    n_rows: int
    n_compared: int
    n_neighbours: int
    n_undefined: int
    n_conflicts: int
    n_sufficient: int
    n_sufficient_wrong: int
    n_printed: int
    n_printed_wrong: int
    cosine_sum: float
    histogram: Array


@dataclass
class Alignment:
    """loss (weight included), dx (N, D) its gradient, counts; with a head's gradient `rows`, a structured array with one
    record a row (inner, cosine, largest, smallest, head, pull, ..., exact), and `conflict`, their totals."""
    loss: float
    dx: Optional[Array]
    n_edges: int
    n_aligned: int
    n_zero_rows: int
    rows: Optional[Array]
    conflict: Optional[Conflict]


@dataclass
class LayersAlignment:
    """loss (weight included), dx, one array a layer, and the number of edges."""
    loss: float
    dx: list[Array]
    n_edges: int


def alignments() -> list[AlignInfo]:
    """The alignment terms of this build.

    >>> [info.name for info in alignments()]
    ['pga', 'k', 'z']
    """
    found = (LIB.lgt_align_at(i).contents for i in range(LIB.lgt_align_count()))
    return [AlignInfo(text(i.name), text(i.title), text(i.equation), parameters_of(i)) for i in found]


def _term(spec: str, kinds: Sequence[str]) -> Any:
    """The only term of a specification."""
    terms = Terms()
    check(LIB.lgt_align_parse, encoded(spec, 'alignment'), ctypes.byref(terms))
    name = text(terms.terms[0].info.contents.name) if terms.n_terms else ''
    if terms.n_terms != 1 or name not in kinds:
        raise UsageError(f'the alignment is "{spec}", expected one term, {" or ".join(kinds)}')
    return terms.terms[0]


class AlignBank(OfThisProcess):
    """What direction alignment remembers of samples, by id: directions, reliabilities, labels; at most `capacity`.

    A bank lives in the process that made it: after fork() the child's is an error, not an empty one."""
    instead = 'take what it holds by export(), and give it to another one by replace()'

    def __init__(self, dim: int, capacity: int, context: Optional[Context] = None):
        self.context, self.dim, self.capacity = in_context(context), dim, capacity
        at = self.context._handle
        self._handle = Handle(lambda: create(LIB.lgt_align_bank_create, at.address, dim, capacity),
                              LIB.lgt_align_bank_free, at, remembers='the bank')
        self._handle.address

    def __len__(self) -> int:
        return LIB.lgt_align_bank_count(self._handle.address)

    def export(self) -> dict[str, Array]:
        """ids (n), labels (n), scores (n), directions (n, dim) float32, the longest untouched first."""
        n = len(self)
        found = {'ids': np.empty(n, np.int64), 'labels': np.empty(n, np.int64), 'scores': np.empty(n),
                 'directions': np.empty((n, self.dim), np.float32)}
        LIB.lgt_align_bank_export(self._handle.address, *map(arrays.address, found.values()))
        return found

    def replace(self, ids: Any, labels: Any, scores: Any, directions: Any) -> None:
        """Replaces what the bank holds by what export() returned."""
        n = len(np.asarray(ids))
        ids, labels = arrays.vector(ids, 'ids', n, arrays.INT64), arrays.vector(labels, 'labels', n, arrays.INT64)
        scores = arrays.vector(scores, 'scores', n, arrays.FLOAT64)
        directions = np.ascontiguousarray(arrays.matrix(directions, 'directions', (n, self.dim), np.dtype(np.float32)))
        self.context.call(LIB.lgt_align_bank_import, self._handle.address, n,
                          *map(arrays.address, (ids, labels, scores, directions)))


def _conflict(c: Any) -> Conflict:
    return Conflict(**{name: getattr(c, name) for name, _ in c._fields_ if name != 'histogram'},
                    histogram=np.array(c.histogram))


def align(x: Any, labels: Any, term: str = 'pga', *, head: Any = None, dx: Wanted = True, accumulate: bool = False,
          ids: Any = None, bank: Optional[AlignBank] = None, frozen: bool = False, below: Any = None,
          context: Optional[Context] = None) -> Alignment:
    """Direction alignment of features x (N, D) with neighbours of equal label: loss and exact gradient (Eq. 140).

    head (N, D): dJ/dx of a head; conflicts are then told, and resolved where the term says so. bank and ids: reliabilities
    and directions of earlier batches; frozen: the bank is not moved. below (N, D): the layer below, targets=layer only.

    >>> import numpy as np
    >>> x = np.array([[1.0, 0.1], [1.0, -0.1], [0.0, 1.0]])
    >>> found = align(x, [0, 0, 1], 'pga:k=1')
    >>> found.n_aligned, found.dx.shape
    (2, (3, 2))
    """
    at, c_term = bank.context if bank is not None and context is None else in_context(context), _term(term, ['pga'])
    x = arrays.matrix(x, 'x', (None, None))
    c, out, n = TYPES['lgt_align_inputs'](frozen=frozen), TYPES['lgt_align_outputs'](accumulate=accumulate), len(x)
    arrays.fill(c.x, x)
    labels = arrays.vector(labels, 'labels', n, arrays.INT64)
    c.labels = arrays.address(labels)
    kept = []
    if ids is not None:
        kept.append(arrays.vector(ids, 'ids', n, arrays.INT64))
        c.ids = arrays.address(kept[-1])
    for target, value, name in ((c.below, below, 'below'), (c.head, head, 'head')):
        if value is not None:
            kept.append(arrays.matrix(value, name, x.shape, x.dtype))
            arrays.fill(target, kept[-1])
    if accumulate and dx is True:
        raise UsageError('accumulate adds to an array that is given: dx is an array or False')
    made = arrays.output(dx, 'dx', x.shape, x.dtype)
    if isinstance(dx, np.ndarray):
        arrays.refuse_overlap({'dx': made}, {'x': x})
    if made is not None:
        arrays.fill(out.dx, made)
    rows = None
    if head is not None:
        rows = np.zeros(n, np.dtype(TYPES['lgt_conflict_row']))
        out.rows = ctypes.cast(arrays.address(rows), ctypes.POINTER(TYPES['lgt_conflict_row']))
    plan = Handle(lambda: create(LIB.lgt_align_plan_create, at.address, ctypes.byref(c_term), x.shape[1], max(n, 1)),
                  LIB.lgt_align_plan_free, at._handle)
    with at._lock:
        if bank is not None:
            c.bank = bank._handle.address
        at.call(LIB.lgt_align_run, plan.address, ctypes.byref(c), ctypes.byref(out))
        plan.close()
    return Alignment(out.loss, made, out.n_edges, out.n_aligned, out.n_zero_rows, rows,
                     None if head is None else _conflict(out.conflict))


def conflict(x: Any, w: Any, labels: Any, *, loss: Union[str, Loss] = 'softmax', b: Any = None, term: str = 'pga',
             context: Optional[Context] = None, **options: Unpack[Options]) -> Alignment:
    """How often the pull of an alignment opposes a head's: the head's gradient by the features, then align with it, to which
    ignore_label is a label like any other."""
    head = loss_and_gradients(x, w, labels, loss=loss, b=b, dw=False, db=False, context=context, **options)
    return align(x, labels, term, head=head.dx, context=context)


def align_layers(layers: Sequence[Any], labels: Any, term: str = 'k', *, context: Optional[Context] = None) -> LayersAlignment:
    """Alignment between two or more layers (N, D_l), the deepest last: 'k' aligns affinities, 'z' smoothed features
    (Eq. 146 to 148)."""
    at, c_term = in_context(context), _term(term, ['k', 'z'])
    layers = [arrays.matrix(x, f'layers[{i}]', (None, None)) for i, x in enumerate(layers)]
    n = len(layers[0]) if layers else 0
    for i, x in enumerate(layers):
        arrays.matrix(x, f'layers[{i}]', (n, None), layers[0].dtype)
    labels = arrays.vector(labels, 'labels', n, arrays.INT64)
    dims = np.array([x.shape[1] for x in layers], np.int64)
    views, targets = (TYPES['lgt_view'] * len(layers))(), (TYPES['lgt_mut'] * len(layers))()
    made = [np.empty_like(x, order='C') for x in layers]
    for i, x in enumerate(layers):
        arrays.fill(views[i], x)
        arrays.fill(targets[i], made[i])
    c = TYPES['lgt_align_layers_inputs'](x=views, labels=arrays.address(labels))
    out = TYPES['lgt_align_layers_outputs'](dx=targets)
    plan = Handle(lambda: create(LIB.lgt_align_layers_create, at.address, ctypes.byref(c_term), len(layers),
                                 arrays.address(dims), max(n, 1)), LIB.lgt_align_layers_free, at._handle)
    with at._lock:
        at.call(LIB.lgt_align_layers_run, plan.address, ctypes.byref(c), ctypes.byref(out))
        plan.close()
    return LayersAlignment(out.loss, made, out.n_edges)
