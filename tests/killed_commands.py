"""The command lines that `tests.kills` kills, on the tiny data and network."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line; `{place}` is its own folder, `{shared}` holds what it reads.

    Attributes:
        name: of the command.
        arguments: script and arguments.
        before: a command whose result is there already, to be replaced.
        in_one_piece: whether all that it writes appears at once.
        keeping: arguments with which it keeps what it deletes otherwise.
        says_that_it_is_there: in its refusal, where it does not run twice.
    """

    name: str
    arguments: tuple[str, ...]
    before: tuple[str, ...] = ()
    in_one_piece: bool = False
    keeping: tuple[str, ...] = ()
    says_that_it_is_there: str = ""


_PREPARE = (
    *("prepare_data", "--dataset=shapes", "--data_dir={place}"),
    *("--option=image_size=64", "--option=val=6"),
)
_TRAIN = (
    *("train", "--config={root}/tests/tiny.py", "--workdir={place}/run"),
    *("--config.dataset.data_dir={shared}/data", "--config.eval.pictures=2"),
    # Each step is saved, and most are deleted again.
    *("--config.checkpoint.every_steps=1", "--config.checkpoint.keep_latest=1"),
)
_CONVERT = (
    *("convert", "{shared}/tiny.pth", "{place}/run"),
    *("--model=segmentation/tiny", "--upsample=bilinear", "--set", "num_classes=7"),
)
_EXPORT = (
    *("export", "--workdir={shared}/run", "--size=64x64", "--check_size=64x64"),
    "--platforms=cpu",
)
_ALL = (
    Command("train", _TRAIN, keeping=("--config.checkpoint.keep_latest=100",)),
    Command(
        "evaluate",
        ("evaluate", "--workdir={shared}/run", "--report={place}/report")
        + ("--out={place}/metrics.json", "--split=val,train"),
    ),
    Command("prepare", (*_PREPARE, "--option=train=64"), in_one_piece=True),
    # With the sizes of the images beside the records.
    Command(
        "prepare objects",
        tuple(
            "--dataset=shapes_objects" if word.startswith("--dataset") else word
            for word in (*_PREPARE, "--option=train=64")
        ),
        in_one_piece=True,
    ),
    Command(
        "prepare --overwrite",
        (*_PREPARE, "--option=train=64", "--overwrite"),
        before=(*_PREPARE, "--option=train=8"),
        in_one_piece=True,
    ),
    Command(
        "convert",
        _CONVERT,
        in_one_piece=True,
        says_that_it_is_there="is not empty; choose a new directory",
    ),
    Command(
        "convert --overwrite",
        (*_CONVERT, "--overwrite"),
        before=(*_CONVERT, "--labels={shared}/names.txt"),
        in_one_piece=True,
    ),
    Command(
        "convert back",
        ("convert", "{shared}/run", "{place}/tiny.pth", "--overwrite"),
        before=("convert", "{shared}/run", "{place}/tiny.pth", "--step=latest"),
    ),
    Command(
        "export",
        (*_EXPORT, "--out={place}/tiny.stablehlo"),
        says_that_it_is_there="exists already; choose another name, or --overwrite",
    ),
    Command(
        "predict",
        ("predict", "--workdir={shared}/run", "--images={shared}/photographs")
        + ("--out={place}/out", "--max_side=64"),
    ),
    Command("plot", ("plot", "--workdir={shared}/run", "--out={place}/curves.png")),
    Command("collect", ("collect", "{shared}/run", "--out={place}/collected")),
    Command(
        "report",
        ("report", "{shared}/run", "--out={place}/report.html", "--no_evaluation"),
    ),
    Command(
        "dataset_report",
        ("dataset_report", "--name=shapes", "--data_dir={shared}/data")
        + ("--out={place}/report",),
    ),
)
COMMANDS = {command.name: command for command in _ALL}
