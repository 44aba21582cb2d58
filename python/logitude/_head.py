"""Heads and plans: loss, gradients, Hessian-vector products and predictions of a classification head."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Optional, TypedDict, Union

import numpy as np

from . import _arrays as arrays
from ._context import Context, Handle, OfThisProcess, create, in_context
from ._errors import UsageError, one_of, unknown
from ._library import LIB, TYPES, VALUES, initialised, put
from ._loss import Loss, as_loss

if TYPE_CHECKING:
    from typing_extensions import Unpack

ENGINES = {'cpu': VALUES['LGT_ENGINE_CPU'], 'reference': VALUES['LGT_ENGINE_REFERENCE']}
REDUCTIONS = {'mean': VALUES['LGT_REDUCTION_MEAN'], 'sum': VALUES['LGT_REDUCTION_SUM'],
              'none': VALUES['LGT_REDUCTION_NONE']}
PRECISIONS = {'full': VALUES['LGT_PRECISION_FULL'], 'bf16x3': VALUES['LGT_PRECISION_BF16X3'],
              'bf16': VALUES['LGT_PRECISION_BF16']}
WORDS = {'engine': ENGINES, 'reduction': REDUCTIONS, 'precision': PRECISIONS}
SMALL_PLAN, MOST_PLANS = 1 << 20, 16  # bytes of a plan that a context keeps, and how many it keeps
Array = np.ndarray
Wanted = Union[bool, np.ndarray]


class PlanOptions(TypedDict, total=False):
    """How a head is computed, beside its loss."""
    engine: str            # 'cpu' (default) or 'reference', plain loops in double
    reduction: str         # 'mean' (default), 'sum', or 'none': row i counts upstream_i
    label_smoothing: float  # e in [0, 1): target (1 - e) [j = y] + e/C
    z_loss: float          # zeta >= 0: adds zeta lse^2 to every L_i
    ignore_label: int      # rows with this label count for nothing
    precision: str         # 'full' (default), 'bf16x3' or 'bf16': how float32 matrices are multiplied
    workspace: int         # most bytes a plan may hold on two threads; 0: 64 MiB


class Inputs(TypedDict, total=False):
    """What a run may read beside x, w, labels and b. N rows, C classes."""
    sample_weights: Array  # (N) >= 0
    class_weights: Array   # (C) >= 0
    upstream: Array        # (N) dJ/dL_i; reduction 'none' only
    step: int              # global step, for schedules of the loss
    soft_targets: Array    # (N, C) rows of probabilities, softmax and normalized only; labels are then optional
    class_margins: Array   # (C) in place of the loss's margin
    class_scales: Array    # (C) in place of the scale
    qualities: Array       # (N) what an adaptive margin reads in place of |x_i|
    state: Array           # what the last run returned as `state`
    frozen: bool           # the state is used as it is
    classes: Array         # (n) rising: the only classes there are in this run
    offsets: Array         # (n) added to the logits of the listed classes


class Options(PlanOptions, Inputs, total=False):
    """What loss_and_gradients and its like take by name: PlanOptions and Inputs."""


@dataclass
class HeadResult:
    """loss is J; dx (N, D), dw as w (with listed classes their rows alone), db (C) its gradients, None where not wanted.
    loss_rows (N) are the L_i in nats, lse (N) the log sums of exponentials, top1 (N) the class of the largest plain logit.
    weight is the sum of the rows' weights; state is what a loss carries to the next step, or None."""
    loss: float
    dx: Optional[Array]
    dw: Optional[Array]
    db: Optional[Array]
    loss_rows: Array
    lse: Array
    top1: Array
    weight: float
    n_used: int
    n_correct: int
    n_zero_rows: int
    n_zero_classes: int
    state: Optional[Array]


@dataclass
class Product:
    """A Hessian-vector product, by x (N, D), w and b (C); None where not wanted."""
    x: Optional[Array]
    w: Optional[Array]
    b: Optional[Array]


@dataclass
class Predictions:
    """classes (N, k) by falling logit, logits (N, k) without margins, lse (N), and with labels label_logits (N)."""
    classes: Array
    logits: Array
    lse: Array
    label_logits: Optional[Array]

    @property
    def probabilities(self) -> Array:
        """(N, k) exp(logit - lse)."""
        return np.exp(self.logits - self.lse[:, None])


