"""The one training loop."""

import dataclasses
import logging
import math
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from hrnet_jax import runtime
from hrnet_jax.costs.multiply_adds import jaxpr_multiply_adds
from hrnet_jax.data.stream.feeding import device_part, feed
from hrnet_jax.errors import HRNetError
from hrnet_jax.runtime import layouts, processes
from hrnet_jax.runtime.placement import replicate
from hrnet_jax.storage import paths
from hrnet_jax.tasks.protocol import groups_images
from hrnet_jax.training.build import Run
from hrnet_jax.training.interruption import (
    EndedEarly,
    Interrupted,
    watch_for_signals,
)
from hrnet_jax.training.phases import batches_of_phases
from hrnet_jax.training.reporting import Reporter
from hrnet_jax.training.speed import Speed, progress_line, shows_bar
from hrnet_jax.training.state import TrainState
from hrnet_jax.training.step import make_train_step
from hrnet_jax.training.steps import evaluation_interval, save_interval
from hrnet_jax.workdir.checkpoints import Checkpoints

_log = logging.getLogger(__name__)

# Asked after each evaluation, once it is saved: (step, metrics) -> whether to go on.
GoesOn = Callable[[int, dict[str, float]], bool]


class NonFiniteError(HRNetError):
    """A loss or gradient became infinite or not a number."""


@dataclasses.dataclass
class Loop:
    """Runs the steps of one run; everything it uses is given to it.

    Attributes:
        run: data, task, optimizer.
        checkpoints: where states go.
        reporter: where scalars go.
        meta: JSON saved with each checkpoint.
        evaluate: (state, step) -> metrics.
        goes_on: asked after each evaluation; of several processes the first is asked,
            and after the last step the answer does not count.
    """

    run: Run
    checkpoints: Checkpoints
    reporter: Reporter
    meta: dict
    evaluate: Callable[[TrainState, int], dict[str, float]]
    goes_on: GoesOn | None = None

    def __call__(self, state: TrainState) -> TrainState:
        """Trains from `state` to the last step.

        Raises:
            Interrupted: after a signal, once the state is saved.
            EndedEarly: where `goes_on` says no, once the state is saved.
            NonFiniteError: naming step, scalar and last good checkpoint.
        """
        first, last = int(state.step), self.run.num_steps
        if first >= last:
            return state
        batches = self._batches(first)
        batch = next(batches)
        teacher = self._teacher()
        step_fn = self._compile(state, batch, *teacher)
        programs = {_size_of(batch): step_fn}
        state = layouts.with_layout_of(step_fn, 0, state)
        profile = _Profile(self.run.config.logging, self.checkpoints.workdir)
        bar = self._bar(first)
        speed = Speed(self.run.config.batch_size, last - first)
        pending = _Pending(self.checkpoints, speed)
        try:
            with watch_for_signals() as asked_to_stop, bar:
                for step in range(first + 1, last + 1):
                    if _size_of(batch) not in programs:
                        with speed.paused():
                            programs[_size_of(batch)] = self._compile(
                                state, batch, *teacher
                            )
                    with profile.step(step):
                        step_fn = programs[_size_of(batch)]
                        state, scalars = step_fn(state, device_part(batch), *teacher)
                        pending.add(step, scalars)
                        with speed.waiting_for_data():
                            batch = next(batches) if step < last else None
                    bar.update()
                    stop = asked_to_stop(step)
                    metrics = self._log_evaluate_save(step, state, pending, bar, stop)
                    ends = metrics is not None and not self._goes_on(step, metrics)
                    if (stop or ends) and step < last:
                        self.checkpoints.wait()
                        # Who was asked to stop has no time for what follows an end.
                        raise Interrupted(step) if stop else EndedEarly(step)
        finally:
            profile.stop()
            batches.close()
        return state

    def _goes_on(self, step: int, metrics: dict[str, float]) -> bool:
        """Whether training goes on after an evaluation; waits for other processes."""
        if self.goes_on is None:
            return True
        answer = self.goes_on(step, metrics) if processes.is_first() else True
        return processes.as_first_says(answer)

    def _log_evaluate_save(
        self, step: int, state: TrainState, pending: "_Pending", bar: tqdm, stop: bool
    ) -> dict[str, float] | None:
        """Logs, evaluates and saves what is due after a step, in this order.

        Returns:
            Metrics, if it was evaluated.
        """
        run, config = self.run, self.run.config
        every = evaluation_interval(config, run.num_steps, run.epoch_steps)
        evaluate = step == run.num_steps or _is_due(step, every)
        save = evaluate or stop or _is_due(step, save_interval(config))
        log = save or _is_due(step, config.logging.every_steps)
        late = pending.is_late(config.checkpoint.every_minutes, agree=log)
        # A state is only saved once all steps that led to it proved finite.
        if log:
            values = pending.drain()
            bar.set_postfix(loss=f"{values['train/loss']:.3f}")
            self.reporter.scalars(step, values)
            if config.logging.progress and bar.disable and processes.is_first():
                left = pending.speed.seconds_left()
                _log.info(progress_line(step, run.num_steps, values, left))
        elif late:
            # The lines of `metrics.jsonl` do not depend on the clock.
            pending.check()
        # Also when asked to stop: a step is saved once, and a run that resumes
        # from it could not rank it among the best without its metrics.
        metrics = None
        if save or late:
            with pending.speed.paused():
                metrics = self.evaluate(state, step) if evaluate else None
                self.reporter.before_save()
                self.checkpoints.save(step, state, self.meta, metrics)
            pending.saved()
        return metrics

    def _batches(self, first: int):
        run = self.run
        return feed(
            batches_of_phases(run.phases, run.task, run.config, first),
            run.mesh,
            map_keys=run.task.map_keys,
        )

    def _teacher(self) -> list[dict]:
        """The variables of a teacher on all devices, where there is one."""
        variables = self.run.teacher
        return [replicate(variables, self.run.mesh)] if variables else []

    def _compile(self, state: TrainState, batch: dict, *teacher: dict) -> Callable:
        """Compiles the train step and logs one line about the run."""
        config = self.run.config
        step_fn = make_train_step(
            self.run.task.loss,
            self.run.optimizer,
            self.run.schedule,
            self.run.mesh,
            seed=config.seed,
            accumulate=config.optimizer.accumulate,
            ema_decay=config.optimizer.ema_decay,
            # Programs for several sizes have to agree on the layout of the state.
            free_layout=not groups_images(self.run.task),
            has_teacher=bool(teacher),
        )
        # Without this line nothing would be seen for half a minute.
        _log.info("compiling the train step")
        start = time.perf_counter()
        traced, compiled = runtime.compile_ahead(
            step_fn, state, device_part(batch), *teacher
        )
        seconds = time.perf_counter() - start
        device = jax.devices()[0]
        parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        flops = 2 * jaxpr_multiply_adds(traced.jaxpr.jaxpr)
        _log.info(
            "%d x %s | %s, %.2f M parameters | %.1f GFLOP per step of %d images "
            "%dx%d | train step compiled in %.1f s",
            self.run.mesh.size,
            device.device_kind,
            config.model.name,
            parameters / 1e6,
            flops / 1e9,
            config.batch_size,
            *_size_of(batch),
            seconds,
        )
        return compiled

    def _bar(self, first: int) -> tqdm:
        return tqdm(
            total=self.run.num_steps,
            initial=first,
            desc="train",
            unit="step",
            disable=not shows_bar(self.run.config.logging),
        )


