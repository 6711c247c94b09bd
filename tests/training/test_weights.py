"""First weights: drawn, from an official file, or from another run."""

import dataclasses
import functools
import logging
import re

import numpy as np
import pytest
import torch
from flax import traverse_util

from hrnet_jax.conversion.saving import save_converted
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import CheckpointError, WeightsError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.sections import ModelOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import HEAD_PATTERNS, to_torch
from hrnet_jax.registry import create_model
from hrnet_jax.training.train import train
from hrnet_jax.training.weights import (
    first_variables,
    flat_variables,
    merge,
    read_weights,
)
from hrnet_jax.workdir.variables import saved_info, saved_variables
from tests import tiny
from tests.tiers import fast_are

NAME = "w18_small_v1"


@functools.cache
def model(family, num_classes):
    return create_model(f"{family}/{NAME}", num_classes=num_classes)


@functools.cache
def drawn(family, num_classes, seed):
    return initial_variables(model(family, num_classes), seed, "he")


def write_pth(path, family, num_classes, seed):
    """Writes an official file; returns its variables, flat."""
    variables = drawn(family, num_classes, seed)
    tensors = to_torch(variables, model(family, num_classes))
    torch.save({name: torch.tensor(value) for name, value in tensors.items()}, path)
    return flat_variables(variables)


def start(num_classes, seed=0, **options):
    return first_variables(
        model("segmentation", num_classes), ModelOptions(**options), seed
    )


def test_without_a_source_weights_are_drawn():
    variables, loaded = start(7, seed=3)
    expected = flat_variables(drawn("segmentation", 7, 3))
    tiny.assert_equal_bits(flat_variables(variables), expected)
    assert not loaded.kept and len(loaded.new) == len(expected)


def test_every_tensor_of_a_segmentation_file_is_used(tmp_path):
    source = write_pth(tmp_path / "seg.pth", "segmentation", 7, 1)
    variables, loaded = start(7, init_from=str(tmp_path / "seg.pth"))
    tiny.assert_equal_bits(flat_variables(variables), source)
    assert len(loaded.kept) == len(source) and not loaded.new
    assert str(loaded) == f"{len(source)} of {len(source)} tensors loaded"


def test_the_body_of_a_classifier_starts_a_segmentation_model(tmp_path):
    source = write_pth(tmp_path / "cls.pth", "classification", 10, 1)
    variables, loaded = start(
        7, init_from=str(tmp_path / "cls.pth"), init_skip=HEAD_PATTERNS
    )
    flat, fresh = flat_variables(variables), flat_variables(drawn("segmentation", 7, 0))
    head = {name for name in flat if name.split("/")[1] == "head"}
    assert set(loaded.new) == head and len(head) > 4
    for name, array in flat.items():
        expected = fresh[name] if name in head else source[name]
        np.testing.assert_array_equal(array, expected, err_msg=name)
    assert len(loaded.kept) == len(flat) - len(head)
    assert str(loaded) == (
        f"{len(flat) - len(head)} of {len(flat)} tensors loaded, "
        f"{len(head)} left initial (head), {len(loaded.dropped)} of the source dropped"
    )


def test_another_number_of_classes_is_named_with_the_file(tmp_path):
    path = str(tmp_path / "seg.pth")
    write_pth(path, "segmentation", 5, 1)
    with pytest.raises(WeightsError) as caught:
        start(7, init_from=path)
    message = str(caught.value)
    assert message.startswith(f"model.init_from={path}: ")
    assert (
        "2 of another shape: params/head/classifier/bias: expected (7,), got (5,)"
        in (message)
    )


def test_missing_and_extra_tensors_are_listed(tmp_path):
    path = str(tmp_path / "cls.pth")
    write_pth(path, "classification", 10, 1)
    with pytest.raises(WeightsError) as caught:
        start(7, init_from=path)
    message = str(caught.value)
    assert " missing: batch_stats/head/norm/mean" in message
    assert " extra: batch_stats/" in message and "more" in message


def test_on_request_what_fits_is_taken_and_everything_is_reported(tmp_path):
    path = str(tmp_path / "seg.pth")
    source = write_pth(path, "segmentation", 5, 1)
    variables, moved = start(7, init_from=path, init_partial=True)
    flat, fresh = flat_variables(variables), flat_variables(drawn("segmentation", 7, 0))
    classifier = {f"params/head/classifier/{leaf}" for leaf in ("kernel", "bias")}
    assert set(moved.new) == classifier == set(moved.dropped)
    assert set(moved.kept) == flat.keys() - classifier
    for name, array in flat.items():
        expected = fresh[name] if name in classifier else source[name]
        np.testing.assert_array_equal(array, expected, err_msg=name)
    report = moved.report().splitlines()
    assert "new      params/head/classifier/bias" in report
    assert "dropped  params/head/classifier/bias: expected (7,), got (5,)" in report
    assert len(report) == len(flat) + 2 + 1


