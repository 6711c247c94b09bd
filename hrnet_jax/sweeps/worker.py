"""One worker of a sweep: takes trials, trains them, and tells what came out."""

import contextlib
import dataclasses
import gc
import logging
import math
import multiprocessing
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
import optuna
from optuna.trial import FrozenTrial, TrialState

from hrnet_jax.errors import (
    ConfigError,
    DataError,
    HRNetError,
    WeightsError,
    in_one_line,
)
from hrnet_jax.storage.paths import is_remote
from hrnet_jax.sweeps.claims import (
    Claim,
    choosing,
    claim,
    not_known_to_be_claimed,
    read_trial,
    trial_folder,
    write_trial,
)
from hrnet_jax.sweeps.progress import STATES, VALUES, is_finished
from hrnet_jax.sweeps.space import Probed, with_values
from hrnet_jax.sweeps.study import Sweep, make_pruner, make_sampler
from hrnet_jax.training.interruption import (
    EXIT_CODE,
    EndedEarly,
    Interrupted,
    forget_stop,
    was_asked_to_stop,
)
from hrnet_jax.training.loop import NonFiniteError
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import train
from hrnet_jax.workdir.lock import LockedError

_log = logging.getLogger(__name__)

# Seconds between two looks for a trial, where others train all that are left; in a
# bucket each costs several requests.
_PAUSE, _PAUSE_IN_BUCKET = 2.0, 10.0

# Errors that are of a trial's own where it sets keys of a section, and else of all.
_OF_SECTIONS = ((DataError, "dataset."), (WeightsError, "model."))

# Characters of a message that are kept.
_MOST = 1000

_ERROR = "error"


@dataclasses.dataclass
class _Outcome:
    """How a trial ended: a key of `STATES`, its value or what went wrong."""

    state: str
    value: float | None = None
    message: str = ""


