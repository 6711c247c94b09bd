"""Names behind prefixes, and files that hold more than one network."""

import logging

import numpy as np
import pytest

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained import from_torch, read_weights_file
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.pretrained.wrappers import unwrap, unwrap_with_remarks
from hrnet_jax.registry import create_model
from tests.goldens import official

SIGN = "stage2.0.branches.0.0.conv1.weight"
BODY = (SIGN, "conv1.weight", "layer1.0.conv1.weight")


def network(prefix="", value=0.0, names=(*BODY, "last_layer.3.bias")):
    return {prefix + name: np.full(3, value, np.float32) for name in names}


PREFIXES = ["_orig_mod.", "net.", "module.module.", "module._orig_mod.", "a.b.c.d."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix_of_all_names_is_taken_off_and_told(prefix, caplog):
    with caplog.at_level(logging.INFO, "hrnet_jax"):
        assert unwrap(network(prefix)).keys() == network().keys()
    told = " ".join(caplog.messages)
    for part in prefix.replace("_orig_mod.", " _orig_mod. ").split():
        assert f"state dict: {part!r}, which PyTorch code put into names" in told


def test_what_pytorch_puts_inside_names_is_taken_off():
    names = [name.replace(".", "._orig_mod.", 1) for name in network()]
    assert unwrap(network(names=names)).keys() == network().keys()


@pytest.mark.parametrize("own", ["backbone.", "backbone.body."])
@pytest.mark.parametrize("prefix", ["", "net.", "teacher.model."])
def test_the_prefix_of_a_code_base_stays(own, prefix):
    tensors = network(prefix + own, names=BODY) | {
        f"{prefix}decode_head.conv_seg.bias": np.zeros(3)
    }
    found = unwrap_with_remarks(tensors)
    assert found.tensors.keys() == {name.removeprefix(prefix) for name in tensors}
    assert bool(found.remarks) == bool(prefix)


def test_names_without_the_prefix_stay_and_are_seen():
    tensors = network("net.") | {"criterion.weight": np.ones(3)}
    assert unwrap(tensors).keys() == {*network(), "criterion.weight"}


def test_names_of_parts_of_a_network_are_left_alone():
    tensors = {"layer1.0.conv1.weight": np.ones(3), "layer1.0.bn1.weight": np.ones(3)}
    assert unwrap(tensors).keys() == tensors.keys()


SEVERAL = {
    "nested": {"model": network(value=1), "model_ema": network(value=2), "epoch": 3},
    "flat": network("model.", 1) | network("model_ema.module.", 2),
    "inside": {"state_dict": network("model.", 1) | network("model_ema.net.", 2)},
    "bodies": network("model.backbone.", 1, BODY) | network("model_ema.backbone.", 2),
    "one without": network(value=1) | network("model_ema.", 2),
    "with a count": {
        "model": network(value=1),
        "model_ema": network("module.", 2) | {"n_averaged": np.ones(())},
    },
}
ENTRIES = {
    "nested": ("model", "model_ema"),
    "flat": ("model", "model_ema"),
    "inside": ("state_dict.model", "state_dict.model_ema"),
    "bodies": ("model", "model_ema"),
    "one without": ("", "model_ema"),
    "with a count": ("model", "model_ema"),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_an_entry_chooses_between_networks(kind):
    for value, entry in enumerate(ENTRIES[kind], 1):
        found = unwrap_with_remarks(SEVERAL[kind], entry=entry)
        plain = {name.removeprefix("backbone.") for name in found.tensors}
        assert plain <= network().keys() and len(plain) >= len(BODY)
        assert all((array == value).all() for array in found.tensors.values())
        assert f"entry '{entry}" in found.remarks[0]


@pytest.mark.parametrize("kind", SEVERAL)
def test_without_a_choice_the_networks_are_listed(kind):
    with pytest.raises(WeightsError) as caught:
        unwrap(SEVERAL[kind])
    message = str(caught.value)
    assert message.startswith("2 networks are in it, ")
    assert message.endswith(
        "choose one with --entry=NAME of scripts/convert.py, or entry=NAME in Python"
    )
    assert all(f"'{entry}" in message for entry in ENTRIES[kind])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (SEVERAL["nested"], "'model', 'model_ema'"),
        (network(), "''"),
        ({"epoch": np.ones(())}, r"\(none\)"),
    ],
)
def test_an_entry_that_is_not_there_is_named(content, expected):
    message = f"no entry 'average' of one network; expected one of {expected}$"
    with pytest.raises(WeightsError, match=message):
        unwrap(content, entry="average")


def test_weights_under_any_key_are_found_and_told():
    found = unwrap_with_remarks({"epoch": 3, "generator": network(), "loss": 0.5})
    assert found.tensors.keys() == network().keys()
    assert found.remarks == ("the weights are the entry 'generator'",)


def test_a_dictionary_that_holds_itself_is_searched_once():
    content = {"state_dict": network()}
    content["self"] = content
    assert unwrap(content).keys() == network().keys()


def test_a_file_is_read_by_entry_and_named_without(tmp_path):
    path = tmp_path / "x.safetensors"
    write_weights_file(path, network("state_dict.", 1) | network("ema.", 2))
    assert (read_weights_file(path, entry="ema")[SIGN] == 2).all()
    with pytest.raises(WeightsError, match=r"x\.safetensors: 2 networks.*'ema', 'sta"):
        read_weights_file(path)


def test_a_compiled_network_is_converted():
    model = create_model("segmentation/w18_small_v1", num_classes=19)
    state = official.state_dict("segmentation/hrnet_w18_small_v1_cityscapes19_v11")
    wrapped = {f"_orig_mod.net.{name}": value for name, value in state.items()}
    both = {"ema": wrapped, "other": wrapped}
    kernel = from_torch(both, model, entry="ema")["params"]["stem"]["conv1"]["kernel"]
    np.testing.assert_array_equal(kernel[0, 0], state["conv1.weight"][..., 0, 0].T)
