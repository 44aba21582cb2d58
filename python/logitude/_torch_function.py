"""Autograd of a head: loss and gradients in one pass of the library, second derivatives by its exact Hessian."""
from __future__ import annotations

import ctypes
import sys
from copy import copy
from typing import Any, Optional, Sequence

import numpy as np
import torch

from ._context import Context, in_context
from ._errors import UnsupportedError, UsageError, unknown
from ._head import Head, Plan
from ._library import LIB, TYPES, VALUES, put
from ._loss import Loss

Tensor = torch.Tensor
Parts = Sequence[Optional[Tensor]]  # by x, w and b
NUMPY = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
INPUTS = {'labels': 'rows', 'sample_weights': 'rows', 'soft_targets': 'rows', 'qualities': 'rows', 'class_weights': 'classes',
          'class_margins': 'classes', 'class_scales': 'classes', 'state': 'state'}
CODES = {torch.float32: VALUES['LGT_F32'], torch.float64: VALUES['LGT_F64']}
CInputs, COutputs = TYPES['lgt_head_inputs'], TYPES['lgt_head_outputs']
CDirection, CProduct = TYPES['lgt_direction'], TYPES['lgt_hvp']
SOMEWHERE = ctypes.c_double()
LARGE = 1 << 20  # numbers


def refuse(tensor: Any, name: str, axes: int) -> None:
    """Says what is wrong with a tensor that the library cannot take."""
    if isinstance(tensor, Tensor) and tensor.is_cpu and tensor.layout == torch.strided and tensor.dim() == axes:
        return
    if not isinstance(tensor, Tensor):
        raise UsageError(f'{name} is {type(tensor).__name__}, expected a tensor')
    if tensor.device.type != 'cpu':
        raise UsageError(f'{name} is on {tensor.device}, expected cpu; move it by {name}.cpu()')
    if tensor.layout != torch.strided:
        raise UsageError(f'{name} is {tensor.layout}, expected a dense tensor; convert it by {name}.to_dense()')
    raise UsageError(f'{name} has the shape {tuple(tensor.shape)}, expected {axes} {"axes" if axes > 1 else "axis"}')


def computed(tensor: Tensor, name: str, dtype: Optional[torch.dtype] = None) -> Tensor:
    """The tensor in the type that is computed in: float64 as it is, float32, bfloat16 and float16 in float32."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise UsageError(f'{name} is {getattr(tensor, "dtype", type(tensor).__name__)}, expected a tensor of floats')
    wanted = dtype or (torch.float64 if tensor.dtype == torch.float64 else torch.float32)
    return tensor if tensor.dtype == wanted else tensor.to(wanted)


def sized(tensor: Tensor, name: str, length: int) -> Tensor:
    """The tensor, contiguous, of so many rows."""
    if tensor.shape[0] != length:
        raise UsageError(f'{name} has the shape {tuple(tensor.shape)}, expected {length} in the first place')
    return tensor.contiguous()


def rowwise(tensor: Tensor) -> Tensor:
    """The tensor itself where its rows are contiguous, else a copy."""
    if tensor.is_contiguous() or (tensor.dim() == 2 and tensor.stride(1) == 1 and tensor.stride(0) >= tensor.shape[1]):
        return tensor
    return tensor.contiguous()


def as_array(tensor: Optional[Tensor]) -> Optional[np.ndarray]:
    """A view of the tensor's memory, or of a copy whose rows are contiguous."""
    return None if tensor is None else rowwise(tensor.detach()).numpy()


def address(tensor: Tensor) -> int:
    """Never 0, which would say that nothing is given."""
    return tensor.data_ptr() or ctypes.addressof(SOMEWHERE)


def fill(target: Any, tensor: Optional[Tensor], kept: list[Tensor]) -> None:
    """Writes where a matrix or vector lies into a lgt_view or lgt_mut."""
    if tensor is None:
        return
    if not tensor.is_contiguous():
        tensor = rowwise(tensor)
    kept.append(tensor)
    shape = tensor.shape
    rows, columns = shape if len(shape) == 2 else (1, shape[0])
    target.__init__(address(tensor), rows, columns, tensor.stride(0) if rows > 1 else columns, CODES[tensor.dtype])