def _size_of(batch: dict) -> tuple[int, int]:
    """(height, width) of the images of a batch."""
    _, height, width, _ = batch["image"].shape
    return height, width


def _is_due(step: int, every: int) -> bool:
    """Whether a multiple of a distance is reached; 0 for never."""
    return bool(every) and step % every == 0


class _Pending:
    """Scalars of recent steps, still on the device, and the time since a save."""

    # Steps the host may be ahead of the device.
    _AHEAD = 2

    def __init__(self, checkpoints: Checkpoints, speed: Speed):
        self.speed = speed
        self._checkpoints = checkpoints
        self._entries: list[tuple[int, dict[str, Any]]] = []
        self.saved()

    def saved(self) -> None:
        """Begins to count the minutes until the next save."""
        self._saved_at = time.perf_counter()

    def is_late(self, minutes: float, *, agree: bool) -> bool:
        """Whether the last save is so many minutes ago; 0 for never.

        Args:
            minutes: between two saves.
            agree: whether several processes, whose clocks differ, may stop to agree;
                where not, they are never late.
        """
        if not minutes:
            return False
        late = time.perf_counter() - self._saved_at >= 60 * minutes
        if jax.process_count() == 1:
            return late
        return agree and processes.as_first_says(late)

    def add(self, step: int, scalars: dict[str, jax.Array]) -> None:
        """Keeps the scalars of one step; waits if the host runs far ahead."""
        self._entries.append((step, scalars))
        if len(self._entries) > self._AHEAD:
            jax.block_until_ready(self._entries[-1 - self._AHEAD][1])

    def drain(self) -> dict[str, float]:
        """Fetches everything, checks it and returns means; forgets it.

        Raises:
            NonFiniteError: for the first scalar that is not finite.
        """
        rows = self.check()
        values = {
            f"train/{name}": float(np.mean([row[name] for row in rows]))
            for name in rows[0]
        }
        values["train/learning_rate"] = float(rows[-1]["learning_rate"])
        self._entries = []
        return values | self.speed.finish_interval(len(rows))

    def check(self) -> list[dict[str, Any]]:
        """Fetches everything and checks it.

        Returns:
            The scalars of each step.

        Raises:
            NonFiniteError: for the first scalar that is not finite.
        """
        rows = [jax.device_get(scalars) for _, scalars in self._entries]
        for (step, _), row in zip(self._entries, rows, strict=True):
            for name, value in row.items():
                if not math.isfinite(value):
                    self._checkpoints.wait()
                    raise NonFiniteError(
                        f"step {step}: {name} is {float(value)}; last good "
                        f"checkpoint: {self._checkpoints.latest()}"
                    )
        return rows


class _Profile:
    """Traces some steps with the JAX profiler, on request."""

    def __init__(self, options, workdir: pathlib.Path):
        self._first = options.profile_start
        self._last = options.profile_start + options.profile_steps - 1
        self._folder = workdir / "profile"
        self._written = self._folder
        self._running = False

    def step(self, step: int):
        """Context of one step; starts and ends the trace around its range."""
        if self._first and step == self._first:
            if paths.is_remote(self._folder):  # the profiler writes to disks alone
                self._written = pathlib.Path(tempfile.mkdtemp(prefix="hrnet-jax-"))
            jax.profiler.start_trace(str(self._written))
            self._running = True
        elif step > self._last:
            self.stop()
        return jax.profiler.StepTraceAnnotation("train", step_num=step)

    def stop(self) -> None:
        """Writes the trace, if one is running."""
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
            if self._written != self._folder:
                paths.upload_tree(self._written, self._folder)
                paths.remove_tree(self._written)
            _log.info("profile written to %s", self._folder)
