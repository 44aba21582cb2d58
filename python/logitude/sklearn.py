"""Estimators for scikit-learn: SoftmaxRegression, convex and solved to a proven accuracy, and MarginClassifier, a head with any
loss of the library on fixed features. Needs scikit-learn 1.2 or later.

Features may be float32 or float64 and are centred (and scaled) in double before they become float32. Rows are taken in the order
of their content and rows of weight 0 are left out: a fit depends neither on the order of its rows nor on such rows, except that
class_weight='balanced' counts them, as scikit-learn does.

>>> import numpy as np
>>> from logitude.sklearn import MarginClassifier, SoftmaxRegression
>>> X, y = np.array([[0.0, 1], [1, 0], [0, 2], [3, 0]]), ['up', 'right', 'up', 'right']
>>> SoftmaxRegression().fit(X, y).predict([[5, 1]]).tolist()
['right']
>>> MarginClassifier('cosface').fit(X, y).score(X, y)
1.0
"""
from __future__ import annotations

import warnings
from typing import Any, Optional

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, validation
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from ._analysis import review_scale
from ._errors import DataError, UsageError, one_of
from ._head import Head
from ._library import LIB, VALUES
from ._loss import Loss, loss_with
from ._train import Trainer

__all__ = ['MarginClassifier', 'SoftmaxRegression']
Array = np.ndarray
STEPPED, SOLVED = ('sgd', 'adamw'), ('lbfgs', 'newton-cg')
MOST_EXACT = 1e-14  # of the gradient; beyond what double can serve
MOST_L2 = 1e6  # that the library takes


def _in_order(x: Array, y: Array, weights: Array) -> tuple[Array, Array, Array]:
    """The rows of positive weight, by their bytes; equal ones by label and weight."""
    first = np.lexsort((weights, y))
    first = first[weights[first] > 0]
    x = np.ascontiguousarray(x[first])
    second = x.view(np.dtype((np.void, x.shape[1] * x.itemsize))).ravel().argsort(kind='stable')
    return x[second], y[first[second]], weights[first[second]]


def _weighed(x: Array, index: Array, weights: Array, of_class: Array) -> tuple[Array, Array, Array]:
    """The rows with the weights of their classes, those of 0 left out."""
    weights = weights * of_class[index]
    kept = weights > 0
    if kept.all():
        return x, index, weights
    if not kept.any():
        raise DataError(f'class_weight is 0 for every class of the {len(kept)} rows with a weight, expected one above 0')
    return x[kept], index[kept], weights[kept]


def _single(x: Array) -> Array:
    """float32, which holds less than double."""
    with np.errstate(over='ignore'):
        out = x.astype(np.float32)
    finite = np.isfinite(out).all(axis=0)
    if not finite.all():
        raise DataError(f'X: feature {int(np.argmin(finite))} is too large, expected less than {np.finfo(np.float32).max:.2g}, '
                        'the most that float32 holds, once it is centred and scaled; scale the features down')
    return out


def _with_state(loss: Loss, before: Loss) -> Loss:
    """The loss with what it carries from step to step as `before`, if of the same name, has it."""
    if not loss.n_state or loss.name != before.name:
        return loss
    first = LIB.lgt_loss_param_of(loss._c.info, VALUES['LGT_ROLE_STATE'])
    return loss_with(loss, {p.key: before[p.key] for p in loss.info.parameters[first:first + loss.n_state]})


def _softmax(z: Array) -> Array:
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