def refuse_head(head: Any, taker: str) -> None:
    """Says what is no module of a loss, which alone has plans."""
    if not isinstance(getattr(head, 'plans', None), Plans):
        raise UsageError(f'the head of {taker} is {type(head).__name__}, expected a HeadLoss (ArcFaceLoss, ...)')


class Plans:
    """The plans of a module, made when they are first needed; of each kind the one for the most rows is kept."""

    def __init__(self, loss: Loss, dim: int, n_classes: int, context: Optional[Context], options: dict[str, Any]):
        self.loss, self.dim, self.n_classes, self.options = loss, dim, n_classes, options
        self.context, self.head, self.kept = context, None, {}  # type: ignore[var-annotated]
        self.spare: dict[Any, np.ndarray] = {}

    def __reduce__(self) -> Any:
        """Copies and pickles make their own, in the default context."""
        return Plans, (self.loss, self.dim, self.n_classes, None, self.options)

    def get(self, kind: str, rows: int, dtype: torch.dtype, precision: str = 'full', max_classes: int = 0) -> Plan:
        """kind: 'loss', 'gradients', 'products' of the Hessian or 'steps' of w."""
        key, rows = (kind, dtype, precision), max(rows, 1)
        plan = self.kept.get(key)
        if plan is None or plan.max_rows < rows or plan.max_classes < max_classes or plan.max_classes and not max_classes:
            if self.head is None:
                self.head = Head(self.loss, self.dim, self.n_classes, in_context(self.context))
            self.kept.pop(key, None)
            plan = Plan(self.head, rows, NUMPY[dtype], loss_only=kind == 'loss', second_order=kind == 'products',
                        sinks=kind == 'steps', precision=precision, max_classes=max_classes, **self.options)
            plan.max_classes = max_classes  # type: ignore[attr-defined]
            self.kept[key] = plan
        return plan

    def room(self, like: Tensor) -> Tensor:
        """Memory of a gradient; if it is large that of the last one, unless somebody still has it: new pages cost as much
        as the numbers that are written to them. NumPy asks for huge ones, PyTorch does not."""
        if like.numel() < LARGE:
            return torch.empty(like.shape, dtype=like.dtype)
        array = self.spare.pop((like.shape, like.dtype), None)
        if array is None or sys.getrefcount(array) > 2:
            array = np.empty(like.shape, NUMPY[like.dtype])
        made = torch.from_numpy(array)  # has a reference to it until its memory is free
        self.spare[like.shape, like.dtype] = array
        return made


