"""Trains a model from an experiment file.

    python scripts/train.py --config=experiments/quickstart.py --workdir=runs/a

Override any key of the experiment with --config.KEY=VALUE, such as
--config.batch_size=4. Re-run the same command to resume. Exit codes: 0 finished,
2 wrong input (described in one line), 75 stopped by SIGTERM or Ctrl-C with everything
saved: run it again, 130 ended by a second Ctrl-C, or by one before the first step.

Several processes train together: scripts/launch/local.py, docs/scaling.md.
"""

import sys

from absl import app, flags
from ml_collections import config_flags

from hrnet_jax.config import command_line, ctrl_c, experiment_flags

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment file, with options after a colon."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Work directory: folder for all files of the run."
)


def main(argv: list[str]) -> None:
    """Runs the experiment."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}")
    # Late, so that help need not wait for JAX.
    from hrnet_jax.runtime import processes
    from hrnet_jax.training.interruption import EXIT_CODE, Interrupted

    stopped = None
    with command_line.reporting_errors_together(saves_on_sigterm=True):
        from hrnet_jax.training.train import train

        try:
            metrics = train(_CONFIG.value, _WORKDIR.value)
            for name, value in metrics.items() if processes.is_first() else ():
                sys.stdout.write(f"{name:24} {value:.4f}\n")
        except Interrupted as error:
            stopped = error
    if stopped:
        sys.stderr.write(f"{stopped}\n")
        sys.exit(EXIT_CODE)


if __name__ == "__main__":
    ctrl_c.ends_this_script()
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main, flags_parser=lambda argv: experiment_flags.parse(argv, __doc__))
