"""Logitude: softmax-family classification heads with exact analytic gradients and Hessian-vector products.

A tour, on arrays of any size (float32 or float64, no copies, no N x C matrix):

>>> import numpy as np, logitude
>>> rng = np.random.default_rng(0)
>>> x, w, y = rng.normal(size=(6, 4)), rng.normal(size=(3, 4)), np.array([0, 1, 2, 0, 1, 2])

Loss and gradients in one pass; their parts; second derivatives:

>>> found = logitude.loss_and_gradients(x, w, y, loss='arcface:s=16,m=0.5')
>>> found.dx.shape, found.dw.shape, found.loss > 0
((6, 4), (3, 4), True)
>>> forces = logitude.explain(x, w, y, loss='arcface:s=16,m=0.5')
>>> bool(np.allclose(forces.loss, found.loss_rows))
True
>>> along = logitude.hvp(x, w, y, loss='arcface:s=16,m=0.5', direction_w=w).w
>>> logitude.spectrum(x, w, y, by='weights').converged
True

Where the same sizes come again, a plan allocates once:

>>> plan = logitude.Head('arcface:s=16', dim=4, n_classes=3).plan(max_rows=6, dtype=np.float64)
>>> plan.run(x, w, y).n_used
6

Prediction and exact evaluation:

>>> xf, wf = x.astype('f'), w.astype('f')
>>> logitude.classification(logitude.predict(xf, wf, labels=y), y).n_rows
6
>>> logitude.retrieval(xf, y).n_queries
6

What is wrong with a loss as such, and what there is:

>>> logitude.lint('arcface').n_defects
0
>>> [info.name for info in logitude.losses()][:3]
['softmax', 'normalized', 'cosface']

Calls release the interpreter's lock. Errors are subclasses of logitude.Error and of the exception of Python's own that
fits. Everything here is declared from one table that is checked against the C headers.
"""
from ._version import __version__
from ._errors import (CheckError, CommError, DataError, Error, FileError, InternalError, InterruptedByCaller,
                      MemoryLimitError, NonFiniteError, UnsupportedError, UsageError)
from ._context import Context, default_context
from ._loss import Loss, LossInfo, ParameterInfo, Preset, losses, presets
from ._head import (Head, HeadResult, Inputs, Options, Plan, PlanOptions, Predictions, Product, hvp, loss_and_gradients,
                    predict)
from ._explain import Explanation, explain
from ._curvature import (Derivatives, Spectrum, derivatives, softmax, softmax_product, softmax_spectrum, softmax_variance,
                         spectral_norm, spectrum)
from ._evaluation import (Angles, Calibration, Classification, Retrieval, Verification, angles, calibration,
                          classification, confusions, plane, retrieval, roc, verification)
from ._align import (AlignBank, AlignInfo, Alignment, Conflict, LayersAlignment, align, align_layers, alignments, conflict)
from ._analysis import (Curve, GradientCheck, Lint, ScaleReview, ScheduleReview, check_gradients, lint, lint_curve,
                        propose_schedules, review_scale, review_schedule)
from ._files import (Dataset, Model, load_dataset, load_model, read_array, read_tensors, write_npy, write_tensors)
from ._train import SolveRecord, Trainer, TrainRecord, train

__all__ = [name for name in dir() if not name.startswith('_')]
for _name in __all__:
    globals()[_name].__module__ = 'logitude'  # what help() and tracebacks say
del _name