class _HeadClassifier(ClassifierMixin, BaseEstimator):
    """What both have in common: rows and weights before a training, decisions after it."""

    def _check(self, X: Any, *y: Any, reset: bool = False) -> Any:
        validate = getattr(validation, 'validate_data', None)  # a method until scikit-learn 1.6
        kind = {'dtype': [np.float64, np.float32], 'reset': reset}
        return validate(self, X, *y, **kind) if validate else self._validate_data(X, *y, **kind)

    def _rows(self, X: Any, y: Any, sample_weight: Any, classes: Any = None,
              reset: bool = True) -> tuple[Array, Array, Array, Array, Array]:
        """(x, class indices, sample weights, class weights, classes)."""
        X, y = self._check(X, y, reset=reset and not self._goes_on())
        check_classification_targets(y)
        weights = validation._check_sample_weight(sample_weight, X, dtype=np.float64)
        if not (weights >= 0).all():
            raise DataError(f'sample_weight: row {int(np.argmin(weights >= 0))} has {weights.min()}, expected numbers >= 0')
        found = np.unique(y[weights > 0])
        classes = found if classes is None else np.unique(classes)
        if len(classes) < 2:
            raise DataError(f'found {len(classes)} class with a weight in {len(y)} rows, expected at least 2')
        if not len(found):
            raise DataError(f'all {len(y)} rows have the weight 0, expected one above it')
        if not np.isin(found, classes).all():
            raise DataError(f'y has {found[~np.isin(found, classes)][0]!r}, which is none of the {len(classes)} classes')
        of_class = self._class_weights(classes, y)
        return (*_in_order(X, np.searchsorted(classes, y), weights), of_class, classes)

    def _class_weights(self, classes: Array, y: Array) -> Array:
        """(C) >= 0. 'balanced' counts all rows, whatever their weights."""
        absent = classes[~np.isin(classes, y)]
        if isinstance(self.class_weight, str) and len(absent):
            raise UsageError(f'class_weight is {self.class_weight!r}, but class {absent[0]} has no row to be '
                             'weighed by; give the weights of the classes as a dict')
        counted = y if isinstance(self.class_weight, str) else classes  # y may have a class without any weight, too
        known = np.unique(counted)
        found = compute_class_weight(self.class_weight, classes=known, y=counted)[np.isin(known, classes)]
        fits = (found >= 0) & np.isfinite(found)
        if not fits.all():
            at = int(np.argmin(fits))
            raise UsageError(f'class_weight of class {classes[at]} is {found[at]}, expected a finite number >= 0')
        return found

    def _goes_on(self) -> bool:
        """Whether a fit goes on from the last one."""
        return bool(self.warm_start) and hasattr(self, 'coef_')

    def _start(self, classes: Array) -> bool:
        """The same, once the classes are known."""
        if not self._goes_on():
            return False
        if not np.array_equal(self.classes_, classes):
            raise UsageError(f'warm_start: the classes are {classes}, those of the last fit {self.classes_}')
        return True

    def _solve(self, trainer: Trainer) -> Any:
        found = trainer.solve()
        self.n_iter_ = found.iterations
        if not found.converged:
            warnings.warn(f'{self.solver} did not converge in {found.iterations} iterations: the gradient is '
                          f'{found.gradient_norm:.2g}, expected {found.goal:.2g}; raise max_iter or tol', ConvergenceWarning,
                          stacklevel=3)
        return found

    def predict(self, X: Any) -> Array:
        """(N) the likeliest class of each row."""
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """(N, C) the softmax of the logits, in the order of classes_."""
        z = self.decision_function(X)
        return _softmax(np.stack([np.zeros_like(z), z], axis=1) if z.ndim == 1 else z)


