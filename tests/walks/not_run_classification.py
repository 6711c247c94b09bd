"""Commands of the pages on classes and joints that no walk types, with the reason."""

_IMAGENET = "needs ImageNet; tests/data has its layout small"
_TRAINS = "trains for half an hour or more; tests/test_experiments.py has it small"
_MEASURES = "measures for minutes; tests/benchmarks have it small"
_OWN = "needs photographs in folders; tests/test_experiments.py makes and trains some"
_PREPARE = "python scripts/prepare_data.py --dataset=classification_folder "

CLASSIFICATION = {
    f"{_PREPARE}--source=my_photographs --name=mine --data_dir=data": _OWN,
    (
        "python scripts/train.py --config=experiments/classification/folder.py "
        "--config.dataset.name=mine --config.model.init_from=WEIGHTS "
        "--workdir=runs/photographs"
    ): _OWN,
    (
        "python scripts/evaluate.py --workdir=runs/photographs "
        "--report=photographs_report"
    ): _OWN,
    (
        "python scripts/predict.py --workdir=runs/photographs --images=garden "
        "--only=classes,activation --out=out"
    ): _OWN,
    (
        "python scripts/train.py "
        "--config=experiments/classification/imagenet.py:variant=w18 "
        "--workdir=runs/imagenet_w18"
    ): _IMAGENET,
    (
        "python scripts/evaluate.py --workdir=hrnetv2_w18_imagenet_pretrained.pth "
        "--config.dataset.name=imagenet --config.dataset.data_dir=DATA"
    ): _IMAGENET,
    f"{_PREPARE}--source=imagenette96 --name=imagenette --data_dir=data": _TRAINS,
    (
        "python scripts/train.py --config=experiments/classification/imagenette.py "
        "--workdir=runs/imagenette"
    ): _TRAINS,
    "python scripts/train.py --config=experiments/classification/imagenette.py": _TRAINS,
    "python scripts/train.py --config=experiments/pose/lspet.py": _TRAINS,
    "python -m benchmarks.pose_input": _MEASURES,
    "python -m benchmarks.classification_input": _MEASURES,
    "python benchmarks/pose_evaluation.py --photographs 24 --repeats 2": _MEASURES,
    (
        "python benchmarks/compare_torch.py --case pose/w32:train:4x256x192 "
        "--case classification/w18:train:8x224x224 --rounds 3 --calls 3"
    ): _MEASURES,
    (
        "python benchmarks/profile.py --case pose/w32:train:4x256x192 --no-compile-whole"
    ): _MEASURES,
}
