"""Autograd of a head: loss and gradients in one pass of the library, second derivatives by its exact Hessian."""
from __future__ import annotations

from typing import Any, Optional

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from ._context import Context, in_context
from ._errors import UsageError
from ._head import Head, HeadResult, Plan
from ._loss import Loss

Tensor = torch.Tensor
Parts = tuple[Optional[Tensor], Optional[Tensor], Optional[Tensor]]  # by x, w and b
NUMPY = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
BY_ROW = ('sample_weights', 'soft_targets', 'qualities')
INPUTS = (*BY_ROW, 'class_weights', 'class_margins', 'class_scales', 'state')


def refuse(tensor: Any, name: str, axes: int) -> None:
    """Says what is wrong with a tensor that the library cannot take."""
    if not isinstance(tensor, Tensor):
        raise UsageError(f'{name} is {type(tensor).__name__}, expected a tensor')
    if tensor.device.type != 'cpu':
        raise UsageError(f'{name} is on {tensor.device}, expected cpu; move it by {name}.cpu()')
    if tensor.layout != torch.strided:
        raise UsageError(f'{name} is {tensor.layout}, expected a dense tensor; convert it by {name}.to_dense()')
    if tensor.dim() != axes:
        raise UsageError(f'{name} has the shape {tuple(tensor.shape)}, expected {axes} {"axes" if axes > 1 else "axis"}')


def computed(tensor: Tensor, name: str, dtype: Optional[torch.dtype] = None) -> Tensor:
    """The tensor in the type that is computed in: float64 as it is, float32, bfloat16 and float16 in float32."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise UsageError(f'{name} is {getattr(tensor, "dtype", type(tensor).__name__)}, expected a tensor of floats')
    wanted = dtype or (torch.float64 if tensor.dtype == torch.float64 else torch.float32)
    return tensor if tensor.dtype == wanted else tensor.to(wanted)


def as_array(tensor: Optional[Tensor]) -> Optional[np.ndarray]:
    """A view of the tensor's memory; a copy only where its rows are not contiguous."""
    if tensor is None:
        return None
    tensor = tensor.detach()
    if not tensor.is_contiguous() and (tensor.dim() != 2 or tensor.stride(1) != 1 or tensor.stride(0) < tensor.shape[1]):
        tensor = tensor.contiguous()
    return tensor.numpy()


def as_tensor(array: Optional[np.ndarray]) -> Optional[Tensor]:
    return None if array is None else torch.from_numpy(array)


class Plans:
    """The plans of a module, made when they are first needed; of each kind the one for the most rows is kept."""

    def __init__(self, loss: Loss, dim: int, n_classes: int, context: Optional[Context], options: dict[str, Any]):
        self.loss, self.dim, self.n_classes, self.options = loss, dim, n_classes, options
        self.context, self.head, self.kept = context, None, {}  # type: ignore[var-annotated]

    def __reduce__(self) -> Any:
        """Copies and pickles make their own, in the default context."""
        return Plans, (self.loss, self.dim, self.n_classes, None, self.options)

    def get(self, kind: str, rows: int, dtype: torch.dtype, precision: str = 'full', n_listed: int = 0) -> Plan:
        """kind: 'loss', 'gradients', 'products' of the Hessian or 'steps' of w."""
        key, rows = (kind, dtype, precision), max(rows, 1)
        plan = self.kept.get(key)
        if plan is None or plan.max_rows < rows or plan.max_classes < n_listed:
            if self.head is None:
                self.head = Head(self.loss, self.dim, self.n_classes, in_context(self.context))
            self.kept.pop(key, None)
            plan = Plan(self.head, rows, NUMPY[dtype], loss_only=kind == 'loss', second_order=kind == 'products',
                        sinks=kind == 'steps', precision=precision, max_classes=n_listed, **self.options)
            plan.max_classes = n_listed  # type: ignore[attr-defined]
            self.kept[key] = plan
        return plan