class Call:
    """One call of a head: all that is fixed when its derivatives are taken, and what the first run found (`out`)."""

    def __init__(self, plans: Plans, x: Tensor, labels: Optional[Tensor], precision: str, frozen: bool, step: int,
                 inputs: dict[str, Optional[Tensor]]):
        self.plans, self.precision, self.frozen, self.step = plans, precision, frozen, step
        self.by_row, self.out, self.given = plans.options['reduction'] == 'none', None, {}
        self.recorded = torch.is_grad_enabled()  # inside of a Function it is always off
        if labels is None and inputs.get('soft_targets') is None:
            raise UsageError('neither labels nor soft_targets are given')
        if labels is not None:
            refuse(labels, 'labels', 1)
            if labels.dtype != torch.int64:
                if labels.dtype.is_floating_point or labels.dtype == torch.bool:
                    raise UsageError(f'labels are {labels.dtype}, expected torch.int64')
                labels = labels.long()
            self.given['labels'] = sized(labels, 'labels', x.shape[0])
        for name, value in inputs.items():
            if name not in INPUTS:
                raise unknown(name, INPUTS)
            if value is not None:
                self._give(name, value, x)

    def _give(self, name: str, value: Tensor, x: Tensor) -> None:
        targets = name == 'soft_targets'
        refuse(value, name, 2 if targets else 1)
        if value.requires_grad:
            raise UsageError(f'{name} requires a gradient, which is not computed; pass {name}.detach()')
        lengths = {'rows': x.shape[0], 'classes': self.plans.n_classes, 'state': self.plans.loss.n_state}
        self.given[name] = sized(computed(value, name, x.dtype if targets else torch.float64), name, lengths[INPUTS[name]])

    def inputs(self, x: Tensor, w: Tensor, b: Optional[Tensor], upstream: Optional[Tensor], kept: list[Tensor]) -> Any:
        """The C struct; `kept` holds what it points to."""
        c = CInputs(frozen=self.frozen)
        put(c, 'step', self.step)
        fill(c.x, x, kept)
        fill(c.w, w, kept)
        fill(c.b, b, kept)
        for name, value in self.given.items():
            if name == 'soft_targets':
                fill(c.soft_targets, value, kept)
            else:
                setattr(c, name, address(value))
        if upstream is not None:
            kept.append(upstream)
            c.upstream = address(upstream)
        return c

    def run(self, x: Tensor, w: Tensor, b: Optional[Tensor], wanted: Sequence[bool], upstream: Optional[Tensor] = None,
            loss_rows: Optional[Tensor] = None) -> Parts:
        """The loss, into `out`, and the gradients that are wanted of x, w and b."""
        plan = self.plans.get('gradients' if any(wanted) else 'loss', x.shape[0], x.dtype, self.precision)
        kept: list[Tensor] = []
        given, c = self.inputs(x, w, b, upstream, kept), COutputs()
        made = [self.plans.room(t) if want else None for t, want in zip((x, w, b), wanted)]  # type: ignore[arg-type]
        for target, tensor in zip((c.dx, c.dw, c.db), made):
            fill(target, tensor, kept)
        if loss_rows is not None:
            c.loss_rows = address(loss_rows)
        plan._call(LIB.lgt_plan_run, ctypes.byref(given), ctypes.byref(c))
        self.ran(c)
        return tuple(made)  # type: ignore[return-value]

    def ran(self, c: Any) -> None:
        """What the first run has moved the state to is constant from here on."""
        if self.out is None:
            self.out = c
            if self.plans.loss.n_state:
                self.given['state'] = torch.tensor(c.state[:self.plans.loss.n_state], dtype=torch.float64)
                self.frozen = True

    def product(self, x: Tensor, w: Tensor, b: Optional[Tensor], along: Parts, wanted: Sequence[bool],
                upstream: Optional[Tensor] = None) -> Parts:
        """The Hessian of J times `along`."""
        plan, kept = self.plans.get('products', x.shape[0], x.dtype), []  # type: ignore[var-annotated]
        given, direction, c = self.inputs(x, w, b, upstream, kept), CDirection(), CProduct()
        made = [self.plans.room(t) if want else None for t, want in zip((x, w, b), wanted)]  # type: ignore[arg-type]
        for name, v, tensor in zip('xwb', along, made):
            fill(getattr(direction, name), v, kept)
            fill(getattr(c, name), tensor, kept)  # type: ignore[arg-type]
        plan._call(LIB.lgt_plan_hvp, ctypes.byref(given), ctypes.byref(direction), ctypes.byref(c))
        return tuple(made)  # type: ignore[return-value]

    def along_rows(self, x: Tensor, w: Tensor, b: Optional[Tensor], along: Parts) -> Tensor:
        """(N) the derivative of every row's weighted loss along a direction: a run a row, each of them a row's work."""
        rows, one = torch.zeros(x.shape[0], dtype=x.dtype), torch.ones(1, dtype=torch.float64)
        wanted, call = [v is not None for v in along], copy(self)
        for i in range(x.shape[0]):
            call.given = {k: v[i:i + 1] if INPUTS[k] == 'rows' else v for k, v in self.given.items()}
            parts = call.run(x[i:i + 1], w, b, wanted, one)
            rows[i] = inner(parts, (None if along[0] is None else along[0][i:i + 1], *along[1:]))
        return rows

    def row_weights(self) -> Any:
        """(N) a_i, or 1."""
        weights, of_class = self.given.get('sample_weights', 1), self.given.get('class_weights')
        if of_class is None:
            return weights
        targets = self.given.get('soft_targets')
        if targets is not None:
            return weights * (targets.double() @ of_class)
        return weights * of_class[self.given['labels'].clamp(0, len(of_class) - 1)]


