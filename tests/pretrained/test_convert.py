"""Official state dicts in and out: strict, total, unwrapped."""

import functools

import jax
import numpy as np
import pytest

from hrnet_jax.errors import HRNetError, WeightsError
from hrnet_jax.pretrained import from_torch, to_torch
from hrnet_jax.pretrained.convert import convert_names
from hrnet_jax.pretrained.wrappers import unwrap
from hrnet_jax.registry import create_model
from tests.goldens import official

GOLDEN = "segmentation/hrnet_w18_small_v1_cityscapes19_v11"


@functools.cache
def model():
    return create_model("segmentation/w18_small_v1", num_classes=19)


@functools.cache
def plain_variables():
    return from_torch(official.state_dict(GOLDEN), model())


@pytest.fixture
def state_dict():
    """A fresh copy of official weights of the model."""
    return dict(official.state_dict(GOLDEN))


def assert_same_variables(variables):
    assert jax.tree.structure(variables) == jax.tree.structure(plain_variables())
    jax.tree.map(np.testing.assert_array_equal, variables, plain_variables())


def test_layouts_are_transposed(state_dict):
    params, stats = plain_variables()["params"], plain_variables()["batch_stats"]
    kernel = params["stem"]["conv1"]["kernel"]
    assert kernel.shape == (3, 3, 3, 64)
    assert kernel[2, 0, 1, 5] == state_dict["conv1.weight"][5, 1, 2, 0]
    np.testing.assert_array_equal(
        stats["stem"]["norm1"]["var"], state_dict["bn1.running_var"]
    )
    for leaf in jax.tree.leaves(plain_variables()):
        assert leaf.dtype == np.float32


def test_linear_layers_are_transposed():
    arrays, unknown = convert_names(
        {
            "classifier.weight": np.arange(6.0).reshape(2, 3),
            "final_layer.0.bias": np.ones(4),
        }
    )
    assert not unknown
    np.testing.assert_array_equal(
        arrays["params/classifier/kernel"], [[0, 3], [1, 4], [2, 5]]
    )


def test_there_and_back_is_exact(state_dict):
    back = to_torch(plain_variables(), model())
    assert back.keys() == state_dict.keys()
    for name, value in state_dict.items():
        np.testing.assert_array_equal(back[name], value)


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_prefixes_and_loss_buffers_are_undone(state_dict, prefix):
    wrapped = {prefix + name: value for name, value in state_dict.items()}
    wrapped[prefix.replace("model.", "") + "loss.criterion.weight"] = np.ones(19)
    assert_same_variables(from_torch(wrapped, model()))


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_nested_state_dicts_are_undone(state_dict, key):
    nested = {"epoch": 3, "best_mIoU": 0.7, key: state_dict, "optimizer": {"lr": 0.1}}
    assert_same_variables(from_torch(nested, model()))


def test_old_files_without_batch_counters_are_accepted(state_dict):
    old = {k: v for k, v in state_dict.items() if "num_batches_tracked" not in k}
    assert len(old) < len(state_dict)
    assert_same_variables(from_torch(old, model()))


def test_inplace_abn_scales_are_positive(state_dict):
    state_dict["bn1.weight"] = -state_dict["bn1.weight"]
    params = from_torch(state_dict, model(), inplace_abn=True)["params"]
    np.testing.assert_array_equal(
        params["stem"]["norm1"]["scale"],
        np.abs(state_dict["bn1.weight"]) + np.float32(1e-5),
    )
    np.testing.assert_array_equal(
        params["stem"]["norm1"]["bias"], state_dict["bn1.bias"]
    )


def test_missing_extra_and_misshapen_tensors_are_all_listed(state_dict):
    del state_dict["conv2.weight"]
    state_dict["classifier.bias"] = np.zeros(1000, np.float32)
    state_dict["last_layer.3.weight"] = np.zeros((150, 240, 1, 1), np.float32)
    with pytest.raises(WeightsError) as caught:
        from_torch(state_dict, model())
    message = str(caught.value)
    assert "1 missing: conv2.weight" in message
    assert "1 extra: classifier.bias" in message
    assert "1 of another shape: last_layer.3.weight" in message
    assert "expected (19, 240, 1, 1), got (150, 240, 1, 1)" in message
    assert isinstance(caught.value, HRNetError)


def test_another_number_of_classes_is_told():
    other = create_model("segmentation/w18_small_v1", num_classes=150)
    with pytest.raises(
        WeightsError,
        match=r"2 of another shape: last_layer\.3\.bias: expected \(150,\), got "
        r"\(19,\), .*\(they look like segmentation/w18_small_v1, num_classes=19,",
    ):
        from_torch(official.state_dict(GOLDEN), other)


def test_weights_of_another_model_do_not_fit():
    with pytest.raises(
        WeightsError,
        match=r"; 8 missing: .*last_layer\.0\.bias.*; \d+ extra: .* and \d+ more "
        r"\(they look like classification/w18_small_v1, num_classes=1000, ",
    ):
        from_torch(official.state_dict("classification/w18_small_v1"), model())


