"""Files: arrays (.npy, IDX), tensors with metadata (safetensors), datasets and trained models, by the strict readers."""
from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Union

import numpy as np

from . import _arrays as arrays
from ._context import Context, Handle, OfThisProcess, create, in_context
from ._errors import UsageError, one_of
from ._head import Head, Predictions
from ._library import LIB, TYPES, VALUES, encoded, encoded_path, initialised, put
from ._loss import Loss, text

Array = np.ndarray
Path = Union[str, 'os.PathLike[str]']
DTYPES = {VALUES['LGT_F32']: np.dtype(np.float32), VALUES['LGT_F64']: np.dtype(np.float64),
          VALUES['LGT_F16']: np.dtype(np.float16), VALUES['LGT_U8']: np.dtype(np.uint8),
          VALUES['LGT_I32']: np.dtype(np.int32), VALUES['LGT_I64']: np.dtype(np.int64)}
NUMBERS = {dtype: number for number, dtype in DTYPES.items()}


def _copied(c: Any) -> Array:
    """A lgt_array as an array of NumPy's own."""
    out = np.empty(tuple(c.shape[:c.n_dims]), DTYPES[c.dtype])
    if out.size:
        ctypes.memmove(arrays.address(out), c.data, out.nbytes)
    return out


def _described(array: Any, name: str) -> Any:
    """A contiguous NumPy array as a lgt_array over it."""
    if not isinstance(array, np.ndarray) or array.dtype not in NUMBERS or not array.flags.c_contiguous:
        found = getattr(array, 'dtype', type(array).__name__)
        raise UsageError(f'{name} is {found}, expected a C-contiguous array of '
                         f'{", ".join(str(dtype) for dtype in NUMBERS)}')
    if array.ndim > VALUES['LGT_MAX_DIMS']:
        raise UsageError(f'{name} has {array.ndim} axes, expected at most {VALUES["LGT_MAX_DIMS"]}')
    shape = (ctypes.c_int64 * VALUES['LGT_MAX_DIMS'])(*array.shape)
    return TYPES['lgt_array'](NUMBERS[array.dtype], array.ndim, shape, array.size, arrays.address(array))


def read_array(path: Path, *, context: Optional[Context] = None) -> Array:
    """A .npy or IDX file, plain or gzipped; strict (docs/formats.md)."""
    at, out = in_context(context), TYPES['lgt_array']()
    at.call(LIB.lgt_array_read, at.address, encoded_path(path), ctypes.byref(out))
    try:
        return _copied(out)
    finally:
        LIB.lgt_array_free(at.address, ctypes.byref(out))


def write_npy(path: Path, array: Array, *, context: Optional[Context] = None) -> None:
    """Writes a .npy file whole or not at all."""
    at, c = in_context(context), _described(array, 'array')
    at.call(LIB.lgt_npy_write, at.address, encoded_path(path), c.dtype, c.n_dims, ctypes.addressof(c.shape), c.data)


def read_tensors(path: Path, *, context: Optional[Context] = None) -> tuple[dict[str, Array], dict[str, str]]:
    """(tensors by name, metadata) of a safetensors file."""
    at, out = in_context(context), TYPES['lgt_tensors']()
    at.call(LIB.lgt_tensors_read, at.address, encoded_path(path), ctypes.byref(out))
    try:
        return ({text(t.name): _copied(t.array) for t in out.tensors[:out.n_tensors]},
                {text(m.key): text(m.value) for m in out.metadata[:out.n_metadata]})
    finally:
        LIB.lgt_tensors_free(at.address, ctypes.byref(out))


def write_tensors(path: Path, tensors: Mapping[str, Array], metadata: Optional[Mapping[str, str]] = None, *,
                  context: Optional[Context] = None) -> None:
    """Writes a safetensors file whole or not at all."""
    at, notes, tensors = in_context(context), dict(metadata or {}), dict(tensors)  # a NpzFile makes arrays as it is asked
    c_tensors = (TYPES['lgt_tensor'] * len(tensors))(
        *((encoded(name, 'tensor name'), _described(array, name)) for name, array in tensors.items()))
    c_notes = (TYPES['lgt_metadata'] * len(notes))(
        *((encoded(key, 'metadata key'), encoded(value, f'metadata {key!r}')) for key, value in notes.items()))
    c = TYPES['lgt_tensors'](c_tensors, len(tensors), c_notes, len(notes))
    at.call(LIB.lgt_tensors_write, at.address, encoded_path(path), ctypes.byref(c))


@dataclass
class Dataset:
    """x (n, dim) float32; labels (n) index label_names, or None; shape of one sample, for example (28, 28)."""
    x: Array
    labels: Optional[Array]
    label_names: list[str]
    shape: tuple[int, ...]


