"""Modules of alignment: features pulled towards reliable neighbours of their own class, beside a head or alone."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ._align import AlignBank, Alignment, align, align_layers
from ._errors import UsageError
from ._torch_function import as_array, computed, last, refuse, refuse_head

if TYPE_CHECKING:
    from .torch import HeadLoss


class GivenGradient(torch.autograd.Function):
    """A number whose gradients by some tensors are known: value, n gradients, n tensors."""

    @staticmethod
    def forward(ctx: Any, value: float, gradients: Sequence[Any], *tensors: Tensor) -> Tensor:  # type: ignore[override]
        ctx.gradients = gradients
        ctx.save_for_backward(*tensors)
        return tensors[0].new_tensor(value)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        with torch.no_grad():
            parts = [None if part is None else part * g for part in ctx.gradients]
        return (None, None, *last(ctx, 'second derivatives of an alignment', parts, g))


def among_all(found: Alignment, used: np.ndarray) -> Alignment:
    """What was found of the used rows, at their places among all; nothing pulls the others."""
    dx = np.zeros((len(used), found.dx.shape[1]), found.dx.dtype)  # type: ignore[union-attr]
    rows = np.zeros(len(used), found.rows.dtype)  # type: ignore[union-attr]
    for angle in ('inner', 'cosine', 'largest', 'smallest'):
        rows[angle] = np.nan
    dx[used], rows[used] = found.dx, found.rows
    return replace(found, dx=dx, rows=rows)


class AlignLoss(nn.Module):
    """Direction alignment of features with neighbours of equal label (docs/alignment.md, Eq. 140); neighbours, weights and
    targets are constants to the gradient, and there is no second derivative.

    term: 'pga' with its keys. capacity > 0: a memory bank of that many samples, whose reliabilities and directions are in
    state_dict; forward then needs ids. It moves in training mode alone. `last` tells of the last forward.

    >>> import torch, logitude.torch as heads
    >>> x = torch.tensor([[1, 0.1], [1, -0.1], [0, 1]], requires_grad=True)
    >>> pull = heads.AlignLoss('pga:k=1')
    >>> pull(x, torch.tensor([0, 0, 1])).backward()
    >>> pull.last.n_aligned
    2
    """

    def __init__(self, term: str = 'pga', *, embedding_size: int = 0, capacity: int = 0):
        super().__init__()
        if capacity and not embedding_size:
            raise UsageError('a memory bank needs the embedding_size')
        self.term, self.embedding_size, self.capacity = term, embedding_size, capacity
        self.bank = AlignBank(embedding_size, capacity) if capacity else None
        self.last: Optional[Alignment] = None

    def forward(self, embeddings: Tensor, labels: Tensor, ids: Optional[Tensor] = None,
                below: Optional[Tensor] = None) -> Tensor:
        """embeddings (N, D), labels (N), ids (N) of samples with a bank, below (N, D) the layer below for targets=layer."""
        refuse(embeddings, 'embeddings', 2)
        refuse(labels, 'labels', 1)
        x = computed(embeddings, 'embeddings')
        self._align(x, labels, ids, below)
        return GivenGradient.apply(self.last.loss, [self._pull()], x)  # type: ignore[union-attr]

    def _align(self, x: Tensor, labels: Tensor, ids: Optional[Tensor], below: Optional[Tensor] = None, **head: Any) -> None:
        below = None if below is None else computed(below, 'below', x.dtype)
        self.last = align(as_array(x), as_array(labels), self.term, ids=as_array(ids), bank=self.bank,
                          frozen=not self.training, below=as_array(below), **head)

    def _pull(self) -> Tensor:
        return torch.from_numpy(self.last.dx)  # type: ignore[union-attr]

    def extra_repr(self) -> str:
        return repr(self.term)

    def get_extra_state(self) -> dict[str, Tensor]:
        return {} if self.bank is None else {k: torch.from_numpy(v) for k, v in self.bank.export().items()}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        if self.bank is not None and state:
            self.bank.replace(**{name: tensor.numpy() for name, tensor in state.items()})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, 'bank': self.get_extra_state(), 'last': None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, 'bank': None})
        if self.capacity:
            self.bank = AlignBank(self.embedding_size, self.capacity)
            self.set_extra_state(state['bank'])


class AlignedLoss(AlignLoss):
    """A head's loss plus direction alignment, in one pass of either: the pull knows the head's gradient, so that conflicts
    are told (`last.conflict`) and, where the term says resolve=project or scale, resolved. Rows whose label the head ignores
    pull nobody, are not pulled and do not enter the bank. No second derivatives."""

    def __init__(self, head: 'HeadLoss', term: str = 'pga', *, capacity: int = 0):
        refuse_head(head, 'AlignedLoss')
        super().__init__(term, embedding_size=head.embedding_size, capacity=capacity)
        if head.reduction == 'none':
            raise UsageError('the head has reduction "none", expected "mean" or "sum"')
        self.head = head

    def forward(self, embeddings: Tensor, labels: Tensor, ids: Optional[Tensor] = None,  # type: ignore[override]
                **inputs: Any) -> Tensor:
        """embeddings (N, D), labels (N), ids (N) of samples with a bank; inputs: those of the head's forward."""
        head, x = self.head, self.head._features(embeddings)
        refuse(labels, 'labels', 1)
        w = computed(head.weight, 'weight', x.dtype)
        b = None if head.bias is None else computed(head.bias, 'bias', x.dtype)
        call = head._call(embeddings, x, labels, inputs)
        dx, dw, db = call.run(x, w, b, (True, w.requires_grad, b is not None and b.requires_grad))
        head._move(call)
        used = call.given['labels'] != head.plans.options['ignore_label']
        if used.all():
            self._align(x, labels, ids, head=as_array(dx))
        else:
            self._align(x[used], labels[used], None if ids is None else ids[used], head=as_array(dx[used]))
            self.last = among_all(self.last, used.numpy())
        return GivenGradient.apply(call.out.loss + self.last.loss, [dx + self._pull(), dw, db], x, w, b)  # type: ignore


class LayersAlignLoss(nn.Module):
    """Alignment between two or more layers, the deepest last: 'k' aligns affinities, 'z' smoothed features (docs/alignment.md,
    Eq. 146 to 148). Deeper layers are constants where the term says so; no second derivatives."""

    def __init__(self, term: str = 'k'):
        super().__init__()
        self.term = term

    def forward(self, layers: Sequence[Tensor], labels: Tensor) -> Tensor:
        """layers of (N, D_l), labels (N)."""
        for i, layer in enumerate(layers):
            refuse(layer, f'layers[{i}]', 2)
        refuse(labels, 'labels', 1)
        xs = [computed(layer, f'layers[{i}]') for i, layer in enumerate(layers)]
        found = align_layers([as_array(x) for x in xs], as_array(labels), self.term)
        return GivenGradient.apply(found.loss, [torch.from_numpy(dx) for dx in found.dx], *xs)

    def extra_repr(self) -> str:
        return repr(self.term)
