"""PyTorch modules of the heads: loss and exact gradients in one pass of the library, exact second derivatives.

>>> import torch, logitude.torch as heads
>>> _ = torch.manual_seed(0)
>>> head = heads.ArcFaceLoss(num_classes=10, embedding_size=4, margin=28.6, scale=16)
>>> x, y = torch.randn(6, 4, requires_grad=True), torch.arange(6)
>>> loss = head(x, y)
>>> loss.backward()
>>> x.grad.shape, head.weight.grad.shape
(torch.Size([6, 4]), torch.Size([10, 4]))

Second derivatives, as for a penalty on the gradient:

>>> along, = torch.autograd.grad(head(x, y), x, create_graph=True)
>>> along.square().sum().backward()

Modules have the names and arguments of pytorch-metric-learning where it has the loss, else insightface's or the papers'
(docs/torch.md). Weights are (C, D), one class a row; a module of k centres has (C k, D). Embeddings are float32, float64,
bfloat16 or float16 on the CPU; whatever lies contiguous in float32 or float64 is read where it is.
"""
from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Optional, Union

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._context import Context
from ._errors import UsageError
from ._head import Predictions, predict
from ._library import LIB, VALUES
from ._loss import Loss, loss_with
from ._torch_align import AlignedLoss, AlignLoss, LayersAlignLoss
from ._torch_function import Call, LossFunction, Plans, as_array, computed, refuse
from ._torch_steps import SteppedHead

__all__ = ['HeadLoss', 'SoftmaxLoss', 'NormalizedSoftmaxLoss', 'CosFaceLoss', 'ArcFaceLoss', 'CombinedMarginLoss',
           'LargeMarginSoftmaxLoss', 'SphereFaceLoss', 'SphereFaceRLoss', 'AdaFaceLoss', 'MagFaceLoss', 'CurricularFaceLoss',
           'SubCenterArcFaceLoss', 'AlignLoss', 'AlignedLoss', 'LayersAlignLoss', 'SteppedHead']


def _by_key(**names: str) -> Callable[[Any], Any]:
    """Lets a loss's constructor take keys of the loss in place of its arguments: s='scale' says which."""
    def taking(init: Any) -> Any:
        signature = inspect.signature(init)

        @functools.wraps(init)
        def checked(self: Any, *arguments: Any, **options: Any) -> None:
            given = signature.bind(self, *arguments, **options).arguments
            for key, name in names.items():
                if key in options and name in given:
                    raise UsageError(f'{name} and {key} are both given, but {key} is the key that {name} stands for')
            init(self, *arguments, **options)
        return checked
    return taking