class Call:
    """One call of a head: all that is fixed when its derivatives are taken."""

    def __init__(self, plans: Plans, labels: Optional[Tensor], precision: str, frozen: bool, step: int,
                 inputs: dict[str, Optional[Tensor]]):
        self.plans, self.precision, self.more = plans, precision, {'frozen': frozen, 'step': step}
        self.by_row = plans.options['reduction'] == 'none'
        if labels is not None:
            refuse(labels, 'labels', 1)
        self.labels = as_array(labels)
        for name, value in inputs.items():
            if value is None:
                continue
            if name not in INPUTS:
                raise UsageError(f'unknown argument "{name}", expected one of {", ".join(INPUTS)}')
            refuse(value, name, 2 if name == 'soft_targets' else 1)
            if value.requires_grad:
                raise UsageError(f'{name} requires a gradient, which is not computed; pass {name}.detach()')
            self.more[name] = as_array(value)
        self.found: Optional[HeadResult] = None

    def run(self, x: Tensor, w: Tensor, b: Optional[Tensor], wanted: Any, upstream: Optional[Tensor] = None) -> HeadResult:
        """The loss, and gradients where `wanted` of x, w and b."""
        plan = self.plans.get('gradients' if any(wanted) else 'loss', len(x), x.dtype, self.precision)
        found = plan.run(as_array(x), as_array(w), self.labels, as_array(b), dx=wanted[0], dw=wanted[1], db=wanted[2],
                         upstream=as_array(upstream), **self.more)
        if self.found is None:
            self.found = found
            if found.state is not None:  # what the first run has moved it to is constant from here on
                self.more.update(state=found.state, frozen=True)
        return found

    def gradients(self, x: Tensor, w: Tensor, b: Optional[Tensor], wanted: Any, upstream: Optional[Tensor] = None) -> Parts:
        found = self.run(x, w, b, wanted, upstream)
        return as_tensor(found.dx), as_tensor(found.dw), as_tensor(found.db)

    def product(self, x: Tensor, w: Tensor, b: Optional[Tensor], along: Parts, wanted: Any,
                upstream: Optional[Tensor] = None) -> Parts:
        """The Hessian of J times `along`."""
        plan = self.plans.get('products', len(x), x.dtype)
        vx, vw, vb = map(as_array, along)
        found = plan.hvp(as_array(x), as_array(w), self.labels, as_array(b), direction_x=vx, direction_w=vw,
                         direction_b=vb, by_x=wanted[0], by_w=wanted[1], by_b=wanted[2], upstream=as_array(upstream),
                         **self.more)
        return as_tensor(found.x), as_tensor(found.w), as_tensor(found.b)

    def along_rows(self, x: Tensor, w: Tensor, b: Optional[Tensor], along: Parts) -> Tensor:
        """(N) the derivative of every row's weighted loss along a direction: a run a row, each of them a row's work."""
        rows, one = torch.zeros(len(x), dtype=x.dtype), torch.ones(1, dtype=torch.float64)
        wanted = [v is not None for v in along]
        for i in range(len(x)):
            call = Call.__new__(Call)
            call.__dict__.update(self.__dict__, labels=None if self.labels is None else self.labels[i:i + 1],
                                 more={k: v[i:i + 1] if k in BY_ROW else v for k, v in self.more.items()})
            parts = call.gradients(x[i:i + 1], w, b, wanted, one)
            rows[i] = inner(parts, (None if along[0] is None else along[0][i:i + 1], *along[1:]))
        return rows

    def row_weights(self) -> Optional[np.ndarray]:
        """(N) a_i, or None: all are 1."""
        of_class, targets = self.more.get('class_weights'), self.more.get('soft_targets')
        weights = self.more.get('sample_weights')
        if of_class is not None:
            used = of_class[self.labels.clip(0, len(of_class) - 1)] if targets is None else targets @ of_class
            weights = used if weights is None else weights * used
        return weights


def inner(parts: Parts, along: Parts) -> Any:
    return sum((part * v).sum() for part, v in zip(parts, along) if part is not None and v is not None)


class HeadLoss(torch.autograd.Function):
    """J, or with reduction 'none' all a_i L_i. The gradients are made with J and kept for backward; of single rows they
    are made in backward, because dw is a sum over rows."""

    @staticmethod
    def forward(ctx: Any, call: Call, x: Tensor, w: Tensor, b: Optional[Tensor]) -> Tensor:  # type: ignore[override]
        wanted = (False, False, False) if call.by_row else ctx.needs_input_grad[1:]
        found = call.run(x, w, b, wanted)
        ctx.call, ctx.kept = call, (as_tensor(found.dx), as_tensor(found.dw), as_tensor(found.db)) if any(wanted) else None
        ctx.save_for_backward(x, w, b)
        if not call.by_row:
            return x.new_tensor(found.loss)
        weights = call.row_weights()
        return torch.from_numpy(found.loss_rows if weights is None else weights * found.loss_rows).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        # Handed out once, so that a parameter may take dw as its .grad without a copy; asked again, they are computed again.
        kept, ctx.kept = ctx.kept, None
        return (None, *HeadGradient.apply(ctx.call, kept, ctx.needs_input_grad[1:], g, *ctx.saved_tensors))


class HeadGradient(torch.autograd.Function):
    """g dJ, or with reduction 'none' the gradient of sum_i g_i a_i L_i, as a function of g, x, w and b."""

    @staticmethod
    def forward(ctx: Any, call: Call, kept: Optional[Parts], wanted: Any, g: Tensor, x: Tensor,  # type: ignore[override]
                w: Tensor, b: Optional[Tensor]) -> Parts:
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(g, x, w, b)
        if call.by_row:
            return call.gradients(x, w, b, wanted, g.double())
        parts, factor = kept or call.gradients(x, w, b, wanted), g.item()
        return parts if factor == 1 else tuple(part if part is None else part.mul_(factor) for part in parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Any) -> Any:  # type: ignore[override]
        (g, x, w, b), call = ctx.saved_tensors, ctx.call
        wanted, by_g, upstream = ctx.needs_input_grad[4:], None, g.double() if call.by_row else None
        if all(v is None for v in along):
            return (None,) * 7
        parts: Any = (None, None, None)
        if any(wanted):
            parts = call.product(x, w, b, along, wanted, upstream)
            if not call.by_row:
                parts = [part if part is None else part.mul_(g.item()) for part in parts]
        if ctx.needs_input_grad[3]:
            by_g = (call.along_rows(x, w, b, along) if call.by_row else
                    inner(call.gradients(x, w, b, [v is not None for v in along]), along)).to(g.dtype)
        return (None, None, None, by_g, *parts)
