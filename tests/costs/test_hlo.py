"""Instructions, types and tables are read from the text of compiled programs."""

import jax
import jax.numpy as jnp
import pytest

from hrnet_jax.costs.hlo import HloProgram, Shape, parse_shapes

TEXT = """\
HloModule jit_train_step, is_scheduled=true, replica_count=2, num_partitions=4

FileNames
1 "/somewhere/models/hrnet.py"
2 "/somewhere/models/resize.py"

FileLocations
1 {file_name_id=1 function_name_id=1 line=1 end_line=1 column=1 end_column=2}
2 {file_name_id=2 function_name_id=2 line=1 end_line=1 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=1}

%fused (param_0: f32[4,8], param_1: f32[8]) -> f32[4,8] {
  %param_0 = f32[4,8]{1,0} parameter(0)
  %param_1 = f32[8]{0} parameter(1)
  %wide = f32[4,8]{1,0} broadcast(%param_1), dimensions={1}
  ROOT %scaled = f32[4,8]{1,0} multiply(%param_0, %wide)
}

%other (param_2: f32[4,8]) -> f32[4,8] {
  ROOT %param_2 = f32[4,8]{1,0} parameter(0)
}

ENTRY %main (x: f32[4,8], scale: f32[8]) -> (f32[4,8], f32[]) {
  %x = f32[4,8]{1,0:T(8,128)(2,1)S(1)} parameter(0), metadata={op_name="state.params"}
  %scale = f32[8]{0} parameter(1)
  %kernel.1 = f32[4,8]{1,0} fusion(%x, /*index=1*/%scale), kind=kLoop, calls=%fused
  %five = s32[] constant(5)
  %chosen = f32[4,8]{1,0} conditional(%five, %x, %x), \
branch_computations={%fused, %other}, metadata={op_name="a/b" stack_frame_id=2}
  %total = f32[] reduce(%x, %scale), dimensions={0,1}, to_apply=%fused
  ROOT %all = (f32[4,8]{1,0}, /*index=1*/f32[]) tuple(%chosen, %total)
}
"""


@pytest.fixture(scope="module")
def program() -> HloProgram:
    return HloProgram(TEXT)


def test_names_of_the_module_and_its_computations(program):
    assert program.name == "jit_train_step"
    assert program.entry == "main"
    assert [*program.computations] == ["fused", "other", "main"]
    assert program.devices == 8


def test_instructions_with_tiles_tuples_and_comments(program):
    kernel = program.instructions["kernel.1"]
    assert (kernel.opcode, kernel.computation) == ("fusion", "main")
    assert kernel.operands == ("x", "scale")
    assert program.instructions["x"].shapes == (Shape("f32", (4, 8)),)
    assert program.instructions["x"].op_name == "state.params"
    five = program.instructions["five"]
    assert (five.arguments, five.operands) == ("5", ())
    both = program.instructions["all"]
    assert both.is_root and both.bytes == 4 * 32 + 4


def test_computations_that_an_instruction_runs(program):
    assert program.instructions["kernel.1"].called == ("fused",)
    chosen = program.instructions["chosen"]
    assert chosen.called == ("fused", "other")
    assert chosen.called_as("branch_computations") == ("fused", "other")
    assert chosen.called_as("calls", "body") == ()
    inside = program.inside(program.instructions["kernel.1"])
    names = ["param_0", "param_1", "wide", "scaled"]
    assert [one.name for one in inside] == names


def test_readers_of_an_instruction(program):
    readers = [one.name for one in program.users["scale"]]
    assert readers == ["kernel.1", "total"]


def test_source_files_on_the_stack(program):
    files = program.files(program.instructions["chosen"])
    assert files == {"hrnet.py", "resize.py"}
    assert program.files(program.instructions["kernel.1"]) == set()


def test_text_of_something_else_is_refused():
    with pytest.raises(ValueError, match="no text of an HLO module: 'module @jit"):
        HloProgram("module @jit_f {")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("f32[2,3]{1,0}", 24),
        ("f32[]{:T(128)}", 4),
        ("pred[5]{0}", 5),
        ("s4[7]{0}", 4),
        ("f8e4m3fn[6]{0}", 6),
        ("f4e2m1fn[6]{0}", 3),
        ("c64[3]{0}", 24),
        ("f32[<=4,2]{1,0}", 32),
        ("token[]", 0),
        ("opaque[]", 0),
    ],
)
def test_bytes_of_every_type(text, size):
    (found,) = parse_shapes(text)
    assert found.bytes == size


def test_tiles_round_the_sides_up_that_the_layout_names_first():
    # 18 channels in 128 lanes: seven times the bytes that they hold.
    (narrow,) = parse_shapes("bf16[2,64,100,18]{3,2,1,0:T(8,128)(2,1)}")
    assert narrow.padded_bytes == 2 * 64 * 104 * 128 * 2
    # With the width in the lanes hardly anything is lost.
    (turned,) = parse_shapes("bf16[2,64,100,18]{2,3,1,0:T(8,128)(2,1)}")
    assert turned.padded_bytes == 2 * 64 * 24 * 128 * 2
    assert narrow.bytes == turned.bytes == 2 * 64 * 100 * 18 * 2


def test_types_tell_the_memory_of_arrays():
    found = parse_shapes("(f32[3]{0:T(128)S(1)}, pred[2,8]{1,0}, s32[], token[])")
    assert [array.padded_bytes for array in found] == [512, 16, 4, 0]
    assert [array.is_on_chip for array in found] == [True, False, False, False]


def test_a_real_program_is_read():
    x = jax.ShapeDtypeStruct((3, 5), jnp.float32)
    text = jax.jit(lambda x: jnp.tanh(x) @ x.T).lower(x).compile().as_text()
    program = HloProgram(text)
    (root,) = (one for one in program.computations[program.entry] if one.is_root)
    assert [str(shape) for shape in root.shapes] == ["f32[3,3]"]
    assert set(root.operands) <= set(program.instructions)
