"""The clock of `launch(latency=...)`, on chains of instructions whose cycles are known."""
import dataclasses

import numpy as np
import pytest
import ptxrun
from ptxrun import Cost, Latencies

LAT = Latencies()
HEAD = '.version 8.0\n.target sm_90\n.address_size 64\n'


def module(body, shared=0):
    """A kernel k(x, n) on an array x, with registers %r (32 bits), %d (64), %f and %p, the address of x in %d0, n in %r0 and the thread in %r1."""
    return ptxrun.Module(HEAD + f'''.visible .entry k(.param .u64 x, .param .u32 n) {{
.reg .pred %p<9>; .reg .b32 %r<400>; .reg .b64 %d<99>; .reg .f32 %f<99>; .reg .f64 %g<9>;
.shared .align 16 .b8 smem[4096];
ld.param.u64 %d0, [x]; ld.param.u32 %r0, [n]; mov.u32 %r1, %tid.x;
{body}
ret; }}''')


def cycles(body, n=0, block=1, grid=1, x=None, latency=LAT, **options):
    x = np.zeros(4096, np.uint64) if x is None else x
    st = module(body).launch('k', grid, block, [x, n], checks=(), schedule='warp', latency=latency, **options)
    assert len(st.block_cycles) == grid
    return int(st.block_cycles[0]) if grid == 1 else st.block_cycles.astype(int)


def each(instructions, few=20, many=60, **options):
    """Cycles of one of the instructions that a function of their number writes, without what comes before and after them."""
    long, short = (cycles('\n'.join(instructions(i) for i in range(n)), **options) for n in (many, few))
    return (long - short) / (many - few)


CHAINS = {
    'add.u32 %r2, %r2, %r2;': LAT.arithmetic.result,
    'add.f32 %f2, %f2, %f2;': LAT.arithmetic.result,
    'mad.lo.u32 %r2, %r2, %r2, %r2;': LAT.arithmetic.result,
    'add.s64 %d2, %d2, %d2;': LAT.integer64.result,
    'mul.lo.u64 %d2, %d2, %d2;': LAT.multiply64.result,
    'mad.wide.u32 %d2, %r2, %r2, %d2;': LAT.multiply_wide.result,
    'fma.rn.f64 %g2, %g2, %g2, %g2;': LAT.float64.result,
    'popc.b32 %r2, %r2;': LAT.bits.result,
    'cvt.rn.f32.u32 %f2, %r2; cvt.rzi.u32.f32 %r2, %f2;': 2 * LAT.convert.result,
    'ex2.approx.f32 %f2, %f2;': LAT.special.result,
    'div.u32 %r2, %r2, %r0;': LAT.divide.result,
    'rem.s64 %d2, %d2, %d0;': LAT.divide64.result,
    'div.rn.f32 %f2, %f2, %f2;': LAT.divide_float32.result,
    'sqrt.rn.f64 %g2, %g2;': LAT.divide_float64.result,
    'setp.eq.u32 %p2, %r2, 0; selp.u32 %r2, 1, 2, %p2;': LAT.predicate.result + LAT.arithmetic.result,
    'mov.u32 %r3, %r2; add.u32 %r2, %r3, 1;': LAT.arithmetic.result,                                  # moves cost nothing
    'mov.b64 {%r3, %r4}, %d2; add.u32 %r3, %r3, %r4; mov.b64 %d2, {%r3, %r4};': LAT.arithmetic.result,
    'shfl.sync.idx.b32 %r2, %r2, 0, 31, 1;': LAT.shuffle.result,
    'ld.shared.u32 %r2, [%r2];': LAT.shared,
    'atom.shared.add.u32 %r2, [%r2], 0;': LAT.atomic_shared,
}


@pytest.mark.parametrize('chain', CHAINS)
def test_a_chain_of_dependent_instructions_takes_their_latencies(chain):
    assert each(lambda i: chain, n=1) == CHAINS[chain]


