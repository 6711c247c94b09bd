"""`train` and `evaluate`: whole runs as plain functions."""

import contextlib
import dataclasses
import logging
import pathlib
import time
from typing import Any

import jax

from hrnet_jax import runtime
from hrnet_jax.errors import CheckpointError, DataError, StorageError
from hrnet_jax.experiment.defaults import changed_keys, to_json, with_defaults
from hrnet_jax.experiment.schema import TrainConfig, read_config
from hrnet_jax.imaging.pictures import save_pictures
from hrnet_jax.runtime import processes
from hrnet_jax.runtime.environment import environment
from hrnet_jax.runtime.placement import replicate
from hrnet_jax.runtime.same_run import check_same_folder, check_same_run
from hrnet_jax.storage import paths
from hrnet_jax.training import evaluation
from hrnet_jax.training.build import (
    Run,
    build_run,
    evaluated_splits,
    fit_batches,
    open_split,
)
from hrnet_jax.training.counted import with_class_weights
from hrnet_jax.training.curves import CURVES_FILE, draw_curves
from hrnet_jax.training.extension import LENGTH_KEYS, check_extension
from hrnet_jax.training.interruption import let_signals_end_this
from hrnet_jax.training.loop import GoesOn, Loop
from hrnet_jax.training.reporting import Reporter, Writer, is_number
from hrnet_jax.training.state import TrainState, create_state
from hrnet_jax.training.wandb_run import WandbRun
from hrnet_jax.training.weights import first_variables
from hrnet_jax.workdir.checkpoints import Checkpoints
from hrnet_jax.workdir.files import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    PICTURES_FOLDER,
    RESULT_FILE,
    read_json,
    write_json,
    writing_to,
)
from hrnet_jax.workdir.lock import locked
from hrnet_jax.workdir.opening import read_run_config
from hrnet_jax.workdir.variables import saved_variables

_log = logging.getLogger(__name__)


def train(
    config: Any,
    workdir: str | pathlib.Path,
    *,
    extend: bool = False,
    goes_on: GoesOn | None = None,
) -> dict[str, float]:
    """Trains, evaluates, and leaves everything in a work directory.

    The same call resumes after a kill at any point and reaches the same
    parameters bit for bit; on a finished run it returns the result at once.

    Several processes that called `runtime.processes.join` (or
    `jax.distributed.initialize`) train together when each makes the same call.

    Args:
        config: a ConfigDict, see `TrainConfig`.
        workdir: made if missing; the same folder for all processes.
        extend: the run there may be shorter; it is continued to the length of
            this configuration, where `extension.check_extension` finds that well defined.
        goes_on: called with step and metrics after each evaluation, once it is saved;
            where it returns False the run ends there, and the same call would resume it.

    Returns:
        Metrics of the best checkpoint on the test split (the evaluation split
        where there is none), also in `result.json`.

    Raises:
        HRNetError: for wrong configurations, data, weights or checkpoints, a work
            directory in which another training is at work, and for a loss that is
            not finite.
        Interrupted: after SIGTERM or Ctrl-C, once the state is saved.
        EndedEarly: where `goes_on` returned False.
    """
    options = read_config(config, trainable=True)
    workdir = paths.absolute(workdir)
    runtime.enable_compilation_cache()
    runtime.report_unused_accelerator()
    runtime.keep_freed_memory()
    options, stored = _fitted(options, config, _begun(workdir))
    check_same_run(stored)
    result_file = workdir / RESULT_FILE
    shorter = check_workdir(workdir, stored, extend=extend)
    if result_file.exists() and shorter is None:
        _write_config(workdir, stored)
        _log.info("%s: already finished", workdir)
        return metrics_of(result_file)
    run = build_run(options)
    if shorter is not None:
        check_extension(run, shorter)
    # The first process writes, so it alone has to be the only one.
    lock = locked(workdir) if processes.is_first() else contextlib.nullcontext()
    with writing_to(workdir), lock:
        if shorter is not None and processes.is_first():
            result_file.unlink(missing_ok=True)  # the run is not finished any more
        return _train(run, workdir, stored, goes_on)


def _fitted(
    options: TrainConfig, config: Any, begun: dict | None
) -> tuple[TrainConfig, dict]:
    """Options with what devices and data decide, and what is stored of them as JSON."""
    rounded = fit_batches(options, begun)
    fitted = with_class_weights(rounded, begun)
    as_given = fitted is rounded and not rounded.mesh.round_up_batch
    return fitted, to_json(config if as_given else fitted)


