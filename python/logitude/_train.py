"""Training: an encoder and a head, or a head alone, on arrays; and the model that comes out."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional, Sequence, Union

import numpy as np

from . import _arrays as arrays
from ._align import Conflict, Terms, _conflict
from ._context import Context, Handle, OfThisProcess, create, in_context
from ._errors import DataError, UsageError, one_of, unknown
from ._files import Model
from ._head import PRECISIONS
from ._library import LIB, TYPES, VALUES, check, encoded, initialised, put
from ._loss import Loss, as_loss

OPTIMIZERS = {'sgd': VALUES['LGT_OPTIMIZER_SGD'], 'adamw': VALUES['LGT_OPTIMIZER_ADAMW'],
              'lbfgs': VALUES['LGT_OPTIMIZER_LBFGS'], 'newton-cg': VALUES['LGT_OPTIMIZER_NEWTON_CG']}
WORDS = {'optimizer': OPTIMIZERS, 'precision': PRECISIONS,
         'schedule': {'constant': VALUES['LGT_LR_CONSTANT'], 'cosine': VALUES['LGT_LR_COSINE'],
                      'step': VALUES['LGT_LR_STEP']},
         'standardize': {'none': VALUES['LGT_STANDARDIZE_NONE'], 'global': VALUES['LGT_STANDARDIZE_GLOBAL'],
                         'feature': VALUES['LGT_STANDARDIZE_FEATURE']}}
COptions, CStep, CSolve = TYPES['lgt_train_options'], TYPES['lgt_train_record'], TYPES['lgt_solve_record']
KEYS = [name for name, _ in COptions._fields_
        if name not in ('struct_size', 'loss', 'n_milestones', 'sample_weights', 'start_w', 'start_b', 'comm', 'reduce')]
Watch = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(CSolve))


@dataclass(frozen=True)
class TrainRecord:
    """What a step reports: step of n_steps, epoch, the step's and the epoch's mean loss, accuracy, learning rate, ..."""
    step: int
    n_steps: int
    epoch: int
    end_of_epoch: bool
    loss: float
    align_loss: float
    epoch_align_loss: float
    conflict: Conflict
    epoch_loss: float
    epoch_accuracy: float
    lr: float
    schedule: float
    seconds: float
    samples: int
    zero_rows: int


@dataclass(frozen=True)
class SolveRecord:
    """Where a convex training stands; at its end model_objective - inf objective <= certified_gap, proven (docs/convex.md)."""
    iterations: int
    max_iterations: int
    evaluations: int
    products: int
    objective: float
    gradient_norm: float
    gradient_max: float
    goal: float
    seconds: float
    converged: bool
    stopped: bool
    model_objective: float
    model_train_loss: float
    model_gradient_norm: float
    n_correct: int
    certified_gap: float
    certificate_evaluations: int


def _step_record(c: Any) -> TrainRecord:
    found = {name: getattr(c, name) for name, _ in CStep._fields_}
    found.update(conflict=_conflict(c.conflict), end_of_epoch=bool(c.end_of_epoch))
    return TrainRecord(**found)


def _solve_record(c: Any) -> SolveRecord:
    found = {name: getattr(c, name) for name, _ in CSolve._fields_}
    found.update(converged=bool(c.converged), stopped=bool(c.stopped))
    return SolveRecord(**found)


def _options(loss: Loss, options: dict[str, Any]) -> Any:
    c = initialised('lgt_train_options')
    c.loss = loss._c
    for key, value in options.items():
        if key not in KEYS:
            raise unknown(key, ('label_names', 'sample_weights', 'start', *KEYS))
        if key in WORDS:
            one_of(key, value, WORDS[key])
            setattr(c, key, WORDS[key][value])
        elif key == 'align':
            terms = Terms()
            if not isinstance(value, str):
                raise UsageError(f'align is {value!r}, expected text such as "pga:k=3"')
            check(LIB.lgt_align_parse, encoded(value, 'align'), ctypes.byref(terms))
            c.align = terms
        elif key == 'milestones':
            if len(value) > VALUES['LGT_MAX_MILESTONES']:
                raise UsageError(f'{len(value)} milestones, expected at most {VALUES["LGT_MAX_MILESTONES"]}')
            c.milestones[:len(value)], c.n_milestones = list(value), len(value)
        else:
            put(c, key, encoded(value, key) if isinstance(value, str) else value)
    return c


class _Data:
    """A lgt_dataset over the caller's arrays; holds them."""

    def __init__(self, x: Any, labels: Any, label_names: Optional[Sequence[Any]]):
        self.x = np.ascontiguousarray(arrays.matrix(x, 'x', (None, None), np.dtype(np.float32)))
        self.labels = arrays.vector(labels, 'labels', len(self.x), arrays.INT64).copy()
        most = int(self.labels.max(initial=-1))
        self.names = [str(j) for j in range(most + 1)] if label_names is None else [str(name) for name in label_names]
        if self.labels.min(initial=0) < 0 or most >= len(self.names):
            raise DataError(f'labels reach from {self.labels.min()} to {most}, expected 0 to {len(self.names) - 1}')
        finite = np.isfinite(self.x).all(axis=1)
        if not finite.all():
            raise DataError(f'x: row {int(np.argmin(finite))} is not finite')
        names = (ctypes.c_char_p * len(self.names))(*(encoded(name, f'label_names[{j}]') for j, name in enumerate(self.names)))
        self.c = TYPES['lgt_dataset'](n_rows=len(self.x), dim=self.x.shape[1], x=arrays.address(self.x),
                                      labels=arrays.address(self.labels), label_names=names, n_labels=len(self.names),
                                      n_dims=1)
        self.c.shape[0] = self.x.shape[1]


