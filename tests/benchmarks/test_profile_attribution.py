"""Stage and kind of kernels, from names as compiled programs carry them."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.profiling import costs
from benchmarks.profiling.attribution import (
    KINDS,
    STAGES,
    UNATTRIBUTED,
    Attribution,
    Label,
    label_of,
)
from hrnet_jax import runtime
from hrnet_jax.costs.hlo import HloProgram
from hrnet_jax.models import resize

MODEL = "SegmentationHRNet"
BODY = f"{MODEL}/backbone.represent/backbone._branches"
FORWARD = f"jit(train_step)/jvp({MODEL})/backbone.represent/backbone._branches"
BACKWARD = (
    f"jit(jaxpr_as_fun)/transpose(jvp({MODEL}))/backbone.represent/backbone._branches"
)
BLOCK = "jit(core_fn)/module0/branch1/jit(core_fn)/block0"
PATHS = "jit(core_fn)/module0/exchange/exchange._path"

# Name, files on the stack, whether it is a product -> stage and kind.
NAMES = [
    ("jit(infer)/input/mul", (), False, "input", "input"),
    ("jit(train_step)/input/convert_element_type", (), False, "input", "input"),
    (f"jit(infer)/{BODY}/stem/conv1/conv_general_dilated", (), True, "stem", "convolution"),
    (f"{FORWARD}/stem/jit(relu)/jit(relu)/select_n", (), False, "stem", "elementwise"),
    (f"{BACKWARD}/stem/norm2/jit(normalize_batch)/div", (), False, "stem", "norm"),
    (f"{FORWARD}/stage1/jit(core_fn)/block0/conv1/bhwc,cf->bhwf/dot_general", (), True, "stage1", "convolution"),
    (f"{FORWARD}/transition1/branch0/norm/jit(running_moments)/add", (), False, "transition1", "norm"),
    (f"{BACKWARD}/stage2/{BLOCK}/conv1/conv_general_dilated", (), True, "stage2", "convolution"),
    (f"{BACKWARD}/stage3/{BLOCK}/norm1/jit(normalize_batch)/reduce_sum", ("batch_norm.py",), False, "stage3", "norm"),
    (f"{BACKWARD}/stage3/{BLOCK}/jit(relu)/eq", (), False, "stage3", "elementwise"),
    (f"{BACKWARD}/stage3/{BLOCK}/conv1/add_any", (), False, "stage3", "elementwise"),
    (f"{FORWARD}/stage4/{PATHS}/from0_to2/step0/conv/conv_general_dilated", (), True, "stage4", "exchange"),
    (f"{BACKWARD}/stage4/{PATHS}/from2_to1/norm/jit(normalize_batch)/mul", (), False, "stage4", "norm"),
    (f"{FORWARD}/stage4/jit(core_fn)/module0/exchange/add", ("hrnet.py",), False, "stage4", "exchange"),
    (f"{FORWARD}/stage4/{PATHS}/concatenate", ("hrnet.py", "resize.py"), False, "stage4", "upsampling"),
    (f"{FORWARD}/stage4/{PATHS}/bmn,bnk->bmk/dot_general", ("resize.py",), True, "stage4", "upsampling"),
    (f"jit(train_step)/transpose(jvp({MODEL}))/head/project/bhwc,cf->bhwf/dot_general", (), True, "head", "head"),
    (f"jit(train_step)/jvp({MODEL})/head/norm/jit(normalize_batch)/mul", (), False, "head", "norm"),
    (f"jit(train_step)/jvp({MODEL})/head/project/stack", ("resize.py",), False, "head", "upsampling"),
    (f"jit(infer)/{MODEL}.detect/while/body/gt", ("proposals.py", "nms.py"), False, "head", "proposals"),
    (f"jit(infer)/{MODEL}.detect/while/body/gt", ("postprocess.py", "nms.py"), False, "head", "detections"),
    (f"jit(train_step)/jvp({MODEL}.losses)/top_k", ("proposals.py", "sampling.py", "nms.py"), False, "head", "matching"),
    (f"jit(train_step)/transpose(jvp({MODEL}.losses))/while/body/dot_general", ("roi_align.py", "roi_loops.py"), True, "head", "regions"),
    (f"jit(infer)/{MODEL}.detect/{MODEL}.pyramid_of/backbone.represent/backbone._branches/stem/conv1/dot_general", (), True, "stem", "convolution"),
    ("jit(train_step)/jvp()/exp", ("losses.py",), False, "loss", "loss"),
    ("jit(jaxpr_as_fun)/transpose(jvp())/reshape", ("losses.py",), False, "loss", "loss"),
    ("jit(train_step)/transpose(jvp(bmn,bnk->bmk))/dot_general", ("losses.py", "resize.py"), True, "loss", "upsampling"),
    ("jit(train_step)/add", ("step.py",), False, "optimiser", "optimiser"),
    ("jit(jaxpr_as_fun)/mul", (), False, "optimiser", "optimiser"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "files", "product", "stage", "kind"), NAMES)
def test_names_tell_stage_and_kind(name, files, product, stage, kind):
    label = label_of(name, frozenset(files), product, MODEL, is_training=True)
    assert label == Label(stage, kind)


def test_every_kind_has_a_name_here():
    # What only moves is told by its operations, the rest has no name at all.
    kinds = set(KINDS) - {"copies", UNATTRIBUTED, "waiting"}
    assert {row[4] for row in NAMES} == kinds
    assert {row[3] for row in NAMES} <= set(STAGES)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("ClassificationHRNet/increase0/conv1/bhwc,cf->bhwf/dot_general", "head"),
        ("ClassificationHRNet/reduce_sum", "head"),
        ("ClassificationHRNet/stage1/jit(core_fn)/block0/conv1/dot_general", "stage1"),
        ("rematted_computation/ClassificationHRNet/stage1/checkpoint/mul", "stage1"),
    ],
)
def test_what_follows_the_body_is_the_head(name, stage):
    label = label_of(
        f"jit(infer)/{name}", frozenset(), False, "ClassificationHRNet", False
    )
    assert label.stage == stage


def test_inference_has_no_optimiser_and_parameters_no_stage():
    assert label_of("jit(infer)/add", frozenset(), False, MODEL, False) is None
    name = "state.params['stage3']['module0']"
    assert label_of(name, frozenset(), False, MODEL, True) is None


TEXT = """HloModule jit_train_step, is_scheduled=true, entry_computation_layout={()->f32[]}

