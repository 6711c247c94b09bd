"""Commands of README and docs that no walk types, each with the reason.

`tests/walks/test_pages.py` reads their flags all the same.
"""

from tests.walks.not_run_classification import CLASSIFICATION

INSTALLS = "installs packages"
TESTS = "runs the tests, of which this is one"
MAKE = "sets up an environment; what it runs is typed in the walks"
OFFICIAL = "needs an official data set; tests/data has its layout small"
ANNOTATED = "needs files of a tool; tests/data/test_drawn_labels.py has them small"
MEASURES = "measures for minutes on an idle machine; tests/benchmarks has it small"
CLUSTER = (
    "needs the machines of a cluster; test_pod.py starts two processes as these do"
)
BUCKET = "needs a bucket; tests/storage has one on this machine"
COMPILES = "compiles for minutes; test_pod.py plans a small network where libtpu is"
CLOUD = "needs a project of Google Cloud; tests/launching has stand-ins for it"
DRY_RUN = "typed by tests/tools/test_dry_runs.py, in the root of a checkout"
TRAINS = "needs an official data set, and trains for half an hour or more"
SWEEPS = "trains for many minutes; tests/sweeps has a sweep small"
SERVES = "serves until Ctrl-C; tests/pages/test_in_browser.py drops images on it"

FILE = "exports for minutes; tests/export/test_export.py has a file small"
HUB = "asks the hub; tests/scripts/test_weights_by_name.py runs it with one on loopback"
NOTEBOOKS = "executes notebooks for minutes; tests/notebooks runs each of them"

_EXTRAS = ("all", "onnx", "train", "tpu", "wandb", "sweeps", "page", "all,cuda")
_EXTRAS += ("all,gcs", "all,notebooks,onnx,sweeps")

_SETS = [
    *("--dataset=coco_detection --source=coco", "--dataset=w300 --source=300w"),
    *("--dataset=coco_keypoints --source=coco", "--dataset=wflw --source=WFLW"),
    *("--dataset=mpii --source=mpii", "--dataset=cofw --source=COFW"),
    *("--dataset=lsp --source=lspet --name=lspet", "--dataset=aflw --source=AFLW"),
]

