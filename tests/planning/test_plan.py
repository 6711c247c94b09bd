"""What is planned for a slice, and what is said where it does not divide."""

import dataclasses

import jax
import pytest

from hrnet_jax.costs.multiply_adds import jaxpr_multiply_adds
from hrnet_jax.costs.slices import parse_slices
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.planning import plan as planning
from hrnet_jax.planning.datasets import facts_of
from hrnet_jax.planning.plan import PlanOptions, Program, make_plan, nearest_multiple
from hrnet_jax.planning.programs import DoesNotFitError
from hrnet_jax.runtime import compiler
from tests import tiny, tiny_detection
from tests.planning import plans
from tests.planning.plans import COSTS


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


@pytest.fixture
def programs(monkeypatch):
    """Plans for the virtual CPUs, with made-up costs; name -> what was compiled."""
    seen = {}

    def compile_costs(name, function, state, batch, *, cache):
        seen[name] = (state, batch, cache)
        return COSTS

    monkeypatch.setattr(planning, "describe", lambda s: jax.devices()[: s.devices])
    monkeypatch.setattr(planning, "compile_costs", compile_costs)
    return seen


def make(topology="v5e:2x4", options=None, **changes):
    options = options or PlanOptions()
    config = read_config(tiny.config(**{"mesh__data": -1, **changes}))
    (chosen,) = parse_slices(topology)
    return make_plan(config, facts_of(config), chosen, options)


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [
        (16, 8, (16, "")),
        (12, 8, (16, "12 images do not divide over 8 chips; nearest: 8, 16")),
        (11, 8, (8, "11 images do not divide over 8 chips; nearest: 8, 16")),
        (4, 8, (8, "4 images do not divide over 8 chips; nearest: 8")),
        (1, 8, (8, "1 images do not divide over 8 chips; nearest: 8")),
    ],
)
def test_the_nearest_multiple_is_taken(size, unit, expected):
    assert nearest_multiple(size, unit, f"{unit} chips") == expected


def test_a_batch_that_divides_is_planned_as_it_is(programs):
    made = make(eval__batch_size=8)
    assert made.notes == ()
    assert made.mesh == {"data": 8, "space": 1}
    assert (made.train.batch_size, made.predict.batch_size) == (8, 8)
    assert list(programs) == ["v5e:2x4 train step", "v5e:2x4 predict step"]


def test_a_batch_that_does_not_divide_is_told_and_changed(programs):
    made = make(batch_size=12)
    assert made.notes == (
        "batch_size: 12 images do not divide over 8 chips; nearest: 8, 16; planned with 16",
        "eval.batch_size: 2 images do not divide over 8 chips; nearest: 8; planned with 8",
        "another batch wants another rate: schedule.learning_rate 0.2 times 1.33",
    )
    assert programs["v5e:2x4 train step"][1]["image"].shape == (16, 32, 32, 3)
    assert programs["v5e:2x4 predict step"][1]["image"].shape == (8, 64, 64, 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["faster_rcnn", "mask_rcnn"])
def test_detectors_are_planned_for_tpus(kind, programs, monkeypatch):
    lowered = {}

    def compile_costs(name, function, *arguments, cache):
        traced = function.trace(*arguments)
        lowered[name] = traced.lower(lowering_platforms=("tpu",)).as_text()
        assert jaxpr_multiply_adds(traced.jaxpr.jaxpr) > 0
        return COSTS

    monkeypatch.setattr(planning, "compile_costs", compile_costs)
    # The devices of this process stand for chips.
    monkeypatch.setattr(compiler, "platform_of", lambda device: "tpu")
    config = read_config(tiny_detection.config(kind, mesh__data=-1))
    (chosen,) = parse_slices("v5e:2x4")
    made = make_plan(config, facts_of(config), chosen, PlanOptions())
    assert made.train.batch_size == 8 and made.predict.batch_size == 8
    assert list(lowered) == ["v5e:2x4 train step", "v5e:2x4 predict step"]
    # The forms for TPUs: regions in chunks, the best scores by counting.
    for text in lowered.values():
        assert "stablehlo.while" in text and "top_k" not in text


