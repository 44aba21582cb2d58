"""Analysis of losses: defects of target logits, schedules and scales for a training, checks of gradients."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from . import _arrays as arrays
from ._context import Context, in_context
from ._errors import UsageError
from ._head import ENGINES
from ._library import LIB, TYPES, VALUES, check
from ._loss import Loss, as_loss

Array = np.ndarray
WARNINGS = {'dead': VALUES['LGT_SCHEDULE_DEAD'], 'fast': VALUES['LGT_SCHEDULE_FAST'], 'late': VALUES['LGT_SCHEDULE_LATE'],
            'weak': VALUES['LGT_SCHEDULE_WEAK']}


def record(struct: Any) -> dict[str, Any]:
    """The numbers of a struct by name."""
    return {name: getattr(struct, name) for name, _ in struct._fields_}


@dataclass(frozen=True)
class Lint:
    """Defects of the target logit over [0, pi], angles in radians: jumps (theta, size), rises (from, to, rise) and dead
    zones (at, from, to, force); kinks and crowd_jumps are no defects. largest_force is the one of the largest modulus."""
    scale: float
    jumps: list[dict[str, float]]
    rises: list[dict[str, float]]
    dead: list[dict[str, float]]
    kinks: list[dict[str, float]]
    crowd_jumps: list[dict[str, float]]
    largest_force: float
    largest_theta: float
    n_defects: int


@dataclass(frozen=True)
class Curve:
    """Logit and force -dz/dtheta of a loss and of its plain head at angles evenly over [0, pi]."""
    theta: Array
    logit: Array
    force: Array
    plain_logit: Array
    plain_force: Array


@dataclass(frozen=True)
class ScheduleReview:
    """A schedule over a training; see docs/maths.md. warnings: 'dead', 'fast', 'late', 'weak'."""
    first: float
    last: float
    arrives: float
    start_force: float
    end_force: float
    start_logit: float
    dead_starts: float
    dead_share: float
    fastest: float
    fastest_factor: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ScaleReview:
    """A scale against the number of classes (Eq. 42)."""
    scale: float
    most_probability: float
    least_loss: float
    needed: float
    needed_with_margin: float
    suggested: float
    satisfied: float
    too_small: bool
    too_large: bool


@dataclass(frozen=True)
class GradientCheck:
    """Largest relative errors over random problems, against differences and between the engines."""
    n_problems: int
    dx: float
    dw: float
    db: float
    hvp: float
    engine_dx: float
    engine_dw: float
    engine_db: float
    engine_hvp: float
    tolerance: float
    engine_tolerance: float
    engine_hvp_tolerance: float
    passed: bool


def _norms(c_loss: Any, x_norm: Optional[float], w_norm: float) -> tuple[float, float]:
    return LIB.lgt_lint_norm(ctypes.byref(c_loss)) if x_norm is None else x_norm, w_norm


def lint(loss: Union[str, Loss], *, step: int = 0, x_norm: Optional[float] = None, w_norm: float = 1.0) -> Lint:
    """Examines the target logit of a loss by its values and derivatives. x_norm None: a norm that stands for many.

    >>> lint('arcface').n_defects, lint('arcface:m=0.5,tail=cosface').jumps[0]['size'] != 0
    (0, True)
    """
    c, out = as_loss(loss)._c, TYPES['lgt_lint']()
    check(LIB.lgt_lint_run, ctypes.byref(c), step, *_norms(c, x_norm, w_norm), ctypes.byref(out))
    most = VALUES['LGT_LINT_MOST']
    lists = {name: [record(entry) for entry in getattr(out, name)[:min(getattr(out, 'n_' + name), most)]]
             for name in ('jumps', 'rises', 'dead', 'kinks', 'crowd_jumps')}
    return Lint(scale=out.scale, **lists, largest_force=out.largest_force, largest_theta=out.largest_theta,
                n_defects=out.n_defects)


def lint_curve(loss: Union[str, Loss], n: int = 361, *, step: int = 0, x_norm: Optional[float] = None,
               w_norm: float = 1.0) -> Curve:
    """The target logit and its force, and those of the plain head, at n angles."""
    c, size = as_loss(loss)._c, max(n, 0)
    found = Curve(*(np.empty(size) for _ in range(5)))
    out = TYPES['lgt_lint_curve'](*map(arrays.address, vars(found).values()))
    check(LIB.lgt_lint_draw, ctypes.byref(c), step, *_norms(c, x_norm, w_norm), n, ctypes.byref(out))
    return found


def review_schedule(loss: Union[str, Loss], n_steps: int, dim: int, target: float = 0.0) -> ScheduleReview:
    """Reviews a loss's lambda or warm-up over n_steps for features of dim dimensions; target is the lambda wanted at the
    end."""
    out = TYPES['lgt_schedule_review']()
    check(LIB.lgt_schedule_review_run, ctypes.byref(as_loss(loss)._c), n_steps, dim, target, ctypes.byref(out))
    found = record(out)
    found['warnings'] = tuple(name for name, bit in WARNINGS.items() if out.warnings & bit)
    return ScheduleReview(**found)


def propose_schedules(loss: Union[str, Loss], n_steps: int, target: float = 0.0) -> list[Loss]:
    """The loss with two lambdas, or else two warm-ups of its margin, that fit n_steps; empty where its lambda would mix a
    multiple m <= 1. A loss that has neither (softmax, normalized) is a UsageError."""
    out, count = (TYPES['lgt_loss'] * 2)(), ctypes.c_int()
    check(LIB.lgt_schedule_propose, ctypes.byref(as_loss(loss)._c), n_steps, target, out, ctypes.byref(count))
    return [Loss._of(out[i]) for i in range(count.value)]


def review_scale(loss: Union[str, Loss], n_classes: int, probability: float = 0.99, *, step: int = 0) -> ScaleReview:
    """A loss's scale against the number of classes and the probability that is wanted.

    >>> review_scale('arcface:s=64', 1000).too_small
    False
    """
    out = TYPES['lgt_scale_review']()
    check(LIB.lgt_scale_review_run, ctypes.byref(as_loss(loss)._c), step, n_classes, probability, ctypes.byref(out))
    found = record(out)
    found.update(too_small=bool(out.too_small), too_large=bool(out.too_large))
    return ScaleReview(**found)


def check_gradients(loss: Union[str, Loss], *, engine: str = 'cpu', dtype: Any = np.float64, n_problems: int = 20,
                    seed: int = 0, context: Optional[Context] = None) -> GradientCheck:
    """Analytic gradients and Hessian-vector products against differences, and the engine against the reference."""
    kind, at, out = np.dtype(dtype), in_context(context), TYPES['lgt_gradcheck']()
    if engine not in ENGINES or kind not in arrays.FLOATS:
        raise UsageError(f'engine is {engine!r} and dtype {kind}, expected cpu or reference and float32 or float64')
    at.call(LIB.lgt_gradcheck_run, at.address, ctypes.byref(as_loss(loss)._c), ENGINES[engine], arrays.FLOATS[kind],
            n_problems, seed, ctypes.byref(out))
    found = record(out)
    found['passed'] = bool(out.passed)
    return GradientCheck(**found)
