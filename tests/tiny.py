"""A tiny data set and run, and the scripts started as a user starts them.

This file is an experiment file as well: `--config=tests/tiny.py`.
"""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import jax
import ml_collections
import numpy as np

from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.speed import SPEEDS
from hrnet_jax.workdir.opening import open_checkpoints
from tests.sharing import made_once, open_folder

ROOT = pathlib.Path(__file__).parents[1]

# Read by `train` in this process and in every process started from here, so
# that a program is compiled once.
os.environ["HRNET_JAX_CACHE"] = str(ROOT / ".cache" / "xla-tests")

TRAIN_IMAGES = 12
VAL_IMAGES = 6
SIZE = 64
BEST_STEP = 4

# Loop, checkpoints and evaluation do the same with any network; this one is
# traced in a second. Tests that use it add it to the table while they run.
VARIANT_NAME = "tiny"
VARIANT = Variant(8, stage1_blocks=0, modules=(1, 0, 0), blocks=1)


def get_config() -> ml_collections.ConfigDict:
    """The tiny run for a process of its own."""
    VARIANTS[VARIANT_NAME] = VARIANT
    return _tiny_config()


def _tiny_config() -> ml_collections.ConfigDict:
    """Eight steps, evaluated at 4 and 8, saved every second one."""
    config = default_config("segmentation")
    config.model.name = f"segmentation/{VARIANT_NAME}"
    config.dataset.name = "shapes"
    config.dataset.augmentation.crop_size = (32, 32)
    config.optimizer.ema_decay = 0.9
    config.schedule.learning_rate = 0.2
    config.batch_size = 8
    config.num_steps = 8
    config.eval.every_steps = 4
    config.eval.batch_size = 2
    config.eval.pictures = 0
    config.checkpoint.every_steps = 2
    config.mesh.data = 1
    config.logging.every_steps = 1
    config.logging.progress = False
    config.logging.tensorboard = False
    return config


def config(**changes) -> ml_collections.ConfigDict:
    """The tiny run on the tiny data; changes are `section__key=value`."""
    result = _tiny_config()
    result.dataset.data_dir = str(data_dir())
    for key, value in changes.items():
        result.update_from_flattened_dict({key.replace("__", "."): value})
    return result


@functools.cache
def session_dir() -> pathlib.Path:
    """A folder of this process alone, which goes with the session."""
    return pathlib.Path(tempfile.mkdtemp(dir=open_folder()))


@functools.cache
def data_dir() -> pathlib.Path:
    """Folder with the prepared `shapes`, small."""

    def make(folder):
        from hrnet_jax.data.registry import prepare

        prepare("shapes", folder, image_size=SIZE, train=TRAIN_IMAGES, val=VAL_IMAGES)

    return made_once("data", make)


@functools.cache
def finished_run() -> pathlib.Path:
    """Work directory of the tiny run, never interrupted; read only.

    Its best step is not its last, so that one cannot pass for the other.
    """

    def make(workdir):
        from hrnet_jax.training.train import train

        train(config(), workdir)
        assert result(workdir)["step"] == BEST_STEP

    return made_once("finished", make)


def copy_of_finished_run(folder: pathlib.Path) -> pathlib.Path:
    """A copy that a test may damage."""
    return pathlib.Path(shutil.copytree(finished_run(), folder / "copy"))


def forget_ranking(workdir: pathlib.Path) -> pathlib.Path:
    """Makes checkpoints those of an earlier version, which did not say what is best."""
    for path in workdir.glob("checkpoints/*/meta/metadata"):
        meta = json.loads(path.read_text())
        del meta["best_metric"]
        path.write_text(json.dumps(meta))
    return workdir


def state(workdir: pathlib.Path, step: int | str = "latest") -> dict[str, np.ndarray]:
    """Every array of a checkpoint by its path."""
    checkpoints = open_checkpoints(workdir)
    tree = checkpoints.restore_arrays(checkpoints.resolve(step))
    checkpoints.close()
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def learned(workdir: pathlib.Path) -> list[dict]:
    """The lines of `metrics.jsonl` without what depends on the machine's speed."""
    return [
        {name: value for name, value in line.items() if name not in SPEEDS}
        for line in read_metrics(workdir)
    ]


def result(workdir: pathlib.Path) -> dict:
    """`result.json`."""
    return json.loads((workdir / "result.json").read_text())


def assert_equal_bits(left: dict, right: dict) -> None:
    """Fails at the first array that differs in any bit."""
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name, strict=True)


def environment(**changes: str) -> dict[str, str]:
    """Variables of a process that imports from this checkout."""
    return os.environ | {"PYTHONPATH": str(ROOT)} | changes


def train_command(workdir: pathlib.Path, *arguments: str) -> list[str]:
    """The command line that trains the tiny run."""
    return [
        sys.executable,
        str(ROOT / "scripts" / "train.py"),
        f"--config={__file__}",
        f"--config.dataset.data_dir={data_dir()}",
        f"--workdir={workdir}",
        *arguments,
    ]


# Imports everything once, then runs each command in a process forked off before JAX
# starts its threads. A child ends as Python does, but takes no module apart: that is
# most of what a command that is refused costs.
_RUN_SCRIPTS = """
import atexit, gc, importlib, json, os, runpy, sys, threading, traceback
def ended(command):
    sys.argv = command
    try:
        runpy.run_path(command[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code
modules = [importlib.import_module(name) for name in sys.argv[2:]]
for module in modules:
    if module.__name__ == "tests.tiny":
        module.get_config()  # which puts the tiny network into the table
gc.freeze()
for number, command in enumerate(json.load(open(sys.argv[1]))):
    child = os.fork()
    if not child:
        for descriptor in (1, 2):
            name = f"{sys.argv[1]}.{number}.{descriptor}"
            os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY), descriptor)
        os._exit(ended(command))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def run_scripts(
    commands: dict[str, list[str]], folder: pathlib.Path, *imports: str
) -> dict[str, tuple[int, str, str]]:
    """Runs many command lines, which know the tiny network if they import this.

    Args:
        commands: by name, a script's name and its arguments.
        folder: for the outputs.
        imports: modules to import once, before the first.

    Returns:
        By name the exit code, standard output and standard error.
    """
    path = folder / "commands.json"
    lines = [
        [f"{ROOT}/scripts/{script}.py", *arguments]
        for script, *arguments in commands.values()
    ]
    path.write_text(json.dumps(lines))
    process = run_python(_RUN_SCRIPTS, str(path), *imports)
    assert process.returncode == 0, process.stderr
    codes = [int(line) for line in process.stdout.splitlines()]
    return {
        name: (
            code,
            *(path.with_suffix(f".json.{number}.{k}").read_text() for k in (1, 2)),
        )
        for number, (name, code) in enumerate(zip(commands, codes, strict=True))
    }


def run_python(code: str, *arguments: str, **variables: str):
    """Runs Python source in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