def test_strict_refuses_it(programs):
    with pytest.raises(
        ConfigError, match="'batch_size': 12 images do not divide over 8"
    ):
        make(batch_size=12, options=PlanOptions(strict=True))


def test_micro_batches_have_to_divide_as_well(programs):
    made = make(optimizer__accumulate=4, eval__batch_size=8)
    assert made.train.batch_size == 32
    assert made.notes[0].startswith(
        "batch_size: 8 images do not divide over 8 chips times 4 micro-batches"
    )


def test_images_per_device_can_be_given(programs):
    made = make(options=PlanOptions(per_device_batch=3))
    assert made.train.batch_size == 24
    assert made.notes[0] == "batch_size 24, not 8, as asked for"


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ({"space": 2}, {"data": 4, "space": 2}),
        ({"data": 2}, {"data": 2, "space": 4}),
        ({"data": 8, "space": 1}, {"data": 8, "space": 1}),
    ],
)
def test_a_mesh_of_one_axis_leaves_the_rest_to_the_other(programs, sides, expected):
    assert make(options=PlanOptions(mesh=sides)).mesh == expected


def test_where_rows_are_divided_too_the_mesh_is_named(programs):
    made = make(batch_size=6, options=PlanOptions(mesh={"space": 2}))
    assert made.notes[0].startswith("batch_size: 6 images do not divide over data:4 of")


def test_the_mesh_of_the_configuration_counts_otherwise(programs):
    assert make(mesh__space=2).mesh == {"data": 4, "space": 2}
    with pytest.raises(ConfigError, match="data:1,space:1 has 1 devices"):
        make(mesh__data=1)


def test_steps_and_evaluations_are_those_of_the_loop(programs):
    made = make(num_steps=9, eval__every_steps=4, eval__batch_size=8)
    # After 4, 8 and at the end; six images make one batch.
    assert (made.steps, made.passes, made.eval_batches) == (9, 3, 1)
    assert make(num_steps=8, eval__every_steps=4).passes == 2
    assert make(num_steps=8, eval__every_steps=0).passes == 1
    epochs = make(num_steps=0, num_epochs=30, eval__batch_size=8)
    assert epochs.steps == 30 * (tiny.TRAIN_IMAGES // 8)


def test_evaluation_takes_the_averaged_weights(programs):
    make(optimizer__ema_decay=0.9)
    state, _, _ = programs["v5e:2x4 train step"]
    variables, _, _ = programs["v5e:2x4 predict step"]
    assert variables["params"] is state.ema["params"]


def test_dollars_follow_from_hours():
    made = plans.plan(topology="v5e:2x4")
    assert made.dollars("roofline") == made.hours("roofline") * 8 * 1.20
    # Not sold by the chip.
    assert plans.plan(topology="v3:2x2").dollars("roofline") is None
    assert plans.plan(train=Program(16, None, None)).dollars("roofline") is None


def test_hours_follow_from_steps():
    made = plans.plan()
    # Two milliseconds a step at the roofline, four as the compiler expects.
    assert made.train_seconds("roofline") == pytest.approx(2.0)
    assert made.pass_seconds("roofline") == pytest.approx(63 * 2e-3)
    assert made.hours("roofline") == pytest.approx((2.0 + 4 * 63 * 2e-3) / 3600)
    assert made.images_per_second("roofline") == pytest.approx(16 / 2e-3)
    assert made.images_per_second("expected") == pytest.approx(16 / 4e-3, rel=1e-2)
    unknown = dataclasses.replace(made, eval_batches=None)
    assert unknown.pass_seconds("roofline") is None
    assert unknown.hours("roofline") == pytest.approx(2.0 / 3600)


def test_what_does_not_fit_is_told(programs, monkeypatch):
    def refuse(*_, **__):
        raise DoesNotFitError("needs 20GiB, 15.75GiB are free")

    monkeypatch.setattr(planning, "compile_costs", refuse)
    made = make()
    assert made.train.costs is None
    assert made.train.too_large == "needs 20GiB, 15.75GiB are free"
    assert made.hours("roofline") is None and made.images_per_second("expected") is None