class SoftmaxRegression(_HeadClassifier):
    """Multinomial logistic regression, minimised by the library's L-BFGS or Newton-CG (docs/convex.md):

        sum_i a_i L_i / sum_i a_i + l2/2 |coef_|^2,    L_i = log sum_j exp(z_ij) - z_iy,    z = X coef_^T + intercept_

    a_i = sample_weight_i class_weight_y; the intercept is free. C is scikit-learn's: l2 = 1/(C sum a_i); l2, if given, in its
    place; C=inf is none. With two classes coef_ is (1, D) and the logits are (0, z), as LogisticRegression has it, and the
    optimum is the same as its. A fit ends when the objective is proven to lie within tol of its minimum, relatively; where l2
    is 0 there is no such proof, and tol bounds the gradient's norm, relative to that at the start if this is above 1.

    Fitted: coef_ (C, D) or (1, D), intercept_ (C) or (1), classes_, n_iter_, objective_, and certified_gap_: the objective is
    at most this above its minimum (NaN where l2 is 0).

    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> model = SoftmaxRegression(C=10).fit(X, y)
    >>> model.coef_.shape, model.predict([[1.4], [1.6]]).tolist(), bool(model.certified_gap_ < 1e-9)
    ((1, 1), [0, 1], True)
    """

    def __init__(self, C: float = 1.0, *, l2: Optional[float] = None, solver: str = 'lbfgs', fit_intercept: bool = True,
                 class_weight: Any = None, warm_start: bool = False, tol: float = 1e-6, max_iter: int = 5000):
        self.C = C
        self.l2 = l2
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> 'SoftmaxRegression':
        """X (N, D), y (N) labels of any kind, sample_weight (N) >= 0."""
        *rows, classes = self._rows(X, y, sample_weight)
        x, index, weights = _weighed(*rows)
        one_of('solver', self.solver, SOLVED)
        going_on, binary, start = self._start(classes), len(classes) == 2, None
        l2 = self._penalty(weights.sum(), MOST_L2 / (1 + binary))
        mean = np.average(x, axis=0, weights=weights) if self.fit_intercept else np.zeros(x.shape[1])
        if going_on:
            b = self.intercept_ + self.coef_ @ mean
            pair = np.array([[-0.5], [0.5]]) if binary else np.eye(len(classes))
            start = (pair @ self.coef_).astype(np.float32), (pair @ b).astype(np.float32) if self.fit_intercept else None
        with np.errstate(over='ignore', invalid='ignore'):
            centred = x - mean
        trainer = Trainer(_single(centred), index, encoder='none', label_names=[str(j) for j in range(len(classes))],
                          sample_weights=weights, start=start, optimizer=self.solver, standardize='none',
                          bias=bool(self.fit_intercept), l2=l2 * (1 + binary), tolerance=self.tol if l2 == 0 else MOST_EXACT,
                          max_iterations=self.max_iter)
        self.n_iter_ = 0
        without = classes[np.setdiff1d(np.arange(len(classes)), index)]
        found = self._solve(trainer) if l2 == 0 else self._prove(trainer, l2 * (1 + binary), without)
        model = trainer.model
        w, b = model.weights.astype(float), np.zeros(len(classes)) if model.bias is None else model.bias.astype(float)
        if binary:  # the penalty of two rows w and -w is twice that of their difference 2 w over 4: hence twice the l2
            w, b = w[1:] - w[:1], b[1:] - b[:1]
        self.classes_, self.coef_, self.intercept_ = classes, w, b - w @ mean
        self.objective_, self.certified_gap_ = found.model_objective, found.certified_gap
        return self

    def _penalty(self, total: float, most: float) -> float:
        """l2, from C and the sum of the weights where it is not given."""
        if self.l2 is not None:
            if not 0 <= self.l2 <= most:
                raise UsageError(f'l2 is {self.l2}, expected 0 to {most:g}')
            return self.l2
        if not self.C > 0:
            raise UsageError(f'C is {self.C}, expected a number > 0')
        if self.C * total * most < 1:
            raise UsageError(f'C is {self.C} and the weights of all rows sum to {total:.6g}, expected C >= '
                             f'{1 / most / total:.6g} with this sum: l2 = 1/(C sum) may be at most {most:g}')
        return 1 / (self.C * total)

    def _prove(self, trainer: Trainer, l2: float, without: Array) -> Any:
        """The gap is about |g|^2 / (2 l2). Gradients on the way may be float32: where the proof falls short, it goes on.
        `without`: classes without rows, whose intercepts have no optimum."""
        if not self.tol > 0:
            raise UsageError(f'tol is {self.tol}, expected a number > 0')
        for share in (0.5, 0.05, 0.0):
            found = trainer.solve(lambda now: now.gradient_norm ** 2 <= 2 * l2 * share * self.tol * now.objective)
            self.n_iter_ += found.iterations
            if found.certified_gap <= self.tol * found.model_objective:
                return found
            if self.n_iter_ >= self.max_iter or np.isnan(found.certified_gap):
                break
        told = (f'the objective {found.model_objective:.6g} is proven within {found.certified_gap:.2g} of its minimum, expected '
                f'{self.tol} of it; raise max_iter or tol')
        if self.fit_intercept and len(without):
            told = (f'class {without[0]} has no row with a weight, so that its intercept falls without end and there is no '
                    'minimum to be near to; leave its rows out, or give it a weight above 0')
        warnings.warn(f'{self.solver} did not converge in {self.n_iter_} iterations: {told}', ConvergenceWarning, stacklevel=3)
        return found

    def decision_function(self, X: Any) -> Array:
        """(N, C) logits; with two classes (N), that of the second over the first."""
        validation.check_is_fitted(self)
        z = self._check(X) @ self.coef_.T + self.intercept_
        return z[:, 0] if len(self.classes_) == 2 else z