def _train(
    run: Run, workdir: pathlib.Path, stored: dict, goes_on: GoesOn | None
) -> dict[str, float]:
    """The rest of `train`, for what has to be done by one training at a time."""
    checkpoints = Checkpoints(workdir, run.config.checkpoint, run.task.best_metric)
    state = start_state(run, checkpoints)
    # Only now, so that a refused configuration can be corrected and run again.
    _write_config(workdir, stored)
    check_same_folder(workdir / CONFIG_FILE)
    if processes.is_first():
        write_json(workdir / ENVIRONMENT_FILE, environment())
    started, first = time.perf_counter(), int(state.step)
    reporter = _reporter(run, workdir, stored, first)
    finished = False
    try:
        evaluations = _Evaluations(run, reporter)
        meta = {"dataset_info": run.train_records.info.to_json()}
        Loop(run, checkpoints, reporter, meta, evaluations, goes_on)(state)
        checkpoints.settle()
        let_signals_end_this()
        seconds = time.perf_counter() - started
        steps = run.num_steps - first
        _log.info("%d steps in %.0f s", steps, seconds)
        metrics = _finish(run, workdir, checkpoints, evaluations, seconds)
        reporter.result(metrics)
        finished = True
        return metrics
    except StorageError as error:
        raise checkpoints.cut_off(error) from error
    finally:
        reporter.close(failed=not finished)
        checkpoints.close()


def _reporter(run: Run, workdir: pathlib.Path, config: dict, step: int) -> Reporter:
    """Where a run is reported to, from a step on."""
    options = run.config.logging

    def others() -> list[Writer]:
        if not options.wandb:
            return []
        return [WandbRun(workdir, options, config, run.task.best_metric)]

    return Reporter(
        workdir,
        step,
        tensorboard=options.tensorboard,
        others=others,
        active=processes.is_first(),
    )


def metrics_of(path: pathlib.Path) -> dict[str, float]:
    """The metrics of a finished run.

    Raises:
        CheckpointError: if the file is not as it was written.
    """
    metrics = read_json(path).get("metrics")
    if not isinstance(metrics, dict) or not all(map(is_number, metrics.values())):
        raise CheckpointError(
            f"{path}: expected numbers under the key 'metrics'; delete the file, and the "
            "same command evaluates the run again"
        )
    return metrics


def check_workdir(
    workdir: pathlib.Path, config: dict, *, extend: bool = False
) -> TrainConfig | None:
    """Checks a configuration against the one a work directory was made with.

    Args:
        workdir: of a run, or empty, or not there.
        config: JSON of the configuration.
        extend: whether the run there may have another length.

    Returns:
        Configuration of the run there, if it has another length.

    Raises:
        CheckpointError: if the directory belongs to another configuration, or has no
            run to extend.
    """
    saved = _begun(workdir)
    if saved is None:
        path = workdir / CONFIG_FILE
        if any(workdir.glob("checkpoints/*")):
            raise CheckpointError(
                f"{workdir} has checkpoints but no {CONFIG_FILE}; "
                "choose another work directory"
            )
        if extend:
            raise CheckpointError(f"{path}: no such file, so there is no run to extend")
        return None
    changed = changed_keys(saved, with_defaults(config))
    in_length = [text for text in changed if text.partition(":")[0] in LENGTH_KEYS]
    if len(in_length) < len(changed) or (changed and not extend):
        ways = [f"begin another work directory with model.init_from={workdir}"]
        if len(in_length) == len(changed):
            ways.append("go on past the end of this run with --extend")
        raise CheckpointError(
            f"{workdir} belongs to a run of another configuration "
            f"({'; '.join(changed)}); choose another work directory"
            + (f", {', or '.join(ways)}" if in_length else "")
        )
    return read_config(saved) if changed else None


def _begun(workdir: pathlib.Path) -> dict | None:
    """The configuration that a work directory was begun with, if it was."""
    path = workdir / CONFIG_FILE
    return read_run_config(workdir) if path.exists() else None


def _write_config(workdir: pathlib.Path, config: dict) -> None:
    if processes.is_first():
        write_json(workdir / CONFIG_FILE, config)