class HeadInputs:
    """The checked inputs of a run and the C struct over them; holds the arrays while the library reads them."""
    VECTORS = {'sample_weights': 'rows', 'class_weights': 'classes', 'upstream': 'rows', 'class_margins': 'classes',
               'class_scales': 'classes', 'qualities': 'rows', 'offsets': 'listed'}

    def __init__(self, head: 'Head', x: Any, w: Any, labels: Any, b: Any = None, *, soft_targets: Any = None,
                 classes: Any = None, state: Any = None, step: int = 0, frozen: bool = False, **vectors: Any):
        self.c = TYPES['lgt_head_inputs']()
        self.x = arrays.matrix(x, 'x', (None, head.dim))
        self.w = arrays.matrix(w, 'w', (head.n_classes * head.loss.centres, head.dim), self.x.dtype)
        self.b = None if b is None else arrays.matrix(b, 'b', (head.n_classes,), self.x.dtype)
        self.kept = [self.x, self.w, self.b]
        arrays.fill(self.c.x, self.x)
        arrays.fill(self.c.w, self.w)
        if b is not None:
            arrays.fill(self.c.b, self.b)
        self.rows, self.listed = len(self.x), 0
        if classes is not None:
            self.listed = len(np.asarray(classes))
            self.c.classes, self.c.n_listed = self._vector(classes, 'classes', self.listed, arrays.INT64), self.listed
        if labels is None and soft_targets is None:
            raise UsageError('neither labels nor soft_targets are given')
        if labels is not None:
            self.c.labels = self._vector(labels, 'labels', self.rows, arrays.INT64)
        if soft_targets is not None:
            targets = arrays.matrix(soft_targets, 'soft_targets', (self.rows, head.n_classes), self.x.dtype)
            self.kept.append(targets)
            arrays.fill(self.c.soft_targets, targets)
        if state is not None:
            self.c.state = self._vector(state, 'state', head.loss.n_state, arrays.FLOAT64)
        lengths = {'rows': self.rows, 'classes': head.n_classes, 'listed': self.listed}
        for name, value in vectors.items():
            if name not in self.VECTORS:
                raise unknown(name, Options.__annotations__)
            if value is not None:
                setattr(self.c, name, self._vector(value, name, lengths[self.VECTORS[name]], arrays.FLOAT64))
        put(self.c, 'step', step)
        self.c.frozen = frozen

    def _vector(self, value: Any, name: str, length: int, dtype: np.dtype) -> int:
        array = arrays.vector(value, name, length, dtype)
        self.kept.append(array)
        return arrays.address(array)

    @property
    def given(self) -> dict[str, Any]:
        return {'x': self.x, 'w': self.w, 'b': self.b}


def _plan_options(dtype: np.dtype, options: dict[str, Any]) -> Any:
    c = initialised('lgt_plan_options')
    c.dtype = arrays.FLOATS[dtype]
    for key, value in options.items():
        if key not in PlanOptions.__annotations__:
            raise unknown(key, PlanOptions.__annotations__)
        if key in WORDS:
            one_of(key, value, WORDS[key])
            value = WORDS[key][value]
        put(c, key, value)
    return c