class MarginClassifier(_HeadClassifier):
    """A head with a loss of the library on fixed features: classes are told by their logits without the margin.

    loss: `NAME[:key=value,...]` (docs/losses.md), or a Loss; s and m set those keys. A scale that is given nowhere follows
    from the number of classes (logitude.review_scale), since probabilities are exp(s cos) up to a factor.
    solver: 'lbfgs' or 'newton-cg' take all rows at once, up to max_iter iterations or a gradient of tol; 'adamw' and 'sgd'
    take epochs of batches at learning_rate (schedule 'cosine' or 'constant'), shuffled by random_state, with momentum (sgd)
    and weight_decay. l2 adds l2/2 |W|^2; label_smoothing as in logitude.Options.
    standardize: 'feature', 'global' or 'none'. fit_intercept: a bias where the loss has one, else a constant 1 behind the
    standardised features, without which cones around the origin are all that a cosine head can tell apart. For embeddings
    of a network, whose directions mean something, take standardize='none' and fit_intercept=False. Standardisation is weighed
    by sample_weight, not by class_weight. warm_start goes on from coef_, intercept_, mean_ and scale_, with the loss that the
    parameters say now, and the state of AdaFace and CurricularFace.

    Fitted: coef_ (C k, D), k centres a class, intercept_ (C) or of the constant (C k); mean_ and scale_ (D), x' = (x - mean_)
    scale_; loss_, the specification with its state; classes_, n_iter_ (iterations or epochs), objective_ (None after steps).

    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 5)) + 3 * np.eye(3, 5)[np.arange(60) % 3], np.arange(60) % 3
    >>> for solver in ('lbfgs', 'adamw'):
    ...     model = MarginClassifier('arcface', m=0.3, solver=solver, random_state=0).fit(X, y)
    ...     print(model.score(X, y) > 0.9, model.predict_proba(X).shape)
    True (60, 3)
    True (60, 3)
    """

    def __init__(self, loss: Any = 'arcface', *, s: Optional[float] = None, m: Any = None, solver: str = 'lbfgs',
                 epochs: int = 50, batch_size: int = 128, learning_rate: float = 0.01, momentum: float = 0.9,
                 weight_decay: float = 0.0, schedule: str = 'cosine', l2: float = 0.0, label_smoothing: float = 0.0,
                 fit_intercept: bool = True, standardize: str = 'feature', class_weight: Any = None, warm_start: bool = False,
                 tol: float = 1e-5, max_iter: int = 200, random_state: Any = None):
        self.loss = loss
        self.s = s
        self.m = m
        self.solver = solver
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.l2 = l2
        self.label_smoothing = label_smoothing
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> 'MarginClassifier':
        """X (N, D), y (N) labels of any kind, sample_weight (N) >= 0."""
        x, index, weights, of_class, classes = self._rows(X, y, sample_weight)
        going_on = self._start(classes)
        if not going_on:
            self._standardise(x, weights)
        return self._train(*_weighed(x, index, weights, of_class), classes, going_on)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> 'MarginClassifier':
        """One epoch of 'sgd' (if that is the solver) or 'adamw' over these rows from where the last call or fit ended, at the
        constant learning_rate. The first call needs all classes; its rows standardise those of all calls. Schedules of the loss
        (lambda, warmup) begin at step 0 in every call, with a warning from the second on: give a loss without."""
        first = not hasattr(self, 'coef_')
        if first and classes is None:
            raise UsageError('classes is None, expected all of them in the first call of partial_fit')
        if not first and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise UsageError(f'classes are {np.unique(classes)}, those of the first call were {self.classes_}')
        x, index, weights, of_class, classes = self._rows(X, y, sample_weight, classes if first else self.classes_, first)
        loss = self._make_loss(len(classes))
        if first:
            self._standardise(x, weights)
        elif loss._c.schedule.kind != VALUES['LGT_SCHEDULE_CONSTANT']:
            warnings.warn(f'the schedule of {loss.spec} begins at step 0 in every call of partial_fit: a margin that comes late '
                          'may never come; give a loss without lambda or warmup', stacklevel=2)
        solver = 'sgd' if self.solver == 'sgd' else 'adamw'
        return self._train(*_weighed(x, index, weights, of_class), classes, not first, optimizer=solver, epochs=1,
                           schedule='constant')

    def _standardise(self, x: Array, weights: Array) -> None:
        if self.standardize not in ('feature', 'global', 'none'):
            raise UsageError(f'standardize is {self.standardize!r}, expected feature, global or none')
        self.mean_, self.scale_ = np.zeros(x.shape[1]), np.ones(x.shape[1])
        if self.standardize == 'none':
            return
        axis = 0 if self.standardize == 'feature' else None
        # A power of 2 near the largest: to divide by it is exact, and squares of what comes out are finite.
        unit = np.ldexp(1.0, np.frexp(abs(x).max(axis=axis).astype(float))[1] - 1)
        x, weights = x.astype(float) / unit, (weights / weights.max())[:, None]
        mean = self._mean(x, weights)
        deviation = np.sqrt(self._mean((x - mean) ** 2, weights)) * unit
        varies = (np.ptp(x, axis=axis) > 0) & (deviation >= np.finfo(float).tiny)
        self.mean_[:] = mean * unit
        self.scale_[:] = 1 / np.where(varies, deviation, 1)

    def _mean(self, x: Array, weights: Array) -> Array:
        """Of each feature, or of all of them."""
        means = (weights * x).sum(axis=0) / weights.sum()
        return means if self.standardize == 'feature' else means.mean()

    def _features(self, x: Array, constant: bool) -> Array:
        """As the head takes them: standardised, float32, the constant behind them where it stands for a bias."""
        with np.errstate(over='ignore'):
            features = _single((x - self.mean_) * self.scale_)
        return np.column_stack([features, np.ones(len(x), np.float32)]) if constant else features

    def _make_loss(self, n_classes: int) -> Loss:
        settings = {key: value for key, value in (('s', self.s), ('m', self.m)) if value is not None}
        loss = loss_with(self.loss if isinstance(self.loss, Loss) else str(self.loss), settings)
        given = isinstance(self.loss, Loss) or any(key.startswith('s=') for key in str(self.loss).partition(':')[2].split(','))
        if 's' not in loss.parameters or given or 's' in settings:
            return loss
        return loss_with(loss, {'s': f'{review_scale(loss, n_classes).suggested:.6g}'})

    def _options(self) -> dict[str, Any]:
        if self.solver in SOLVED:
            return {'optimizer': self.solver, 'tolerance': self.tol, 'max_iterations': self.max_iter}
        one_of('solver', self.solver, SOLVED + STEPPED)
        return {'optimizer': self.solver, 'epochs': self.epochs, 'schedule': self.schedule}

    def _train(self, x: Array, index: Array, weights: Array, classes: Array, going_on: bool,
               **steps: Any) -> 'MarginClassifier':
        options = steps or self._options()
        loss, start, intercept = self._make_loss(len(classes)), None, bool(self.fit_intercept)
        if options['optimizer'] in STEPPED:
            options = {'batch': self.batch_size, 'lr': self.learning_rate, 'momentum': self.momentum,
                       'weight_decay': self.weight_decay, **options}
        if going_on:
            loss = _with_state(loss, Loss(self.loss_))
            start = self._head(loss, intercept)
        seed = int(check_random_state(self.random_state).randint(2 ** 31 - 1))
        trainer = Trainer(self._features(x, intercept and not loss.has_bias), index, loss=loss, encoder='none',
                          sample_weights=weights, start=start, label_names=[str(j) for j in range(len(classes))],
                          standardize='none', bias=intercept, seed=seed, l2=self.l2,
                          label_smoothing=self.label_smoothing, **options)
        self.objective_ = None
        if options['optimizer'] in SOLVED:
            found = self._solve(trainer)
            self.objective_ = found.model_objective
        else:
            for _ in trainer:
                pass
            self.n_iter_ = options['epochs']
        self._keep(trainer.model, classes, intercept)
        return self

    def _keep(self, model: Any, classes: Array, intercept: bool) -> None:
        self._intercept = intercept  # fit_intercept may be set to another value at any time
        dim, w = len(self.mean_), model.weights.astype(float)
        self.classes_, self.coef_, self.loss_ = classes, w[:, :dim], model.loss.spec
        self.intercept_ = np.zeros(len(classes))
        if model.bias is not None:
            self.intercept_ = model.bias.astype(float)
        elif w.shape[1] > dim:
            self.intercept_ = w[:, dim]

    def _head(self, loss: Loss, intercept: bool) -> tuple[Array, Optional[Array]]:
        """(w, b or None) of the last fit, as a head of `loss` has them: a bias and the weight of a constant 1 are the same."""
        rows, wanted = len(self.coef_), len(self.classes_) * loss.centres
        if rows != wanted:
            raise UsageError(f'coef_ of the last fit has {rows} rows, expected {wanted} to go on from with {loss.name}, which '
                             f'has {loss.centres} for each of {len(self.classes_)} classes; fit without warm_start')
        w = self.coef_.astype(np.float32)
        if not intercept:
            return w, None
        b = self.intercept_ if len(self.intercept_) == rows else np.zeros(rows)  # a fit without has C zeros
        b = b.astype(np.float32)
        return (w, b) if loss.has_bias else (np.column_stack([w, b]), None)

    def decision_function(self, X: Any) -> Array:
        """(N, C) logits without the margin; with two classes (N), that of the second less that of the first."""
        validation.check_is_fitted(self)
        loss, n_classes = Loss(self.loss_), len(self.classes_)
        x = self._features(self._check(X), self._intercept and not loss.has_bias)
        w, b = self._head(loss, self._intercept)
        found, z = Head(loss, x.shape[1], n_classes).predict(x, w, b, k=n_classes), np.empty((len(x), n_classes))
        np.put_along_axis(z, found.classes, found.logits, axis=1)
        return z[:, 1] - z[:, 0] if n_classes == 2 else z
