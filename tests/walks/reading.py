"""Reads command lines with the parsers of the scripts themselves, and runs nothing.

    python -m tests.walks.reading FILE.json

The file is a list of command lines without `python`; printed is, of each, what its
parser says against it, and the options that it knows, as JSON.
"""

import argparse
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import sys
from collections.abc import Sequence

import absl.app
from absl import flags

from hrnet_jax.config import assignments, experiment_flags, script
from hrnet_jax.data import registry as data_registry
from hrnet_jax.errors import HRNetError
from hrnet_jax.experiment.defaults import default_config, to_json
from hrnet_jax.experiment.loading import load_config
from hrnet_jax.registry import task_names


class Read(Exception):
    """A command line was read; holds the options that its parser knows."""


def main(path: str) -> None:
    """Reads each in a process of its own, as flags of absl are global."""
    # What many of them would import once more.
    importlib.import_module("benchmarks.torch_program")
    for task in task_names():
        default_config(task)
    for name in data_registry.SOURCES:
        data_registry.option_kinds(name)
    gc.freeze()
    with open(path) as file:
        lines = json.load(file)
    json.dump([_in_a_process(line) for line in lines], sys.stdout)


def _in_a_process(line: Sequence[str]) -> dict:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(read(line), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text)


def read(line: Sequence[str]) -> dict:
    """What is wrong with a command line, and the options that its parser knows."""
    said = io.StringIO()
    argparse.ArgumentParser.parse_args = _parse_args
    absl.app.run = _run
    script.begins = lambda: None
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            if line[0] == "-m":
                sys.argv = [*line[1:]]
                runpy.run_module(line[1], run_name="__main__", alter_sys=True)
            else:
                sys.argv = [*line]
                runpy.run_path(line[0], run_name="__main__")
    except Read as result:
        return {"wrong": "", "options": result.args[0]}
    except HRNetError as error:
        said.write(str(error))
    except SystemExit as error:
        said.write(f" exit {error}")
    except Exception as error:  # noqa: BLE001, told as what is wrong with the line
        said.write(f"{type(error).__name__}: {error}")
    return {"wrong": said.getvalue() or "has no parser", "options": []}


_of_argparse = argparse.ArgumentParser.parse_args


def _parse_args(parser, *arguments, **named):
    _check(_of_argparse(parser, *arguments, **named))
    raise Read([*parser._option_string_actions])


def _check(found: argparse.Namespace) -> None:
    """Reads what argparse takes as text: changes of configurations, data options."""
    for change in getattr(found, "changes", []):
        if not change.startswith("model.options."):
            _one_accepts(lambda task, text=change: _changed(task, text))
    if option := getattr(found, "option", []):
        kinds = data_registry.option_kinds(found.dataset)
        assignments.parse(option, "--option", kinds)


def _changed(task: str, change: str) -> None:
    assignments.with_overrides(to_json(default_config(task)), [change])


def _one_accepts(change) -> None:
    """Raises what the last task says, where none accepts a change."""
    *others, last = task_names()
    for task in others:
        with contextlib.suppress(HRNetError):
            change(task)
            return
    change(last)


def _run(main, flags_parser) -> None:
    del main
    changes = flags_parser(sys.argv)[1:]
    source = flags.FLAGS.config or ""
    if source.endswith(".json") or not source:
        source = "experiments/quickstart.py"  # there is no run here
    experiment_flags.with_changes(load_config(source), changes)
    raise Read([f"--{name}" for name in flags.FLAGS] + ["--nocache"])


if __name__ == "__main__":
    main(sys.argv[1])
