"""Exact evaluation: classification, calibration, verification, retrieval, and what pictures are drawn from."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from . import _arrays as arrays
from ._context import Context, in_context
from ._errors import UsageError
from ._head import Predictions
from ._library import LIB, TYPES
from ._loss import Loss, as_loss

Array = np.ndarray
FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Classification:
    """accuracy; nll, the mean of lse - logit of the label, nats; ece, the calibration error of the top probability over
    15 bins."""
    n_rows: int
    accuracy: float
    nll: float
    ece: float


@dataclass(frozen=True)
class Calibration:
    """By bins of the top probability: rows, their mean probability and their accuracy (NaN in an empty bin)."""
    rows: Array
    confidence: Array
    accuracy: Array


@dataclass(frozen=True)
class Verification:
    """Over all pairs of rows: auc, eer, and the true accept rates at the false accept rates 1e-2 and 1e-3."""
    n_genuine: int
    n_impostor: int
    auc: float
    eer: float
    tar_at_far: tuple[float, ...]


@dataclass(frozen=True)
class Retrieval:
    """Every row against all others: recall at 1 and 5, MAP@R; n_lone queries without a match count in none."""
    n_queries: int
    n_lone: int
    recall_at_1: float
    recall_at_5: float
    map_at_r: float


@dataclass(frozen=True)
class Angles:
    """Angles in radians to the nearest centre of the own class and to the nearest other class, that class, and norms."""
    target: Array
    nearest: Array
    nearest_class: Array
    x_norm: Array
    w_norm: Array


def _predicted(predictions: Predictions, labels: Any) -> tuple[int, Array, Array, Array, Array]:
    n, k = predictions.classes.shape
    return (k, arrays.vector(labels, 'labels', n, arrays.INT64), np.ascontiguousarray(predictions.classes, np.int64),
            np.ascontiguousarray(predictions.logits, np.float64), arrays.vector(predictions.lse, 'lse', n, arrays.FLOAT64))


def classification(predictions: Predictions, labels: Any) -> Classification:
    """From what predict(..., labels=labels) returned.

    >>> import numpy as np
    >>> from logitude import predict
    >>> w = np.eye(2, dtype=np.float32)
    >>> classification(predict(w, w, labels=[0, 0]), [0, 0]).accuracy
    0.5
    """
    if predictions.label_logits is None:
        raise UsageError('the predictions have no label_logits: give predict the labels')
    k, labels, classes, logits, lse = _predicted(predictions, labels)
    truth = arrays.vector(predictions.label_logits, 'label_logits', len(labels), arrays.FLOAT64)
    out = TYPES['lgt_classification']()
    in_context(None).call(LIB.lgt_eval_classification, len(labels), arrays.address(labels), k, arrays.address(classes),
                          arrays.address(logits), arrays.address(lse), arrays.address(truth), ctypes.byref(out))
    return Classification(out.n_rows, out.accuracy, out.nll, out.ece)


def calibration(predictions: Predictions, labels: Any) -> Calibration:
    """The bins of the calibration error."""
    k, labels, classes, logits, lse = _predicted(predictions, labels)
    out = TYPES['lgt_calibration']()
    in_context(None).call(LIB.lgt_eval_calibration, len(labels), arrays.address(labels), k, arrays.address(classes),
                          arrays.address(logits), arrays.address(lse), ctypes.byref(out))
    return Calibration(np.array(out.rows), np.array(out.confidence), np.array(out.accuracy))


def confusions(predictions: Predictions, labels: Any, most: int = 10,
               context: Optional[Context] = None) -> list[tuple[int, int, int]]:
    """The most frequent confusions: (label, predicted, rows), by falling number of rows."""
    k, labels, classes, _, _ = _predicted(predictions, labels)
    out, count, at = (TYPES['lgt_confusion'] * max(most, 0))(), ctypes.c_int64(), in_context(context)
    at.call(LIB.lgt_eval_confusions, at.address, len(labels), arrays.address(labels), k, arrays.address(classes), most, out,
            ctypes.byref(count))
    return [(out[i].label, out[i].predicted, out[i].rows) for i in range(count.value)]


def _embedded(embeddings: Any, labels: Any, context: Optional[Context]) -> tuple[Array, Array, Context]:
    embeddings = arrays.matrix(embeddings, 'embeddings', (None, None), FLOAT32)
    return embeddings, arrays.vector(labels, 'labels', len(embeddings), arrays.INT64), in_context(context)


def verification(embeddings: Any, labels: Any, *, context: Optional[Context] = None) -> Verification:
    """All unordered pairs of embeddings (N, D) float32, scored by their cosines; genuine where the labels are equal.

    >>> import numpy as np
    >>> verification(np.array([[1, 0], [2, 0.1], [0, 1], [0, 3]], np.float32), [0, 0, 1, 1]).auc
    1.0
    """
    embeddings, labels, at = _embedded(embeddings, labels, context)
    out = TYPES['lgt_verification']()
    at.call(LIB.lgt_eval_verification, at.address, arrays.view(embeddings), arrays.address(labels), ctypes.byref(out))
    return Verification(out.n_genuine, out.n_impostor, out.auc, out.eer, tuple(out.tar_at_far))


def retrieval(embeddings: Any, labels: Any, *, context: Optional[Context] = None) -> Retrieval:
    """Every row of embeddings (N, D) float32 as a query against all others, ranked by cosine."""
    embeddings, labels, at = _embedded(embeddings, labels, context)
    out = TYPES['lgt_retrieval']()
    at.call(LIB.lgt_eval_retrieval, at.address, arrays.view(embeddings), arrays.address(labels), ctypes.byref(out))
    return Retrieval(out.n_queries, out.n_lone, out.recall_at_1, out.recall_at_5, out.map_at_r)


def roc(embeddings: Any, labels: Any, far: Any, *, context: Optional[Context] = None) -> Array:
    """The largest share of genuine pairs accepted by a threshold that accepts at most the share far[i] of impostors."""
    embeddings, labels, at = _embedded(embeddings, labels, context)
    rates = arrays.vector(far, 'far', len(np.asarray(far)), arrays.FLOAT64)
    tar = np.empty_like(rates)
    at.call(LIB.lgt_eval_roc, at.address, arrays.view(embeddings), arrays.address(labels), len(rates),
            arrays.address(rates), arrays.address(tar))
    return tar


def angles(x: Any, w: Any, labels: Any, *, loss: Union[str, Loss] = 'softmax', context: Optional[Context] = None) -> Angles:
    """Where rows x (N, D) stand among the classes w, both float32: angles, nearest other class, norms."""
    x, at, centres = arrays.matrix(x, 'x', (None, None), FLOAT32), in_context(context), as_loss(loss).centres
    w = arrays.matrix(w, 'w', (None, x.shape[1]), FLOAT32)
    labels, n = arrays.vector(labels, 'labels', len(x), arrays.INT64), len(x)
    found = Angles(np.empty(n), np.empty(n), np.empty(n, np.int64), np.empty(n), np.empty(n))
    out = TYPES['lgt_angles'](*map(arrays.address, vars(found).values()))
    at.call(LIB.lgt_eval_angles, at.address, arrays.view(x), arrays.view(w), arrays.address(labels), len(w) // centres,
            centres, ctypes.byref(out))
    return found


def plane(embeddings: Any, *, directions: bool = False, context: Optional[Context] = None) -> tuple[Array, Array]:
    """((N, 2) coordinates for a picture, the share of the variance that each holds): the first two principal components of
    embeddings (N, D) float32, or with directions=True of their directions; with D = 2 the embeddings themselves."""
    embeddings, at = arrays.matrix(embeddings, 'embeddings', (None, None), FLOAT32), in_context(context)
    out, shares = np.empty((len(embeddings), 2)), np.empty(2)
    at.call(LIB.lgt_eval_map, at.address, arrays.view(embeddings), directions, arrays.fill(arrays.Mut(), out),
            arrays.address(shares))
    return out, shares