def write_old_pth(path, name=f"segmentation/{NAME}", **options):
    """An official file without batch counters; returns its tensors."""
    model = create_model(name, **options)
    tensors = to_torch(initial_variables(model, 1), model)
    tensors["bn1.weight"] = -tensors["bn1.weight"]
    old = {k: torch.tensor(v) for k, v in tensors.items() if "num_batches" not in k}
    torch.save(old, path)
    return tensors


def test_weights_that_may_be_of_inplace_abn_are_never_read_the_wrong_way(tmp_path):
    path = tmp_path / "mine.pth"
    scale = write_old_pth(path, num_classes=7)["bn1.weight"]
    with pytest.raises(WeightsError, match=r"init_from=.*InPlaceABN.*init_inplace_abn"):
        start(7, init_from=str(path))
    for inplace_abn, expected in (
        (False, scale),
        (True, np.abs(scale) + np.float32(1e-5)),
    ):
        variables, _ = start(7, init_from=str(path), init_inplace_abn=inplace_abn)
        got = variables["params"]["stem"]["norm1"]["scale"]
        np.testing.assert_array_equal(got, expected)


def test_a_released_file_of_inplace_abn_is_known_by_its_name(tmp_path):
    path = tmp_path / "hrnet_lip_5583_torch04.pth"
    scale = write_old_pth(path, num_classes=7)["bn1.weight"]
    variables, _ = start(7, init_from=str(path))
    np.testing.assert_array_equal(
        variables["params"]["stem"]["norm1"]["scale"],
        np.abs(scale) + np.float32(1e-5),
    )


def test_a_classifier_without_counters_is_no_question(tmp_path):
    path = tmp_path / "cls.pth"
    write_old_pth(path, f"classification/{NAME}", num_classes=10)
    _, moved = start(7, init_from=str(path), init_skip=HEAD_PATTERNS)
    assert moved.kept


