"""Heads for very many classes: W is stepped where its gradient is made, and a step may have a part of the classes only."""
from __future__ import annotations

import ctypes
from operator import index
from typing import TYPE_CHECKING, Any, Callable, Optional

import numpy as np
import torch
from torch import Tensor, nn

from . import _arrays as arrays
from ._context import in_context
from ._errors import UsageError, one_of
from ._library import LIB, TYPES, VALUES, check
from ._torch_function import Call, COutputs, address, fill, last, refuse_head

if TYPE_CHECKING:
    from .torch import HeadLoss

OPTIMIZERS = {'sgd': VALUES['LGT_OPTIMIZER_SGD'], 'adamw': VALUES['LGT_OPTIMIZER_ADAMW']}

RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    'lr': (lambda v: 0 <= v <= 1e6, 'a number >= 0 and <= 1e6'), 'momentum': (lambda v: 0 <= v < 1, 'a number >= 0 and < 1'),
    'betas': (lambda v: len(v) == 2 and 0 <= v[0] < 1 and 0 <= v[1] < 1, 'two numbers >= 0 and < 1'),
    'eps': (lambda v: 1e-30 <= v <= 1e6, 'a number >= 1e-30 and <= 1e6'),
    'weight_decay': (lambda v: 0 <= v <= 1e6, 'a number >= 0 and <= 1e6'),
    'sample_rate': (lambda v: 0 < v <= 1, 'a number > 0 and <= 1'),
    'seed': (lambda v: 0 <= index(v) < 2 ** 64, 'an integer >= 0 and < 2^64')}


