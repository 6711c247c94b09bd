"""Your own images and masks.

Put images into `my_set/images/`, label PNGs of the same names into
`my_set/masks/` (255 is ignored) and class names, one a line, into
`my_set/classes.txt`, with a colour behind each for RGB masks; then

    python scripts/prepare_data.py --dataset=segmentation_folder \
        --source=my_set --data_dir=data
    python scripts/train.py --config=experiments/segmentation/folder.py:variant=w18 \
        --workdir=runs/my_set

`docs/data.md` describes split lists and other options. Start from official
ImageNet weights where you can, it is worth many points on a small set:
`--config.model.init_from=hrnetv2_w18_imagenet_pretrained.pth`. The preparation
prints class weights for `loss.class_weights`; for several sets in one
`data_dir` give each a `--name` and set `--config.dataset.name`.

Expected: depends on your data; `result.json` has `mean_iou` and `iou/<class>`.
On Cityscapes `ocr` raises w48 from 80.9 to 81.6 (published, validation images,
single scale; HRNet-Semantic-Segmentation, README of branch HRNet-OCR).

Options: `variant`, `ocr` (object-contextual representations on top, as in
`:variant=w48,ocr`: `segmentation/<variant>_ocr`), `debug` (seconds, to check
the whole run).
"""

import ml_collections

from hrnet_jax.config.assignments import parse_options
from hrnet_jax.experiment.defaults import experiment, make_debug
from hrnet_jax.experiment.recipes import adamw, from_imagenet, of_any_size, variant_of


def get_config(options: str = "") -> ml_collections.ConfigDict:
    """The experiment; see the module's docstring for the options."""
    choice = parse_options(options, variant="", ocr=False, debug=False)
    head = "_ocr" if choice.ocr else ""
    config = experiment(
        "segmentation",
        from_imagenet(f"segmentation/{variant_of(choice, 'w18')}{head}"),
        adamw(1e-3, weight_decay=0.01, warmup_steps=200, schedule="poly"),
        of_any_size(),
        dataset={
            "name": "segmentation_folder",
            "augmentation": {
                "crop_size": (512, 512),
                "scale_max": 2.0,
                "scale_step": 0.0,
                "photometric": True,
            },
        },
        batch_size=8,
        num_epochs=100,
        eval={"batch_size": 1},
    )
    if choice.debug:
        make_debug(config)
    return config
