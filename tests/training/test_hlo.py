"""Costs read from the text of compiled programs, against counts by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from jaxnets.training import hlo, parallel

LOOP = """HloModule loops, is_scheduled=true

%fused (p.0: f32[100,8], p.1: s32[]) -> f32[8] {
  %p.0 = f32[100,8]{1,0} parameter(0)
  %p.1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  %row = f32[1,8]{1,0} dynamic-slice(%p.0, %p.1, %zero), dynamic_slice_sizes={1,8}
  %flat = f32[8]{0} bitcast(%row)
  ROOT %tanh = f32[8]{0} tanh(%flat)
}

%replaced (p.2: f32[100,8], p.3: f32[8], p.4: s32[]) -> f32[100,8] {
  %p.2 = f32[100,8]{1,0} parameter(0)
  %p.3 = f32[8]{0} parameter(1)
  %p.4 = s32[] parameter(2)
  %row.1 = f32[1,8]{1,0} bitcast(%p.3)
  %none = s32[] constant(0)
  ROOT %update = f32[100,8]{1,0} dynamic-update-slice(%p.2, %row.1, %p.4, %none)
}

%body (state: (s32[], f32[100,8], f32[100,8])) -> (s32[], f32[100,8], f32[100,8]) {
  %state = (s32[], f32[100,8]{1,0}, /*index=2*/f32[100,8]{1,0}) parameter(0)
  %turn = s32[] get-tuple-element(%state), index=0
  %inputs = f32[100,8]{1,0} get-tuple-element(%state), index=1
  %outputs = f32[100,8]{1,0} get-tuple-element(%state), index=2
  %one = f32[8]{0} fusion(%inputs, %turn), kind=kLoop, calls=%fused, metadata={op_name="a (b) c"}
  %library = (f32[8]{0}, u8[16]{0}) custom-call(%one), custom_call_target="__cublas$gemm"
  %first = f32[8]{0} get-tuple-element(%library), index=0
  %all = f32[100,8]{1,0} fusion(%outputs, %first, %turn), kind=kLoop, calls=%replaced
  ROOT %next = (s32[], f32[100,8]{1,0}, f32[100,8]{1,0}) tuple(%turn, %inputs, %all)
}

%condition (state.1: (s32[], f32[100,8], f32[100,8])) -> pred[] {
  %state.1 = (s32[], f32[100,8]{1,0}, f32[100,8]{1,0}) parameter(0)
  %counter = s32[] get-tuple-element(%state.1), index=0
  %limit = s32[] constant(100)
  ROOT %less = pred[] compare(%counter, %limit), direction=LT
}

ENTRY %main (x: (s32[], f32[100,8], f32[100,8])) -> (s32[], f32[100,8], f32[100,8]) {
  %x = (s32[], f32[100,8]{1,0}, f32[100,8]{1,0}) parameter(0)
  ROOT %loop = (s32[], f32[100,8]{1,0}, f32[100,8]{1,0}) while(%x), condition=%condition, body=%bodySTATED
}
"""


@pytest.mark.parametrize(
    ("stated", "turns"), [("", 100), (', backend_config={"known_trip_count":{"n":"7"},"known_init_step":{"init":"0"}}', 7)]
)
def test_a_loop_counts_as_often_as_it_turns_and_a_slice_as_what_is_sliced(stated, turns):
    found = hlo.program_costs(LOOP.replace("STATED", stated))
    assert found.kernels == 3 * turns
    # A row and its number read, a row written; a row read, a row and 16 bytes written; as the first.
    assert found.bytes == turns * ((32 + 4 + 32) + (32 + 32 + 16) + (32 + 4 + 32))
    assert found.collective_bytes == 0


def test_of_branches_the_longest_counts_and_what_waits_is_no_kernel():
    found = hlo.program_costs("""HloModule branches
%short (a: f32[4]) -> f32[4] {
  ROOT %a = f32[4]{0} parameter(0)
}
%long (b: f32[4]) -> f32[4] {
  %b = f32[4]{0} parameter(0)
  %c = f32[4]{0} tanh(%b)
  ROOT %d = f32[4]{0} sine(%c)
}
ENTRY %main (i: s32[], x: f32[4]) -> f32[4] {
  %i = s32[] parameter(0)
  %x = f32[4]{0:T(128)} parameter(1)
  %chosen = f32[4]{0} conditional(%i, %x, %x), branch_computations={%short, %long}
  %sum-start = f32[4]{0:T(128)S(1)} all-reduce-start(%chosen), to_apply=%add
  ROOT %sum = f32[4]{0} all-reduce-done(%sum-start)
}""")
    assert found == hlo.ProgramCosts(3, 2 * 32 + 16, 16, 1)  # What arrives stays on the chip


def test_a_tpus_scalar_unit_runs_no_kernels_and_its_copies_are_written_once():
    """From a program for a v5e: a prefetch into the chip's own memory, and a copy of a result out of it."""
    found = hlo.program_costs("""HloModule prefetch
ENTRY %main (x: f32[1024,128], turn: s32[]) -> f32[1024,128] {
  %x = f32[1024,128]{1,0:T(8,128)} parameter(0)
  %turn = s32[]{:T(128)} parameter(1)
  %one = s32[]{:T(128)} constant(1)
  %next = s32[]{:T(128)} add(%turn, %one)
  %is-odd = pred[]{:T(512)} compare(%next, %one), direction=EQ
  %in = (f32[1024,128]{1,0:T(8,128)S(1)}, f32[1024,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %here = f32[1024,128]{1,0:T(8,128)S(1)} copy-done(%in)
  %y = f32[1024,128]{1,0:T(8,128)S(1)} tanh(%here)
  %out = (f32[1024,128]{1,0:T(8,128)}, f32[1024,128]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) copy-start(%y)
  ROOT %there = f32[1024,128]{1,0:T(8,128)} copy-done(%out)
}""")
    assert found.kernels == 3
    assert found.bytes == 2 * 4 * 1024 * 128  # Read once, written once.


def test_programs_that_this_compiler_makes():
    scan = lambda x: lax.scan(lambda h, w: (jnp.tanh(h @ w), h.sum()), jnp.ones((8, 8)), x)
    text = jax.jit(scan).lower(jax.ShapeDtypeStruct((37, 8, 8), "float32")).compile().as_text()
    found = hlo.program_costs(text)
    assert 2 * 37 <= found.kernels <= 12 * 37
    # A matrix of 256 bytes read, multiplied, written: not all 37 of them in each turn.
    assert 37 * 3 * 256 <= found.bytes <= 37 * 20 * 256


def test_what_devices_exchange_is_counted():
    mesh = parallel.make_mesh()
    summed = jax.shard_map(
        lambda x: lax.psum(x, parallel.AXIS), mesh=mesh, in_specs=PartitionSpec(parallel.AXIS), out_specs=PartitionSpec()
    )
    text = jax.jit(summed).lower(jax.ShapeDtypeStruct((4, 100), "float32")).compile().as_text()
    assert hlo.program_costs(text)[2:] == (400, 1)
