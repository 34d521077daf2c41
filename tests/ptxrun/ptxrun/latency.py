"""How many cycles instructions take: the table behind `launch(..., latency=...)`, and the C code that keeps the time.

A thread has a clock, `t->now`: when it issues its next instruction. A register x has a time q_x: when its value is ready. An instruction waits for
the registers that it reads, occupies its thread for its issue cost, and makes its result ready after its latency. Lanes meet at shuffles, and
threads at barriers, where all go on at the time of the latest (rt.c).

The defaults are for an H100, in its own cycles, from what others have measured; they are good to about 20 %:

[1] Luo et al. 2024, "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture", arXiv:2402.13499: memories of Ampere and Hopper.
[2] Abdelkhalik et al. 2022, "Demystifying the Nvidia Ampere Architecture through Microbenchmarking and Instruction-level Analysis",
    arXiv:2208.11174: PTX instructions on an A100; an addition takes 4 cycles if the next instruction needs it, and 2 if not.
[3] Accel-Sim's configuration SM90_H100: pipelines of 4 cycles for int32 and float32, 8 for float64 and 23 for special functions.
[4] M. Dewing, github.com/markdewing/AI_kernels, latency: 40 cycles for the L1 of a GH200, 281 for its L2, 690 for its memory.

PTX is not what a GPU executes. ptxas removes moves, which cost nothing here, and merges other instructions: so an addition issues in 1 cycle, not 2.
What it always splits, 64-bit integers and divisions, has the cost of the whole sequence.
"""
from dataclasses import dataclass
from typing import NamedTuple

from .parser import FLOATS, SPACES


class Cost(NamedTuple):
    issue: int    # cycles until the thread can issue its next instruction
    result: int   # cycles from issue until the result can be read


@dataclass(frozen=True)
class Latencies:
    """Cycles by kind of instruction, of an H100. [n]: a source in the module's docstring; values without one are estimates."""
    arithmetic: Cost = Cost(1, 5)          # of up to 32 bits: 4 within a pipeline [2, 3], and more from one pipeline to another
    predicate: Cost = Cost(1, 6)           # setp
    integer64: Cost = Cost(2, 8)           # two instructions; the second takes the carry of the first
    multiply_wide: Cost = Cost(2, 5)       # mul.wide, mad.wide
    multiply64: Cost = Cost(4, 14)         # mul.lo.u64 and the like: four instructions
    float64: Cost = Cost(2, 9)             # 8 [3]; half of the lanes
    bits: Cost = Cost(2, 14)               # popc, clz, bfind, brev
    convert: Cost = Cost(2, 10)            # cvt
    special: Cost = Cost(8, 23)            # rcp, rsqrt, ex2, lg2, sin, cos, tanh [3]
    divide: Cost = Cost(26, 130)           # div and rem of integers: a function of about 26 instructions
    divide64: Cost = Cost(80, 420)
    divide_float32: Cost = Cost(8, 40)     # also sqrt: a special function, refined
    divide_float64: Cost = Cost(30, 200)   # also rcp and sqrt
    shuffle: Cost = Cost(2, 24)            # shfl, vote, match, redux: after the last lane has arrived
    branch: int = 3                        # not taken
    branch_taken: int = 10                 # taken: instructions are fetched anew
    jump: int = 5                          # unconditional branches, calls and returns
    barrier: int = 30                      # after the last thread has arrived
    warp_barrier: int = 6                  # also fences within a block, and mbarriers
    constant: int = 8                      # kernel parameters and constants
    shared: int = 30                       # 29 [1]
    atomic_shared: int = 40
    l1: int = 40                           # [4]; 33 to 38 on an A100 [1, 2]. Local memory takes as long
    l2: int = 280                          # [4]; 262 on an A100 [1]
    atomic: int = 420                      # in global memory
    store: int = 2                         # no thread waits for a store
    fence: int = 700                       # a release, or a fence, for the device: about two journeys to the L2 and back
    acquire: int = 150                     # more than the access itself takes; the L1 is empty afterwards
    sectors: int = 256                     # of 32 bytes, of the L1, that a block has: 256 KiB shared by 32 blocks; more where fewer blocks fit


def registers(operand):
    """Names of the registers in a parsed operand."""
    kind = operand[0]
    if kind == 'r':
        return [operand[1]]
    inner = operand[1] if kind in ('v', 'g') else operand[1:] if kind == 'p' else operand[1:2] if kind in ('m', 'n') else ()
    return [r for o in inner for r in registers(o)]


def cost(parts, cls, lat):
    """Cost of an instruction that is no access to memory, barrier or branch, by its parts and the translator's class."""
    op, m = parts[0], parts[1:]
    ty = m[-1] if m else ''
    if cls == 'shuffle':
        return lat.shuffle
    if op in ('div', 'rem', 'sqrt') or op == 'rcp' and ty == 'f64':
        if ty in FLOATS:
            return lat.divide_float64 if ty == 'f64' else lat.special if 'approx' in m else lat.divide_float32
        return lat.divide64 if ty.endswith('64') else lat.divide
    if op in ('rcp', 'rsqrt', 'ex2', 'lg2', 'sin', 'cos', 'tanh'):
        return lat.special
    if op in ('popc', 'clz', 'bfind', 'brev'):
        return lat.bits
    if op == 'cvt':
        return lat.convert
    if op in ('mul', 'mad') and ty not in FLOATS:
        return lat.multiply_wide if 'wide' in m else lat.multiply64 if ty.endswith('64') else lat.arithmetic
    if ty.endswith('64'):
        return lat.float64 if ty == 'f64' else lat.integer64
    return lat.predicate if op == 'setp' else lat.arithmetic


