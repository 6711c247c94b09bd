"""Commands of README and docs that no walk types, each with the reason.

`tests/walks/test_pages.py` reads their flags all the same.
"""

INSTALLS = "installs packages"
TESTS = "runs the tests, of which this is one"
MAKE = "sets up an environment; what it runs is typed in the walks"
OFFICIAL = "needs an official data set; tests/data has its layout small"
MEASURES = "measures for minutes on an idle machine; tests/benchmarks has it small"
CLUSTER = (
    "needs the machines of a cluster; test_pod.py starts two processes as these do"
)
COMPILES = "compiles for minutes; test_pod.py plans a small network where libtpu is"
TRAINS = "needs an official data set, and trains for half an hour or more"
NOTEBOOKS = "executes notebooks for minutes; tests/notebooks runs each of them"

NOT_RUN = {
    "make help": "lists the targets; reads nothing of a user's",
    "make quickstart": MAKE,
    "make quickstart EXTRA=cuda": INSTALLS,
    "make test": TESTS,
    "make test ARGS=tests/keypoints": TESTS,
    "make test-all ARGS=tests/keypoints": TESTS,
    "make test-all ARGS=tests/models/test_goldens.py": TESTS,
    "make test-convert": TESTS,
    "make test-slow": TESTS,
    "make venv EXTRA=notebooks,onnx": INSTALLS,
    "pip install -e .": INSTALLS,
    "pip install -e '.[all]'": INSTALLS,
    "pip install -e '.[all,notebooks,onnx]'": INSTALLS,
    "pip install -e '.[all,cuda]'": INSTALLS,
    "pip install -e '.[onnx]'": INSTALLS,
    "pip install -e '.[train]'": INSTALLS,
    "pip install -e '.[tpu]'": INSTALLS,
    "pip install -e '.[wandb]'": INSTALLS,
    (
        "python scripts/train.py --config=experiments/segmentation/folder.py "
        "--config.dataset.name=my_set --workdir=runs/watched "
        "--config.logging.wandb=my_project"
    ): "needs a login; tests/training/test_wandb_run.py runs the package offline",
    "python scripts/plan.py --config=experiments/quickstart.py --check": (
        "measures this machine; tests/planning/test_cross_check.py has it small"
    ),
    "python -m tools.run_notebooks": NOTEBOOKS,
    "python -m tools.run_notebooks notebooks/look_inside.ipynb": NOTEBOOKS,
    "python -m tools.run_notebooks --check": NOTEBOOKS,
    "python scripts/models.py": "traces every model, a minute; tests/inspection reads it",
    "python scripts/convert.py encoder_epoch_30.pth decoder_epoch_30.pth runs/ade": (
        "needs both files; tests/conversion/test_two_files.py has them small"
    ),
    "python scripts/convert.py faster_rcnn_hrnetv2p_w18.pth runs/pyramid --partial": (
        "needs a whole detector; tests/conversion/test_parts.py has one"
    ),
    (
        "XLA_FLAGS=--xla_gpu_enable_command_buffer= python "
        "benchmarks/profile.py --case w48:train:8x512x1024 --dtype bfloat16"
    ): MEASURES,
    (
        'gcloud compute tpus tpu-vm ssh my-pod --worker=all --command="cd '
        "hrnet_jax && HRNET_JAX_PROCESSES=auto python scripts/train.py "
        "--config=experiments/segmentation/cityscapes.py "
        '--config.dataset.data_dir=/mnt/data --workdir=/mnt/runs/w18"'
    ): CLUSTER,
    "python -m benchmarks.landmark_input --batches=60": MEASURES,
    "python -m benchmarks.landmark_targets": MEASURES,
    (
        "python -m benchmarks.throughput --model segmentation/w18 --mode "
        "train --batch 4 --size 128x128 --cache folder"
    ): MEASURES,
    "python -m tests.kills --kills=20": "half an hour; tests/test_kills.py kills a few",
    "python benchmarks/compare_torch.py --all": MEASURES,
    (
        "python benchmarks/compare_torch.py --all --json "
        "benchmarks/results/compare_torch_cpu.json"
    ): MEASURES,
    "python benchmarks/compile_time.py": MEASURES,
    "python benchmarks/input_pipeline.py --workers=2": MEASURES,
    "python benchmarks/norm_memory.py": MEASURES,
    "python benchmarks/profile.py --all --no-compile-whole": MEASURES,
    (
        "python benchmarks/profile.py --case w18:train:1x512x1024 --picture profile.png"
    ): MEASURES,
    (
        "python benchmarks/profile.py --case w48:train:2x128x128 --no-compile-whole"
    ): MEASURES,
    (
        "python benchmarks/rematerialisation.py --model segmentation/w18 --rounds 4"
    ): MEASURES,
    "python benchmarks/rematerialisation.py --picture curve.png": MEASURES,
    "python benchmarks/spatial_memory.py": MEASURES,
    (
        "python scripts/evaluate.py --predictions=CFSS_COFW68.txt "
        "--truth=test_annotations"
    ): OFFICIAL,
    (
        "python scripts/evaluate.py --workdir=runs/mine --split=common --ced=ced.png"
    ): OFFICIAL,
    (
        "python scripts/evaluate.py --workdir=runs/w300 "
        "--split=common,challenge,full --ced=ced.png --errors=worst.json"
    ): OFFICIAL,
    (
        "python scripts/evaluate.py --workdir=runs/wflw --split=test "
        "--config.dataset.name=wflw --config.dataset.data_dir=data "
        "--config.dataset.augmentation.compat=official"
    ): OFFICIAL,
    (
        "python scripts/plan.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w18 "
        "--topology=v5e:2x4 --per_chip_batch=2 --config.precision=bfloat16"
    ): COMPILES,
    (
        "python scripts/plan.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w48 "
        "--topology=v5e:2x4,v5e:4x4 --config.precision=bfloat16 "
        "--out=plan.json --picture=plan.png"
    ): COMPILES,
    (
        "python scripts/prepare_data.py --dataset=aflw --source=AFLW --data_dir=data"
    ): OFFICIAL,
    (
        "python scripts/prepare_data.py --dataset=camvid --source=CamVid "
        "--data_dir=data"
    ): OFFICIAL,
    (
        "python scripts/prepare_data.py --dataset=cofw --source=COFW --data_dir=data"
    ): OFFICIAL,
    (
        "python scripts/prepare_data.py --dataset=w300 --source=300w --data_dir=data"
    ): OFFICIAL,
    (
        "python scripts/prepare_data.py --dataset=wflw --source=WFLW --data_dir=data"
    ): OFFICIAL,
    "python scripts/train.py --config=experiments/landmarks/w300.py:fast": TRAINS,
    (
        "python scripts/train.py "
        "--config=experiments/segmentation/camvid.py:variant=w18_small_v1"
    ): TRAINS,
    (
        "python scripts/train.py "
        "--config=experiments/segmentation/cityscapes.py --workdir=runs/mine"
    ): TRAINS,
    (
        "srun --ntasks-per-node=1 env HRNET_JAX_PROCESSES=auto python "
        "scripts/train.py ..."
    ): CLUSTER,
}