def start_state(run: Run, checkpoints: Checkpoints) -> TrainState:
    """The newest checkpoint, or first weights where there is none."""
    options, latest = run.config, checkpoints.latest()
    processes.check_equal(f"newest checkpoint in {checkpoints.workdir}", str(latest))
    init = options.model
    if latest is not None:
        # Nothing but the shapes is needed; `init_from` may be gone by now.
        init = dataclasses.replace(init, init_from="")
    variables, loaded = first_variables(
        run.task.model, init, options.seed, run.train_records.info
    )
    state = replicate(
        create_state(variables, run.optimizer, ema=options.optimizer.ema_decay > 0),
        run.mesh,
    )
    if latest is None:
        if init.init_from:
            text = loaded.report() if init.init_partial else loaded
            _log.info("%s: %s", init.init_from, text)
        return state
    _log.info("resuming from step %d of %d", latest, run.num_steps)
    return checkpoints.restore(latest, state)


class _Evaluations:
    """Evaluates states and draws predictions, with one compiled program."""

    def __init__(self, run: Run, reporter: Reporter):
        self._run = run
        self._reporter = reporter
        self._predict = evaluation.make_predict_step(run.task, run.mesh)
        self._remarked: set[str] = set()

    def __call__(self, state: TrainState, step: int) -> dict[str, float]:
        """Metrics on the evaluation split, reported under `eval/`.

        Raises:
            DataError: if the one that ranks checkpoints is not among them.
        """
        split = self._run.config.dataset.eval_split
        start = time.perf_counter()
        metrics = self.metrics(state.eval_variables, split)
        name = self._run.task.best_metric[0]
        if name not in metrics:
            raise DataError(
                f"config key 'dataset.eval_split' is {split!r}, whose evaluation gives "
                f"no {name}, which ranks checkpoints, but {', '.join(metrics)}; expected "
                "a split in which something is annotated"
            )
        _log.info(
            "step %d: %s %s %.4f (%.0f s)",
            step,
            split,
            name,
            metrics[name],
            time.perf_counter() - start,
        )
        self._reporter.scalars(step, {f"eval/{k}": v for k, v in metrics.items()})
        options = self._run.config.logging
        count = options.tensorboard_pictures
        if count and (options.tensorboard or options.wandb):
            self._reporter.pictures(
                step, self.pictures(state.eval_variables, split, count)
            )
        return metrics

    def metrics(self, variables: dict, split: str) -> dict[str, float]:
        """Metrics of given variables on a split; each new remark is logged."""
        evaluator = evaluation.evaluator_over(
            self._predict,
            self._run.task,
            variables,
            open_split(self._run.config, split),
            self._run.mesh,
            **evaluation.reading_options(self._run.config, f"evaluate {split}"),
        )
        for remark in evaluator.remarks():
            if (said := f"{split}: {remark}") not in self._remarked:
                self._remarked.add(said)
                _log.info("%s", said)
        return evaluator.compute()

    def pictures(self, variables: dict, split: str, count: int) -> dict:
        """Drawn predictions of given variables on a split."""
        records = open_split(self._run.config, split)
        return evaluation.draw_chosen(
            self._predict,
            self._run.task,
            variables,
            records,
            self._run.mesh,
            evaluation.spread(records, count),
            **evaluation.reading_options(self._run.config, ""),
        )


def _finish(
    run: Run,
    workdir: pathlib.Path,
    checkpoints: Checkpoints,
    evaluations: _Evaluations,
    seconds: float,
) -> dict[str, float]:
    """Evaluates and draws the best checkpoint; writes `result.json`."""
    step = checkpoints.resolve("best")
    split = evaluated_splits(run.config)[-1]
    variables = replicate(saved_variables(workdir, step), run.mesh)
    if split == run.config.dataset.eval_split:
        metrics = checkpoints.metrics(step)
    else:
        metrics = evaluations.metrics(variables, split)
    if run.config.eval.pictures:
        pictures = evaluations.pictures(variables, split, run.config.eval.pictures)
        if processes.is_first():
            save_pictures(workdir / PICTURES_FOLDER, pictures)
    result = {
        # At the top because README documents `mean_iou` there; under a key of their
        # own for readers that want all metrics.
        **metrics,
        "metrics": metrics,
        "split": split,
        "step": step,
        "num_steps": run.num_steps,
        "seed": run.config.seed,
        "device": f"{run.mesh.size} x {jax.devices()[0].device_kind}",
        "processes": jax.process_count(),
        "seconds_of_last_session": round(seconds, 1),
    }
    # A test split without annotations has no other.
    name = next(name for name in (run.task.best_metric[0], *metrics) if name in metrics)
    if processes.is_first():
        draw_curves([workdir], workdir / CURVES_FILE)
        write_json(workdir / RESULT_FILE, result)
    _log.info("best step %d: %s %s %.4f", step, split, name, metrics[name])
    return metrics
