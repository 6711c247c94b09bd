"""Trains an experiment many times, with other values for some of its keys.

    python scripts/sweep.py --config=experiments/quickstart.py --sweepdir=runs/sweep \\
        --trials=6 --workers=2

What differs says get_sweep(trial), or the list SWEEP, of the experiment file or of
--space=FILE.py. Every trial is a work directory, runs/sweep/trials/0000 and so on; a
trial that was interrupted or killed is taken up by the next worker. The same command
goes on, and joins in from other hosts that see the same folder, which may be in a bucket
(gs://BUCKET/FOLDER). --config.KEY=VALUE sets a key of all trials. scripts/collect.py
shows what came out.

Exit codes: 0 finished, 2 wrong input (described in one line), 75 stopped by SIGTERM or
Ctrl-C with everything saved: run it again, 130 ended by a second Ctrl-C, or by one
before the first step of a trial. docs/sweeps.md tells more.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import os
import sys
from typing import Any

from absl import app, flags

from hrnet_jax.config import command_line, experiment_flags
from hrnet_jax.errors import ConfigError

_CONFIG = flags.DEFINE_string(
    "config", None, "Experiment file, with options after a colon."
)
_SWEEPDIR = flags.DEFINE_string(
    "sweepdir",
    None,
    "Folder of the sweep, also in a bucket (gs://...): its study, and trials/NNNN for "
    "each run.",
)
_SPACE = flags.DEFINE_string(
    "space", None, "Python file that says what differs (default: the experiment file)."
)
_TRIALS = flags.DEFINE_integer(
    "trials",
    None,
    "Finished trials to end with, pruned and failed ones included, over all workers "
    "(default: all entries of a list, all points of a grid).",
)
_WORKERS = flags.DEFINE_integer(
    "workers",
    1,
    "Worker processes on this host, which share its cores or GPUs. On one accelerator 1.",
    lower_bound=1,
)
_SAMPLER = flags.DEFINE_enum(
    "sampler",
    None,
    ["grid", "random", "tpe"],
    "How values are chosen (default: tpe; a list is taken in order).",
)
_PRUNER = flags.DEFINE_enum(
    "pruner",
    "median",
    ["median", "hyperband", "none"],
    "Which trials end after an evaluation: those below the median of others at the same "
    "step, by hyperband's rungs, or none.",
)
_STORAGE = flags.DEFINE_string(
    "storage",
    "",
    "Database of the study as SQLAlchemy writes it (default: a journal in "
    "--sweepdir, which needs no server).",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the sampler; not that of the trials.")


def main(argv: list[str]) -> None:
    """Runs one worker, or starts several."""
    from hrnet_jax.sweeps import workers

    workers.take_share()
    stopped = None
    with command_line.reporting_errors():
        several = _WORKERS.value > 1 and not workers.is_one_of_several()
        host = workers.this_host()
        shares = workers.shares(_WORKERS.value, host, os.environ) if several else []
        # Late, so that help need not wait for JAX.
        from hrnet_jax.sweeps.progress import is_finished, summary
        from hrnet_jax.sweeps.study import checked, open_study
        from hrnet_jax.sweeps.worker import Worker
        from hrnet_jax.training.interruption import EXIT_CODE, Interrupted

        sweep, probed = checked(_sweep(argv[1:]))
        study = open_study(sweep, probed)
        if is_finished(study, sweep.trials) and not workers.is_one_of_several():
            sys.stdout.write(f"{summary(study, sweep)}; nothing is left to train\n")
            return
        if several:
            code = workers.Workers([sys.executable, *sys.argv], shares).run()
            if code:
                sys.exit(code)
        else:
            try:
                Worker(sweep, probed, study).run()
            except Interrupted as error:
                stopped = error
        if not stopped:
            sys.stdout.write(f"{summary(study, sweep)}\n")
    if stopped:
        sys.stderr.write(f"{stopped}\n")
        sys.exit(EXIT_CODE)


def _sweep(changes: list[str]) -> Any:
    """What the command line asks for."""
    from hrnet_jax.experiment.loading import load_config
    from hrnet_jax.storage.paths import as_path
    from hrnet_jax.sweeps.space import read_space
    from hrnet_jax.sweeps.study import Sweep

    if not _CONFIG.value:
        raise ConfigError("--config is missing; name an experiment file")
    if not _SWEEPDIR.value:
        raise ConfigError("--sweepdir is missing; name a folder for the sweep")
    if _TRIALS.value is not None and _TRIALS.value < 1:
        raise ConfigError(f"--trials is {_TRIALS.value}, expected at least 1")
    config = experiment_flags.with_changes(load_config(_CONFIG.value), changes)
    return Sweep(
        folder=as_path(_SWEEPDIR.value),
        config=config,
        space=read_space(_SPACE.value or _CONFIG.value.partition(":")[0]),
        trials=_TRIALS.value or 0,
        sampler=_SAMPLER.value or "",
        pruner=_PRUNER.value,
        storage=_STORAGE.value,
        seed=_SEED.value,
        fixed=experiment_flags.changed_keys(changes),
    )


if __name__ == "__main__":
    app.run(main, flags_parser=lambda argv: experiment_flags.parse(argv, __doc__))
