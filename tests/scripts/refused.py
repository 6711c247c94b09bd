"""Command lines that scripts refuse, and what they say.

The braces stand for the places of `test_scripts.py`.
"""

from tests import tiny

QUICKSTART = f"--config={tiny.ROOT}/experiments/quickstart.py"

# name: (command, what the one line on standard error says)
NO_DATA_NAMED = (
    "{tmp}/official.pth: weights do not say which data to evaluate on; expected "
    "--config.dataset.name=NAME and --config.dataset.data_dir=FOLDER"
)

ANOTHER_FORMAT = "{tmp}/x.doc: expected the name of a picture, which ends in .png, .svg"

REFUSED = {
    "unknown key": (
        ["train", f"{QUICKSTART}", "--config.batchsize=4", "--workdir={tmp}/run"],
        "batchsize",
    ),
    "wrong type": (
        ["train", f"{QUICKSTART}", "--config.batch_size=many", "--workdir={tmp}/run"],
        "batch_size",
    ),
    "unknown option": (
        ["train", f"{QUICKSTART}:fast", "--workdir={tmp}/run"],
        "unknown experiment option 'fast'",
    ),
    "unknown variant": (
        ["train", f"{QUICKSTART}:variant=w19", "--workdir={tmp}/run"]
        + ["--config.dataset.data_dir={data}"],
        "unknown model 'segmentation/w19'",
    ),
    "missing experiment": (
        ["train", "--config=experiments/gone.py", "--workdir={tmp}/run"],
        "gone.py",
    ),
    "no experiment to change": (
        ["train", "--config=experiments/gone.py", "--config.seed=1"]
        + ["--workdir={tmp}/run"],
        "experiments/gone.py: no such file; expected an experiment file",
    ),
    "unknown nested key": (
        ["train", "--config={root}/tests/tiny.py", "--workdir={tmp}/run"]
        + ["--config.seed=1", "--config.eval.inference.flop=true"],
        "'eval.inference.flop' is not read by anything; did you mean 'eval.inference.f",
    ),
    "key of no section": (
        ["train", "--config={root}/tests/tiny.py", "--workdir={tmp}/run"]
        + ["--config.seed.x=1"],
        "config key 'seed.x' is not read by anything (known keys here: none)",
    ),
    "value of another type": (
        ["train", "--config={root}/tests/tiny.py", "--workdir={tmp}/run"]
        + ["--config.batch_size=few"],
        "--config.batch_size=few",
    ),
    "no arguments": (
        ["train"],
        "--config is missing; name an experiment file, or with --workdir a run",
    ),
    "no work directory": (["train", QUICKSTART], "--workdir is missing; name a folder"),
    "no run to resume": (
        ["train", "--workdir={tmp}/gone"],
        "{tmp}/gone/config.json: no such file, so there is no run to resume; begin one",
    ),
    "key of another place": (
        ["train", QUICKSTART, "--config.learning_rate", "1", "--workdir={tmp}/run"],
        "'learning_rate' is not read by anything; did you mean 'extra.learning_rate' or 'schedule.learning_rate'?",
    ),
    "key of another place, to evaluate": (
        ["evaluate", "--workdir={finished}", "--set", "learning_rate=1"],
        "is not read by anything; did you mean 'extra.learning_rate' or 'schedule.learning_rate'?",
    ),
    "key of another place, to plan": (
        ["plan", QUICKSTART, "--config.flip=1", "--topology=v5e:2x4"],
        "did you mean 'eval.inference.flip' or 'dataset.augmentation.flip'?",
    ),
    "extend a schedule over the whole run": (
        ["train", "--workdir={finished}", "--extend", "--config.num_steps=9"],
        "schedule.name=poly cannot be extended from 8 to 9 steps: the rate of step 7",
    ),
    "unknown flag": (
        ["train", QUICKSTART, "--wrkdir={tmp}/run", "--config.seed=1"],
        "Unknown command line flag 'wrkdir'. Did you mean: workdir ?",
    ),
    "unexpected argument": (
        ["train", QUICKSTART, "--workdir={tmp}/run", "fast"],
        "unexpected argument 'fast'",
    ),
    "print a wrong configuration": (
        ["train", QUICKSTART, "--print_config", "--config.precision=float16"],
        "config key 'precision' must be float32 or bfloat16, got 'float16'",
    ),
    "no data": (
        ["train", f"{QUICKSTART}", "--workdir={tmp}/run2"]
        + ["--config.dataset.data_dir={tmp}/none"],
        "data set 'shapes' is not prepared in {tmp}/none",
    ),
    "batch and devices": (
        ["train", f"{QUICKSTART}", "--workdir={tmp}/run3", "--config.batch_size=12"]
        + ["--config.dataset.data_dir={data}", "--config.mesh.data=8"],
        "config key 'batch_size' is 12, which is not a multiple of 8",
    ),
    "another run": (
        ["train", "--config={root}/tests/tiny.py", "--workdir={finished}"]
        + ["--config.dataset.data_dir={data}", "--config.seed=5"],
        "{finished} belongs to a run of another configuration (seed: 0 there, 5 here)",
    ),
    "evaluate nothing": (
        ["evaluate", "--workdir={tmp}/gone"],
        "{tmp}/gone: no such folder; expected the work directory of a run",
    ),
    "evaluate unknown key": (
        ["evaluate", "--workdir={finished}", "--set", "eval.size=3"],
        "cannot set 'eval.size=3'",
    ),
    "evaluate unknown step": (
        ["evaluate", "--workdir={finished}", "--step=5"],
        "no checkpoint '5'; complete ones:",
    ),
    "evaluate a file": (
        ["evaluate", "--workdir={tmp}/official.pth"],
        NO_DATA_NAMED,
    ),
    "evaluate an exported file": (
        ["evaluate", "--workdir={tmp}/x.onnx"],
        "{tmp}/x.onnx: exported files are not evaluated; expected the run that it was",
    ),
    "evaluate weights of another number of classes": (
        ["evaluate", "--workdir={tmp}/official.pth"]
        + ["--config.dataset.name=shapes", "--config.dataset.data_dir={data}"]
        + ["--config.mesh.data=1"],
        "{tmp}/official.pth was trained on 'segmentation' with num_classes=19, but the",
    ),
    "evaluate a step of weights": (
        ["evaluate", "--workdir={tmp}/official.pth", "--step=3"]
        + ["--config.dataset.name=shapes"],
        "step '3' of {tmp}/official.pth: a file of weights has no steps; expected best",
    ),
    "export an exported file": (
        ["export", "--workdir={tmp}/x.onnx", "--out={tmp}/y.onnx"],
        "{tmp}/x.onnx is an exported file already; expected the run that it was",
    ),
    "predict nothing": (
        ["predict", "--workdir={finished}", "--images={tmp}/*.gif", "--out={tmp}/out"],
        "{tmp}/*.gif: no images found",
    ),
    "predict a text": (
        ["predict", "--workdir={finished}", "--images={root}/README.md"]
        + ["--out={tmp}/out"],
        "README.md",
    ),
    "predict into a file": (
        ["predict", "--workdir={finished}", "--images={tmp}/image.png"]
        + ["--out={tmp}/image.png", "--only=label"],
        "{tmp}/image.png is a file; expected a folder for the results",
    ),
    "convert into a file": (
        ["convert", "{finished}", "{tmp}/image.png/x.safetensors"],
        "{tmp}/image.png is a file; expected a folder for x.safetensors",
    ),
    "draw an unknown metric": (
        ["plot", "--workdir={finished}", "--metric=mean_uoi", "--out={tmp}/x.png"],
        "no metric 'mean_uoi' in {finished}; there are eval/mean_iou, ",
    ),
    "draw another format": (
        ["plot", "--workdir={finished}", "--out={tmp}/x.doc"],
        ANOTHER_FORMAT,
    ),
    "draw errors in another format": (
        ["evaluate", "--workdir={finished}", "--ced={tmp}/x.doc"],
        ANOTHER_FORMAT,
    ),
    "convert over a file": (
        ["convert", "{finished}", "{tmp}/official.pth"],
        "{tmp}/official.pth exists already; choose another name, or --overwrite",
    ),
    "convert below a file": (
        ["convert", "{tmp}/official.pth", "{tmp}/image.png/x"],
        "{tmp}/image.png is a file; expected a folder for x",
    ),
    "prepare into a file": (
        ["prepare_data", "--dataset=shapes", "--data_dir={tmp}/image.png"],
        "{tmp}/image.png",
    ),
    "convert nothing": (
        ["convert", "{tmp}/gone.pth", "{tmp}/new"],
        "{tmp}/gone.pth: no such file",
    ),
    "convert with a wrong setting": (
        ["convert", "{tmp}/gone.pth", "{tmp}/new", "--set", "stride"],
        "model option stride: expected KEY=VALUE",
    ),
    "prepare unknown": (
        ["prepare_data", "--dataset=mnist", "--data_dir={tmp}/data"],
        "unknown data set 'mnist'",
    ),
}