class StepFunction(torch.autograd.Function):
    """J with the gradient by x, made with J in the run in which W has taken its step."""

    @staticmethod
    def forward(ctx: Any, stepped: 'SteppedHead', call: Call, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.dx = stepped._run(call, x, ctx.needs_input_grad[2] and call.recorded)
        ctx.save_for_backward(x)
        return x.new_tensor(call.out.loss)  # type: ignore[attr-defined]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        if g.item() != 1:
            raise UsageError(f'the loss counts {g.item()} times in what is differentiated, but W has stepped with 1; '
                             'call backward on the loss, or on a sum it is in')
        # x may take a tensor that nobody else has as its .grad; PyTorch would copy this one with threads that then wait for
        # more work, spinning, where the next step needs their cores.
        dx = None if ctx.dx is None else torch.from_numpy(ctx.dx.numpy().copy())
        return None, None, *last(ctx, 'second derivatives of a head that steps its W', [dx], g)


class SteppedHead(nn.Module):
    """A head that steps its own W in every training forward, so that dw never exists as a whole:

        loss = stepped(x, y)      # J before the step; head.weight has moved
        loss.backward()           # the gradient goes on by x alone

    Memory is W and its moments; there is no weight.grad, and no optimizer of yours may have head.weight (it no longer
    requires a gradient). optimizer: 'sgd' (buffer <- momentum buffer + g + weight_decay w, w <- w - lr buffer) or 'adamw'
    (decoupled decay), as PyTorch has them. lr may be set at any time. The moments are buffers, in state_dict.

    sample_rate < 1: a step has the classes of its labels and that share of the others, drawn anew from (seed, step);
    log(1/share) is added to the drawn logits (correction), which takes nearly all of the bias. The other rows of W rest;
    labels that the head ignores bring no class.
    In eval mode the loss of all classes, and no step.

    >>> import torch, logitude.torch as heads
    >>> stepped = heads.SteppedHead(heads.ArcFaceLoss(1000, 8), lr=0.1, sample_rate=0.1)
    >>> x = torch.randn(4, 8, requires_grad=True)
    >>> stepped(x, torch.arange(4)).backward()
    >>> x.grad.shape, stepped.head.weight.grad is None
    (torch.Size([4, 8]), True)
    """

    def __init__(self, head: 'HeadLoss', optimizer: str = 'sgd', *, lr: float, momentum: float = 0.9,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0,
                 sample_rate: float = 1.0, correction: bool = True, seed: int = 0):
        super().__init__()
        refuse_head(head, 'SteppedHead')
        one_of('optimizer', optimizer, OPTIMIZERS)
        if head.bias is not None or head.reduction == 'none' or head.weight.dtype != torch.float32:
            raise UsageError('a stepped head has float32 weights, no bias, and reduction "mean" or "sum"')
        self.head, self.optimizer, self.lr = head, optimizer, lr
        self.momentum, self.betas, self.eps, self.weight_decay = momentum, betas, eps, weight_decay
        self.sample_rate, self.correction, self.seed = sample_rate, correction, seed
        self._refuse_values()
        head.weight.requires_grad_(False)
        self.register_buffer('number', torch.zeros((), dtype=torch.int64))
        self.register_buffer('first', torch.zeros_like(head.weight))
        self.register_buffer('second', torch.zeros_like(head.weight) if optimizer == 'adamw' else None)

    def extra_repr(self) -> str:
        return f'{self.optimizer}, lr={self.lr}, sample_rate={self.sample_rate}'

    def _refuse_values(self) -> None:
        """Says which of the numbers, that may be set at any time, no step can be made with."""
        for name, (fits, expected) in RANGES.items():
            value = getattr(self, name)
            try:
                good = fits(value)
            except (TypeError, ValueError, RuntimeError):  # text, None, a tensor of many numbers, ...
                good = False
            if not good:
                raise UsageError(f'{name} is {value!r}, expected {expected}')

    def forward(self, embeddings: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """The loss, as the head's own forward, and a step of W in training mode."""
        head = self.head
        if not self.training:
            return head(embeddings, labels, **inputs)
        x = head._features(embeddings)
        if x.dtype != torch.float32:
            raise UsageError(f'embeddings are {embeddings.dtype}, expected float32 or less: W steps in float32')
        if head.weight.dtype != torch.float32:
            raise UsageError(f'W is {head.weight.dtype}, expected torch.float32, in which it steps; give the embeddings alone '
                             'another type')
        self._refuse_values()
        call = head._call(embeddings, x, labels, inputs)
        loss = StepFunction.apply(self, call, x)
        head._move(call)
        self.number += 1
        return loss

    def _row_step(self) -> Any:
        second = None if self.second is None else address(self.second)
        return TYPES['lgt_row_step'](OPTIMIZERS[self.optimizer], self.lr, self.weight_decay, self.momentum, *self.betas,
                                     self.eps, int(self.number) + 1, address(self.head.weight), address(self.first), second)

    def _run(self, call: Call, x: Tensor, wanted: bool) -> Optional[Tensor]:
        kept: list[Any] = []
        given, c, most = call.inputs(x, self.head.weight, None, None, kept), COutputs(), 0
        if self.sample_rate < 1:
            if 'labels' not in call.given:
                raise UsageError('sample_rate is below 1, which needs labels, but none are given')
            labels = call.given['labels']
            used = labels[labels != self.head.plans.options['ignore_label']].clamp(0, self.head.num_classes - 1)  # the run tells
            classes, offsets = sample_classes(used.numpy(), self.head.num_classes, self.sample_rate, index(self.seed),
                                              int(self.number), self.head.plans.context)
            given.classes, given.n_listed = arrays.address(classes), len(classes)
            given.offsets = arrays.address(offsets) if self.correction else None
            most = LIB.lgt_sample_classes_most(self.head.num_classes, x.shape[0], self.sample_rate)
        dx = torch.empty(x.shape, dtype=x.dtype) if wanted else None
        fill(c.dx, dx, kept)
        plan = self.head.plans.get('steps', x.shape[0], x.dtype, call.precision, most)
        try:
            plan._call(LIB.lgt_plan_step, ctypes.byref(given), ctypes.byref(self._row_step()), ctypes.byref(c))
        finally:  # rows may have moved before another was refused
            self._tell_autograd()
        call.ran(c)
        return dx

    def _tell_autograd(self) -> None:
        """W has moved behind PyTorch's back: what a graph has saved of it is now another matrix. A view of no rows shares its
        version, so that a write to it makes a backward through such a graph an error."""
        for moved in (self.head.weight, self.first, self.second):
            if moved is not None:
                moved.detach()[:0].zero_()


def sample_classes(labels: Any, n_classes: int, rate: float, seed: int, step: int,
                   context: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(classes, offsets) of a step: the labels' classes and a share `rate` of the others, rising; 0 for labels and
    log(1/share) for the others."""
    at, n = in_context(context), len(labels)
    most = LIB.lgt_sample_classes_most(n_classes, n, rate)
    classes, offsets, listed = np.empty(most, np.int64), np.empty(most), ctypes.c_int64()
    with at._lock:
        check(LIB.lgt_sample_classes, at.address, seed, step, n_classes,
              arrays.address(arrays.vector(labels, 'labels', n, arrays.INT64)), n, rate, arrays.address(classes),
              arrays.address(offsets), ctypes.byref(listed))
    return classes[:listed.value], offsets[:listed.value]