def test_partial_loading_still_needs_something_that_fits(tmp_path):
    path = str(tmp_path / "other.pth")
    torch.save({"fc.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="not names of an official HRNet: fc.weight"):
        start(7, init_from=path, init_partial=True)


def test_merge_takes_all_or_fails():
    values = {"params": {"a": {"kernel": np.zeros(2)}, "b": {"kernel": np.zeros(3)}}}
    merged, loaded = merge(values, {"params/a/kernel": np.ones(2)}, ("^b/",))
    assert merged["params"]["a"]["kernel"].tolist() == [1, 1]
    assert merged["params"]["b"]["kernel"].tolist() == [0, 0, 0]
    assert loaded.kept == ("params/a/kernel",) and loaded.new == ("params/b/kernel",)
    with pytest.raises(WeightsError, match="1 missing: params/b/kernel"):
        merge(values, {"params/a/kernel": np.ones(2)}, ())


@pytest.fixture
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def test_a_work_directory_gives_the_averages_of_its_best_step(tiny_variant):
    workdir = tiny.finished_run()
    state = tiny.state(workdir, tiny.BEST_STEP)
    flat = flat_variables(saved_variables(workdir, "best"))
    for name, array in flat.items():
        path = "".join(f"['{part}']" for part in name.split("/"))
        np.testing.assert_array_equal(array, state[f"['ema']{path}"], strict=True)
    weights, unknown = read_weights(ModelOptions(init_from=str(workdir)))
    assert not unknown
    tiny.assert_equal_bits(weights, flat)


def test_a_run_starts_from_another_run_and_says_so(tiny_variant, tmp_path, caplog):
    source = tiny.finished_run()
    config = tiny.config(
        model__init_from=str(source), num_steps=1, schedule__learning_rate=0.0
    )
    with caplog.at_level(logging.INFO, "hrnet_jax"):
        train(config, tmp_path)
    expected = flat_variables(saved_variables(source, tiny.BEST_STEP))
    started = saved_variables(tmp_path, "latest")
    for name, array in flat_variables({"params": started["params"]}).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6, err_msg=name)
    count = len(expected)
    assert f"{source}: {count} of {count} tensors loaded" in caplog.text


@pytest.mark.parametrize(
    ("class_names", "skip", "kept"),
    [
        (None, HEAD_PATTERNS, True),
        (None, ("^head/classifier",), False),
        (tuple("abcdefg"), HEAD_PATTERNS, False),
    ],
    ids=["same classes", "other patterns", "other classes"],
)
def test_the_head_of_a_run_is_kept_for_the_same_classes(
    class_names, skip, kept, tiny_variant
):
    source = tiny.finished_run()
    info = saved_info(source, "best")
    if class_names:
        info = dataclasses.replace(info, class_names=class_names)
    options = ModelOptions(init_from=str(source), init_skip=skip)
    variables, loaded = first_variables(
        create_model("segmentation/tiny", num_classes=7), options, 0, info
    )
    expected = flat_variables(saved_variables(source, "best"))
    name = "params/head/classifier/kernel"
    taken = np.array_equal(flat_variables(variables)[name], expected[name])
    assert taken == kept == (name not in loaded.new)
    assert loaded.new or kept


def test_a_head_of_another_kind_stays_new(tiny_variant):
    source = tiny.finished_run()
    options = ModelOptions(init_from=str(source), init_skip=HEAD_PATTERNS)
    model = create_model("segmentation/tiny_ocr", num_classes=7)
    _, loaded = first_variables(model, options, 0, saved_info(source, "best"))
    assert {name.split("/")[1] for name in loaded.new} > {"ocr"}


STARTED = [
    *("segmentation/tiny", "segmentation/tiny_ocr", "landmarks/tiny"),
    *("pose/three", "detection/fcos_tiny", "detection/mask_rcnn_tiny"),
]


@pytest.mark.parametrize("name", fast_are(["pose/three"], STARTED))
def test_a_run_of_a_classifier_starts_every_other_task(
    name, tiny_variant, monkeypatch, tmp_path
):
    # With a module in the last stage, whose exchange differs.
    three = dataclasses.replace(tiny.VARIANT, modules=(1, 1, 1))
    monkeypatch.setitem(VARIANTS, "three", three)
    trained = f"classification/{'three' if 'three' in name else 'tiny'}"
    config = default_config("classification")
    config.model.name = trained
    info = DatasetInfo("things", 0, (), (), image_class_names=("a", "b"))
    classifier = create_model(trained, num_classes=2)
    save_converted(tmp_path, config, initial_variables(classifier, 1), info)
    source = flat_variables(initial_variables(classifier, 1))
    options = ModelOptions(init_from=str(tmp_path), init_skip=HEAD_PATTERNS)
    model = create_model(name)
    variables, loaded = first_variables(model, options, 0, info)

    def is_of_head(leaf):
        inside = leaf.split("/", 1)[1]
        return any(re.search(pattern, inside) for pattern in HEAD_PATTERNS)

    flat = flat_variables(variables)
    assert {leaf for leaf in flat if is_of_head(leaf)} == set(loaded.new)
    for leaf in loaded.kept:
        np.testing.assert_array_equal(flat[leaf], source[leaf], err_msg=leaf)
    assert {leaf for leaf in source if is_of_head(leaf)} <= set(loaded.dropped)
    others = {leaf for leaf in loaded.dropped if not is_of_head(leaf)}
    # Pose computes the highest resolution alone.
    assert bool(others) is (name == "pose/three")
    assert all(re.search("stage4/module0/exchange/from._to[123]/", x) for x in others)
    heads = ", ".join(sorted({leaf.split("/")[1] for leaf in loaded.new}))
    assert f"left initial ({heads})" in str(loaded)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("params/stem/conv1/kernel", np.nan, "1 of 1728 values not finite"),
        ("batch_stats/stem/norm1/var", -2.0, "1 of 64 values negative"),
    ],
)
def test_damaged_weights_start_no_run(name, value, fault, tmp_path):
    variables = flat_variables(drawn("segmentation", 7, 0))
    leaf = np.array(variables[name])
    leaf.flat[3] = value
    variables[name] = leaf
    config = default_config("segmentation")
    config.model.name = f"segmentation/{NAME}"
    info = DatasetInfo("mine", 7, tuple("abcdefg"), ((0, 0, 0),) * 7)
    nested = traverse_util.unflatten_dict(variables, sep="/")
    save_converted(tmp_path, config, nested, info)
    with pytest.raises(WeightsError) as caught:
        start(7, init_from=str(tmp_path))
    assert str(caught.value).startswith(
        f"model.init_from={tmp_path}: damaged weights, 1 tensor of {len(variables)}; "
        f"{name}: {fault}"
    )


def test_an_empty_folder_is_no_source(tmp_path):
    with pytest.raises((WeightsError, CheckpointError), match=str(tmp_path)):
        start(7, init_from=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