FileNames
1 "/somewhere/models/hrnet.py"
2 "/somewhere/models/resize.py"

FunctionNames
1 "Exchange._path"
2 "resize"

FileLocations
1 {file_name_id=1 function_name_id=1 line=1 end_line=1 column=1 end_column=2}
2 {file_name_id=2 function_name_id=2 line=1 end_line=1 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=1}

%fused (param_0: f32[1,4,4,8], param_1: f32[8]) -> f32[1,4,4,8] {
  %param_0 = f32[1,4,4,8]{3,2,1,0} parameter(0)
  %param_1 = f32[8]{0} parameter(1)
  %wide = f32[1,4,4,8]{3,2,1,0} broadcast(%param_1), dimensions={3}
  %scaled = f32[1,4,4,8]{3,2,1,0} multiply(%param_0, %wide), metadata={op_name="FORWARD/stage2/norm1/mul"}
  %shifted = f32[1,4,4,8]{3,2,1,0} add(%scaled, %wide), metadata={op_name="FORWARD/stage2/norm1/add"}
  %zero = pred[1,4,4,8]{3,2,1,0} compare(%shifted, %wide), direction=LE, metadata={op_name="FORWARD/stage2/jit(relu)/le"}
  ROOT %result = f32[1,4,4,8]{3,2,1,0} select(%zero, %wide, %shifted), metadata={op_name="FORWARD/stage2/jit(relu)/select_n"}
}

