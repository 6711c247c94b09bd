"""Command lines that scripts refuse, and what they say.

The braces stand for the places of `test_scripts.py`.
"""

from tests import tiny

QUICKSTART = f"--config={tiny.ROOT}/experiments/quickstart.py"

# name: (command, what the one line on standard error says)
IS_A_FILE = (
    "{tmp}/official.pth is a file; expected a work directory of a run, which "
    "scripts/convert.py makes of weights: convert.py official.pth DIR"
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
        "'learning_rate' is not read by anything; did you mean 'schedule.learning_rate'?",
    ),
    "key of another place, to evaluate": (
        ["evaluate", "--workdir={finished}", "--set", "learning_rate=1"],
        "is not read by anything; did you mean 'schedule.learning_rate'?",
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
        IS_A_FILE,
    ),
    "export a file": (
        ["export", "--workdir={tmp}/official.pth", "--out={tmp}/x.onnx"],
        IS_A_FILE,
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
        "{tmp}/image.png: File exists",
    ),
    "convert into a file": (
        ["convert", "{finished}", "{tmp}/image.png/x.safetensors"],
        "{tmp}/image.png/x.safetensors: Not a directory",
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
        "{tmp}/image.png: File exists",
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

# Found only once a run is open or a file is read, so that each takes half a second.
LATE = (
    "extend a schedule over the whole run",
    "predict a text",
    "predict into a file",
    "convert into a file",
    "convert below a file",
)
