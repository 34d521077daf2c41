"""Early ends of calls: on Ctrl-C, and when the interpreter exits.

Python handles signals between bytecodes of the main thread, so a kernel that runs there delays Ctrl-C until it returns.
A call that may take long therefore runs on a separate thread, while the main thread waits. If the wait is
interrupted, the `Halt` of the call is set. Kernels check it regularly (`primitives.halted`) and return halfway; their
results are dropped.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import functools
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])

_POLL = 0.1  # seconds; on Windows, a wait without a timeout cannot be interrupted
_PATIENCE = 0.3, 0.5  # seconds for an interrupted call to end, before and after an exception is raised in it


class Halted(BaseException):
    """Exception on the thread of a call that ends early."""


class Halt:
    """A flag that tells the kernels of one call to return."""

    def __init__(self) -> None:
        self.word = np.zeros(1, np.int64)
        self.address: int = self.word.ctypes.data

    def set(self) -> None:
        self.word[0] = 1

    def check(self) -> None:
        """Raise if the flag is set, as the results of the kernels may be incomplete."""
        if self.word[0]:
            raise Halted


class _Current(threading.local):
    """The call that a thread executes."""

    halt: Halt | None = None  # None for a short call
    threads = 0  # threads that the call may use; 0 for the number that PyTorch gives to this thread


current = _Current()
_running: set[Halt] = set()


def halt_word() -> int:
    """Return the address that kernels of the current call pass to `primitives.halted`."""
    return 0 if current.halt is None else current.halt.address


def number_of_threads() -> int:
    """Return the number of threads that the current call may use."""
    return current.threads or torch.get_num_threads()


def interruptible(is_long: Callable[..., bool]) -> Callable[[_F], _F]:
    """Make long calls of a function interruptible.

    is_long : returns whether a call with these positional arguments may take more than a few hundredths of a second.
    Other calls run on the caller's thread, because starting a thread takes up to a tenth of a millisecond.
    """

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def call(*arguments: Any, **settings: Any) -> Any:
            if current.halt is not None or not is_long(*arguments):
                return _call_here(function, *arguments, **settings)
            halt = Halt()
            _running.add(halt)
            try:
                if _on_main_thread():
                    return _call_elsewhere(functools.partial(function, *arguments, **settings), halt)
                current.halt = halt  # other threads handle no signals, but the interpreter may exit
                return function(*arguments, **settings)
            finally:
                current.halt = None
                _running.discard(halt)

        return call  # type: ignore[return-value]

    return decorate


def _on_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _call_here(function: Callable[..., _T], *arguments: Any, **settings: Any) -> _T:
    """Call a function, and raise exceptions of signal handlers, such as KeyboardInterrupt, unchanged.

    A handler that has waited for a kernel runs while Numba converts the results of the kernel to Python objects. Numba
    expects no exception there, and raises SystemError, "returned a result with an exception set".
    """
    try:
        return function(*arguments, **settings)
    except SystemError as error:
        cause: BaseException = error
        while isinstance(cause, SystemError) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise cause from None


def _call_elsewhere(function: Callable[[], _T], halt: Halt) -> _T:
    """Call a function on a new thread and return its result; set `halt` if the wait for it is interrupted.

    `threading.Thread` and `threading.Event` are unsuitable: some of their locks stay locked forever if a signal handler
    raises at the wrong moment. Here, such an exception can only prolong the wait for `ended` a little.
    """
    threads, ended = torch.get_num_threads(), _thread.allocate_lock()
    returned: list[_T] = []
    raised: list[BaseException] = []
    ended.acquire()

    def run() -> None:
        try:
            current.halt, current.threads = halt, threads
            halt.check()
            returned.append(function())
        except BaseException as error:
            raised.append(error)
        finally:
            ended.release()

    def wait(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not (returned or raised) and time.monotonic() < deadline:
            ended.acquire(timeout=_POLL)

    thread = None
    try:
        try:
            thread = _thread.start_new_thread(run, ())
        except RuntimeError:  # the system or the interpreter allows no more threads
            return _call_here(function)
        wait(math.inf)
    except BaseException:
        halt.set()
        wait(_PATIENCE[0])
        if not (returned or raised):  # the call may be compiling, or inside another library
            _raise_on(thread, Halted)
            wait(_PATIENCE[1])
        raise
    if raised:
        raise raised.pop()
    return returned.pop()


def _raise_on(thread: int | None, exception: type[BaseException]) -> None:
    """Raise an exception on a thread as soon as the thread runs Python code."""
    if thread is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


# When the interpreter exits, it ends each daemon thread that requests the interpreter's lock by unwinding its stack.
# The operators are called by PyTorch's dispatcher, C++ code that must not be unwound: the process would abort. Before
# the exit, other threads therefore leave the kernels, and then wait forever inside the operator.
_inside: set[int] = set()
_exiting = threading.Event()
_forever = threading.Lock()
_forever.acquire()
_EXIT_PATIENCE = 0.3, 10.0


def parked_at_exit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make threads other than the main one wait inside an operator when the interpreter exits."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if _on_main_thread():
            return function(*arguments)
        _inside.add(threading.get_ident())
        try:
            if _exiting.is_set():
                raise Halted
            return function(*arguments)
        finally:
            _inside.discard(threading.get_ident())
            if _exiting.is_set():
                _forever.acquire()

    return call


@atexit.register
def _park_threads() -> None:
    _exiting.set()
    for halt in list(_running):
        halt.set()
    _wait_until_parked(_EXIT_PATIENCE[0])
    _stop_compiling(_EXIT_PATIENCE[1])
    if _other_threads():
        time.sleep(0.02)  # for threads that are entering an operator or have just left one


def _wait_until_parked(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _inside and time.monotonic() < deadline:
        time.sleep(0.002)


def _stop_compiling(seconds: float) -> None:
    """Raise `Halted` on the threads that are still inside an operator, as they may be compiling, and wait for them.

    Not while LLVM works for a thread: it calls back into Python, where the exception would be printed and lost.
    """
    raised: set[int] = set()
    deadline = time.monotonic() + seconds
    while _inside and time.monotonic() < deadline:
        frames = sys._current_frames()
        for thread in _inside - raised:
            frame = frames.get(thread)
            if frame is None or "llvmlite" not in frame.f_code.co_filename:
                _raise_on(thread, Halted)
                raised.add(thread)
        time.sleep(0.002)


def _other_threads() -> bool:
    return any(thread.name != "gpuph" for thread in threading.enumerate() if thread is not threading.main_thread())


def _after_fork() -> None:
    _running.clear()
    _inside.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