class HeadLoss(nn.Module):
    """Any loss of the library as a module with the weights of its classes:

        J = sum_i a_i L_i / sum_i a_i,   L_i = log sum_j exp(z_ij) - z_iy  (+ smoothing, z-loss, the loss's penalty)

    loss: a specification ('arcface:m=0.4', docs/losses.md); angles are radians, or degrees with the suffix deg; or a Loss.
    settings: further keys of it, a Python keyword with an underscore behind it (lambda_='0'); they replace those of a Loss.
    like: another system's settings in place of the defaults of a specification. reduction: 'mean' (weighted), 'sum' or
    'none'. ignore_index: rows with this label count for nothing. class_weights (C) >= 0. label_smoothing in [0, 1), z_loss
    >= 0. precision of products: 'full', 'bf16x3' or 'bf16'; None: 'bf16' for bfloat16 embeddings, else 'full'. bias: (C),
    softmax only. factor: multiplies the embeddings first. workspace: most bytes a plan may hold on two
    threads; 0: 64 MiB.

    state_dict has `weight`, `bias`, and of losses that carry something from step to step `state` (the moving averages of
    AdaFace and CurricularFace) and `step` (schedules). Both move in training mode alone. A state_dict of
    pytorch-metric-learning, whose W is (D, C), is read as it is.

    >>> head = HeadLoss(3, 2, 'cosface', m=0.2, s=8)
    >>> head
    HeadLoss(3, 2, 'cosface:s=8,m=0.2,warmup=none,gradient=exact')
    """

    def __init__(self, num_classes: int, embedding_size: int, loss: Union[str, Loss] = 'softmax', *,
                 like: Optional[str] = None, reduction: str = 'mean', ignore_index: int = -100,
                 class_weights: Optional[Tensor] = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
                 precision: Optional[str] = None, bias: bool = False, factor: float = 1.0, workspace: int = 0,
                 context: Optional[Context] = None, **settings: Any):
        super().__init__()
        self.loss = loss_with(loss, settings, like)
        if bias and not self.loss.has_bias:
            raise UsageError(f'{self.loss.name} has no bias; softmax has')
        self.num_classes, self.embedding_size = int(num_classes), int(embedding_size)
        self.reduction, self.precision, self.factor = reduction, precision, float(factor)
        self.plans = Plans(self.loss, self.embedding_size, self.num_classes, context, {
            'reduction': reduction, 'ignore_label': ignore_index, 'label_smoothing': label_smoothing, 'z_loss': z_loss,
            'workspace': workspace})
        self.plans.get('loss', 1, torch.float32, precision or 'full')  # errors belong here
        self.plans.kept.clear()
        self.weight = nn.Parameter(torch.empty(self.num_classes * self.loss.centres, self.embedding_size))
        self.bias = nn.Parameter(torch.empty(self.num_classes)) if bias else None
        self.register_buffer('class_weights', class_weights, persistent=False)
        self.register_buffer('state', self._first_state() if self.loss.n_state else None)
        scheduled = self.loss._c.schedule.kind != VALUES['LGT_SCHEDULE_CONSTANT']
        self.register_buffer('step', torch.zeros((), dtype=torch.int64) if scheduled else None)
        self.reset_parameters()

    def _first_state(self) -> Tensor:
        first = LIB.lgt_loss_param_of(self.loss._c.info, VALUES['LGT_ROLE_STATE'])
        return torch.tensor(self.loss._c.values[first:first + self.loss.n_state], dtype=torch.float64)

    def reset_parameters(self) -> None:
        """Rows of about unit length, in directions drawn evenly; no bias."""
        nn.init.normal_(self.weight, std=self.embedding_size ** -0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *more: Any) -> None:
        if prefix + 'W' in state and prefix + 'weight' not in state:
            state[prefix + 'weight'] = state.pop(prefix + 'W').t()
        super()._load_from_state_dict(state, prefix, *more)

    @property
    def W(self) -> Tensor:
        """(D, C) view of the weights, as pytorch-metric-learning has them."""
        return self.weight.t()

    def extra_repr(self) -> str:
        return f'{self.num_classes}, {self.embedding_size}, {self.loss.spec!r}'

    def _call(self, embeddings: Tensor, x: Tensor, labels: Optional[Tensor], inputs: dict[str, Any]) -> Call:
        """x: the embeddings in the type that is computed in."""
        step, buffers = inputs.pop('step', None), self._buffers  # a module's own attributes are slow to find
        if step is None:
            step = 0 if buffers['step'] is None else int(buffers['step'])
        for name in ('class_weights', 'state'):
            if buffers[name] is not None:
                inputs.setdefault(name, buffers[name])
        low = embeddings.dtype == torch.bfloat16
        return Call(self.plans, x, labels, self.precision or ('bf16' if low else 'full'), not self.training, step, inputs)

    def _move(self, call: Call) -> None:
        """What is carried to the next step."""
        buffers = self._buffers
        if self.training and buffers['state'] is not None:
            buffers['state'].copy_(call.given['state'])
        if self.training and buffers['step'] is not None:
            buffers['step'] += 1

    def _features(self, embeddings: Tensor) -> Tensor:
        refuse(embeddings, 'embeddings', 2)
        x = computed(embeddings, 'embeddings')
        return x if self.factor == 1 else x * self.factor

    def forward(self, embeddings: Tensor, labels: Optional[Tensor] = None, **inputs: Any) -> Tensor:
        """The loss of embeddings (N, D) with labels (N) int64: a scalar, or (N) with reduction 'none', in nats.

        inputs, none of which gets a gradient: sample_weights (N), class_weights (C), soft_targets (N, C) (softmax and
        normalized), class_margins (C), class_scales (C), qualities (N) (AdaFace; else |x_i|), state, step.
        """
        return self.at(embeddings, self.weight, self.bias, labels, **inputs)

    def at(self, embeddings: Tensor, weight: Tensor, bias: Optional[Tensor] = None, labels: Optional[Tensor] = None,
           **inputs: Any) -> Tensor:
        """forward with weights of the caller's: (C, D), bias (C) or None."""
        x = self._features(embeddings)
        refuse(weight, 'weight', 2)
        call = self._call(embeddings, x, labels, inputs)
        loss = LossFunction.apply(call, x, computed(weight, 'weight', x.dtype),
                              None if bias is None else computed(bias, 'bias', x.dtype))
        self._move(call)
        return loss

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """(N, C) plain logits, without margins, made by PyTorch: for small C, or where all of them are wanted."""
        x, space = self._features(embeddings), self.loss.space
        w = computed(self.weight, 'weight', x.dtype)
        w = w if space == 'dot' else functional.normalize(w)
        z = (functional.normalize(x) if space == 'cos' else x) @ w.t()
        if self.loss.centres > 1:
            z = z.view(len(x), self.num_classes, self.loss.centres).amax(2)
        return z * self.loss['s'] if space == 'cos' else z if self.bias is None else z + self.bias.to(z.dtype)

    @torch.no_grad()
    def predict(self, embeddings: Tensor, k: int = 1) -> Predictions:
        """The k classes of the largest plain logits, as logitude.predict returns them; never holds N x C."""
        x, w, b = self._features(embeddings).float(), self.weight.float(), None if self.bias is None else self.bias.float()
        return predict(as_array(x), as_array(w), loss=self.loss, b=as_array(b), k=k, context=self.plans.context)


