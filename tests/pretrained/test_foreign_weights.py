"""Weights files damaged anywhere, and state dicts that are almost those of a network."""

import functools
import io
import json
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import strategies
from safetensors.numpy import save as save_safetensors

from hrnet_jax.errors import WeightsError
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import convert_names, from_torch, read_weights_file, recognize
from hrnet_jax.pretrained.known import read_record
from hrnet_jax.pretrained.wrappers import unwrap
from hrnet_jax.registry import create_model
from tests import tiny
from tests.damaging import damaged_bytes, edited, json_files
from tests.foreign import COUNTS, FEWER, only_our_errors
from tests.pretrained.state_dicts import random_state_dict


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def layers() -> dict[str, torch.Tensor]:
    layer = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    turned = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    return {**layer.state_dict(), "turned": turned, "half": turned.half()}


def saved(**options) -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": layers(), "epoch": 3}, file, **options)
    return file.getvalue()


def archive_with(content: bytes, name: str, new: bytes) -> bytes:
    """An archive with one file replaced, all checksums right."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as out:
        for path in old.namelist():
            out.writestr(path, new if path.endswith(f"/{name}") else old.read(path))
    return file.getvalue()


def zip_files() -> strategies.SearchStrategy:
    """Damaged anywhere, or in the pickle or a storage with right checksums."""
    content = saved()
    inside = [damaged_bytes(content)]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in ("data.pkl", "data.pkl", "byteorder", "data/0"):
            (path,) = (p for p in archive.namelist() if p.endswith(f"/{name}"))
            rebuilt = functools.partial(archive_with, content, name)
            inside.append(damaged_bytes(archive.read(path)).map(rebuilt))
    return strategies.one_of(inside)


HEADER = {
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "a.bias": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
    "b.count": {"dtype": "I64", "shape": [], "data_offsets": [32, 40]},
    "__metadata__": {"format": "pt"},
}
# In place of what the format knows, and what NumPy has no type for.
TYPES = ["BF16", "F64", "I32", "U8", "BOOL", "C64", "F8_E4M3", "F8_E5M2", "F4", "f32"]


@strategies.composite
def safetensors_files(draw) -> bytes:
    """A header with overlaps, holes, other types and shapes, or damaged bytes."""
    if draw(strategies.booleans()):
        return draw(damaged_bytes(save_safetensors(small_arrays())))
    header = json.loads(json.dumps(HEADER))
    one = header[draw(strategies.sampled_from(["a.weight", "a.bias", "b.count"]))]
    sizes = strategies.sampled_from([0, 1, 2, 3, 4, 24, 32, 40, 2**31, 2**62, 2**64])
    kind = draw(strategies.integers(0, 5))
    if kind == 0:
        one["dtype"] = draw(strategies.sampled_from(TYPES))
    elif kind == 1:
        one["shape"] = draw(strategies.lists(sizes, max_size=4))
    elif kind == 2:
        one["data_offsets"] = draw(strategies.lists(sizes, min_size=1, max_size=3))
    elif kind == 3:
        header = draw(edited(header))
    text = json.dumps(header).encode()
    if kind == 4:  # the same name twice
        text = text.replace(b'"a.bias"', b'"a.weight"')
    elif kind == 5:
        text = draw(json_files(header))
    length = len(text) + draw(strategies.sampled_from([0] * 9 + [1, -1, 2**40, -3]))
    length = max(length, 0)
    return struct.pack("<Q", length) + text + bytes(40)


def small_arrays() -> dict[str, np.ndarray]:
    return {"a": np.ones((2, 3), np.float32), "b.c": np.arange(4)}


FILES = {
    "zip": ("w.pth", zip_files),
    "old": (
        "w.pth",
        lambda: damaged_bytes(saved(_use_new_zipfile_serialization=False)),
    ),
    "safetensors": ("w.safetensors", safetensors_files),
}


@pytest.mark.parametrize("count", COUNTS, ids=str)
@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_weights_file_is_one_line_that_names_it(kind, count, tmp_path):
    path = tmp_path / FILES[kind][0]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read_weights_file(path, keep_counters=True)
        except WeightsError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
            raise

    only_our_errors(read, FILES[kind][1](), count)


@functools.cache
def whole_state(variant: str = tiny.VARIANT_NAME) -> dict[str, np.ndarray]:
    model = create_model(f"segmentation/{variant}", num_classes=3)
    return random_state_dict(model, "official", np.random.default_rng(0))


# In place of a tensor.
ARRAYS = [
    *(np.float64(1), np.zeros(0, np.float32), np.full((3, 3), np.nan, np.float32)),
    *(np.array("text"), np.array([None]), np.ones(3, np.complex64), np.ones(3, bool)),
    *("text", None, 3, [1.0, 2.0], {}, {"a": np.ones(2)}, np.ones((2,) * 5)),
    np.array([1e300]),
]
NAMES = ["", "x", "module.x", ".", "num_batches_tracked", "loss.x", "a.eps"]


class StateDict(dict):
    """Too large to be shown where a test fails."""

    def __repr__(self) -> str:
        return f"{len(self)} entries"


@strategies.composite
def state_dicts(draw, variant: str) -> dict:
    """Tensors of a network left out, retyped, reshaped, renamed, exchanged, put in."""
    state = dict(whole_state(variant))
    for _ in range(draw(strategies.integers(1, 4))):
        names = list(state)
        if not names:
            break
        name = draw(strategies.sampled_from(names))
        kind = draw(strategies.integers(0, 9))
        if kind == 0:
            del state[name]
        elif kind == 1:
            state[name] = draw(strategies.sampled_from(ARRAYS))
        elif kind == 2:
            types = [np.float64, np.float16, np.int8, np.bool_, np.complex64, object]
            with np.errstate(invalid="ignore", over="ignore"):
                state[name] = state[name].astype(draw(strategies.sampled_from(types)))
        elif kind == 3:
            ways = [np.ravel, np.transpose, np.atleast_2d, np.squeeze]
            ways += [lambda value: value[None], lambda value: value[:0]]
            ways += [lambda value: np.concatenate([value, value])]
            state[name] = draw(strategies.sampled_from(ways))(
                np.atleast_1d(state[name])
            )
        elif kind == 4:
            parts = name.split(".")
            part = draw(strategies.integers(0, len(parts) - 1))
            parts[part] = draw(strategies.sampled_from(["", "0", "9", "x", "weight"]))
            state[".".join(parts)] = state.pop(name)
        elif kind == 5:
            other = draw(strategies.sampled_from(names))
            state[name], state[other] = state[other], state[name]
        elif kind == 6:
            new = draw(strategies.sampled_from([*NAMES, 3, None, ("a",)]))
            state[new] = draw(strategies.sampled_from([state[name], *ARRAYS]))
        elif kind == 7:
            prefix = draw(strategies.sampled_from(["module.", "net.", "ema.", "a b."]))
            whole = draw(strategies.booleans())
            changed = {prefix + str(key): value for key, value in state.items()}
            state = changed if whole else {**state, **changed}
        elif kind == 8:
            key = draw(strategies.sampled_from(["state_dict", "model", "x", 3]))
            state = {
                key: state,
                **({"y": state} if draw(strategies.booleans()) else {}),
            }
            break
        else:  # a part of the network
            stem = name.split(".")[0]
            state = {k: v for k, v in state.items() if not str(k).startswith(stem)}
            state = state or {"x": np.ones(3)}
        if not all(map(_is_of_numbers, state.values())):
            break
    return StateDict(state)


def _is_of_numbers(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


READERS = {
    "from_torch": lambda state: from_torch(state, network()),
    "recognize": lambda state: recognize(unwrap(state)),
    "convert_names": convert_names,
}


@functools.cache
def network():
    return create_model(f"segmentation/{tiny.VARIANT_NAME}", num_classes=3)


# Fewer: each compares some two hundred tensors.
SOME = [40, pytest.param(500, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", SOME, ids=str)
@pytest.mark.parametrize("reader", READERS)
def test_a_state_dict_that_is_almost_one_is_refused_or_taken(reader, count):
    # The tiny network lacks what a variant is recognised by.
    variant = "w18_small_v1" if reader == "recognize" else tiny.VARIANT_NAME
    only_our_errors(READERS[reader], state_dicts(variant), count)


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_an_edited_record_of_a_released_file_is_named(count, tmp_path):
    from hrnet_jax.pretrained.known import RECORD_FILE, known_files

    path = tmp_path / RECORD_FILE
    document = {"record": known_files()[0].to_json(), "sha256": "0"}

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_record(tmp_path)

    only_our_errors(read, json_files(document), count)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full((3,), "text"), "values of type <U4, expected real numbers"),
        (np.ones(3, np.complex64), "values of type complex64, expected real numbers"),
        (np.array([None] * 3), "values of type object, expected real numbers"),
    ],
)
def test_a_tensor_without_real_numbers_is_named(value, message):
    name = next(name for name in whole_state() if name.endswith("running_mean"))
    shape = whole_state()[name].shape
    state = {**whole_state(), name: np.resize(value, shape)}
    with pytest.raises(WeightsError, match=f"{name}: {message}"):
        from_torch(state, network())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("last_layer.0.weight", None, "'head/project/kernel' here is missing"),
        ("last_layer.0.weight", np.ones(3), r"kernel' here has the shape \(3,\)"),
        (
            "last_layer.3.weight",
            np.float32(1),
            r"classifier/kernel' here .* shape \(\)",
        ),
    ],
)
def test_a_head_whose_size_nothing_tells_is_named(name, value, message):
    state = {**whole_state("w18_small_v1"), name: value}
    if value is None:
        del state[name]
    with pytest.raises(WeightsError, match=message):
        recognize(unwrap(state))


def test_an_epsilon_that_is_no_number_is_named():
    with pytest.raises(WeightsError, match="'a.eps' is not 1e-05"):
        convert_names({**whole_state(), "a.eps": np.array("text")})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "no 'record' in it; expected what scripts/convert.py wrote"),
        ('{"record": 3}', "no 'record' in it"),
        ('{"record": {"file": "a.pth"}}', "key '[a-z]+' is missing"),
        (
            '{"record": {"fil": 1}}',
            "key 'fil' is not read by anything; did you mean 'file",
        ),
        ("[]", "holds a list, expected keys and values"),
        ("\x00", "not valid JSON"),
    ],
)
def test_a_record_that_is_none_is_named(content, message, tmp_path):
    (tmp_path / "weights.json").write_text(content)
    with pytest.raises(WeightsError, match=f"^{tmp_path}/weights.json: .*{message}"):
        read_record(tmp_path)


def test_what_pytorch_warns_of_is_kept_back(tmp_path):
    """Its remark on protocols, of a damaged file: only the error is said."""
    content = saved(_use_new_zipfile_serialization=False)
    (tmp_path / "a.pth").write_bytes(b"\x80\x05" + content[2:])
    read_weights_file(tmp_path / "a.pth")
