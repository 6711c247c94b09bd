"""Networks released in parts: the encoder and decoder of MIT's scene parsing."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.conversion.importing import ImportOptions, import_weights
from hrnet_jax.errors import WeightsError
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.folding import fold_batch_norm
from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import from_torch
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.registry import create_model
from scripts import convert
from tests.conversion.thin import THIN
from tests.pretrained.state_dicts import random_state_dict

torch = pytest.importorskip("torch")

NAME = "segmentation/thin"
OPTIONS = {"num_classes": 5, "head_bias": False, "head_width": 15, "head_kernel": 3}


@pytest.fixture(autouse=True)
def variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, "thin", THIN)


@pytest.fixture
def parts(tmp_path):
    """(encoder file, decoder file, all their weights), norms as MIT saves them."""
    model = create_model(NAME, **OPTIONS)
    state = random_state_dict(model, "mit", np.random.default_rng(0))
    split: dict[str, dict] = {"encoder": {}, "decoder": {}}
    for name, value in state.items():
        is_head = name.startswith(("cbr.", "conv_last."))
        part = split["decoder" if is_head else "encoder"]
        part[name] = value
        if name.endswith("running_mean"):
            norm = name.removesuffix("running_mean")
            part[f"{norm}_tmp_running_mean"] = value * 3
            part[f"{norm}_tmp_running_var"] = abs(value) * 3
            part[f"{norm}_running_iter"] = np.full(1, 3, np.float32)
    paths = [tmp_path / f"{part}.pth" for part in split]
    for path, tensors in zip(paths, split.values(), strict=True):
        write_weights_file(path, tensors)
    return *paths, state


def test_both_files_make_one_network(parts, tmp_path):
    encoder, decoder, state = parts
    # The other order is as good: names tell what is what.
    for number, files in enumerate([(encoder, decoder), (decoder, encoder)]):
        imported = import_weights(files, tmp_path / f"run{number}")
        facts = imported.facts
        assert (facts.model, facts.convention) == (NAME, "mit")
        assert facts.options == OPTIONS | {
            "representation": "v2",
            "upsample": "bilinear",
        }
        run = load_run(tmp_path / f"run{number}")
        expected = from_torch(state, run.task.model)
        jax.tree.map(np.testing.assert_array_equal, run.variables, expected)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    assert run.predict(image)["label"].shape == (64, 96)
    record = json.loads((tmp_path / "run0" / "weights.json").read_text())
    assert record["file"] == "encoder.pth and decoder.pth"
    assert len(record["sha256"]) == 2 * 64 + len(" and ")


def test_one_of_the_files_is_what_it_is(parts, tmp_path):
    encoder, decoder, _ = parts
    assert import_weights(encoder, tmp_path / "body").model == "features/thin"
    message = r"decoder\.pth: a head of segmentation \(mit\) without the body .* files"
    with pytest.raises(WeightsError, match=message):
        import_weights(decoder, tmp_path / "head")
    with pytest.raises(
        WeightsError, match=r"encoder\.pth: another file has tensors of "
    ):
        import_weights([encoder, encoder], tmp_path / "twice")


def test_the_released_file_is_known_by_its_encoder(parts, tmp_path):
    encoder, decoder, _ = parts
    renamed = encoder.rename(tmp_path / "encoder_epoch_30.pth")
    message = "released file of this name is segmentation/w48 with 150 .*/thin with 5"
    with pytest.raises(WeightsError, match=message):
        import_weights([renamed, decoder], tmp_path / "run")
    options = ImportOptions(record="")
    import_weights([renamed, decoder], tmp_path / "run", options)


def test_two_files_on_the_command_line(parts, tmp_path, monkeypatch, capsys):
    encoder, decoder, _ = parts
    monkeypatch.setattr("sys.argv", ["convert.py", str(encoder), str(decoder), "run"])
    monkeypatch.chdir(tmp_path)
    convert.main()
    assert capsys.readouterr().out.startswith(f"{NAME}: ")
    for wrong, message in (
        (["run", str(encoder), "other"], "run is a folder; expected files"),
        (["run"], "give a source and a target, or --list"),
    ):
        monkeypatch.setattr("sys.argv", ["convert.py", *wrong])
        with pytest.raises(SystemExit, match="2"):
            convert.main()
        assert message in capsys.readouterr().err


def test_the_head_is_that_of_pytorch():
    """`C1`: 3x3 convolution of the concatenated maps, norm, ReLU, 1x1 convolution."""
    rng = np.random.default_rng(1)
    maps = tuple(
        rng.standard_normal((2, 12 // 2**k, 16 // 2**k, 2**k), np.float32)
        for k in range(3)
    )
    head = PixelHead(4, use_bias=False, width=3, kernel_size=3, norm=NormOptions())
    variables = head.init(jax.random.key(0), maps, False)
    leaves, structure = jax.tree.flatten(variables)
    values = [abs(rng.standard_normal(leaf.shape)).astype("f") for leaf in leaves]
    variables = jax.tree.unflatten(structure, values)
    got = head.apply(variables, maps, False)

    def tensor(value):
        return torch.from_numpy(np.asarray(value))

    functional = torch.nn.functional
    x = torch.cat(
        [
            functional.interpolate(
                tensor(x.transpose(0, 3, 1, 2)), size=(12, 16), mode="bilinear"
            )
            for x in maps
        ],
        1,
    )
    params, stats = variables["params"], variables["batch_stats"]["norm"]
    kernel = tensor(params["project"]["kernel"].transpose(3, 2, 0, 1))
    x = functional.conv2d(x, kernel, padding=1)
    arrays = (
        stats["mean"],
        stats["var"],
        params["norm"]["scale"],
        params["norm"]["bias"],
    )
    x = functional.batch_norm(x, *map(tensor, arrays), eps=1e-5).relu()
    kernel = tensor(params["classifier"]["kernel"].transpose(3, 2, 0, 1))
    x = functional.conv2d(x, kernel, tensor(params["classifier"]["bias"]))
    expected = x.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_its_norm_folds_like_others(parts):
    model = create_model(NAME, **OPTIONS)
    variables = from_torch(parts[2], model)
    folded, weights = fold_batch_norm(model, variables)
    images = jnp.asarray(np.random.default_rng(2).standard_normal((1, 64, 64, 3), "f"))
    expected = model.apply(variables, images)
    error = jnp.abs(folded.apply(weights, images) - expected).max() / expected.std()
    assert error < 1e-4