NOT_RUN = {
    **CLASSIFICATION,
    (
        "python scripts/train.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w48,ocr "
        "--config.model.init_from=hrnetv2_w48_imagenet_pretrained.pth "
        "--workdir=runs/cityscapes_w48_ocr"
    ): OFFICIAL,
    (
        "python scripts/evaluate.py --workdir=runs/cityscapes_w48_ocr "
        "--report=streets_report"
    ): OFFICIAL,
    "python benchmarks/from_imagenet.py": MEASURES,
    (
        "python scripts/export.py --workdir=hrnet_cs_8090_torch11.pth "
        "--out=w48.stablehlo"
    ): FILE,
    (
        "python scripts/evaluate.py --workdir=hrnet_cs_8090_torch11.pth "
        "--config.dataset.name=cityscapes --config.dataset.data_dir=DATA"
    ): OFFICIAL,
    "python scripts/export.py --workdir=hf://me/streets --out=streets.stablehlo": HUB,
    **{
        f"python scripts/predict.py --detector=runs/{one}s --detector_classes={one} "
        f"--workdir=runs/{run} --out=out": "needs a detector; test_finder.py has one"
        for one, run in (
            ("face", "wflw --images=party.jpg"),
            ("person", "pose --images=street.jpg"),
        )
    },
    (
        "python scripts/evaluate.py --workdir=hf://me/streets "
        "--config.dataset.data_dir=DATA"
    ): HUB,
    (
        "python scripts/prepare_data.py --dataset=detection_coco --source=BCCD "
        "--name=bccd --data_dir=data"
    ): OFFICIAL,
    (
        "python scripts/train.py --config=experiments/detection/bccd.py "
        "--config.dataset.data_dir=data --workdir=runs/bccd"
    ): TRAINS,
    "python benchmarks/segmentation_protocol.py": MEASURES,
    "make docs": "builds the site; tests/tools/test_site.py does",
    "make help": "lists the targets; reads nothing of a user's",
    "make quickstart": MAKE,
    "make quickstart EXTRA=cuda": INSTALLS,
    "make test": TESTS,
    "make test ARGS=tests/keypoints": TESTS,
    "make test-all ARGS=tests/keypoints": TESTS,
    "make test-all ARGS=tests/models/test_goldens.py": TESTS,
    "make test-convert": TESTS,
    "make test-detectors": TESTS,
    "make test-slow": TESTS,
    "pip install -e .": INSTALLS,
    **{f"pip install -e '.[{extra}]'": INSTALLS for extra in _EXTRAS},
    "gcloud auth application-default login": "signs in",
    (
        "python scripts/prepare_data.py --dataset=camvid --source=CamVid "
        "--data_dir=gs://my-bucket/data"
    ): BUCKET,
    (
        "python scripts/train.py --config=experiments/segmentation/camvid.py "
        "--config.dataset.data_dir=gs://my-bucket/data "
        "--workdir=gs://my-bucket/runs/camvid"
    ): BUCKET,
    (
        "python scripts/evaluate.py --workdir=gs://my-bucket/runs/camvid "
        "--report=gs://my-bucket/reports/camvid"
    ): BUCKET,
    **{
        f"python scripts/prepare_data.py {one} --data_dir=data": OFFICIAL
        for one in _SETS
    },
    "pip install psycopg2-binary": INSTALLS,
    (
        "python scripts/sweep.py --config=experiments/quickstart.py "
        "--sweepdir=runs/sweep --trials=6 --workers=2"
    ): SWEEPS,
    (
        "python scripts/sweep.py --config=experiments/quickstart.py "
        "--sweepdir=runs/large --trials=500 "
        "--storage=postgresql+psycopg2://USER@HOST/DATABASE"
    ): "needs a server; tests/sweeps has a database in a file",
    (
        "python scripts/sweep.py --config=experiments/landmarks/w300.py:fast "
        "--space=experiments/sweeps/landmarks.py --sweepdir=runs/landmarks --trials=40 "
        "--pruner=hyperband"
    ): SWEEPS,
    (
        "python scripts/sweep.py --config=experiments/segmentation/camvid.py "
        "--space=experiments/sweeps/representations.py --sweepdir=runs/representations"
    ): SWEEPS,
    (
        "srun python scripts/sweep.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w18 "
        "--space=my_space.py --sweepdir=/shared/runs/sweep --trials=500"
    ): CLUSTER,
    (
        "python scripts/sweep.py --config=experiments/quickstart.py "
        "--config.dataset.data_dir=gs://my-bucket/data "
        "--sweepdir=gs://my-bucket/runs/sweep --trials=40"
    ): "needs a bucket; tests/sweeps/test_bucket_runs.py has one on this machine",
    "python scripts/collect.py gs://my-bucket/runs/sweep": (
        "needs a bucket; tests/sweeps/test_bucket_runs.py has one on this machine"
    ),
    "make venv EXTRA=notebooks,onnx,sweeps": INSTALLS,
    "python scripts/collect.py runs/sweep": "needs a sweep; tests/sweeps makes one up",
    "python scripts/train.py --workdir=runs/sweep/trials/0007": SWEEPS,
    (
        "python scripts/train.py --config=experiments/segmentation/folder.py "
        "--config.dataset.name=my_set --workdir=runs/watched "
        "--config.logging.wandb=my_project"
    ): "needs a login; tests/training/test_wandb_run.py runs the package offline",
    (
        "python scripts/convert.py --fetch "
        "fcn_hr18_512x1024_160k_cityscapes_20200602_190822-221e4a4f.pth"
    ): "asks a server; tests/pretrained/test_downloads.py has one on loopback",
    "python scripts/convert.py hf://timm/hrnet_w18.ms_in1k runs/w18": HUB,
    (
        "python scripts/predict.py --workdir=hf://me/streets --images=street.jpg "
        "--out=out"
    ): HUB,
    (
        "python scripts/train.py --config=experiments/quickstart.py "
        "--config.model.init_from=hf://timm/hrnet_w18.ms_in1k --workdir=runs/mine"
    ): HUB,
    (
        "HF_TOKEN=hf_... python scripts/convert.py runs/mine hf://me/streets "
        "--license=apache-2.0 --private"
    ): HUB,
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
    (
        "python scripts/convert.py faster_rcnn_hrnetv2p_w18.pth runs/pyramid "
        "--model=pyramid/w18 --partial"
    ): "needs a whole detector; tests/conversion/test_parts.py has one",
    (
        "XLA_FLAGS=--xla_gpu_enable_command_buffer= python "
        "benchmarks/profile.py --case w48:train:8x512x1024 --dtype bfloat16"
    ): MEASURES,
    (
        'gcloud compute tpus tpu-vm ssh my-pod --worker=all --command="cd '
        "hrnet_jax && python scripts/train.py "
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
    (
        "python benchmarks/compare_detectors.py --torch-python=ENVIRONMENT/bin/python"
    ): MEASURES,
    (
        "python -m benchmarks.detection_operators --torch-python=ENVIRONMENT/bin/python"
    ): MEASURES,
    (
        "python benchmarks/compile_time.py "
        "--case detection/faster_rcnn_w18:train:1x320x320 "
        "--case detection/faster_rcnn_w18:train:1x800x1344"
    ): MEASURES,
    (
        "python benchmarks/profile.py --case "
        "detection/faster_rcnn_w18:infer:1x800x1344 --folded --whole"
    ): MEASURES,
    (
        "python benchmarks/profile.py --case "
        "detection/faster_rcnn_w18:train:1x800x1344 --no-compile-whole"
    ): MEASURES,
    (
        "python benchmarks/norm_memory.py --model detection/faster_rcnn_w32 "
        "--size 1x800x1344"
    ): MEASURES,
    (
        "python -m benchmarks.throughput --model detection/faster_rcnn_w32 "
        "--mode train --size 800x1344 --steps 1"
    ): MEASURES,
    (
        "python -m benchmarks.throughput --model detection/faster_rcnn_w32 "
        "--mode train --size 800x1344 --dtype bfloat16 --steps 1"
    ): MEASURES,
    (
        "python scripts/plan.py "
        "--config=experiments/detection/faster_rcnn.py:variant=w32 "
        "--topology=v5e:2x4 --per_chip_batch=2"
    ): COMPILES,
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
        "python scripts/prepare_data.py --dataset=camvid --source=CamVid "
        "--data_dir=data"
    ): OFFICIAL,
    (
        "HRNET_JAX_PAGES_RUN=runs/quickstart HRNET_JAX_SCREENSHOTS=docs make test-slow "
        "ARGS=tests/pages/test_in_browser.py"
    ): TESTS,
    "python scripts/demo.py runs/mine": SERVES,
    "python scripts/demo.py hrnet_cs_8090_torch11.pth --port=8000": SERVES,
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
    (
        "python scripts/plan.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w48 "
        "--topology=v5e:2x4,v5e:4x4 --config.batch_size=16 "
        "--config.precision=bfloat16"
    ): COMPILES,
    (
        "gcloud services enable tpu.googleapis.com compute.googleapis.com "
        "storage.googleapis.com --project=my-project"
    ): CLOUD,
    (
        "gcloud storage buckets create gs://my-bucket --project=my-project "
        "--location=us-west4 --uniform-bucket-level-access"
    ): CLOUD,
    "gcloud iam service-accounts create trainer --project=my-project": CLOUD,
    (
        "gcloud storage buckets add-iam-policy-binding gs://my-bucket "
        "--role=roles/storage.objectUser "
        "--member=serviceAccount:trainer@my-project.iam.gserviceaccount.com"
    ): CLOUD,
    (
        "python scripts/prepare_data.py --dataset=cityscapes --source=CITYSCAPES "
        "--data_dir=data"
    ): OFFICIAL,
    "gcloud storage rsync data gs://my-bucket/data --recursive": CLOUD,
    (
        "python scripts/tpu/vm.py --dry_run --name=w48 --topology=v5e:4x4 "
        "--zone=us-west4-a --spot --delete_after "
        "--service_account=trainer@my-project.iam.gserviceaccount.com -- "
        "scripts/train.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w48 "
        "--config.batch_size=16 --config.schedule.learning_rate=0.0133 "
        "--config.precision=bfloat16 "
        "--config.dataset.data_dir=gs://my-bucket/data "
        "--workdir=gs://my-bucket/runs/w48"
    ): DRY_RUN,
    (
        "gcloud container node-pools create v5e-16 --cluster=my-cluster "
        "--machine-type=ct5lp-hightpu-4t --tpu-topology=4x4 --num-nodes=4 --spot"
    ): CLOUD,
    (
        "python scripts/tpu/gke.py --dry_run --name=w48 --topology=v5e:4x4 "
        "--spot --service_account=trainer --wait --delete_after -- "
        "scripts/train.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w48 "
        "--config.batch_size=16 --config.schedule.learning_rate=0.0133 "
        "--config.precision=bfloat16 "
        "--config.dataset.data_dir=gs://my-bucket/data "
        "--workdir=gs://my-bucket/runs/w48"
    ): DRY_RUN,
    (
        "python scripts/tpu/skypilot.py --dry_run --name=w48 --topology=v5e:4x4 "
        "--spot -- scripts/train.py "
        "--config=experiments/segmentation/cityscapes.py:variant=w48 "
        "--config.batch_size=16 --config.schedule.learning_rate=0.0133 "
        "--config.precision=bfloat16 "
        "--config.dataset.data_dir=gs://my-bucket/data "
        "--workdir=gs://my-bucket/runs/w48"
    ): DRY_RUN,
    (
        "gcloud iam service-accounts add-iam-policy-binding "
        "trainer@my-project.iam.gserviceaccount.com "
        "--role=roles/iam.workloadIdentityUser "
        "--member='serviceAccount:my-project.svc.id.goog[default/trainer]'"
    ): CLOUD,
    "gcloud storage cat gs://my-bucket/runs/w48/result.json": CLOUD,
    "python scripts/evaluate.py --workdir=gs://my-bucket/runs/w48 --step=best": CLOUD,
    "gcloud compute tpus queued-resources list --zone=us-west4-a": CLOUD,
    "gcloud storage rm gs://my-bucket --recursive": CLOUD,
}

_PREPARE = "python scripts/prepare_data.py --dataset={} --source={} --data_dir=data"
NOT_RUN |= {
    _PREPARE.format(name, folder): OFFICIAL
    for name, folder in (
        ("lip", "LIP"),
        ("pascal_context_59", "VOCdevkit/VOC2010"),
        ("pascal_context_60", "VOCdevkit/VOC2010"),
        ("ade20k", "ADEChallengeData2016"),
        ("coco_stuff_10k", "cocostuff-10k-v1.1"),
        ("coco_stuff_164k", "coco"),
        ("voc2012", "VOCdevkit/VOC2012"),
        ("imagenet", "ILSVRC2012"),
    )
} | {
    _PREPARE.format(f"segmentation_{form}", f"{folder} --name={name}"): ANNOTATED
    for form, folder, name in (
        ("coco", "my_export", "my_set"),
        ("cvat", "my_export", "my_set"),
        ("labelme", "my_images", "my_set"),
        ("panoptic", "coco", "panoptic"),
    )
}