# Refused although the checkpoint of {damaged} is empty: from the command line and
# config.json alone, before the work.
_DAMAGED = "--workdir={damaged}"
_IMAGES = "--images={tmp}/image.png"
_NOWHERE = "cannot be written ("  # /proc takes no files, whoever asks

EARLY = {
    "damaged after all": (
        ["evaluate", _DAMAGED, "--out={tmp}/x.json"],
        "{damaged}/checkpoints: no checkpoint 'best'; complete ones: none",
    ),
    "evaluate into a folder": (
        ["evaluate", _DAMAGED, "--out={tmp}"],
        "{tmp} is a folder; expected a JSON file",
    ),
    "evaluate below a file": (
        ["evaluate", _DAMAGED, "--errors={tmp}/image.png/new/x.json"],
        "{tmp}/image.png is a file; expected a folder for x.json",
    ),
    "evaluate nowhere": (
        ["evaluate", _DAMAGED, "--out=/proc/x.json"],
        f"/proc/x.json: {_NOWHERE}",
    ),
    "report into a file": (
        ["evaluate", _DAMAGED, "--report={tmp}/image.png"],
        "{tmp}/image.png is a file; expected a folder for the report",
    ),
    "draw errors into a folder": (
        ["evaluate", _DAMAGED, "--ced={tmp}/x.png/x.png"],
        "{tmp}/x.png/x.png: no folder {tmp}/x.png",
    ),
    "errors of a segmentation": (
        ["evaluate", _DAMAGED, "--errors={tmp}/x.json"],
        "--errors and --ced are for landmarks; this task has neither",
    ),
    "predict nowhere": (
        ["predict", _DAMAGED, _IMAGES, "--out=/proc/x"],
        f"/proc/x: {_NOWHERE}",
    ),
    "predict an unknown kind": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--only=label,lable"],
        "only=label,lable: segmentation/tiny does not write lable; expected some of l",
    ),
    "predict at no size": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--max_side=0"],
        "max_side must be at least 1 pixel, got 0",
    ),
    "predict at scales of nothing": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--scales=1,0"],
        "'eval.inference.scales' must be one or more positive numbers, got (1.0, 0.0)",
    ),
    "predict at no scale": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--scales="],
        "'eval.inference.scales' must be one or more positive numbers, got ()",
    ),
    "predict in windows of one side": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--window=512"],
        "'eval.inference.window.size' must be empty or two positive numbers, height and",
    ),
    "predict polygons of a video": (
        ["predict", _DAMAGED, "--video=0", "--out={tmp}/new", "--polygons=coco"],
        "--polygons and --submission go with --images",
    ),
    "predict at multiples of nothing": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--pad_multiple=0"],
        "pad_multiple must be at least 1, got 0",
    ),
    "predict in boxes": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--boxes={tmp}/boxes.json"],
        "boxes were given, but segmentation/tiny looks at whole images; only landmark",
    ),
    "predict with a detector that is none": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--detector={damaged}"],
        "segmentation/tiny finds no objects, so it is no detector; expected a detect",
    ),
    "predict a video with a detector that is none": (
        ["predict", _DAMAGED, "--video=0", "--out={tmp}/new", "--detector={damaged}"],
        "segmentation/tiny finds no objects, so it is no detector; expected a detect",
    ),
    "predict in boxes given and found": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--detector={damaged}"]
        + ["--boxes={tmp}/boxes.json"],
        "--detector finds the boxes that --boxes gives; leave one of them out",
    ),
    "predict with classes of no detector": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--detector_classes=cat"],
        "--detector_classes and --detector_score go with --detector, or with --boxes",
    ),
    "predict with a score that is none": (
        ["predict", _DAMAGED, _IMAGES, "--out={tmp}/new", "--detector={damaged}"]
        + ["--detector_score=1.5"],
        "the score of objects is 1.5; expected at least 0, above which they are listed",
    ),
    "predict no frames": (
        ["predict", _DAMAGED, "--video={tmp}/x.mp4", "--out={tmp}/new"]
        + ["--max_frames=0"],
        "max_frames must be at least 1, got 0",
    ),
    "predict a video that is missing": (
        ["predict", _DAMAGED, "--video={tmp}/x.mp4", "--out={tmp}/new"],
        "{tmp}/x.mp4: no such file; expected a video file or the number of a camera",
    ),
    "predict a video that is none": (
        ["predict", _DAMAGED, "--video={tmp}/official.pth", "--out={tmp}/new"],
        "{tmp}/official.pth cannot be read as a video",
    ),
    "predict a video into a file": (
        ["predict", _DAMAGED, "--video={tmp}/x.mp4", "--out={tmp}/image.png"],
        "{tmp}/image.png is a file; expected a folder for the results",
    ),
    "export in another format": (
        ["export", _DAMAGED, "--out={tmp}/x.pb"],
        "{tmp}/x.pb: expected a name ending in .stablehlo or .onnx",
    ),
    "export over a file": (
        ["export", _DAMAGED, "--out={tmp}/old.onnx", "--size=32x32"],
        "{tmp}/old.onnx exists already; choose another name, or --overwrite",
    ),
    "export below a file": (
        ["export", _DAMAGED, "--out={tmp}/image.png/x.stablehlo"],
        "{tmp}/image.png is a file; expected a folder for x.stablehlo",
    ),
    "export images of any size": (
        ["export", _DAMAGED, "--out={tmp}/x.onnx"],
        "ONNX files are exported for images of one size: give one (--size=HxW)",
    ),
    "export nowhere": (
        ["export", _DAMAGED, "--out=/proc/x.stablehlo"],
        f"/proc/x.stablehlo: {_NOWHERE}",
    ),
    "convert nowhere": (
        ["convert", "{damaged}", "/proc/x.safetensors"],
        f"/proc/x.safetensors: {_NOWHERE}",
    ),
    "convert into a folder that is nowhere": (
        ["convert", "{tmp}/gone.pth", "/proc/x"],
        f"/proc/x: {_NOWHERE}",
    ),
    "convert to names that nobody has": (
        ["convert", "{damaged}", "{tmp}/x.safetensors", "--convention=mmpose1"],
        "'mmpose1' has no names for a segmentation model; expected one of official",
    ),
    "draw nowhere": (
        ["plot", "--workdir={tmp}/gone", "--out=/proc/x.png"],
        f"/proc/x.png: {_NOWHERE}",
    ),
    "report nowhere": (
        ["report", "{damaged}", "--out=/proc/x.html"],
        f"/proc/x.html: {_NOWHERE}",
    ),
}
REFUSED |= EARLY

# Found only once a run is open or a file is read, so that each takes half a second.
LATE = (
    "extend a schedule over the whole run",
    "predict a text",
    "evaluate weights of another number of classes",
)