def test_names_that_no_hrnet_has_are_an_error(state_dict):
    state_dict["layer4.0.conv1.weight"] = np.zeros((1, 1, 1, 1))
    with pytest.raises(WeightsError, match=r"1 extra: layer4\.0\.conv1\.weight"):
        from_torch(state_dict, model())
    assert convert_names(state_dict)[1] == ["layer4.0.conv1.weight"]


def test_names_of_another_network_are_an_error():
    with pytest.raises(WeightsError, match=r"not names of an official HRNet: fc\.bias"):
        convert_names({"fc.bias": np.zeros(3)})


def test_a_convention_without_such_a_model_is_an_error(state_dict):
    message = "'mmdet' has no names for a segmentation model; expected one of official"
    with pytest.raises(WeightsError, match=message):
        from_torch(state_dict, model(), convention="mmdet")
    with pytest.raises(WeightsError, match=message):
        to_torch(plain_variables(), model(), convention="mmdet")


def test_two_tensors_for_one_name_are_an_error(state_dict):
    state_dict["module.conv1.weight"] = np.zeros_like(state_dict["conv1.weight"])
    with pytest.raises(WeightsError, match=r"conv1\.weight"):
        from_torch(state_dict, model())


def test_an_entry_that_is_no_tensor_is_an_error():
    with pytest.raises(WeightsError, match="'epoch' is a int, expected a tensor"):
        unwrap({"epoch": 3})


def test_an_entry_without_a_name_is_an_error():
    with pytest.raises(WeightsError, match="entry 0 is not named by a text"):
        unwrap({0: np.zeros(3)})


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}])
def test_a_state_dict_without_tensors_is_an_error(content):
    with pytest.raises(WeightsError, match="holds no tensors"):
        unwrap(content)


def test_variables_of_another_model_are_not_written():
    other = create_model("segmentation/w18_small_v1", num_classes=3)
    with pytest.raises(WeightsError, match="2 of another shape"):
        to_torch(plain_variables(), other)


def test_epsilon_vectors_of_frozen_norms_must_be_the_usual_one():
    tensors = {"bn1.weight": np.ones(2), "bn1.eps": np.full(2, 1e-5, np.float32)}
    assert unwrap(tensors).keys() == {"bn1.weight"}
    tensors["bn1.eps"][1] = 1e-3
    with pytest.raises(WeightsError, match=r"'bn1\.eps' is not 1e-05"):
        unwrap(tensors)


def test_counters_stay_where_they_tell_something(state_dict):
    kept = unwrap(state_dict, keep_counters=True)
    assert "bn1.num_batches_tracked" in kept
    assert "bn1.num_batches_tracked" not in unwrap(state_dict)


def test_what_mmpose_and_losses_keep_beside_the_weights_is_left_out():
    tensors = {
        "backbone.conv1.weight": np.ones(2),
        "data_preprocessor.mean": np.ones((3, 1, 1)),
        "data_preprocessor.std": np.ones((3, 1, 1)),
        "loss.criterion.weight": np.ones(19),
    }
    assert unwrap(tensors).keys() == {"backbone.conv1.weight"}


DAMAGE = [
    ("conv1.weight", np.nan, "2 of 1728 values not finite (the first is nan)"),
    ("bn1.running_mean", np.inf, "2 of 64 values not finite (the first is inf)"),
    ("bn1.bias", -1e300, "2 of 64 values not finite (the first is -inf)"),
    ("bn1.running_var", -0.5, "2 of 64 values negative (the least is -0.5)"),
]


@pytest.mark.parametrize(("name", "value", "found"), DAMAGE)
def test_values_that_no_weight_has_are_named(name, value, found, state_dict):
    for changed in (name, "last_layer.3.bias"):
        state_dict[changed] = np.array(state_dict[changed], np.float64)
    state_dict[name].flat[[1, 5]] = value
    state_dict["last_layer.3.bias"][3] = np.nan
    kind = "variances of 0 or more" if "negative" in found else "finite float32 numbers"
    total = len(unwrap(state_dict))
    message = f"damaged weights, 2 tensors of {total}; {name}: {found}, expected {kind}"
    for read in (lambda tensors: from_torch(tensors, model()), convert_names):
        with pytest.raises(WeightsError) as caught:
            read(state_dict)
        assert str(caught.value) == message


def test_a_mean_may_be_negative_and_a_variance_zero(state_dict):
    state_dict["bn1.running_mean"] = np.full(64, -1.0)
    state_dict["bn1.running_var"] = np.zeros(64)
    stats = from_torch(state_dict, model())["batch_stats"]["stem"]["norm1"]
    assert (stats["mean"] == -1).all() and (stats["var"] == 0).all()


def test_damage_in_what_is_not_of_an_hrnet_is_left_out_with_it(state_dict):
    _, unknown = convert_names(state_dict | {"rpn.conv.weight": np.full(3, np.nan)})
    assert unknown == ["rpn.conv.weight"]
