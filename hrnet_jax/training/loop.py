"""The one training loop."""

import dataclasses
import logging
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from hrnet_jax import runtime
from hrnet_jax.costs.multiply_adds import jaxpr_multiply_adds
from hrnet_jax.data.stream.batches import train_batches
from hrnet_jax.data.stream.feeding import device_part, feed
from hrnet_jax.errors import HRNetError
from hrnet_jax.runtime import layouts, processes
from hrnet_jax.training.build import Run
from hrnet_jax.training.interruption import Interrupted, watch_for_signals
from hrnet_jax.training.reporting import Reporter
from hrnet_jax.training.state import TrainState
from hrnet_jax.training.step import make_train_step
from hrnet_jax.workdir.checkpoints import Checkpoints

_log = logging.getLogger(__name__)


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
    """

    run: Run
    checkpoints: Checkpoints
    reporter: Reporter
    meta: dict
    evaluate: Callable[[TrainState, int], dict[str, float]]

    def __call__(self, state: TrainState) -> TrainState:
        """Trains from `state` to the last step.

        Raises:
            Interrupted: after a signal, once the state is saved.
            NonFiniteError: naming step, scalar and last good checkpoint.
        """
        first, last = int(state.step), self.run.num_steps
        if first >= last:
            return state
        pending = _Pending(self.checkpoints)
        batches = self._batches(first)
        batch = next(batches)
        step_fn = self._compile(state, batch)
        state = layouts.with_layout_of(step_fn, 0, state)
        profile = _Profile(self.run.config.logging, self.checkpoints.workdir)
        bar = self._bar(first)
        try:
            with watch_for_signals() as asked_to_stop, bar:
                for step in range(first + 1, last + 1):
                    with profile.step(step):
                        state, scalars = step_fn(state, device_part(batch))
                        pending.add(step, scalars)
                        batch = next(batches) if step < last else None
                    bar.update()
                    stop = asked_to_stop(step)
                    self._log_evaluate_save(step, state, pending, bar, stop)
                    if stop and step < last:
                        self.checkpoints.wait()
                        raise Interrupted(step)
        finally:
            profile.stop()
            batches.close()
        return state

    def _log_evaluate_save(
        self, step: int, state: TrainState, pending: "_Pending", bar: tqdm, stop: bool
    ) -> None:
        """Logs, evaluates and saves what is due after a step, in this order."""
        config, last = self.run.config, step == self.run.num_steps
        evaluate = last or (
            config.eval.every_steps and step % config.eval.every_steps == 0
        )
        save = evaluate or stop or step % config.checkpoint.every_steps == 0
        # A state is only saved once all steps that led to it proved finite.
        if save or step % config.logging.every_steps == 0:
            values = pending.drain()
            bar.set_postfix(loss=f"{values['train/loss']:.3f}")
            self.reporter.scalars(step, values)
        # Also when asked to stop: a step is saved once, and a run that resumes
        # from it could not rank it among the best without its metrics.
        if evaluate:
            metrics = self.evaluate(state, step)
            self.checkpoints.save(step, state, self.meta, metrics)
        elif save:
            self.checkpoints.save(step, state, self.meta)

    def _batches(self, first: int):
        config = self.run.config
        return feed(
            train_batches(
                self.run.train_records,
                self.run.task.train_transform,
                batch_size=config.batch_size,
                seed=config.seed,
                start_step=first,
                workers=config.dataset.workers,
                threads=config.dataset.threads,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            ),
            self.run.mesh,
            map_keys=self.run.task.map_keys,
        )

    def _compile(self, state: TrainState, batch: dict) -> Callable:
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
            free_layout=True,
        )
        start = time.perf_counter()
        traced, compiled = runtime.compile_ahead(step_fn, state, device_part(batch))
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
            *self.run.task.image_size,
            seconds,
        )
        return compiled

    def _bar(self, first: int) -> tqdm:
        return tqdm(
            total=self.run.num_steps,
            initial=first,
            desc="train",
            unit="step",
            disable=not (self.run.config.logging.progress and processes.is_first()),
        )


class _Pending:
    """Scalars of recent steps, still on the device."""

    # Steps the host may be ahead of the device.
    _AHEAD = 2

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._entries: list[tuple[int, float, dict[str, Any]]] = []
        self._last_time = time.perf_counter()

    def add(self, step: int, scalars: dict[str, jax.Array]) -> None:
        """Keeps the scalars of one step; waits if the host runs far ahead."""
        self._entries.append((step, time.perf_counter(), scalars))
        if len(self._entries) > self._AHEAD:
            jax.block_until_ready(self._entries[-1 - self._AHEAD][2])

    def drain(self) -> dict[str, float]:
        """Fetches everything, checks it and returns means.

        Raises:
            NonFiniteError: for the first scalar that is not finite.
        """
        rows = [jax.device_get(scalars) for _, _, scalars in self._entries]
        for (step, _, _), row in zip(self._entries, rows, strict=True):
            for name, value in row.items():
                if not math.isfinite(value):
                    self._checkpoints.wait()
                    raise NonFiniteError(
                        f"step {step}: {name} is {float(value)}; last good "
                        f"checkpoint: {self._checkpoints.latest()}"
                    )
        now = time.perf_counter()
        values = {
            f"train/{name}": float(np.mean([row[name] for row in rows]))
            for name in rows[0]
        }
        values["train/learning_rate"] = float(rows[-1]["learning_rate"])
        values["train/steps_per_second"] = len(rows) / (now - self._last_time)
        self._entries, self._last_time = [], now
        return values


class _Profile:
    """Traces some steps with the JAX profiler, on request."""

    def __init__(self, options, workdir: pathlib.Path):
        self._first = options.profile_start
        self._last = options.profile_start + options.profile_steps - 1
        self._folder = workdir / "profile"
        self._running = False

    def step(self, step: int):
        """Context of one step; starts and ends the trace around its range."""
        if self._first and step == self._first:
            jax.profiler.start_trace(str(self._folder))
            self._running = True
        elif step > self._last:
            self.stop()
        return jax.profiler.StepTraceAnnotation("train", step_num=step)

    def stop(self) -> None:
        """Writes the trace, if one is running."""
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
            _log.info("profile written to %s", self._folder)