class Worker:
    """Trains trials of a study until the sweep is finished.

    Args:
        sweep: checked.
        probed: what its space holds.
        study: opened.
    """

    def __init__(self, sweep: Sweep, probed: Probed, study: optuna.Study):
        self._sweep = sweep
        self._probed = probed
        self._study = study
        self._remote = is_remote(sweep.folder)
        self._claim: Claim | None = None

    def run(self) -> int:
        """Takes trials as long as there are any; waits for those of other workers.

        These may be killed, and their trials are then taken up here.

        Returns:
            How many trials were trained here, to their end or in part.

        Raises:
            Interrupted: after SIGTERM or Ctrl-C, once the state of a trial is saved.
            HRNetError: for what is wrong with all trials, or with the folder.
        """
        trained, waits = 0, False
        forget_stop()
        with _ending_on_sigterm():
            while not is_finished(self._study, self._sweep.trials):
                with self._next() as trial:
                    if trial is not None:
                        waits = False
                        self._train_to_end(trial)
                        trained += 1
                if was_asked_to_stop():
                    raise Stopped
                if trial is None:
                    if not waits:
                        _log.info("waiting for trials that other workers train")
                    waits = True
                    time.sleep(_PAUSE_IN_BUCKET if self._remote else _PAUSE)
        return trained

    def _train_to_end(self, trial: optuna.Trial) -> None:
        try:
            outcome = self._outcome(trial)
            self._check_claim(trial.number)
            self._finish(trial, outcome)
        except TakenOver as error:
            _log.warning("%s", error)

    @contextlib.contextmanager
    def _next(self) -> Iterator[optuna.Trial | None]:
        """A trial that nobody trains: one that was left, or a new one."""
        with contextlib.ExitStack() as held:
            with choosing(self._sweep.folder):
                trial = self._left(held) or self._new(held)
            yield trial
            self._claim = None

    def _left(self, held: contextlib.ExitStack) -> optuna.Trial | None:
        """The first trial that is begun, not finished, and in no worker's hands."""
        folder, running = self._sweep.folder, self._numbers(TrialState.RUNNING)
        for number in not_known_to_be_claimed(folder, running):
            mine = claim(trial_folder(folder, number))
            if mine is None:
                continue
            # It may have been finished since the look.
            frozen = self._frozen(number)
            if frozen.state == TrialState.RUNNING:
                self._claim = held.enter_context(mine)
                return self._begun(frozen)
            mine.close()
        return None

    def _new(self, held: contextlib.ExitStack) -> optuna.Trial | None:
        """A trial more, unless there are as many as the sweep is to have."""
        study, trials = self._study, self._study.get_trials(deepcopy=False)
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        if len(trials) - len(waiting) >= self._sweep.trials:
            return None
        number = waiting[0].number if waiting else len(trials)
        if self._sweep.space.entries and not waiting:
            study.enqueue_trial(self._sweep.space.fixed(number))
        study.sampler = make_sampler(self._sweep, self._probed, number)
        trial = study.ask()
        mine = claim(trial_folder(self._sweep.folder, trial.number))
        if mine is None:
            raise LockedError(
                f"{trial_folder(self._sweep.folder, trial.number)}: another process is "
                "at work there, though the study has no such trial; choose another "
                "--sweepdir"
            )
        self._claim = held.enter_context(mine)
        self._settle(trial)
        return trial

    def _begun(self, frozen: FrozenTrial) -> optuna.Trial:
        """A trial that another worker began."""
        self._study.sampler = make_sampler(self._sweep, self._probed, frozen.number)
        # Optuna has no other way to go on with a trial of another process.
        trial = optuna.Trial(self._study, frozen._trial_id)
        _log.info("trial %04d: left by another worker, goes on here", frozen.number)
        if VALUES not in frozen.user_attrs:
            self._settle(trial)
        return trial

    def _settle(self, trial: optuna.Trial) -> None:
        """Asks for the values of a trial, and keeps them, or why there are none."""
        values: dict[str, Any] = {}
        try:
            values = self._sweep.space.values(trial)
        except ConfigError as error:
            trial.set_user_attr(_ERROR, _one_line(error))
        trial.set_user_attr(VALUES, values)

    def _outcome(self, trial: optuna.Trial) -> _Outcome:
        """Trains a trial to its end.

        Raises:
            HRNetError: for what is not this trial's own fault.
        """
        folder = trial_folder(self._sweep.folder, trial.number)
        values = trial.user_attrs[VALUES]
        before = read_trial(folder)
        if before.get("state") in STATES:
            # A worker was killed before it told.
            value = before.get("value")
            return _Outcome(before["state"], value, before.get("message", ""))
        if _ERROR in trial.user_attrs:
            return _Outcome("failed", message=trial.user_attrs[_ERROR])
        said = " ".join(f"{key}={value}" for key, value in values.items())
        _log.info("trial %04d: %s", trial.number, said)
        self._write(trial, "running")
        try:
            config = with_values(self._sweep.config, values)
            self._train(trial, config, folder)
        except TakenOver:
            raise
        except EndedEarly as error:
            _log.info("trial %04d: pruned at step %d", trial.number, error.step)
            return _Outcome("pruned", self._best(folder))
        except Exception as error:
            if not _is_its_own(error, values):
                if in_one_line(error) is None:
                    # A bug. Kept, or the trial would end one worker after the other.
                    said = f"{type(error).__name__}: {_one_line(error)}"
                    self._finish(trial, _Outcome("failed", message=said))
                raise
            _log.warning("trial %04d failed: %s", trial.number, _one_line(error))
            return _Outcome("failed", message=_one_line(error))
        finally:
            # The next trial may be of another network.
            jax.clear_caches()
            gc.collect()
        value = self._best(folder)
        if value is None:
            name = self._sweep.metric[0]
            return _Outcome("failed", message=f"no evaluation had a finite {name}")
        return _Outcome("complete", value)

    def _train(self, trial: optuna.Trial, config: Any, folder: pathlib.Path) -> None:
        name = self._sweep.metric[0]
        reported = set(self._frozen(trial.number).intermediate_values)

        def goes_on(step: int, metrics: dict[str, float]) -> bool:
            self._check_claim(trial.number)
            if step not in reported:
                trial.report(metrics[name], step)
                reported.add(step)
            pruner = make_pruner(self._sweep.pruner, min(reported))
            self._study.pruner = pruner
            return not trial.should_prune()

        # Of a worker that was killed between an evaluation and its report.
        for step, value in _evaluations(folder, name):
            if step not in reported:
                trial.report(value, step)
                reported.add(step)
        train(config, folder, goes_on=goes_on)

    def _check_claim(self, number: int) -> None:
        """Checks that no other worker trains this trial as well.

        Raises:
            TakenOver: if one does.
        """
        if self._claim is not None and not self._claim.is_held():
            raise TakenOver(
                f"trial {number:04d}: goes on in another worker, as this one was cut off "
                "from the sweep for a while"
            )

    def _best(self, folder: pathlib.Path) -> float | None:
        """The best value of all evaluations of a trial."""
        name, direction = self._sweep.metric
        values = [value for _, value in _evaluations(folder, name)]
        values = [value for value in values if math.isfinite(value)]
        choose = max if direction == "max" else min
        return choose(values) if values else None

    def _finish(self, trial: optuna.Trial, outcome: _Outcome) -> None:
        """Tells the study, once the folder says the same."""
        self._write(trial, outcome.state, value=outcome.value, message=outcome.message)
        if outcome.message:
            trial.set_user_attr(_ERROR, outcome.message)
        complete = outcome.state == "complete"
        self._study.tell(
            trial.number,
            outcome.value if complete else None,
            state=STATES[outcome.state],
        )
        if complete:
            best = self._study.best_trial
            _log.info(
                "trial %04d: %s %.4f; best %.4f of trial %04d",
                trial.number,
                self._sweep.metric[0],
                outcome.value,
                best.value,
                best.number,
            )

    def _write(self, trial: optuna.Trial, state: str, **more: Any) -> None:
        metric, direction = self._sweep.metric
        content = {"number": trial.number, "state": state, "metric": metric}
        content |= {"direction": direction, VALUES: trial.user_attrs[VALUES]}
        write_trial(trial_folder(self._sweep.folder, trial.number), content | more)

    def _numbers(self, state: TrialState) -> list[int]:
        trials = self._study.get_trials(deepcopy=False, states=(state,))
        return sorted(trial.number for trial in trials)

    def _frozen(self, number: int) -> FrozenTrial:
        trials = self._study.get_trials(deepcopy=False)
        return next(trial for trial in trials if trial.number == number)