def inner(parts: Parts, along: Parts) -> Any:
    return sum((part * v).sum() for part, v in zip(parts, along) if part is not None and v is not None)


class LastDerivatives(torch.autograd.Function):
    """Hands derivatives through, joined to what they depend on: who asks for theirs gets an error and not silence."""

    @staticmethod
    def forward(ctx: Any, what: str, n: int, *tensors: Optional[Tensor]) -> Any:  # type: ignore[override]
        ctx.what = what
        return tensors[:n]

    @staticmethod
    def backward(ctx: Any, *g: Any) -> Any:  # type: ignore[override]
        raise UnsupportedError(f'{ctx.what} are asked for, which are not computed; detach what need not be differentiated again')


def last(ctx: Any, what: str, derivatives: Parts, *given: Optional[Tensor]) -> Parts:
    """What a backward returns: derivatives, which depend on what it was given and has saved. Where PyTorch records it
    (create_graph) they are the last that there are; `what`: those that would come next."""
    if not torch.is_grad_enabled():
        return derivatives
    return LastDerivatives.apply(what, len(derivatives), *derivatives, *given, *ctx.saved_tensors)


class LossFunction(torch.autograd.Function):
    """J, or with reduction 'none' all a_i L_i. The gradients are made with J and kept for backward; of single rows they
    are made in backward, because dw is a sum over rows."""

    @staticmethod
    def forward(ctx: Any, call: Call, x: Tensor, w: Tensor, b: Optional[Tensor]) -> Tensor:  # type: ignore[override]
        ctx.call, ctx.kept = call, None
        ctx.save_for_backward(x, w, b)
        if call.by_row:
            rows = torch.empty(x.shape[0], dtype=torch.float64)
            call.run(x, w, b, (False, False, False), loss_rows=rows)
            return (rows * call.row_weights()).to(x.dtype)
        parts = call.run(x, w, b, ctx.needs_input_grad[1:] if call.recorded else (False, False, False))
        if call.recorded:
            ctx.kept = parts
        return torch.scalar_tensor(call.out.loss, dtype=x.dtype)  # type: ignore[attr-defined]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        # Handed out once, so that a parameter may take dw as its .grad without a copy; asked again, they are computed again.
        kept, ctx.kept = ctx.kept, None
        return (None, *GradientFunction.apply(ctx.call, kept, ctx.needs_input_grad[1:], g, *ctx.saved_tensors))


class GradientFunction(torch.autograd.Function):
    """g dJ, or with reduction 'none' the gradient of sum_i g_i a_i L_i, as a function of g, x, w and b."""

    @staticmethod
    def forward(ctx: Any, call: Call, kept: Optional[Parts], wanted: Any, g: Tensor, x: Tensor,  # type: ignore[override]
                w: Tensor, b: Optional[Tensor]) -> Parts:
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(g, x, w, b)
        if call.by_row:
            return call.run(x, w, b, wanted, g.double())
        parts, factor = kept or call.run(x, w, b, wanted), g.item()
        return parts if factor == 1 else tuple(part if part is None else part.mul_(factor) for part in parts)

    @staticmethod
    def backward(ctx: Any, *along: Any) -> Any:  # type: ignore[override]
        if all(v is None for v in along):
            return (None,) * 7
        with torch.no_grad():
            parts = GradientFunction.derivatives(ctx, along)
        return (None, None, None, *last(ctx, 'third derivatives of a head', parts, *along))

    @staticmethod
    def derivatives(ctx: Any, along: Any) -> Parts:
        """By g, x, w and b."""
        (g, x, w, b), call = ctx.saved_tensors, ctx.call
        wanted, by_g, upstream = ctx.needs_input_grad[4:], None, g.double() if call.by_row else None
        parts: Any = (None, None, None)
        if any(wanted):
            parts = call.product(x, w, b, along, wanted, upstream)
            if not call.by_row:
                parts = [part if part is None else part.mul_(g.item()) for part in parts]
        if ctx.needs_input_grad[3]:
            by_g = (call.along_rows(x, w, b, along) if call.by_row else
                    inner(call.run(x, w, b, [v is not None for v in along]), along)).to(g.dtype)
        return by_g, *parts
