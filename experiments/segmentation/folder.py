"""Your own images and masks.

Put images into `my_set/images/`, 8-bit label PNGs of the same names into
`my_set/masks/` (255 is ignored) and class names, one a line, into
`my_set/classes.txt`; then

    python scripts/prepare_data.py --dataset=segmentation_folder \
        --source=my_set --data_dir=data
    python scripts/train.py --config=experiments/segmentation/folder.py:variant=w18 \
        --workdir=runs/my_set

`docs/data.md` tells about split lists and other options. Start from official
ImageNet weights where you can, it is worth many points on a small set:
`--config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth`. The preparation
prints class weights for `loss.class_weights`; for several sets in one
`data_dir` give each a `--name` and set `--config.dataset.name`.

Expected: depends on your data; `result.json` has `mean_iou` and `iou/<class>`.
On Cityscapes `ocr` raises w48 from 80.9 to 81.6 (published, validation images,
single scale; HRNet-Semantic-Segmentation, README of branch HRNet-OCR).

Options: `variant`, `ocr` (object-contextual representations on top, as in
`:variant=w48,ocr`: `segmentation/<variant>_ocr`), `debug` (seconds, to see that
everything fits together).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import default_config, make_debug
from hrnet_jax.pretrained import HEAD_PATTERNS


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", ocr=False, debug=False)
    variant = choice.variant or ("w18_small_v1" if choice.debug else "w18")
    config = default_config("segmentation")
    config.model.name = f"segmentation/{variant}{'_ocr' if choice.ocr else ''}"
    config.model.init_skip = HEAD_PATTERNS
    config.dataset.name = "segmentation_folder"
    config.dataset.augmentation.crop_size = (512, 512)
    config.dataset.augmentation.scale_max = 2.0
    config.dataset.augmentation.scale_step = 0.0
    config.dataset.augmentation.photometric = True
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.01
    config.optimizer.decay_norms = False
    config.schedule.learning_rate = 1e-3
    config.schedule.warmup_steps = 200
    config.batch_size = 8
    config.num_epochs = 100
    config.eval.batch_size = 1
    if choice.debug:
        make_debug(config)
    return config
