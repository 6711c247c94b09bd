"""Experiments that label pixels have the published settings.

Figures: `experiments/**.yaml` of HRNet-Semantic-Segmentation (branches pytorch-v1.1 and
HRNet-OCR), `configs/_base_` of mmsegmentation 1.
"""

import re

import numpy as np
import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.experiment.recipes import SEGMENTATION_HEADS
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.pretrained.recognition import scheme_of_names
from hrnet_jax.registry import create_model
from hrnet_jax.training.steps import extra_steps, total_steps
from tests import tiny
from tests.goldens import official

FOLDER = tiny.ROOT / "experiments" / "segmentation"

# file:options -> training images, iterations, crop, base size, largest scale, rate, rate of
# heads, decay, hard example mining, norm momentum, aligned corners
PUBLISHED = {
    "cityscapes.py": (2975, 119_548, (512, 1024), 2048, 2.1, 0.01, 1, 5e-4, False, 0.01, None),
    "cityscapes.py:ocr,ohem": (2975, 119_548, (512, 1024), 2048, 2.1, 0.01, 1, 5e-4, True, 0.1, None),
    "lip.py": (30462, 114_150, (473, 473), 473, 1.6, 0.007, 1, 5e-4, False, 0.01, None),
    "lip.py:ocr": (30462, 114_150, (473, 473), 473, 1.6, 0.007, 1, 5e-4, False, 0.1, None),
    "pascal_context.py": (4998, 62_400, (480, 480), 520, 2.1, 0.004, 1, 1e-4, False, 0.01, None),
    "pascal_context.py:ocr": (4998, 62_400, (520, 520), 520, 2.1, 0.001, 10, 1e-4, False, 0.1, None),
    "ade20k.py": (20210, 151_560, (520, 520), 520, 1.6, 0.02, 1, 1e-4, True, 0.1, True),
    "ade20k.py:ocr": (20210, 151_560, (520, 520), 520, 2.1, 0.02, 1, 1e-4, True, 0.1, True),
    "coco_stuff.py": (9000, 61_820, (520, 520), 520, 2.1, 0.001, 10, 1e-4, True, 0.1, True),
    "coco_stuff.py:ocr,ohem=false": (9000, 61_820, (520, 520), 520, 2.1, 0.001, 10, 1e-4, False, 0.1, True),
    "voc.py": (10582, 40_000, (512, 512), 2048, 2.0, 0.01, 1, 5e-4, False, 0.1, False),
}  # fmt: skip


def load(name, **changes):
    file, _, options = name.partition(":")
    return load_config(f"{FOLDER / file}:{options}", **changes)


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_are_those_published(name):
    images, steps, crop, base, scale, rate, heads, decay, ohem, norm, aligned = (
        PUBLISHED[name]
    )
    config = load(name)
    assert total_steps(read_config(config), images) == steps
    augmentation = config.dataset.augmentation
    assert (augmentation.crop_size, augmentation.base_size) == (crop, base)
    assert (augmentation.scale_min, augmentation.scale_max) == (0.5, scale)
    assert (config.schedule.name, config.schedule.learning_rate) == ("poly", rate)
    assert config.optimizer.weight_decay == decay and config.optimizer.decay_norms
    multipliers = dict(config.optimizer.multipliers)
    assert multipliers == ({"^(head|aux|ocr)/": 10.0} if heads == 10 else {})
    assert config.loss.name == ("ohem" if ohem else "cross_entropy")
    assert config.loss.official_aux_mean is (ohem and "ocr" in name)
    assert (config.loss.ohem_threshold, config.loss.ohem_min_kept) == (0.9, 131072)
    assert config.model.norm_momentum == norm
    assert config.model.align_corners is aligned
    model = create_model(config.model.name, num_classes=2)
    if "ocr" in name:
        assert model.upsample == "align_corners"


def test_images_are_brought_to_size_first_where_they_were():
    first = {
        name: (
            load(name).dataset.augmentation.resize_to,
            load(name).dataset.augmentation.short_side,
        )
        for name in PUBLISHED
    }
    assert first["lip.py"] == ((473, 473), 0)
    assert {name for name, (_, short) in first.items() if short == 520} == {
        "pascal_context.py:ocr",
        *(name for name in PUBLISHED if name.startswith(("ade20k", "coco_stuff"))),
    }
    assert load("lip.py").dataset.augmentation.flip_first


def test_sets_and_representations_are_options():
    assert load("pascal_context.py").dataset.name == "pascal_context_59"
    assert load("pascal_context.py:classes=60").dataset.name == "pascal_context_60"
    assert load("coco_stuff.py:images=164k").dataset.name == "coco_stuff_164k"
    for file in ("cityscapes.py", "pascal_context.py"):
        for representation in ("v1", "v1h", "v2"):
            model = load(f"{file}:representation={representation}").model
            assert model.representation == representation
    with pytest.raises(ConfigError, match="classes must be 59 or 60, got 33"):
        load("pascal_context.py:classes=33")
    with pytest.raises(ConfigError, match="images must be 10k or 164k, got 1k"):
        load("coco_stuff.py:images=1k")


def test_cityscapes_goes_on_with_both_splits():
    plain, ocr = (load(f"cityscapes.py:trainval{more}") for more in ("", ",ocr"))
    options = read_config(plain)
    assert (options.dataset.train_split, options.extra.split) == ("train", "trainval")
    assert options.extra.learning_rate == 0.001
    steps = total_steps(options, 2975), extra_steps(options, 3475)
    assert steps == (247 * 484, 289 * 484)
    options = read_config(ocr)
    assert (options.dataset.train_split, options.extra.split) == ("trainval", "")
    assert total_steps(options, 3475) == 289 * 484
    debug = load("cityscapes.py:trainval,debug")
    assert (debug.num_steps, debug.extra.num_steps) == (4, 2)


@pytest.mark.parametrize(
    ("file", "keywords"),
    [
        ("hrnet_w48_pascal59_v11", ("last_layer",)),
        ("hrnet_ocr_w48_pascal60", ("cls", "aux", "ocr")),
    ],
)
def test_heads_with_a_rate_of_their_own_are_the_official_ones(file, keywords):
    """`NONBACKBONE_KEYWORDS`, parameter by parameter."""
    rows = official.info(f"segmentation/{file}")["state_dict"]
    # Shapes alone: no memory behind them.
    names = {row[0]: np.broadcast_to(np.float32(0), row[1]) for row in rows}
    scheme = scheme_of_names(names)
    theirs = {name for name in names if any(word in name for word in keywords)}
    assert len(theirs) > 5
    for name in names:
        ours = scheme.from_torch(name)
        if ours is not None:  # not a counter of batches
            is_head = re.search(SEGMENTATION_HEADS, ours)
            assert bool(is_head) is (name in theirs), name
