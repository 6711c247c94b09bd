"""Opening a run and predicting is light: no data readers, optimizers, plots."""

import dataclasses
import json

import jax
import pytest

from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained import to_torch
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.registry import create_model
from tests import tiny
from tests.conversion.thin import THIN

# What training, preparing and drawing need.
HEAVY = (
    "array_record",
    "clu",
    "grain",
    "h5py",
    "matplotlib",
    "optax",
    "scipy",
    "skimage",
    "tensorboardX",
    "tensorflow",
    "tensorflow_datasets",
)

# Flax and Orbax with what they bring are 1,120 of the 1,310 there are.
MOST_MODULES = 1450

PREDICT = """
import json, sys
import numpy as np
import hrnet_jax
from hrnet_jax.models import variants
sizes = json.loads(sys.argv[3])
sizes["modules"] = tuple(sizes["modules"])
variants.VARIANTS[sys.argv[2]] = variants.Variant(**sizes)
run = hrnet_jax.load_run(sys.argv[1])
prediction = run.predict(np.zeros((32, 48, 3), np.uint8))
print(json.dumps([prediction["label"].shape, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def modules():
    """Names of all modules of a fresh interpreter that opened a run and predicted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        workdir = tiny.finished_run()
    variant = json.dumps(dataclasses.asdict(tiny.VARIANT))
    process = tiny.run_python(PREDICT, str(workdir), tiny.VARIANT_NAME, variant)
    assert process.returncode == 0, process.stderr
    shape, names = json.loads(process.stdout)
    assert shape == [32, 48]
    return names


def test_predicting_needs_no_library_of_training_and_preparing(modules):
    assert {name.partition(".")[0] for name in modules} & set(HEAVY) == set()


def test_predicting_needs_none_of_our_packages_for_them(modules):
    ours = [name for name in modules if name.startswith("hrnet_jax.")]
    assert [name for name in ours if name.startswith("hrnet_jax.training")] == []
    data = [name for name in ours if name.startswith("hrnet_jax.data.")]
    # Descriptions of a data set and of what is annotated.
    assert set(data) <= {"hrnet_jax.data.info", "hrnet_jax.data.truth"}


# A missing package is more than one that is not imported: nothing may try.
OPEN = """
import json, sys
for name in json.loads(sys.argv[4]):
    sys.modules[name] = None
import hrnet_jax
from hrnet_jax.models import variants
sizes = json.loads(sys.argv[3])
sizes["modules"] = tuple(sizes["modules"])
variants.VARIANTS[sys.argv[2]] = variants.Variant(**sizes)
run = hrnet_jax.load_run(sys.argv[1])
print(run.info.class_names[0])
"""


@pytest.mark.slow
def test_opening_a_file_of_weights_needs_none_either(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, "thin", THIN)
    model = create_model("segmentation/thin", num_classes=3, upsample="bilinear")
    path = tmp_path / "mine.safetensors"
    write_weights_file(
        path, to_torch(jax.device_get(initial_variables(model, 0)), model)
    )
    variant, heavy = json.dumps(dataclasses.asdict(THIN)), json.dumps(HEAVY)
    process = tiny.run_python(OPEN, str(path), "thin", variant, heavy)
    assert process.returncode == 0, process.stderr
    assert process.stdout == "class 0\n"


def test_predicting_imports_few_modules(modules):
    assert len(modules) <= MOST_MODULES
