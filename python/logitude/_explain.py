"""Explanation of gradients: for single rows, why dL_i/dx points where it does."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from . import _arrays as arrays
from ._context import Context
from ._errors import UsageError
from ._head import HeadInputs, Options, head_for, split_options
from ._library import LIB, TYPES, initialised, put
from ._loss import Loss

if TYPE_CHECKING:
    from typing_extensions import Unpack

Array = np.ndarray
REALS = ('loss', 'p', 'theta', 'alpha', 'x_norm', 'w_norm', 'attraction', 'repulsion', 'attraction_share', 'penalty',
         'gradient', 'tangential', 'radial', 'radial_share', 'sensitivity', 'bound', 'tight_bound', 'detached_angle',
         'detached_ratio', 'nearest_theta')


@dataclass
class Explanation:
    """Arrays of n, one entry for each row asked for; what does not exist is NaN, or class -1 (docs/analysis.md).

        dL_i/dx = attraction_x + repulsion_x + penalty x/|x|                    (Eq. 100)
    """
    loss: Array              # L_i, nats
    p: Array                 # probability of the label
    theta: Array             # angle between x and the class, radians
    alpha: Array             # angular force of the target logit over the plain head's
    x_norm: Array
    w_norm: Array
    attraction: Array        # lengths of the two forces
    repulsion: Array
    attraction_share: Array  # attraction / (attraction + repulsion)
    penalty: Array           # what the loss adds for the norm of x: along x, signed
    gradient: Array          # |dL_i/dx|
    tangential: Array        # its lengths across and along x
    radial: Array
    radial_share: Array      # radial^2 / gradient^2
    sensitivity: Array       # 1 / |x|
    bound: Array             # proven upper bounds of `gradient`
    tight_bound: Array
    detached_angle: Array    # angle between the gradients of the modes exact and detached
    detached_ratio: Array    # |detached| / |exact|
    nearest_theta: Array     # angle to the nearest other class
    nearest: Array           # that class
    pushers: Array           # (n, n_pushers) classes that push hardest
    pusher_shares: Array     # (n, n_pushers) their shares of all pushes
    attraction_x: Optional[Array]  # (n, D) the forces themselves, with forces=True
    repulsion_x: Optional[Array]
    state: Optional[Array]   # as of loss_and_gradients


def explain(x: Any, w: Any, labels: Any = None, *, loss: Union[str, Loss] = 'softmax', b: Any = None, rows: Any = None,
            n_pushers: int = 3, forces: bool = False, context: Optional[Context] = None,
            **options: Unpack[Options]) -> Explanation:
    """The forces on rows of x, exact parts of the gradient of L_i itself.

    rows: rows of x to explain, in any order; None: all. forces: return the forces as vectors too. Of the options of a plan
    label_smoothing, z_loss and ignore_label count here.

    >>> import numpy as np
    >>> found = explain(np.array([[1.0, 0.5]]), np.eye(2), [0], forces=True)
    >>> from logitude import loss_and_gradients
    >>> exact = loss_and_gradients(np.array([[1.0, 0.5]]), np.eye(2), [0]).dx
    >>> bool(np.allclose(found.attraction_x + found.repulsion_x, exact, atol=1e-15))
    True
    """
    plan, more = split_options(options)
    foreign = set(plan) - {'label_smoothing', 'z_loss', 'ignore_label'}
    if foreign:
        raise UsageError(f'explain has no "{foreign.pop()}", expected label_smoothing, z_loss or ignore_label')
    _, head = head_for(loss, x, w, context)
    given = HeadInputs(head, x, w, labels, b, **more)
    c, out = initialised('lgt_explain_options'), TYPES['lgt_explanation']()
    c.dtype, n = arrays.FLOATS[given.x.dtype], given.rows
    for key, value in {'n_pushers': n_pushers, **plan}.items():
        put(c, key, value)
    if rows is not None:
        n = len(np.asarray(rows))
        chosen = arrays.vector(rows, 'rows', n, arrays.INT64)
        c.rows, c.n_rows = arrays.address(chosen), n
    made: dict[str, Any] = {name: np.empty(n) for name in REALS}
    made.update(nearest=np.empty(n, np.int64), pushers=np.empty((n, max(n_pushers, 0)), np.int64),
                pusher_shares=np.empty((n, max(n_pushers, 0))), attraction_x=None, repulsion_x=None)
    if forces:
        made.update(attraction_x=np.empty((n, head.dim)), repulsion_x=np.empty((n, head.dim)))
    for name, array in made.items():
        if array is not None:
            setattr(out, name, arrays.address(array))
    with head.context._lock:
        head.context.call(LIB.lgt_explain_run, head._handle.address, ctypes.byref(c), ctypes.byref(given.c),
                          ctypes.byref(out))
    n_state = head.loss.n_state
    return Explanation(**made, state=np.array(out.state[:n_state]) if n_state else None)
