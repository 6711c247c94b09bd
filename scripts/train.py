"""Trains a model from an experiment file.

    python scripts/train.py --config=experiments/quickstart.py --workdir=runs/a

Override any key of the experiment with --config.KEY=VALUE, such as
--config.batch_size=4; --print_config lists all keys. Re-run the same command to
resume, or give the work directory alone; --config=runs/a/config.json with another work
directory repeats a run, and --workdir=runs/a --extend --config.num_steps=900
continues past its end. Exit codes: 0 finished, 2 wrong input (described in one line), 75 stopped
by SIGTERM or Ctrl-C with everything saved: run it again, 130 ended by a second Ctrl-C,
or by one before the first step.

Several processes train together: scripts/launch/local.py, docs/scaling.md.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import pathlib
import sys
from typing import Any

from absl import app, flags

from hrnet_jax.config import command_line, experiment_flags
from hrnet_jax.config.tables import columns
from hrnet_jax.errors import ConfigError
from hrnet_jax.storage import paths
from hrnet_jax.workdir.files import CONFIG_FILE

_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "Experiment file, with options after a colon, or config.json of a run.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Work directory: folder for all files of the run."
)
_EXTEND = flags.DEFINE_boolean(
    "extend",
    False,
    "Go on past the end of the run in --workdir, to a larger num_steps or num_epochs; "
    "for schedules whose rates do not depend on the length of the run.",
)
_PRINT = flags.DEFINE_boolean(
    "print_config",
    False,
    "Print every key of the configuration with value, type and meaning, and end.",
)


def main(argv: list[str]) -> None:
    """Runs the experiment, or prints its configuration."""
    if _PRINT.value:
        with command_line.reporting_errors():
            sys.stdout.write(_described(argv[1:]))
        return
    # Late, so that help need not wait for JAX.
    from hrnet_jax.runtime import processes
    from hrnet_jax.training.interruption import EXIT_CODE, Interrupted

    stopped = None
    with command_line.reporting_errors_together(saves_on_sigterm=True):
        from hrnet_jax.training.train import train

        try:
            metrics = train(_config(argv[1:]), _workdir(), extend=_EXTEND.value)
            rows = [(name, f"{value:.4f}") for name, value in metrics.items()]
            if processes.is_first():
                sys.stdout.writelines(f"{line}\n" for line in columns(rows, "lr"))
        except Interrupted as error:
            stopped = error
    if stopped:
        sys.stderr.write(f"{stopped}\n")
        sys.exit(EXIT_CODE)


def _config(changes: list[str]) -> Any:
    """The configuration of the experiment, or of the run to resume, with changes."""
    from hrnet_jax.experiment.loading import load_config

    source = _CONFIG.value or _config_of_workdir()
    return experiment_flags.with_changes(load_config(source), changes)


def _config_of_workdir() -> pathlib.Path:
    if not _WORKDIR.value:
        raise ConfigError(
            "--config is missing; name an experiment file, or with --workdir a run "
            "to resume"
        )
    path = paths.as_path(_WORKDIR.value) / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file, so there is no run to resume; "
            "begin one with --config=EXPERIMENT"
        )
    return path


def _workdir() -> str:
    if not _WORKDIR.value:
        raise ConfigError(
            "--workdir is missing; name a folder for the files of the run"
        )
    return _WORKDIR.value


def _described(changes: list[str]) -> str:
    """The configuration in words, once it proved right."""
    from hrnet_jax.experiment.description import describe
    from hrnet_jax.experiment.schema import read_config

    config = _config(changes)
    read_config(config)
    return describe(config)


if __name__ == "__main__":
    app.run(main, flags_parser=lambda argv: experiment_flags.parse(argv, __doc__))