%moves (param_2: f32[1,4,4,8]) -> f32[8,4,4,1] {
  %param_2 = f32[1,4,4,8]{3,2,1,0} parameter(0)
  ROOT %turned = f32[8,4,4,1]{3,2,1,0} transpose(%param_2), dimensions={3,1,2,0}
}

ENTRY %main (x: f32[1,4,4,8], scale: f32[8]) -> (f32[8,4,4,1], f32[]) {
  %x = f32[1,4,4,8]{3,2,1,0:T(8,128)(2,1)S(1)} parameter(0), metadata={op_name="state.params"}
  %scale = f32[8]{0} parameter(1)
  %kernel.1 = f32[1,4,4,8]{3,2,1,0} fusion(%x, /*index=1*/%scale), kind=kLoop, calls=%fused
  %layout = f32[8,4,4,1]{3,2,1,0} fusion(%kernel.1), kind=kLoop, calls=%moves
  %gradient = f32[8,4,4,1]{3,2,1,0} convolution(%layout, %layout), window={size=1x1}, dim_labels=b01f_01io->b01f
  %twin = f32[8,4,4,1]{3,2,1,0} copy(%gradient), metadata={op_name="FORWARD/stage3/module0/exchange/exchange._path/from0_to1/conv/conv_general_dilated"}
  %larger = f32[8,4,8,1]{3,2,1,0} concatenate(%twin, %twin), dimensions={2}, metadata={op_name="FORWARD/stage3/x" stack_frame_id=2}
  %joined = f32[16,4,4,1]{3,2,1,0} custom-call(%twin, %twin), custom_call_target="ConcatBitcast"
  %lonely = f32[] reduce(%x, %scale), dimensions={0,1,2,3}, to_apply=%fused
  ROOT %all = (f32[8,4,4,1]{3,2,1,0}, f32[]) tuple(%twin, %lonely)
}
""".replace("FORWARD", FORWARD)  # fmt: skip


@pytest.fixture(scope="module")
def written() -> HloProgram:
    return HloProgram(TEXT)


@pytest.mark.parametrize(
    ("name", "stage", "kind"),
    [
        # Two operations are the norm's, two the ReLU's: a norm.
        ("kernel.1", "stage2", "norm"),
        # No name anywhere: it belongs to what reads it, the gradient's reader.
        ("layout", "stage3", "copies"),
        # XLA made it without a name, what lays it out tells.
        ("gradient", "stage3", "exchange"),
        ("twin", "stage3", "copies"),
        # A TPU's name for neighbours in memory; what feeds it tells where it belongs.
        ("joined", "stage3", "copies"),
        ("larger", "stage3", "upsampling"),
        # Arithmetic that nobody names is not guessed.
        ("lonely", UNATTRIBUTED, UNATTRIBUTED),
        ("never-heard-of", UNATTRIBUTED, UNATTRIBUTED),
    ],
)
def test_kernels_of_a_written_program(written, name, stage, kind):
    assert Attribution(written, MODEL, True).label(name) == Label(stage, kind)


def test_naming_neighbours_moves_no_bytes(written):
    assert costs.bytes_accessed(written, written.instructions["joined"]) == 0


def test_resizing_is_found_by_its_file_in_a_real_program():
    def upsampled(x):
        with jax.named_scope(MODEL), jax.named_scope("stage2"):
            return jnp.tanh(resize.resize(x, (128, 8)))

    x = jax.ShapeDtypeStruct((1, 64, 8, 4), jnp.float32)
    text = runtime.jit(upsampled).lower(x).compile().as_text()
    program = HloProgram(text)
    attribution = Attribution(program, MODEL, is_training=False)
    kinds = {
        attribution.label(one.name).kind
        for one in program.computations[program.entry]
        if not costs.is_movement(one)
    }
    assert "upsampling" in kinds
    assert UNATTRIBUTED not in kinds