class TakenOver(HRNetError):
    """Another worker goes on with a trial of this one."""


class Stopped(Interrupted):
    """A worker was asked to stop when a trial had just ended."""

    def __init__(self):
        KeyboardInterrupt.__init__(
            self, "stopped by a signal after a trial; run the same command again"
        )


def _evaluations(folder: pathlib.Path, name: str) -> list[tuple[int, float]]:
    """(step, value) of a metric, of all evaluations of a run."""
    return [
        (line["step"], float(line[f"eval/{name}"]))
        for line in read_metrics(folder)
        if f"eval/{name}" in line
    ]


def _is_its_own(error: Exception, values: dict[str, Any]) -> bool:
    """Whether an error is that of a trial, and not of all, of a disk or of a bug."""
    if isinstance(error, ConfigError | NonFiniteError):
        return True
    if isinstance(error, jax.errors.JaxRuntimeError):
        return "RESOURCE_EXHAUSTED" in str(error)
    if not isinstance(error, HRNetError):
        return False
    return any(
        isinstance(error, kind) and key.startswith(section)
        for kind, section in _OF_SECTIONS
        for key in values
    )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Within this context SIGTERM ends the process where it may not ask a training.

    Everything that a worker leaves is whole, and the exit code says to run it again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        for child in multiprocessing.active_children():
            child.terminate()
        # Not `sys.exit`, which a library that is in the middle of something may catch.
        os._exit(EXIT_CODE)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
