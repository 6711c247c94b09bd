"""The names that notebooks and checkpoints depend on."""

import ast
import pathlib

import pytest

import hrnet_jax
from hrnet_jax.errors import HRNetError
from hrnet_jax.models.variants import VARIANTS
from tests import tiny

NAMES = {"create_model", "evaluate", "load_run", "pretrained", "train"}

QUICK = """
import sys
import hrnet_jax
heavy = "tensorflow tensorflow_datasets orbax grain clu torch cv2 jax".split()
print([name for name in heavy if name in sys.modules])
hrnet_jax.create_model("segmentation/w18", num_classes=3)
print([name for name in heavy[:6] if name in sys.modules])
hrnet_jax.train, hrnet_jax.load_run
print("tensorflow" in sys.modules)
"""


def test_every_name_exists():
    assert NAMES <= set(hrnet_jax.__all__)
    for name in hrnet_jax.__all__:
        assert getattr(hrnet_jax, name) is not None
        assert name in dir(hrnet_jax)
    assert callable(hrnet_jax.pretrained.from_torch)
    assert callable(hrnet_jax.pretrained.to_torch)
    assert issubclass(hrnet_jax.HRNetError, ValueError)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="hrnet_jax.* has no attribute 'fit'"):
        _ = hrnet_jax.fit


def test_every_family_has_every_variant():
    names = hrnet_jax.model_names()
    for family in ("classification", "segmentation"):
        for variant in VARIANTS:
            assert f"{family}/{variant}" in names


def test_wrong_names_and_options_are_one_error():
    with pytest.raises(HRNetError, match="unknown model 'segmentation/w20'; expected"):
        hrnet_jax.create_model("segmentation/w20")
    with pytest.raises(HRNetError, match="has no option 'classes'; expected one of"):
        hrnet_jax.create_model("segmentation/w18", classes=3)


def test_importing_is_light():
    process = tiny.run_python(QUICK)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == ["[]", "[]", "False"]


def test_editors_see_the_names_that_there_are():
    tree = ast.parse(pathlib.Path(hrnet_jax.__file__).read_text())
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and node.test.id == "TYPE_CHECKING"
    )
    homes = {alias.name: node.module for node in block.body for alias in node.names}
    assert homes == hrnet_jax._HOMES
    assert sorted(hrnet_jax.__all__) == sorted(homes)


def test_a_missing_extra_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'grain'", name="grain")

    monkeypatch.delitem(vars(hrnet_jax), "train", raising=False)
    monkeypatch.setattr(hrnet_jax.importlib, "import_module", missing)
    with pytest.raises(ImportError) as error:
        _ = hrnet_jax.train
    assert str(error.value) == (
        "hrnet_jax.train needs the package grain, which is not installed; "
        "pip install -e '.[train]'"
    )