class Head(OfThisProcess):
    """A loss over n_classes classes of dim-dimensional features; immutable.

    loss: a specification or a Loss. w has n_classes rows, times loss.centres.

    >>> import numpy as np
    >>> head = Head('arcface:s=16', dim=3, n_classes=4)
    >>> plan = head.plan(max_rows=2, dtype=np.float64)     # allocates once
    >>> w = np.eye(4, 3); w[3] = -1
    >>> plan.run(w[:2], w, [0, 1]).n_correct
    2
    """
    instead = 'make it again by Head(loss, dim, n_classes)'

    def __init__(self, loss: Union[str, Loss], dim: int, n_classes: int, context: Optional[Context] = None):
        self.loss, self.dim, self.n_classes = as_loss(loss), int(dim), int(n_classes)
        self.context = in_context(context)
        # What is made anew needs the values alone, not the object: else it would keep itself alive.
        c_loss, at, size = self.loss._c, self.context._handle, (self.dim, self.n_classes)
        self._handle = Handle(lambda: create(LIB.lgt_head_create, at.address, ctypes.byref(c_loss), *size),
                              LIB.lgt_head_free, at)
        with self.context._lock:
            self.context.address, self._handle.address  # errors belong here

    def __repr__(self) -> str:
        return f'Head({self.loss.spec!r}, dim={self.dim}, n_classes={self.n_classes})'

    def plan(self, max_rows: int, dtype: Any = np.float32, *, gradients: bool = True, second_order: bool = False,
             max_classes: int = 0, **options: Unpack[PlanOptions]) -> 'Plan':
        """Allocates what runs of at most max_rows rows need. second_order: the plan serves hvp, spectrum and derivatives;
        max_classes: most classes of a run that lists them; options: see PlanOptions."""
        return Plan(self, max_rows, dtype, loss_only=not gradients, second_order=second_order, max_classes=max_classes,
                    **options)

    def predict(self, x: Any, w: Any, b: Any = None, *, labels: Any = None, k: int = 1) -> Predictions:
        """The k classes of the largest plain logits of x (N, D), float32."""
        x = arrays.matrix(x, 'x', (None, self.dim), np.dtype(np.float32))
        w = arrays.matrix(w, 'w', (self.n_classes * self.loss.centres, self.dim), x.dtype)
        n, c = len(x), TYPES['lgt_predictions'](k=k)
        if not 1 <= k <= self.n_classes:
            raise UsageError(f'k is {k}, expected 1 to {self.n_classes}')
        found = Predictions(np.empty((n, k), np.int64), np.empty((n, k)), np.empty(n), None)
        c.classes, c.logits, c.lse = map(arrays.address, (found.classes, found.logits, found.lse))
        bias, truth = TYPES['lgt_view'](), None
        if b is not None:
            b = arrays.matrix(b, 'b', (self.n_classes,), x.dtype)
            arrays.fill(bias, b)
        if labels is not None:
            truth, found.label_logits = arrays.vector(labels, 'labels', n, arrays.INT64), np.empty(n)
            c.label_logits = arrays.address(found.label_logits)
        with self.context._lock:
            self.context.call(LIB.lgt_head_predict, self._handle.address, arrays.view(x), arrays.view(w), bias,
                              None if truth is None else arrays.address(truth), ctypes.byref(c))
        return found