class SoftmaxLoss(HeadLoss):
    """z_y = <w_y, x> + b_y: nn.Linear and nn.CrossEntropyLoss in one. bias (C) as of nn.Linear."""

    def __init__(self, num_classes: int, embedding_size: int, bias: bool = True, **options: Any):
        super().__init__(num_classes, embedding_size, 'softmax', bias=bias, **options)


class NormalizedSoftmaxLoss(HeadLoss):
    """z_y = cos(theta) / temperature."""

    @_by_key(s='temperature')
    def __init__(self, num_classes: int, embedding_size: int, temperature: float = 0.05, **options: Any):
        super().__init__(num_classes, embedding_size, 'normalized', like='pml', **{'s': 1 / temperature, **options})


class CosFaceLoss(HeadLoss):
    """z_y = scale (cos(theta) - margin)."""

    @_by_key(m='margin', s='scale')
    def __init__(self, num_classes: int, embedding_size: int, margin: float = 0.35, scale: float = 64, **options: Any):
        super().__init__(num_classes, embedding_size, 'cosface', like='pml', **{'m': margin, 's': scale, **options})


class ArcFaceLoss(HeadLoss):
    """z_y = scale cos(theta + margin), margin in degrees; past 180 the cosine less m sin m, as pytorch-metric-learning has
    it. tail='continuous' has no jump there. m, the loss's own key, is in radians, or has the suffix deg."""

    @_by_key(m='margin', s='scale')
    def __init__(self, num_classes: int, embedding_size: int, margin: float = 28.6, scale: float = 64, **options: Any):
        super().__init__(num_classes, embedding_size, 'arcface', like='pml', **{'m': f'{margin}deg', 's': scale, **options})