class _Borrowed:
    """The model of a trainer, by the place of a handle: asking for it brings it up to date."""

    def __init__(self, trainer: Handle):
        self.trainer = trainer

    @property
    def address(self) -> int:
        return LIB.lgt_trainer_model(self.trainer.address)


class Trainer(OfThisProcess):
    """A training of an encoder and a head on x (N, in_dim) float32 and labels (N) in [0, C).

    encoder: 'none', 'linear' or 'mlp:WIDTH[,WIDTH...]'; label_names: of the C classes, written by str(), by default '0',
    '1', ... options: those of lgt_train_options by their names: dim, epochs, batch, optimizer ('sgd', 'adamw', 'lbfgs',
    'newton-cg'), lr, momentum, beta1, beta2, eps, weight_decay, l2, schedule ('constant', 'cosine', 'step'), warmup,
    step_factor, milestones, standardize ('none', 'global', 'feature'), bias, seed, label_smoothing, z_loss, align, precision,
    workspace, sample_rate, sample_correction, tolerance, max_iterations. sample_weights (N) >= 0 are scaled to the mean 1, and every
    mean of losses is weighted by them. start: (w, b or None), float32, where the head begins in place of a draw. x must
    stay as it is until the trainer is gone.

    >>> import numpy as np
    >>> x = np.array([[0, 1], [1, 0], [0, 2], [2, 0]], np.float32)
    >>> trainer = Trainer(x, [0, 1, 0, 1], encoder='none', epochs=20, batch=2, lr=0.1)
    >>> for record in trainer:
    ...     pass
    >>> record.step, record.epoch_accuracy
    (40, 1.0)
    >>> trainer.model.predict(x).classes[:, 0].tolist()
    [0, 1, 0, 1]
    """
    instead = 'write its model by trainer.model.save(path)'

    def __init__(self, x: Any, labels: Any, *, loss: Union[str, Loss] = 'softmax', encoder: str = 'mlp:512,512',
                 label_names: Optional[Sequence[Any]] = None, sample_weights: Any = None,
                 start: Optional[tuple[Any, Any]] = None, context: Optional[Context] = None, **options: Any):
        self.context, data = in_context(context), _Data(x, labels, label_names)
        c, at = _options(as_loss(loss), {'encoder': encoder, **options}), self.context._handle
        weights = None if sample_weights is None else arrays.vector(sample_weights, 'sample_weights', len(data.x), arrays.FLOAT64)
        start = tuple(None if part is None else arrays.matrix(part, name, shape, np.dtype(np.float32))  # type: ignore[misc]
                      for part, name, shape in zip(start or (None, None), ('start w', 'start b'), ((None, None), (None,))))
        if weights is not None:
            c.sample_weights = arrays.address(weights)
        for target, part in zip((c.start_w, c.start_b), start):  # type: ignore[arg-type]
            if part is not None:
                arrays.fill(target, part)
        data.kept = (weights, start)
        self._handle = Handle(lambda: create(LIB.lgt_trainer_create, at.address, ctypes.byref(c), ctypes.byref(data.c)),
                              LIB.lgt_trainer_free, (at, data), remembers='the trainer')
        self._done = False
        with self.context._lock:
            self.context.address, self._handle.address

    def step(self) -> TrainRecord:
        """One step of SGD or AdamW. After an error the parameters are those before it."""
        c = CStep()
        with self.context._lock:
            self.context.call(LIB.lgt_trainer_step, self._handle.address, ctypes.byref(c))
        self._done = c.step >= c.n_steps
        return _step_record(c)

    def __iter__(self) -> Iterator[TrainRecord]:
        """The records of all steps that are left."""
        while not self._done:
            yield self.step()

    def solve(self, watch: Optional[Callable[[SolveRecord], Any]] = None) -> SolveRecord:
        """Minimises mean loss + l2/2 |W|^2 over the head, with optimizer 'lbfgs' or 'newton-cg' and encoder 'none'. watch
        is called after every iteration; what is true ends the work there."""
        raised: list[BaseException] = []

        def told(_: Any, record: Any) -> int:
            try:
                return int(bool(watch and watch(_solve_record(record.contents))))
            except BaseException as error:  # it goes on where solve was called
                raised.append(error)
                return 1

        c, callback = CSolve(), Watch(told)
        with self.context._lock:
            self.context.call(LIB.lgt_trainer_solve, self._handle.address, callback if watch else None, None,
                              ctypes.byref(c))
        if raised:
            raise raised[0]
        return _solve_record(c)

    def objective(self) -> tuple[float, float]:
        """(mean loss over all training rows, that plus the l2 term) with the present parameters."""
        loss, whole = ctypes.c_double(), ctypes.c_double()
        with self.context._lock:
            self.context.call(LIB.lgt_trainer_objective, self._handle.address, None, None, ctypes.byref(loss),
                              ctypes.byref(whole))
        return loss.value, whole.value

    @property
    def gradient_norm(self) -> float:
        """Of the last step's gradient over all parameters."""
        with self.context._lock:
            return LIB.lgt_trainer_gradient_norm(self._handle.address)

    @property
    def model(self) -> Model:
        """The model as it stands: it moves with the next step, and keeps the trainer. Model.save writes it."""
        model = Model.__new__(Model)
        model.context, model._handle = self.context, _Borrowed(self._handle)  # type: ignore[assignment]
        return model


def train(x: Any, labels: Any, *, watch: Optional[Callable[[Any], Any]] = None, **options: Any) -> Model:
    """Trains to the end and returns the model; options and x as of Trainer, watch is called with every record.

    >>> import numpy as np
    >>> x = np.array([[0, 1], [1, 0], [0, 2], [2, 0]], np.float32)
    >>> model = train(x, [0, 1, 0, 1], encoder='none', optimizer='newton-cg', l2=0.1)
    >>> model.predict(x).classes[:, 0].tolist()
    [0, 1, 0, 1]
    """
    trainer = Trainer(x, labels, **options)
    if options.get('optimizer') in ('lbfgs', 'newton-cg'):
        trainer.solve(watch)
    else:
        for record in trainer:
            if watch:
                watch(record)
    return trainer.model