@pytest.mark.parametrize('instruction, kind', [
    ('add.u32 %r{}, %r0, %r0;', LAT.arithmetic), ('mul.lo.u64 %d{}, %d0, %d0;', LAT.multiply64), ('popc.b32 %r{}, %r0;', LAT.bits),
    ('rcp.approx.f32 %f{}, %f0;', LAT.special), ('rem.u32 %r{}, %r0, %r0;', LAT.divide)], ids=lambda x: str(x).split()[0])
def test_independent_instructions_take_their_issue_costs(instruction, kind):
    assert each(lambda i: instruction.format(i + 2), n=1) == kind.issue


def test_latencies_can_be_given():
    slow = dataclasses.replace(LAT, arithmetic=Cost(3, 17))
    assert each(lambda i: 'add.u32 %r2, %r2, %r2;', latency=slow) == 17
    assert each(lambda i: f'add.u32 %r{i + 2}, %r0, %r0;', latency=slow) == 3
    assert each(lambda i: 'add.u32 %r2, %r2, %r2;', latency=True) == LAT.arithmetic.result
    with pytest.raises(TypeError, match='must be True or Latencies'):
        cycles('', latency=280)


def test_a_result_is_waited_for_where_it_is_read():
    """What does not need it goes on meanwhile."""
    load, use = 'ld.volatile.global.u32 %r2, [%d0];', 'add.u32 %r3, %r2, 1; st.shared.u32 [%r1], %r3;'
    between = '\n'.join(f'add.u32 %r{i}, %r0, 1;' for i in range(4, 104))
    assert cycles(load + between + use) == cycles(load + use) > cycles(load + between)