class Plan(OfThisProcess):
    """Memory for runs of a head on at most max_rows rows; made by Head.plan. Use it where the same sizes come again."""
    instead = 'make it again by Head(loss, dim, n_classes).plan(max_rows, ...)'

    def __init__(self, head: Head, max_rows: int, dtype: Any = np.float32, *, loss_only: bool = False,
                 second_order: bool = False, sinks: bool = False, max_classes: int = 0, **options: Unpack[PlanOptions]):
        self.head, self.max_rows, self.dtype = head, max_rows, np.dtype(dtype)
        if self.dtype not in arrays.FLOATS:
            raise UsageError(f'dtype is {self.dtype}, expected float32 or float64')
        c, above = _plan_options(self.dtype, options), head._handle  # type: ignore[arg-type]
        for name, value in (('max_rows', max_rows), ('loss_only', loss_only), ('second_order', second_order),
                            ('sinks', sinks), ('max_classes', max_classes)):
            put(c, name, value)
        self._handle = Handle(lambda: create(LIB.lgt_plan_create, above.address, ctypes.byref(c)), LIB.lgt_plan_free,
                              above)
        with head.context._lock:
            self._handle.address

    @property
    def bytes(self) -> int:
        """Bytes the plan holds beside inputs and outputs."""
        return LIB.lgt_plan_bytes(self._handle.address)

    def _call(self, function: Any, *arguments: Any) -> None:
        with self.head.context._lock:
            self.head.context.call(function, self._handle.address, *arguments)

    def _inputs(self, x: Any, w: Any, labels: Any, b: Any, more: Any) -> HeadInputs:
        given = HeadInputs(self.head, x, w, labels, b, **more)
        if given.x.dtype != self.dtype:
            raise UsageError(f'x is {given.x.dtype}, the plan is {self.dtype}')
        return given

    def _outputs(self, given: HeadInputs, wanted: dict[str, Wanted], names: tuple[str, str, str]) -> list[Any]:
        """Arrays by x, w and b, under the names that they were asked for by."""
        listed = given.listed
        shapes = ((given.rows, self.head.dim), (listed * self.head.loss.centres if listed else len(given.w), self.head.dim),
                  (listed or self.head.n_classes,))
        made = [arrays.output(wanted[name], name, shape, self.dtype) for name, shape in zip(names, shapes)]
        theirs = {name: array for name, array in zip(names, made) if isinstance(wanted[name], np.ndarray)}
        if theirs:
            arrays.refuse_overlap(theirs, given.given)
        return made

    def run(self, x: Any, w: Any, labels: Any = None, b: Any = None, *, dx: Wanted = True, dw: Wanted = True,
            db: Optional[Wanted] = None, accumulate: bool = False, **more: Unpack[Inputs]) -> HeadResult:
        """Loss and gradients: see loss_and_gradients. more: see Inputs."""
        given = self._inputs(x, w, labels, b, more)
        wanted = {'dx': dx, 'dw': dw, 'db': (b is not None) if db is None else db}
        if accumulate and any(value is True for value in wanted.values()):
            raise UsageError('accumulate adds to arrays that are given: dx, dw and db are arrays or False')
        made = self._outputs(given, wanted, ('dx', 'dw', 'db'))
        c, n = TYPES['lgt_head_outputs'](accumulate=accumulate), given.rows
        for target, array in zip((c.dx, c.dw, c.db), made):
            if array is not None:
                arrays.fill(target, array)
        loss_rows, lse, top1 = np.empty(n), np.empty(n), np.empty(n, np.int64)
        c.loss_rows, c.lse, c.top1 = map(arrays.address, (loss_rows, lse, top1))
        self._call(LIB.lgt_plan_run, ctypes.byref(given.c), ctypes.byref(c))
        n_state = self.head.loss.n_state
        return HeadResult(c.loss, *made, loss_rows, lse, top1, c.weight, c.n_used, c.n_correct, c.n_zero_rows,
                          c.n_zero_classes, np.array(c.state[:n_state]) if n_state else None)

    def hvp(self, x: Any, w: Any, labels: Any = None, b: Any = None, *, direction_x: Any = None, direction_w: Any = None,
            direction_b: Any = None, by_x: Wanted = True, by_w: Wanted = True, by_b: Optional[Wanted] = None,
            **more: Unpack[Inputs]) -> Product:
        """A Hessian-vector product: see hvp(). Needs a plan with second_order=True."""
        given = self._inputs(x, w, labels, b, more)
        along, kept = TYPES['lgt_direction'](), []
        for target, value, name, like in ((along.x, direction_x, 'direction_x', given.x),
                                          (along.w, direction_w, 'direction_w', given.w),
                                          (along.b, direction_b, 'direction_b', given.b)):
            if value is not None:
                if like is None:
                    raise UsageError('direction_b is given, but no b')
                kept.append(arrays.matrix(value, name, like.shape, self.dtype))
                arrays.fill(target, kept[-1])
        wanted = {'by_x': by_x, 'by_w': by_w, 'by_b': (b is not None) if by_b is None else by_b}
        made = self._outputs(given, wanted, ('by_x', 'by_w', 'by_b'))
        c = TYPES['lgt_hvp']()
        for target, array in zip((c.x, c.w, c.b), made):
            if array is not None:
                arrays.fill(target, array)
        self._call(LIB.lgt_plan_hvp, ctypes.byref(given.c), ctypes.byref(along), ctypes.byref(c))
        return Product(*made)


def _sizes(x: Any, w: Any, loss: Loss) -> tuple[np.ndarray, int, int]:
    """x as an array, and the head's dim and n_classes by the shapes."""
    x, w = np.asarray(x), np.asarray(w)
    if x.ndim != 2 or w.ndim != 2:
        raise UsageError(f'x and w have the shapes {x.shape} and {w.shape}, expected two axes each')
    if w.shape[0] % loss.centres:
        raise UsageError(f'w has {w.shape[0]} rows, expected a multiple of {loss.centres}, the centres of a class')
    return x, w.shape[1], w.shape[0] // loss.centres


@lru_cache(maxsize=256)
def _parsed(spec: str) -> Loss:
    return Loss(spec)


def head_for(loss: Union[str, Loss], x: Any, w: Any, context: Optional[Context]) -> tuple[np.ndarray, Head]:
    loss = _parsed(loss) if isinstance(loss, str) else as_loss(loss)
    x, dim, n_classes = _sizes(x, w, loss)
    return x, Head(loss, dim, n_classes, context)


