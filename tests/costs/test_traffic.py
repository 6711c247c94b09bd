"""Traffic, cycles and collectives of the text of a TPU program."""

import pytest

from hrnet_jax.costs.traffic import traffic

# As libtpu writes it, cut down: a prefetch, a convolution on the prefetched copy, a
# slice, an all-reduce, and a loop of five rounds with an addition.
TEXT = """\
HloModule jit_step, is_scheduled=true, num_partitions=4

%fused_computation (p0: bf16[8,128]) -> bf16[8,128] {
  %p0 = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %big = bf16[1024,1024]{1,0:T(8,128)(2,1)} add(%p0, %p0)
}

%more (p1: f32[16,128]) -> f32[16,128] {
  %p1 = f32[16,128]{1,0:T(8,128)} parameter(0)
  ROOT %twice = f32[16,128]{1,0:T(8,128)} add(%p1, %p1)
}

%body (arg: (s32[], f32[16,128])) -> (s32[], f32[16,128]) {
  %arg = (s32[]{:T(128)}, f32[16,128]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%arg), index=0
  %x = f32[16,128]{1,0:T(8,128)} get-tuple-element(%arg), index=1
  %sum = f32[16,128]{1,0:T(8,128)} fusion(%x), kind=kLoop, calls=%more, \
backend_config={"window_config":{"estimated_cycles":"100"}}
  %shared = f32[16,128]{1,0:T(8,128)} all-reduce(%sum), replica_groups={{0,1},{2,3}}, \
to_apply=%add
  ROOT %out = (s32[]{:T(128)}, f32[16,128]{1,0:T(8,128)}) tuple(%i, /*index=1*/%shared)
}

%condition (arg.1: (s32[], f32[16,128])) -> pred[] {
  %five = s32[]{:T(128)} constant(5)
  %arg.1 = (s32[]{:T(128)}, f32[16,128]{1,0:T(8,128)}) parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%arg.1), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i.1, %five), direction=LT
}

ENTRY %main (a: bf16[8,100], w: f32[16,128]) -> f32[16,128] {
  %a = bf16[8,100]{1,0:T(8,128)(2,1)} parameter(0)
  %w = f32[16,128]{1,0:T(8,128)} parameter(1)
  %copy-start = (bf16[8,100]{1,0:T(8,128)(2,1)S(1)}, bf16[8,100]{1,0:T(8,128)(2,1)}, \
u32[]{:S(2)}) copy-start(%a)
  %copy-done = bf16[8,100]{1,0:T(8,128)(2,1)S(1)} copy-done(%copy-start)
  %conv = bf16[8,100]{1,0:T(8,128)(2,1)} fusion(%copy-done), kind=kOutput, \
calls=%fused_computation, backend_config={"window_config":{"estimated_cycles":"7"},\
"convolution_algorithm_config":{"emitter":"Any"}}
  %part = bf16[8,128]{1,0:T(8,128)(2,1)} slice(%w), slice={[0:8], [0:128]}
  %zero = s32[]{:T(128)} constant(0)
  %tuple = (s32[]{:T(128)}, f32[16,128]{1,0:T(8,128)}) tuple(%zero, %w)
  %loop = (s32[]{:T(128)}, f32[16,128]{1,0:T(8,128)}) while(%tuple), \
condition=%condition, body=%body
  ROOT %end = f32[16,128]{1,0:T(8,128)} get-tuple-element(%loop), index=1
}
"""
TILE = 8 * 128 * 2  # bytes of bfloat16
WHOLE = 16 * 128 * 4  # of the float32 array


@pytest.fixture(scope="module")
def costs():
    return traffic(TEXT)


def test_a_prefetch_reads_hbm_once(costs):
    assert costs.hbm["prefetch and eviction"] == TILE


def test_a_fusion_is_charged_for_arrays_in_hbm(costs):
    # The operand was prefetched: only the result crosses.
    assert costs.hbm["convolutions"] == TILE


def test_a_slice_reads_as_much_as_it_produces(costs):
    assert costs.hbm["copies, pads, slices"] == 2 * TILE


def test_what_runs_in_a_loop_counts_in_every_round(costs):
    assert costs.hbm["elementwise and reductions"] == 5 * 2 * WHOLE
    assert costs.collectives == {("all-reduce", 2): (5, 5 * WHOLE)}
    assert costs.cycles == {"convolutions": 7, "elementwise and reductions": 500}
    assert costs.unknown_loops == 0


def test_computations_inside_fusions_do_not_count(costs):
    assert sum(costs.hbm.values()) < 1024 * 1024 * 2


def test_a_number_of_rounds_that_xla_knows_is_taken():
    known = TEXT.replace(
        "body=%body\n",
        'body=%body, backend_config={"known_trip_count":{"n":"3"}}\n',
    )
    assert traffic(known).collectives == {("all-reduce", 2): (3, 3 * WHOLE)}


def test_a_loop_of_unknown_length_counts_once_and_is_told():
    unknown = traffic(TEXT.replace("direction=LT", "direction=NE"))
    assert unknown.collectives == {("all-reduce", 2): (1, WHOLE)}
    assert unknown.unknown_loops == 1


def test_a_collective_inside_a_fusion_counts():
    inside = TEXT.replace(
        "  ROOT %big",
        "  %soon = bf16[8,128]{1,0} all-gather(%p0), replica_groups={{0,1,2,3}}\n"
        "  ROOT %big",
    )
    assert traffic(inside).collectives[("all-gather", 4)] == (1, TILE)


def test_all_branches_of_a_conditional_count():
    branch = TEXT.replace(
        "while(%tuple), condition=%condition, body=%body",
        "conditional(%zero, %tuple, %tuple), branch_computations={%body, %body}",
    )
    assert traffic(branch).collectives == {("all-reduce", 2): (2, 2 * WHOLE)}