def links(stride, n=512):
    """Addresses, each in the memory that the one before it points to, `stride` bytes apart; it comes round."""
    x = np.zeros(n * stride // 8, np.uint64)
    x[::stride // 8] = x.ctypes.data + (np.arange(n) + 1) % n * stride
    return x


CHASE = 'ld.global.u64 %d0, [%d0];'


def test_a_chase_through_memory_takes_a_journey_to_the_l2_a_link():
    assert each(lambda i: CHASE, x=links(32)) == LAT.l2
    assert each(lambda i: CHASE, x=links(8)) == pytest.approx(LAT.l2 / 4 + LAT.l1 * 3 / 4)    # four links a sector


def test_a_chase_round_a_few_sectors_stays_in_the_l1():
    few = dict(x=links(32, 8), few=16, many=64)
    assert each(lambda i: CHASE, **few) == LAT.l1
    assert each(lambda i: 'ld.volatile.global.u64 %d0, [%d0];', **few) == LAT.l2              # others may have written it
    assert each(lambda i: CHASE, latency=dataclasses.replace(LAT, sectors=0), **few) == LAT.l2
    assert each(lambda i: CHASE + 'fence.acq_rel.gpu;', latency=dataclasses.replace(LAT, fence=1), **few) == LAT.l2      # it empties the L1
    assert each(lambda i: CHASE + 'fence.acq_rel.gpu;', **few) == 1 + LAT.fence
    assert each(lambda i: CHASE + 'fence.acq_rel.cta;', **few) == LAT.l1


@pytest.mark.parametrize('resident', [1, 3])
def test_a_block_does_not_find_what_another_has_loaded(resident):
    """Block 1 is late by 100 additions, and by nothing else."""
    late = 'mov.u32 %r9, %ctaid.x; setp.ne.u32 %p1, %r9, 1; @%p1 bra L;' + 'add.u32 %r2, %r2, 1;' * 100 + 'L:'
    chase = 'and.b32 %r3, %r2, 0; cvt.u64.u32 %d9, %r3; add.u64 %d0, %d0, %d9;' + CHASE * 16       # once the additions are done
    first, second, third = cycles(late + chase, x=links(32, 8), grid=3, resident_blocks=resident)
    assert first == third == pytest.approx(second - 100 * LAT.arithmetic.result, abs=20)


def test_a_sector_that_is_on_its_way_comes_when_it_comes():
    """The second load of a sector is done with the first, not a latency of the L1 later, and not before."""
    two = 'ld.global.u32 %r2, [%d0]; {} ld.global.u32 %r3, [%d0+4]; add.u32 %r4, %r3, 1; st.shared.u32 [%r1], %r4;'
    wait = '\n'.join(f'add.u32 %r{i}, %r0, 1;' for i in range(10, 110))
    assert cycles(two.format(wait)) - cycles(two.format('')) == 0


def test_generic_addresses_of_shared_memory_are_as_near():
    to = 'mov.u64 %d1, smem; cvta.shared.u64 %d2, %d1; st.u64 [%d2], %d2;'
    long, short = (cycles(to + 'ld.u64 %d2, [%d2];' * n) for n in (30, 10))
    assert long - short == 20 * LAT.shared


def test_atomics():
    relaxed, acquire, both = (f'atom.global.gpu.{s}.add.u64 %d2, [%d0], %d2;' for s in ('relaxed', 'acquire', 'acq_rel'))
    assert each(lambda i: relaxed) == LAT.atomic
    assert each(lambda i: acquire) == LAT.atomic + LAT.acquire
    assert each(lambda i: both) == LAT.atomic + LAT.acquire + LAT.fence
    assert each(lambda i: 'atom.global.cta.acq_rel.add.u64 %d2, [%d0], %d2;') == LAT.atomic
    assert each(lambda i: 'red.global.add.u64 [%d0], %d2;') == LAT.store


def test_stores_are_not_waited_for():
    assert each(lambda i: f'st.global.u32 [%d0+{4 * i}], %r1;') == LAT.store


WORK = 'setp.ne.u32 %p{0}, {1}, {0}; @%p{0} bra L{0};' + 'add.u32 %r2, %r2, 1;' * 100 + 'L{0}:'    # 100 dependent additions, where {1} is {0}


def test_a_shuffle_waits_for_the_slowest_lane():
    """Lane 7 has 100 additions to do before, and lane 3 as many afterwards."""
    before, after = WORK.format(7, '%r1'), WORK.format(3, '%r1')
    meet = 'shfl.sync.idx.b32 %r3, %r2, 0, 31, {}; add.u32 %r2, %r3, 0;'
    all_, few = meet.format(-1), meet.format('%r6')
    assert cycles(before + all_ + after, block=32) == pytest.approx(200 * LAT.arithmetic.result + LAT.shuffle.result, abs=40)
    pairs = 'and.b32 %r4, %r1, 30; mov.u32 %r5, 3; shl.b32 %r6, %r5, %r4;'                     # lanes 6 and 7 meet, 2 and 3, ...
    assert cycles(pairs + before + few + after, block=32) == pytest.approx(100 * LAT.arithmetic.result + LAT.shuffle.result, abs=60)


def test_a_barrier_waits_for_the_slowest_warp():
    """Warp 2 of 4 has 100 additions to do before, and warp 1 as many afterwards."""
    warp, before, after = 'shr.u32 %r9, %r1, 5;', WORK.format(2, '%r9'), WORK.format(1, '%r9')
    assert cycles(warp + before + 'bar.sync 0;' + after, block=128) == pytest.approx(200 * LAT.arithmetic.result + LAT.barrier, abs=60)
    assert cycles(warp + before + after, block=128) == pytest.approx(100 * LAT.arithmetic.result, abs=60)


@pytest.mark.parametrize('seed', range(6))
def test_a_warp_that_only_arrives_at_a_barrier_does_not_wait(seed):
    """Warp 0 waits for warp 1, whichever comes first in the emulation, and warp 1 does not wait for warp 0."""
    def both(first, second, arrive, after):
        add = 'add.u32 %r2, %r2, 1;'
        return cycles('setp.lt.u32 %p1, %r1, 32; @%p1 bra L;' + add * arrive + 'bar.arrive 1, 64;' + add * after + 'bra M; L:' + add * first +
                      'bar.sync 1, 64;' + add * second + 'M:', block=64, seed=seed)
    assert both(10, 100, 300, 0) == pytest.approx(400 * LAT.arithmetic.result + LAT.barrier, abs=40)
    assert both(100, 0, 0, 80) == pytest.approx(100 * LAT.arithmetic.result + LAT.barrier, abs=40)


@pytest.mark.parametrize('seed', range(6))
def test_a_barrier_waits_for_threads_to_exit_that_do_not_come(seed):
    body = 'setp.ge.u32 %p1, %r1, 32; @%p1 bra L;' + 'bar.sync 0;' + 'add.u32 %r2, %r2, 1;' * 100 + 'bra M; L:' + 'add.u32 %r2, %r2, 1;' * 300 + 'M:'
    assert cycles(body, block=64, seed=seed) == pytest.approx(400 * LAT.arithmetic.result + LAT.barrier, abs=40)


def test_a_block_takes_as_long_as_its_slowest_thread():
    loop = 'mov.u32 %r2, 0; L: add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, %r1; @%p1 bra L;'
    round_ = LAT.arithmetic.result + LAT.predicate.result + LAT.branch_taken
    assert cycles(loop, block=64) - cycles(loop, block=32) == 32 * round_


def test_a_loop_costs_its_chain_and_its_branch():
    loop = 'mov.u32 %r2, 0; L: add.u32 %r2, %r2, 1; add.u32 %r4, %r0, 7; setp.lt.u32 %p1, %r2, %r0; @%p1 bra L;'
    round_ = LAT.arithmetic.result + LAT.predicate.result + LAT.branch_taken                  # the second addition fits in between
    assert cycles(loop, n=50) - cycles(loop, n=30) == 20 * round_


def test_blocks_have_times_of_their_own():
    loop = 'mov.u32 %r3, %ctaid.x; mov.u32 %r2, 0; L: add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, %r3; @%p1 bra L;'
    times = cycles(loop, grid=9, resident_blocks=2)
    assert np.array_equal(np.diff(times)[1:], np.full(7, LAT.arithmetic.result + LAT.predicate.result + LAT.branch_taken))


def test_a_predicated_instruction_waits_for_its_predicate_and_may_do_nothing():
    on, off = ('setp.{}.u32 %p1, %r2, %r2; @%p1 add.u32 %r2, %r2, 1;'.format(c) for c in ('eq', 'ne'))
    assert each(lambda i: on) == LAT.predicate.result + LAT.arithmetic.result
    assert each(lambda i: off) == LAT.predicate.result + 1


def test_asynchronous_copies_are_waited_for_at_their_wait():
    copy = 'mov.u32 %r2, smem; cp.async.ca.shared.global [%r2], [%d0], 4; cp.async.commit_group;'
    assert cycles(copy + 'cp.async.wait_group 0;') - cycles(copy) == pytest.approx(LAT.l2, abs=5)


def test_answers_and_counts_are_those_of_a_launch_without():
    body = 'mul.wide.u32 %d1, %r1, 8; add.u64 %d2, %d0, %d1; ld.global.u64 %d3, [%d2]; mul.lo.u64 %d3, %d3, %d3; st.global.u64 [%d2], %d3;'
    x = np.zeros(64, np.uint64)

    def launch(**options):
        x[:] = np.arange(64)
        st = module(body).launch('k', 1, 64, [x, 0], schedule='round_robin', **options)
        assert np.array_equal(x, np.arange(64) ** 2)
        return st
    a, b, c = launch(), launch(latency=LAT), launch(latency=LAT, checks=(), stats=False)
    assert (a.instructions, a.classes, a.global_sectors) == (b.instructions, b.classes, b.global_sectors)
    assert a.block_cycles is None and b.block_cycles[0] == c.block_cycles[0] > LAT.l2