def split_options(options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of the plan, those of the run."""
    plan = {key: options[key] for key in options if key in PlanOptions.__annotations__}
    return plan, {key: options[key] for key in options if key not in plan}


def plan_for(loss: Union[str, Loss], x: Any, w: Any, context: Optional[Context], options: Any,
             **fixed: Any) -> tuple[Plan, dict[str, Any]]:
    """A plan for these arrays, and the options that are the run's. The context keeps small plans: to make one takes
    longer than to run it."""
    plan, more = split_options(options)
    loss, at = _parsed(loss) if isinstance(loss, str) else as_loss(loss), in_context(context)
    x, dim, n_classes = _sizes(x, w, loss)
    listed = more.get('classes')
    key = (loss.spec, dim, n_classes, len(x), x.dtype.str, -1 if listed is None else len(listed), *fixed.items(),
           *plan.items())
    found = at._plans.get(key)
    if found:
        return found, more
    if x.dtype not in arrays.FLOATS:
        arrays.matrix(x, 'x', x.shape)  # says what is wrong
    head = Head(loss, dim, n_classes, at)
    made = Plan(head, max(len(x), 1), x.dtype, max_classes=0 if listed is None else len(listed), **fixed, **plan)
    if made.bytes <= SMALL_PLAN:
        with at._lock:
            if len(at._plans) >= MOST_PLANS:
                at._plans.pop(next(iter(at._plans)))
            at._plans[key] = made
    return made, more


def loss_and_gradients(x: Any, w: Any, labels: Any = None, *, loss: Union[str, Loss] = 'softmax', b: Any = None,
                       dx: Wanted = True, dw: Wanted = True, db: Optional[Wanted] = None, accumulate: bool = False,
                       context: Optional[Context] = None, **options: Unpack[Options]) -> HeadResult:
    """Loss and exact gradients of a head in one pass, without ever holding N x C numbers.

        J = sum_i a_i L_i / sum_i a_i,    L_i = log sum_j exp(z_ij) - z_iy (+ smoothing, z-loss, the loss's penalty)

    x (N, D) features, w (C, D) one class a row (a loss with k centres: (C k, D)), b (C) bias or None, labels (N) in
    [0, C); x, w and b all float32 or all float64. a_i = sample_weights_i class_weights_y. dx, dw, db: True (a new array),
    False (not wanted) or an array to write into; accumulate adds to arrays that are given. options: see PlanOptions and
    Inputs. Raises UsageError, DataError (a label out of range, NaN, naming the row), NonFiniteError.

    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0], [0.0, 2.0]]); w = np.eye(2)
    >>> found = loss_and_gradients(x, w, [0, 1])
    >>> round(found.loss, 6), found.n_correct
    (0.220095, 2)
    >>> found.dx.round(6)
    array([[-0.134471,  0.134471],
           [ 0.059601, -0.059601]])
    """
    fixed = {'loss_only': dx is False and dw is False and db in (None, False) and b is None}
    plan, more = plan_for(loss, x, w, context, options, **fixed)
    return plan.run(x, w, labels, b, dx=dx, dw=dw, db=db, accumulate=accumulate, **more)


def hvp(x: Any, w: Any, labels: Any = None, *, loss: Union[str, Loss] = 'softmax', b: Any = None, direction_x: Any = None,
        direction_w: Any = None, direction_b: Any = None, by_x: Wanted = True, by_w: Wanted = True,
        by_b: Optional[Wanted] = None, context: Optional[Context] = None, **options: Unpack[Options]) -> Product:
    """The exact Hessian of J over (x, w, b) times a direction of the same shapes; None stands for zeros.

    The loss's own curvature and that of the sphere are in it. Arguments otherwise as of loss_and_gradients.

    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0]]); w = np.eye(2)
    >>> hvp(x, w, [0], direction_x=x).x.round(6)
    array([[ 0.196612, -0.196612]])
    """
    plan, more = plan_for(loss, x, w, context, options, second_order=True)
    return plan.hvp(x, w, labels, b, direction_x=direction_x, direction_w=direction_w, direction_b=direction_b, by_x=by_x,
                    by_w=by_w, by_b=by_b, **more)


def predict(x: Any, w: Any, *, loss: Union[str, Loss] = 'softmax', b: Any = None, labels: Any = None, k: int = 1,
            context: Optional[Context] = None) -> Predictions:
    """The k classes of the largest plain logits (no margin) of x (N, D), float32, and what probabilities are made from.

    >>> import numpy as np
    >>> w = np.eye(3, dtype=np.float32)
    >>> predict(w[[2, 0]], w, loss='arcface', k=1).classes.tolist()
    [[2], [0]]
    """
    return head_for(loss, x, w, context)[1].predict(x, w, b, labels=labels, k=k)
