"""How a call ends early: on Ctrl-C, and when the interpreter exits.

Python handles signals between bytecodes of the main thread, so a kernel that runs there delays Ctrl-C until it returns.
A call that may take long therefore runs on a thread of its own, while the main thread waits. When the wait is
interrupted, the call's `Halt` is set; kernels look at it now and then (`primitives.halted`) and return halfway. What
they leave is dropped with the call.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import functools
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])

_POLL = 0.1  # seconds; on Windows, a wait without a limit cannot be interrupted
_PATIENCE = 0.3, 0.5  # seconds that an interrupted call has to end, before and after an exception is raised in it


class Halted(BaseException):
    """Raised on the thread of a call that ends early."""


class Halt:
    """A flag that asks the kernels of one call to return."""

    def __init__(self) -> None:
        self.word = np.zeros(1, np.int64)
        self.address: int = self.word.ctypes.data

    def set(self) -> None:
        self.word[0] = 1

    def check(self) -> None:
        """Raise if the flag is set, because the kernels' results are then incomplete."""
        if self.word[0]:
            raise Halted


class _Current(threading.local):
    """The call that a thread is working on."""

    halt: Halt | None = None  # None for a short one
    threads = 0  # how many it may use; 0 for as many as the thread itself


current = _Current()
_running: set[Halt] = set()


def halt_word() -> int:
    """Return the address that kernels of the current call pass to `primitives.halted`."""
    return 0 if current.halt is None else current.halt.address


def number_of_threads() -> int:
    """Return how many threads the current call may use."""
    return current.threads or torch.get_num_threads()


def interruptible(is_long: Callable[..., bool]) -> Callable[[_F], _F]:
    """Make long calls of a function interruptible.

    is_long : tells from the arguments whether a call may take more than a few hundredths of a second. Short ones run on
    the caller's thread: to start another one takes up to a tenth of a millisecond.
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
                current.halt = halt  # no signals are handled here, but the interpreter may exit
                return function(*arguments, **settings)
            finally:
                current.halt = None
                _running.discard(halt)

        return call  # type: ignore[return-value]

    return decorate


def _on_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _call_here(function: Callable[..., _T], *arguments: Any, **settings: Any) -> _T:
    """Call a function. What a signal handler raises meanwhile, such as KeyboardInterrupt, is raised as it is.

    Numba does not expect exceptions while it makes Python objects of a kernel's results, which is where a handler runs
    that has been waiting for the kernel. So it raises SystemError, "returned a result with an exception set".
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

    `threading.Thread` and `threading.Event` would not do: they have locks that stay locked for good if a signal handler
    raises at the wrong moment. Here, that can only make the wait for `ended` a little longer.
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
        except RuntimeError:  # the system or the interpreter allows no more
            return _call_here(function)
        wait(math.inf)
    except BaseException:
        halt.set()
        wait(_PATIENCE[0])
        if not (returned or raised):  # it may be compiling, or in another library
            _raise_on(thread, Halted)
            wait(_PATIENCE[1])
        raise
    if raised:
        raise raised.pop()
    return returned.pop()


def _raise_on(thread: int | None, exception: type[BaseException]) -> None:
    """Raise an exception on a thread, as soon as it runs Python code."""
    if thread is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


# The interpreter ends a daemon thread when that asks for the interpreter's lock, by unwinding its stack. PyTorch's
# dispatcher, in C++, calls the operators, and does not allow that: the process would abort. So before the interpreter
# exits, other threads leave the kernels and then wait forever, inside the operator.
_inside: set[int] = set()
_exiting = threading.Event()
_forever = threading.Lock()
_forever.acquire()
_EXIT_PATIENCE = 0.3, 10.0


def parked_at_exit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep threads other than the main one inside an operator, and asleep, when the interpreter exits."""

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
    for thread in list(_inside):  # compiling, perhaps
        _raise_on(thread, Halted)
    _wait_until_parked(_EXIT_PATIENCE[1])
    if _other_threads():
        time.sleep(0.02)  # for threads that are just entering an operator or have just left one


def _wait_until_parked(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _inside and time.monotonic() < deadline:
        time.sleep(0.002)


def _other_threads() -> bool:
    return any(thread.name != "gpuph" for thread in threading.enumerate() if thread is not threading.main_thread())


def _after_fork() -> None:
    _running.clear()
    _inside.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
