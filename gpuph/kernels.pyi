"""For type checkers: in a checkout, the kernels stand beside this package."""

from kernels import *  # noqa: F403
from kernels import cpu as cpu
from kernels import triton as triton
