"""Two commands at work on the same files: nothing is half, and the later one says so."""

import shutil

import pytest

from hrnet_jax.conversion import importing
from hrnet_jax.conversion.importing import export_weights, import_weights
from hrnet_jax.data import registry
from hrnet_jax.data.records import open_records
from hrnet_jax.errors import CheckpointError, DataError
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.lock import locked
from tests import tiny
from tests.left_over import listing

OPTIONS = {"image_size": 32, "train": 2, "val": 1}


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def meanwhile(monkeypatch, module, name, action):
    """Runs `action` once, right after a function of a module."""
    original = getattr(module, name)

    def patched(*arguments, **options):
        result = original(*arguments, **options)
        monkeypatch.setattr(module, name, original)
        action()
        return result

    monkeypatch.setattr(module, name, patched)


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_two_preparations_alike_both_end_well(overwrite, tmp_path, monkeypatch):
    def prepare():
        registry.prepare("shapes", tmp_path, None, overwrite, **OPTIONS)

    meanwhile(monkeypatch, registry, "prepare_records", prepare)
    prepare()
    assert len(open_records("shapes", tmp_path, "train")) == 2
    assert [path.name for path in (tmp_path / "shapes").iterdir()] == ["1.0.0"]


def test_of_two_preparations_that_differ_the_later_one_says_so(tmp_path, monkeypatch):
    def other():
        registry.prepare("shapes", tmp_path, **OPTIONS | {"train": 3})

    meanwhile(monkeypatch, registry, "prepare_records", other)
    with pytest.raises(DataError, match="1.0.0 was prepared with options .*'train': 3"):
        registry.prepare("shapes", tmp_path, **OPTIONS)
    assert len(open_records("shapes", tmp_path, "train")) == 3
    assert [path.name for path in (tmp_path / "shapes").iterdir()] == ["1.0.0"]


def test_what_is_in_the_way_of_records_is_named(tmp_path):
    (tmp_path / "shapes" / "1.0.0").mkdir(parents=True)
    (tmp_path / "shapes" / "1.0.0" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"shapes/1\.0\.0 is in the way .*elsewhere$"):
        registry.prepare("shapes", tmp_path, **OPTIONS)
    assert listing(tmp_path) == {"shapes/1.0.0/thesis.txt"}


def test_of_two_conversions_the_later_one_says_so(tmp_path, monkeypatch):
    path = tmp_path / "tiny.safetensors"
    export_weights(tiny.finished_run(), "best", path)
    options = importing.ImportOptions(
        model=f"segmentation/{tiny.VARIANT_NAME}",
        upsample="bilinear",
        options={"num_classes": 7},
    )

    def convert(**changes):
        import_weights(path, tmp_path / "run", options, **changes)

    meanwhile(monkeypatch, importing, "_save", convert)
    with pytest.raises(CheckpointError, match="run is not empty; choose a new direct"):
        convert()
    assert Checkpoints(tmp_path / "run").steps() == [0]
    meanwhile(monkeypatch, importing, "_save", lambda: convert(overwrite=True))
    convert(overwrite=True)
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "run"}


def test_a_run_in_training_is_read_and_a_step_deleted_meanwhile_is_said_to_be_gone(
    tmp_path, monkeypatch
):
    workdir = tiny.copy_of_finished_run(tmp_path)
    expected = tiny.result(workdir)["metrics"]
    with locked(workdir):
        assert evaluate(tiny.config(), workdir) == expected
        export_weights(workdir, "best", tmp_path / "tiny.safetensors")
        find = Checkpoints.resolve

        def resolve(self, step):
            found = find(self, step)
            shutil.rmtree(workdir / "checkpoints" / str(found))
            return found

        monkeypatch.setattr(Checkpoints, "resolve", resolve)
        for use in (
            lambda: evaluate(tiny.config(), workdir, "latest"),
            lambda: export_weights(workdir, "latest", tmp_path / "b.safetensors"),
        ):
            with pytest.raises(CheckpointError, match=r"checkpoints/\d: gone since it"):
                use()
    assert not (tmp_path / "b.safetensors").exists()