NO_RESULT = {'st', 'red', 'bar', 'barrier', 'fence', 'membar', 'cp', 'mbarrier', 'nanosleep', 'stmatrix', 'prefetch', 'call', 'bra', 'brx'}


def timed(tr, ins, cls, text, lat):
    """C code of an instruction that also keeps the time. tr: the Translator, text: the code without."""
    op, m, ops = ins.parts[0].split('::')[0], ins.parts[1:], ins.ops
    result = bool(ops) and (op not in NO_RESULT or op in ('bar', 'barrier') and 'red' in m or op == 'mbarrier' and ops[0][0] == 'r')
    out = registers(ops[0]) if result else []
    read = dict.fromkeys(r for o in ops[result:] for r in registers(o))
    space = next((x for x in m if x in SPACES), 'generic').split('::')[0]
    shared, block = space == 'shared' or op == 'ldmatrix', 'cta' in m
    acquires = not shared and not block and any(x in m for x in ('acquire', 'acq_rel', 'seq_cst'))
    releases = not shared and not block and any(x in m for x in ('release', 'acq_rel', 'seq_cst'))

    def code(issue, latency=0, before='', after=''):
        ready = ''.join(f'q_{r} = ' for r in out) + f't->now + {latency}; ' if out else ''
        return f'{{ {"".join(f"WAIT(q_{r}); " for r in read)}{before}{text} {ready}t->now += {issue};{after} }}'

    def predicated(code, skipped):
        if not ins.pred:
            return code
        p, neg = ins.pred
        return f'WAIT(q_{p}); if ({"!" if neg else ""}{p}) {{ {code} }} else t->now += {skipped};'

    if cls == 'branch':                              # it may not come back
        taken = lat.branch_taken if ins.pred else lat.jump
        return predicated(f'{{ {"".join(f"WAIT(q_{r}); " for r in read)}t->now += {taken}; {text} }}', lat.branch)
    if op in ('mov', 'cvta'):                        # a copy is ready when its source is
        out = [r for r in out if r not in read]
        ready = ''.join(f'q_{r} = ' for r in out) + '0; ' if out else ''
        c = f'{{ {text} {ready}{"".join(f"LATER(q_{r}, q_{x}); " for r in out for x in read)}}}'
    elif op in ('fence', 'membar'):
        device = any(x in m for x in ('gpu', 'gl', 'sys', 'cluster'))
        c = code(lat.fence, after=' forget(t);') if device else code(lat.warp_barrier)
    elif cls == 'barrier':
        c = code(lat.barrier if op in ('bar', 'barrier') and 'warp' not in m else lat.warp_barrier)
    elif op in ('atom', 'red'):
        latency = lat.atomic_shared if shared else lat.atomic + lat.acquire * acquires
        c = code(1 if out else lat.store, latency, f't->now += {lat.fence}; ' if releases else '', ' forget(t);' if acquires else '')
    elif op in ('ld', 'ldu', 'ldmatrix'):
        if shared or space in ('param', 'const', 'local'):
            c = code(1, lat.shared if shared else lat.l1 if space == 'local' else lat.constant)
        else:
            a = f'(u64)({tr.mem(ops[1], space)})'
            far = not lat.sectors or any(x in m for x in ('volatile', 'relaxed', 'acquire', 'mmio', 'cg', 'cv'))
            took = f'{lat.l2 + lat.acquire * acquires}' if far else f'cached(t, {a}, {lat.l1}, {lat.l2})'
            took = f'rt_space(t, {a}) == 1 ? {lat.shared} : {took}' if space == 'generic' else took
            c = code(1, 'took', f'u64 took = {took}; ', ' forget(t);' if acquires else '')
    elif op in ('st', 'stmatrix'):
        c = code(lat.store, before=f't->now += {lat.fence}; ' if releases else '')
    elif op == 'cp' and cls == 'mem' and 'bulk' not in m:      # lands as a load would
        took = f'cached(t, (u64)({tr.mem(ops[1], "global")}), {lat.l1}, {lat.l2})' if lat.sectors else lat.l2
        c = code(1, before=f'LATER(t->landed, t->now + {took}); ')
    elif op == 'cp':                                 # a wait for some copies is one for all
        c = code(1, before='WAIT(t->landed); ' if 'wait_group' in m or 'wait_all' in m else '')
    elif op == 'nanosleep':                          # 2 cycles a nanosecond
        c = code(f'2 * (u64){tr.val(ops[0], "b32")}')
    else:
        c = code(*cost(ins.parts, cls, lat))
    return predicated(c, 1)