def load_dataset(spec: str, split: str = 'train', *, label_column: Optional[str] = None, labels_required: bool = True,
                 least_dim: int = 0, context: Optional[Context] = None) -> Dataset:
    """A dataset as the command line reads it: 'fashion-mnist', a folder, or 'FEATURES[,LABELS]' of .npy, .npz, IDX, CSV, LIBSVM
    or safetensors files. 8-bit features become value / 255. Rows of LIBSVM have least_dim features at least."""
    at, c = in_context(context), initialised('lgt_dataset_options')
    splits = {'train': VALUES['LGT_SPLIT_TRAIN'], 'test': VALUES['LGT_SPLIT_TEST']}
    one_of('split', split, splits)
    c.spec, c.split, c.labels_required = encoded_path(spec, 'spec'), splits[split], labels_required
    put(c, 'least_dim', least_dim)
    c.label_column = None if label_column is None else encoded(label_column, 'label_column')
    out = ctypes.POINTER(TYPES['lgt_dataset'])()
    at.call(LIB.lgt_dataset_load, at.address, ctypes.byref(c), ctypes.byref(out))
    try:
        d = out.contents
        x, labels = np.empty((d.n_rows, d.dim), np.float32), None
        ctypes.memmove(arrays.address(x), d.x, x.nbytes)
        if d.labels:
            labels = np.empty(d.n_rows, np.int64)
            ctypes.memmove(arrays.address(labels), d.labels, labels.nbytes)
        return Dataset(x, labels, [text(n) for n in d.label_names[:d.n_labels]], tuple(d.shape[:d.n_dims]))
    finally:
        LIB.lgt_dataset_free(at.address, out)


class Model(OfThisProcess):
    """A trained model, read from its safetensors file: normalisation, encoder, head and label names."""
    instead = 'write it by save(path), and read it by load_model(path)'

    def __init__(self, path: Path, context: Optional[Context] = None):
        self.context, name = in_context(context), encoded_path(os.path.abspath(path))
        at = self.context._handle
        self._handle = Handle(lambda: create(LIB.lgt_model_load, at.address, name), LIB.lgt_model_free, at)
        with self.context._lock:
            self._handle.address

    def _ask(self, what: str) -> Any:
        with self.context._lock:
            return getattr(LIB, 'lgt_model_' + what)(self._handle.address)

    @property
    def in_dim(self) -> int:
        return self._ask('in_dim')

    @property
    def dim(self) -> int:
        """Of the embeddings."""
        return self._ask('dim')

    @property
    def n_classes(self) -> int:
        return self._ask('n_classes')

    @property
    def n_params(self) -> int:
        return self._ask('n_params')

    @property
    def step(self) -> int:
        return self._ask('step')

    @property
    def encoder(self) -> str:
        return text(self._ask('encoder_spec'))

    @property
    def loss(self) -> Loss:
        return Loss._of(self._ask('loss').contents)

    @property
    def label_names(self) -> list[str]:
        return [text(name) for name in self._ask('label_names')[:self.n_classes]]

    def _borrowed(self, view: Any) -> Optional[Array]:
        """A read-only array over the model's own memory, which it keeps alive."""
        if not view.data:
            return None
        memory = (ctypes.c_float * (view.rows * view.ld)).from_address(view.data)
        memory._owner = self._handle  # type: ignore[attr-defined]
        array = np.frombuffer(memory, np.float32).reshape(view.rows, view.ld)[:, :view.cols]
        array.flags.writeable = False
        return array

    @property
    def weights(self) -> Array:
        """(C, D) float32, or (C k, D): read-only, the model's own memory."""
        return self._borrowed(self._ask('weights'))  # type: ignore[return-value]

    @property
    def bias(self) -> Optional[Array]:
        """(C) float32, or None."""
        found = self._borrowed(self._ask('bias'))
        return None if found is None else found[0]

    def embed(self, x: Any) -> Array:
        """(N, dim) float32: the encoder's output for features x (N, in_dim) float32, as a dataset holds them."""
        x = arrays.matrix(x, 'x', (None, self.in_dim), np.dtype(np.float32))
        out = np.empty((len(x), self.dim), np.float32)
        with self.context._lock:
            self.context.call(LIB.lgt_model_embed, self._handle.address, arrays.view(x), arrays.fill(arrays.Mut(), out))
        return out

    def predict(self, x: Any, *, labels: Any = None, k: int = 1) -> Predictions:
        """The k likeliest classes of features x (N, in_dim) float32."""
        head = Head(self.loss, self.dim, self.n_classes, self.context)
        return head.predict(self.embed(x), self.weights, self.bias, labels=labels, k=k)

    def save(self, path: Path) -> None:
        """Writes the model whole or not at all."""
        self.context.call(LIB.lgt_model_save, self._handle.address, encoded_path(path))

    def export_onnx(self, path: Path) -> None:
        """Writes an ONNX graph for inference: x to embedding, logits (without margin) and probabilities."""
        self.context.call(LIB.lgt_model_export_onnx, self._handle.address, encoded_path(path))

    def __repr__(self) -> str:
        return f'<Model {self.encoder} {self.in_dim} -> {self.dim}, {self.loss.name} over {self.n_classes} classes>'


def load_model(path: Path, *, context: Optional[Context] = None) -> Model:
    """A model that `logitude train` wrote."""
    return Model(path, context)
