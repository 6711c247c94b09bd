"""Collectives are read out of compiled programs: kind, bytes, group, origin."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from hrnet_jax import runtime
from hrnet_jax.costs.collectives import KINDS, Collective, collectives

HEADER = "HloModule jit_f, is_scheduled=true, num_partitions=8\n\n"


def program(*instructions: str, head: str = "ENTRY %main (x: f32[8]) -> f32[8] {"):
    lines = "".join(f"  {line}\n" for line in instructions)
    return f"{HEADER}{head}\n{lines}}}\n"


def only(instruction: str) -> Collective:
    (found,) = collectives(program(instruction))
    return found


def test_every_kind_in_a_program_of_eight_devices():
    mesh = runtime.make_mesh(data=2, space=4)

    def communicate(x):
        return (
            jax.lax.all_gather(x, "space", axis=0, tiled=True),
            jax.lax.psum(x, "data"),
            jax.lax.ppermute(x, "space", [(0, 1), (1, 2), (2, 3)]),
            jax.lax.psum_scatter(x, "space", scatter_dimension=1, tiled=True),
            jax.lax.all_to_all(x, "space", 1, 0, tiled=True),
            jax.lax.psum(jnp.sum(x), ("data", "space")),
        )

    divided = PartitionSpec("data", "space")
    function = jax.shard_map(
        communicate,
        mesh=mesh,
        in_specs=divided,
        out_specs=(*(divided,) * 5, PartitionSpec()),
        check_vma=False,
    )
    # 8 x 4 values of four bytes on each device.
    x = jax.ShapeDtypeStruct(
        (16, 16), jnp.float32, sharding=NamedSharding(mesh, divided)
    )
    found = collectives(jax.jit(function).lower(x).compile().as_text())
    name = "jit(communicate)/shard_map/"
    assert sorted(found, key=lambda one: (one.kind, one.bytes)) == [
        Collective("all-gather", 4 * 128, 4, name + "all_gather"),
        Collective("all-reduce", 4, 8, name + "psum"),
        Collective("all-reduce", 128, 2, name + "psum"),
        Collective("all-to-all", 128, 4, name + "all_to_all"),
        Collective("collective-permute", 128, 2, name + "ppermute"),
        Collective("reduce-scatter", 128 // 4, 4, name + "reduce_scatter"),
    ]


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("{{0,1,2},{3,4,5}}", 3),
        ("{{0}}", 1),
        ("{}", 8),
        ("[2,4]<=[8]", 4),
        ("[4,2]<=[2,4]T(1,0)", 2),
        ("mesh['axis_0'=8,'axis_1'=1] {'axis_0','axis_1'}", 8),
        ("mesh['axis_0'=2,'axis_1'=4], device_ids=([4,2]T(1,0)) {'axis_1'}", 4),
        ("mesh['axis_0'=8] {'axis_0':(1)2}", 2),
    ],
)
def test_groups_in_every_notation(groups, size):
    line = f"%a = f32[4]{{0}} all-reduce(%x), replica_groups={groups}, to_apply=%sum"
    assert only(line).group_size == size


@pytest.mark.parametrize(
    ("result", "size"),
    [
        ("f32[2,3]{1,0}", 24),
        ("bf16[8,128]{1,0:T(8,128)(2,1)S(1)}", 2048),
        ("f32[]{:T(128)}", 4),
        ("pred[5]{0}", 5),
        ("s4[7]{0}", 4),
        ("f8e4m3fn[6]{0}", 6),
        ("c64[3]{0}", 24),
        ("(f32[64]{0:T(128)}, u8[2,2]{1,0}, /*index=5*/s32[3]{0}, token[])", 272),
    ],
)
def test_bytes_are_those_of_all_results(result, size):
    assert only(f"ROOT %a = {result} all-reduce(%x), replica_groups={{}}").bytes == size


def test_a_pair_of_start_and_done_counts_once_with_its_result():
    found = collectives(
        program(
            "%collective-permute-start = (bf16[4,8]{1,0}, bf16[4,8]{1,0}, u32[], u32[])"
            " collective-permute-start(%x), source_target_pairs={{0,1}},"
            ' metadata={op_name="halo"}',
            "%all-gather-start.1 = (f32[2]{0}, f32[8]{0}) all-gather-start(%y),"
            ' replica_groups={{0,1,2,3},{4,5,6,7}}, metadata={op_name="rows"}',
            "%collective-permute-done = bf16[4,8]{1,0}"
            " collective-permute-done(%collective-permute-start)",
            "%all-gather-done = f32[8]{0} all-gather-done(%all-gather-start.1)",
        )
    )
    assert found == [
        Collective("collective-permute", 64, 2, "halo"),
        Collective("all-gather", 32, 4, "rows"),
    ]


def test_what_a_tpu_spreads_over_fusions_counts_once():
    gather = "%g{} = f32[8]{{0}} all-gather(%p), replica_groups={{{{0,1,2,3}}}}"
    text = HEADER
    for name, target in (
        ("%fused_computation.19", "AsyncCollectiveStart"),
        ("%async_collective_fusion.23", ""),
        ("%async_collective_fusion.28", ""),
        ("%fused_computation.24", "AsyncCollectiveDone"),
    ):
        lines = [gather.format(name[-2:])]
        if target:
            lines.append(
                f'ROOT %c = f32[8] custom-call(%g), custom_call_target="{target}"'
            )
        body = program(*lines, head=f"{name} (p: f32[2]) -> f32[8] {{")
        text += body.removeprefix(HEADER)
    assert collectives(text) == [Collective("all-gather", 32, 4, "")]


def test_what_only_mentions_collectives_is_none():
    assert not collectives(
        program(
            "%get-tuple-element = f32[8]{0} get-tuple-element(%all-reduce.1), index=0",
            '%f = f32[8]{0} fusion(%all-gather), calls=%c, metadata={op_name="a'
            ' = b all-gather(x)"}',
            *(f"%{kind} = f32[8]{{0}} copy(%{kind}.1)" for kind in KINDS),
        )
    )


def test_a_collective_without_groups_is_an_error():
    with pytest.raises(ValueError, match="all-gather without replica groups"):
        only("%a = f32[4]{0} all-gather(%x), dimensions={0}")
