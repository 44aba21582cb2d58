"""Losses: the list, their parameters as data, presets of other systems, and what each does to the target logit."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Optional, Union

from ._errors import UsageError
from ._library import LIB, TYPES, VALUES, check, encoded

CLoss = TYPES['lgt_loss']
SPACES = {0: 'dot', 1: 'cos', 2: 'cosw'}
KINDS = {0: 'real', 1: 'integer', 2: 'angle', 3: 'choice', 4: 'schedule', 5: 'warmup'}


def text(value: Optional[bytes]) -> str:
    return (value or b'').decode()


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter of a loss or an alignment; kind is 'real', 'integer', 'angle', 'choice', 'schedule' or 'warmup'."""
    key: str
    kind: str
    default: str
    low: float
    high: float
    words: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class LossInfo:
    """A loss of this build. space tells how a plain logit is made: 'dot' <w_j, x> + b_j, 'cos' s cos(theta_j), 'cosw'
    |x| cos(theta_j); equation is that of the target logit."""
    name: str
    title: str
    equation: str
    citation: str
    space: str
    has_bias: bool
    parameters: tuple[ParameterInfo, ...]


@dataclass(frozen=True)
class Preset:
    """What another system makes of a loss: the keys it sets, and what no setting reproduces."""
    system: str
    loss: str
    settings: str
    difference: str


def _words(pointer: Any) -> tuple[str, ...]:
    if not pointer:
        return ()
    array, found = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_char_p)), []
    while array[len(found)]:
        found.append(text(array[len(found)]))
    return tuple(found)


def parameters_of(info: Any) -> tuple[ParameterInfo, ...]:
    return tuple(ParameterInfo(text(p.key), KINDS[p.kind], text(p.default_text), p.low, p.high, _words(p.words),
                               text(p.help)) for p in (info.params[i] for i in range(info.n_params)))


def _info(info: Any) -> LossInfo:
    return LossInfo(text(info.name), text(info.title), text(info.equation), text(info.citation), SPACES[info.space],
                    bool(info.has_bias), parameters_of(info))


def losses() -> list[LossInfo]:
    """The losses of this build, in the order of docs/losses.md.

    >>> [info.name for info in losses()][:4]
    ['softmax', 'normalized', 'cosface', 'arcface']
    """
    return [_info(LIB.lgt_loss_at(i).contents) for i in range(LIB.lgt_loss_count())]


def presets() -> list[Preset]:
    """Every pair of another system and a loss that `Loss(spec, like=system)` knows."""
    found = (LIB.lgt_loss_preset_at(i).contents for i in range(LIB.lgt_loss_preset_count()))
    return [Preset(text(p.system), text(p.loss), text(p.settings), text(p.difference)) for p in found]


class Loss:
    """A loss with its parameters, read from `NAME[:key=value,...]`. Angles are radians, or degrees with the suffix deg.
    like: the settings of another system in place of the defaults ('insightface', 'pml', ...; see presets()).

    spec is the full specification, every parameter included; centres the rows of w that a class has (class j has rows j k
    to j k + k - 1); n_state how many numbers are carried from step to step (AdaFace, CurricularFace).

    >>> Loss('arcface:m=0.4')['m'], Loss('arcface').space
    (0.4, 'cos')
    >>> Loss('arcfaec')
    Traceback (most recent call last):
        ...
    logitude.UsageError: there is no loss "arcfaec"; the nearest is "arcface"
    """

    def __init__(self, spec: str, like: Optional[str] = None):
        self._c = CLoss()
        if not isinstance(spec, str):
            raise UsageError(f'a loss is read from text, found {type(spec).__name__}')
        if like is None:
            check(LIB.lgt_loss_parse, encoded(spec, 'loss'), ctypes.byref(self._c))
        else:
            check(LIB.lgt_loss_parse_like, encoded(spec, 'loss'), encoded(like, 'like'), ctypes.byref(self._c))
        self._describe()

    @classmethod
    def _of(cls, c_loss: Any) -> 'Loss':
        loss = cls.__new__(cls)
        loss._c = CLoss.from_buffer_copy(c_loss)
        loss._describe()
        return loss

    def _describe(self) -> None:
        """What every call asks for, once and for all; not by cached_property, whose lock a fork may leave closed."""
        out = ctypes.create_string_buffer(VALUES['LGT_LOSS_SPEC_SIZE'])
        LIB.lgt_loss_format(ctypes.byref(self._c), out, len(out))
        self.spec: str = out.value.decode()
        self.centres: int = LIB.lgt_loss_centres(ctypes.byref(self._c))
        self.n_state: int = LIB.lgt_loss_n_state(self._c.info)

    @property
    def info(self) -> LossInfo:
        return _info(self._c.info.contents)

    @property
    def name(self) -> str:
        return text(self._c.info.contents.name)

    @property
    def space(self) -> str:
        return SPACES[self._c.info.contents.space]

    @property
    def has_bias(self) -> bool:
        return bool(self._c.info.contents.has_bias)

    @property
    def parameters(self) -> dict[str, Union[float, str]]:
        """Values by key: numbers, a choice's word, a schedule or warm-up as it is written."""
        written = dict(part.split('=', 1) for part in self.spec.partition(':')[2].split(',') if part)
        return {p.key: written[p.key] if p.kind in ('choice', 'schedule', 'warmup') else value
                for p, value in zip(self.info.parameters, self._c.values)}

    def __getitem__(self, key: str) -> Union[float, str]:
        return self.parameters[key]

    def plain(self) -> 'Loss':
        """The head that predicts: the same plain logits without a margin."""
        return Loss._of(LIB.lgt_loss_plain(ctypes.byref(self._c)))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Loss) and self.spec == other.spec

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return f'Loss({self.spec!r})'

    def __reduce__(self) -> Any:
        return Loss, (self.spec,)


def set_keys(spec: str, settings: dict[str, Any]) -> str:
    """The specification with further keys behind it; a Python keyword has an underscore behind it."""
    more = ','.join(f'{key.rstrip("_")}={value}' for key, value in settings.items())
    return spec + (',' if ':' in spec else ':') + more if more else spec


def loss_with(loss: Union[str, Loss], settings: dict[str, Any], like: Optional[str] = None) -> Loss:
    """A loss with further keys: those of text add to what it says, those of a Loss, which has all of them, replace."""
    if not isinstance(loss, Loss):
        return Loss(set_keys(loss, settings) if isinstance(loss, str) else loss, like)
    if like is not None:
        raise UsageError(f'like is {like!r}, but a Loss has all its settings: give the specification as text, '
                         f'or Loss({loss.name!r}, like={like!r})')
    settings = {key.rstrip('_'): value for key, value in settings.items()}
    written = dict(part.split('=', 1) for part in loss.spec.partition(':')[2].split(',') if part)
    return Loss(set_keys(loss.name, {**written, **settings})) if settings else loss


def as_loss(loss: Union[str, Loss]) -> Loss:
    return loss if isinstance(loss, Loss) else Loss(loss)
