"""Contexts, and objects of the library that belong to one and are made anew in a process that fork() has made."""
from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any, Callable, Optional

from ._library import LIB, VALUES, check, initialised, put
from ._errors import UsageError, one_of

ISAS = {'generic': VALUES['LGT_ISA_GENERIC'], 'avx2': VALUES['LGT_ISA_AVX2'], 'avx512': VALUES['LGT_ISA_AVX512'],
        'avx512bf16': VALUES['LGT_ISA_AVX512BF16'], 'amx': VALUES['LGT_ISA_AMX'], 'best': VALUES['LGT_ISA_BEST']}
_every: 'weakref.WeakSet[Context]' = weakref.WeakSet()


def _free(release: Any, address: int, pid: int, owner: Any) -> None:
    """`owner` is here to outlive what is freed. A handle of before a fork is left alone: its threads are not here."""
    if os.getpid() == pid:
        release(address)


class Handle:
    """Something of the library: made when it is first needed, again after a fork, and freed before its owner.

    Until then `create` and `owner` are held by the finalizer: they must not lead back here. So they are handles and
    values, never a Context, which keeps plans. What holds more than it was made from is `remembers`, how it is called: a
    child of a fork is told so instead of being given an empty one."""

    def __init__(self, create: Callable[[], int], release: Any, owner: Any = None, remembers: str = ''):
        self._create, self._release, self._owner, self._remembers = create, release, owner, remembers
        self.forget()

    def forget(self) -> None:
        self._address, self._pid, self._finalizer = 0, 0, None

    @property
    def address(self) -> int:
        if not self._address or self._pid != os.getpid():
            if self._finalizer:
                if self._remembers:
                    raise UsageError(f'{self._remembers} was made before a fork; what it holds is in the other process')
                self._finalizer.detach()
            self._address, self._pid = self._create(), os.getpid()
            self._finalizer = weakref.finalize(self, _free, self._release, self._address, self._pid, self._owner)
            self._finalizer.atexit = False
        return self._address

    def close(self) -> None:
        if self._finalizer:
            self._finalizer()
        self.forget()


def create(function: Any, *arguments: Any) -> int:
    """Calls a lgt_..._create, whose last argument but the error is where the new object's address goes."""
    out = ctypes.c_void_p()
    check(function, *arguments, ctypes.byref(out))
    return out.value or 0


class OfThisProcess:
    """What stands for memory of the library, of this process alone: no pickle and no deep copy can have it. `instead`: how
    another one is come by."""
    instead = ''

    def __copy__(self) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f'{type(self).__name__} holds memory of the library, which cannot be pickled or copied; '
                        f'{self.instead}')


class Context(OfThisProcess):
    """Threads and kernels of the library. Results never depend on either.

    threads: 1 to 1024; 0: as many as the process may run on. max_isa: the highest instruction set to use, 'generic',
    'avx2', 'avx512', 'avx512bf16', 'amx' or 'best'. Calls on one context from several Python threads wait for one another;
    calls on different contexts run side by side. After fork() the child's contexts start anew.

    >>> with Context(threads=2, max_isa='generic') as context:
    ...     context.threads, context.isa
    (2, 'generic')
    """
    instead = 'make another one by Context(threads, max_isa)'

    def __init__(self, threads: int = 0, max_isa: str = 'best'):
        one_of('max_isa', max_isa, ISAS)
        self._options = initialised('lgt_context_options')
        self._options.max_isa = ISAS[max_isa]
        put(self._options, 'threads', threads)
        options = self._options
        self._handle = Handle(lambda: create(LIB.lgt_context_create, ctypes.byref(options)), LIB.lgt_context_free)
        self._closed = False
        self._plans: dict[Any, Any] = {}  # small ones, of direct calls
        self._lock = threading.RLock()
        self.address  # errors belong here
        _every.add(self)

    @property
    def address(self) -> int:
        if self._closed:
            raise UsageError('the context is closed')
        return self._handle.address

    def call(self, function: Any, *arguments: Any) -> None:
        if self._closed:
            raise UsageError('the context is closed')
        with self._lock:
            check(function, *arguments)

    @property
    def threads(self) -> int:
        return LIB.lgt_context_threads(self.address)

    @property
    def isa(self) -> str:
        return LIB.lgt_isa_name(LIB.lgt_context_isa(self.address)).decode()

    def close(self) -> None:
        """No more calls; memory and threads go with the last object that was made in this context."""
        self._closed = True
        self._plans.clear()

    def __enter__(self) -> 'Context':
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return '<closed Context>' if self._closed else f'Context(threads={self.threads}, max_isa={self.isa!r})'


_default: Optional[Context] = None
_default_lock = threading.Lock()


def default_context() -> Context:
    """The context of calls that name none: made with the first of them, with all threads and the best kernels."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                _default = Context()
    return _default


def in_context(context: Optional[Context]) -> Context:
    return default_context() if context is None else context


def _after_fork() -> None:
    """The child has one thread: locks of the others' would never open, and pools have no threads behind them."""
    global _default, _default_lock
    _default, _default_lock = None, threading.Lock()
    for context in list(_every):
        context._lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