class SubCenterArcFaceLoss(HeadLoss):
    """ArcFace to the nearest of sub_centers centres of a class; margin in degrees, the key m in radians. weight
    (C sub_centers, D)."""

    @_by_key(m='margin', s='scale', k='sub_centers')
    def __init__(self, num_classes: int, embedding_size: int, margin: float = 28.6, scale: float = 64, sub_centers: int = 3,
                 **options: Any):
        super().__init__(num_classes, embedding_size, 'subcenter', like='pml',
                         **{'m': f'{margin}deg', 's': scale, 'k': sub_centers, **options})


class LargeMarginSoftmaxLoss(HeadLoss):
    """z_y = scale |w||x| Psi_m(theta), m = margin: 1, 2, 3, ... `lambda` (a schedule) mixes the plain logit in."""

    @_by_key(m='margin', factor='scale')
    def __init__(self, num_classes: int, embedding_size: int, margin: int = 4, scale: float = 1, **options: Any):
        super().__init__(num_classes, embedding_size, 'lsoftmax', like='pml', **{'m': margin, 'factor': scale, **options})


class SphereFaceLoss(HeadLoss):
    """z_y = scale |x| Psi_m(theta), m = margin: 1, 2, 3, ... `lambda` (a schedule) mixes the plain logit in."""

    @_by_key(m='margin', factor='scale')
    def __init__(self, num_classes: int, embedding_size: int, margin: int = 4, scale: float = 1, **options: Any):
        super().__init__(num_classes, embedding_size, 'sphereface', like='pml', **{'m': margin, 'factor': scale, **options})


class CombinedMarginLoss(HeadLoss):
    """z_y = s (cos(m1 theta + m2) - m3), m2 in radians: insightface's values, with the exact gradient. gradient='detached'
    is theirs; tail='fold' keeps the logit falling past pi."""

    def __init__(self, num_classes: int, embedding_size: int, s: float = 64, m1: float = 1.0, m2: float = 0.5,
                 m3: float = 0.0, **options: Any):
        super().__init__(num_classes, embedding_size, 'combined', s=s, m1=m1, m2=m2, m3=m3,
                         **{'tail': 'none', **options})


class SphereFaceRLoss(HeadLoss):
    """z_y = s F(m theta), F(phi) = (-1)^k cos(phi) - 2k, k = floor(phi/pi)."""

    def __init__(self, num_classes: int, embedding_size: int, s: float = 30, m: float = 1.7, **options: Any):
        super().__init__(num_classes, embedding_size, 'sphereface-r', s=s, m=m, **options)


class AdaFaceLoss(HeadLoss):
    """ArcFace and CosFace weighed by a quality, |x_i| unless `qualities` are given; m in radians. Keeps moving averages."""

    def __init__(self, num_classes: int, embedding_size: int, m: float = 0.4, h: float = 0.333, s: float = 64,
                 **options: Any):
        super().__init__(num_classes, embedding_size, 'adaface', m=m, h=h, s=s, **options)


class MagFaceLoss(HeadLoss):
    """z_y = s cos(theta + m(|x|)), m rising from l_m to u_m (radians) for |x| from l_a to u_a, and a penalty on |x|."""

    def __init__(self, num_classes: int, embedding_size: int, s: float = 64, l_a: float = 10, u_a: float = 110,
                 l_m: float = 0.45, u_m: float = 0.8, lambda_g: float = 35, **options: Any):
        super().__init__(num_classes, embedding_size, 'magface', s=s, l_a=l_a, u_a=u_a, l_m=l_m, u_m=u_m,
                         lambda_g=lambda_g, **options)


class CurricularFaceLoss(HeadLoss):
    """ArcFace that weighs hard negatives by a moving average of the cosine; m in radians. Keeps that average."""

    def __init__(self, num_classes: int, embedding_size: int, m: float = 0.5, s: float = 64, **options: Any):
        super().__init__(num_classes, embedding_size, 'curricularface', m=m, s=s, **options)
