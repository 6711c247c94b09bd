"""Checkpoints of a run: atomic, latest N and best N, asynchronous."""

import contextlib
import json
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from hrnet_jax.config.json_files import parse_object
from hrnet_jax.config.options import shortened
from hrnet_jax.errors import CheckpointError, StorageError
from hrnet_jax.experiment.sections import CheckpointOptions
from hrnet_jax.runtime import processes
from hrnet_jax.storage import paths
from hrnet_jax.workdir import retention
from hrnet_jax.workdir.ranking import CHECKPOINTS_FOLDER, RANKING_KEY
from hrnet_jax.workdir.storage import (
    DAMAGE,
    be_patient,
    be_quiet,
    check_numbers,
    is_complete,
    patient_options,
    reason,
    release_waiting,
    state_handler,
    unfinished_steps,
)

FOLDER = CHECKPOINTS_FOLDER

# Where steps go that are not kept, in one move, before they are deleted file by file.
_DELETED = "deleted"
# To open a folder in which a training is at work.
_ATTEMPTS = 10


class Checkpoints:
    """The checkpoints of one work directory.

    Each step is a folder `checkpoints/<step>` with `state` (the train state),
    `meta` (JSON) and, where evaluated, `metrics`. Orbax writes under a temporary
    name and renames when complete, and moves away before it deletes, so a step is
    complete or absent. In a bucket, where nothing can be renamed, an object in the
    folder says that it is complete; it comes last and goes first. The ranking metric
    is saved in every `meta`, as later readers have no task to ask.

    Args:
        workdir: the work directory.
        options: what to keep; None opens for reading.
        best_metric: (name, "max" or "min") that ranks checkpoints. None where none
            is saved with metrics. To read, what the checkpoints say comes first, and
            this is for those of earlier versions, which do not say it.
    """

    def __init__(
        self,
        workdir: str | pathlib.Path,
        options: CheckpointOptions | None = None,
        best_metric: tuple[str, str] | None = None,
    ):
        be_quiet()
        # Orbax rejects relative paths.
        self.workdir = paths.absolute(workdir)
        self._folder = self.workdir / FOLDER
        self._moves = not paths.is_remote(self.workdir)
        if not self._moves:
            be_patient()
        self._given = best_metric
        self._policy = retention.policy(options, best_metric)
        self._reads = options is None
        self._check_metrics()
        self._empty_deleted()
        self._manager = self._open(options)

    def _open(self, options: CheckpointOptions | None) -> ocp.CheckpointManager:
        """Opens the folder, again where a training deletes a step meanwhile."""
        self._delete_unfinished()
        for attempt in range(_ATTEMPTS):
            try:
                return ocp.CheckpointManager(
                    self._folder,
                    options=self._manager_options(options),
                    item_handlers={
                        "state": state_handler(),
                        "meta": ocp.JsonCheckpointHandler(),
                    },
                )
            except FileNotFoundError:
                if not self._reads or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _delete_unfinished(self) -> None:
        """Deletes what a killed run was saving; only one training is at work here.

        Orbax would do so in the background, also when the step is saved again.
        """
        if not self._reads and jax.process_index() == 0:
            for path in unfinished_steps(self._folder):
                paths.remove_tree(path)

    def _check_metrics(self) -> None:
        """Orbax reads all metrics when it opens the folder and names no file.

        To Orbax a step whose metrics are lost is one that was not evaluated: another
        one would be the best without a word.
        """
        for folder in self._folder.glob("*/metrics"):
            step = folder.parent
            if step.name.isdigit() and is_complete(step):
                path = folder / "metrics"
                try:
                    check_numbers(parse_object(path.read_bytes()))
                    # As Orbax reads it, which takes no byte-order mark.
                    json.loads(path.read_text("utf-8"))
                except StorageError:
                    raise
                except (OSError, ValueError) as error:
                    if not step.exists():  # deleted meanwhile, by a training
                        continue
                    raise CheckpointError(
                        f"{step}: cannot be read (metrics: {error}); "
                        "delete this folder to resume from another checkpoint"
                    ) from error

    def _manager_options(self, options: CheckpointOptions | None):
        # Metrics are only written and read where there is a `best_fn`.
        ranking = {"best_fn": lambda metrics: retention.worth(metrics, self._given)}
        if options is None:
            return ocp.CheckpointManagerOptions(create=False, **ranking)
        return ocp.CheckpointManagerOptions(
            preservation_policy=self._policy,
            enable_async_checkpointing=options.asynchronous,
            todelete_subdir=_DELETED if self._moves else None,
            async_options=None if self._moves else patient_options(),
            **ranking,
        )

    def _empty_deleted(self) -> None:
        """Deletes what was moved away; the folder stays, as more may be on its way."""
        if self._moves and not self._reads and jax.process_index() == 0:
            for path in (self._folder / _DELETED).glob("*"):
                paths.remove_tree(path)

    def _remove_deleted(self) -> None:
        self._empty_deleted()
        if self._moves and not self._reads:
            with contextlib.suppress(OSError):  # gone, or never there
                (self._folder / _DELETED).rmdir()

    def steps(self) -> list[int]:
        """Complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def latest(self) -> int | None:
        """Newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """The best evaluated checkpoint, or None; the earliest of equals.

        Raises:
            CheckpointError: if checkpoints were evaluated, but nothing says which
                metric ranks them, or one lacks that metric.
        """
        scored = {step: found for step in self.steps() if (found := self.metrics(step))}
        if not scored:
            return None
        ranking = self._ranking()
        if ranking is None:
            raise CheckpointError(
                f"{self._folder}: cannot tell the best checkpoint, as nothing says "
                "which metric ranks them (neither their meta nor a task in "
                "config.json); name a step: latest, or one of "
                f"{', '.join(map(str, self.steps()))}"
            )
        for step, metrics in scored.items():
            self._check_ranked(step, metrics, ranking)
        return max(
            scored, key=lambda step: (retention.worth(scored[step], ranking), -step)
        )

    def _ranking(self) -> tuple[str, str] | None:
        """(name, "max" or "min") that ranks the checkpoints, where it is known."""
        if self._reads:
            for step in reversed(self.steps()):
                stored = self.meta(step).get(RANKING_KEY)
                if stored is not None:
                    return self._checked_ranking(step, stored)
        return self._given

    def _checked_ranking(self, step: int, stored: Any) -> tuple[str, str]:
        try:
            name, direction = stored
        except (TypeError, ValueError):
            name = direction = None
        if not isinstance(name, str) or direction not in ("max", "min"):
            raise CheckpointError(
                f"{self._folder / str(step)}: {RANKING_KEY!r} of its meta is {stored!r}; "
                "expected the name of a metric and 'max' or 'min'"
            )
        return name, direction

    def _check_ranked(
        self, step: int, metrics: dict[str, float], ranking: tuple[str, str] | None
    ) -> None:
        name = ranking and ranking[0]
        if name not in metrics:
            raise CheckpointError(
                f"{self._folder / str(step)}: no metric {name!r}, which ranks the "
                f"checkpoints of this run; its metrics are {', '.join(metrics)}"
            )

    def metrics(self, step: int) -> dict[str, float]:
        """Evaluation metrics saved with a step; empty where not evaluated."""
        return dict(self._manager.metrics(step) or {})

    def resolve(self, step: int | str) -> int:
        """The number behind `latest`, `best` or a number.

        Raises:
            CheckpointError: if there is no such checkpoint; lists those there are.
        """
        found: int | None
        if step == "latest":
            found = self.latest()
        elif step == "best":
            found = self.best()
            if found is None:
                found = self.latest()
        else:
            try:
                found = int(step)
            except ValueError:
                found = None
        if found is None or found not in self.steps():
            steps = ", ".join(map(str, self.steps())) or "none"
            raise CheckpointError(
                f"{self._folder}: no checkpoint {step!r}; complete ones: {steps}"
            )
        return found

    def save(
        self, step: int, state: Any, meta: dict, metrics: dict[str, float] | None = None
    ) -> None:
        """Starts saving a step, once; waits for an earlier save first.

        Raises:
            CheckpointError: if an earlier or this save failed (a full disk, say), or
                the metrics lack the one that ranks checkpoints.
        """
        if step in self._manager.all_steps():
            return
        if metrics is not None:
            self._check_ranked(step, metrics, self._given)
        self._empty_deleted()
        if self._given is not None:
            meta = meta | {RANKING_KEY: list(self._given)}
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(state),
                    meta=ocp.args.JsonSave(meta),
                ),
                metrics=metrics,
                force=True,
            )
        except (OSError, ValueError, jax.errors.JaxRuntimeError) as error:
            raise self._failed(f"saving step {step}", error) from error

    def wait(self) -> None:
        """Blocks until every save is complete.

        Raises:
            CheckpointError: if a save failed.
        """
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError, jax.errors.JaxRuntimeError) as error:
            raise self._failed("saving", error) from error

    def settle(self) -> None:
        """Waits, and deletes what a killed training did not come to delete.

        Orbax deletes after it has saved, and a run that has reached its end saves
        nothing more.

        Raises:
            CheckpointError: if a save failed.
        """
        self.wait()
        found = {step: self.metrics(step) for step in self.steps()}
        old = retention.surplus(self._policy, found)
        for step in found:
            # All have read all metrics before the first step goes.
            if processes.as_first_says(step in old):
                self._manager.delete(step)
        self._remove_deleted()

    def cut_off(self, error: StorageError) -> CheckpointError:
        """The error for a run that its storage ends, which names what is saved."""
        kept = ", ".join(map(str, self.steps())) or "none"
        return CheckpointError(f"{error}; complete checkpoints kept: {kept}")

    def _failed(self, what: str, error: Exception) -> CheckpointError:
        kept = ", ".join(map(str, self.steps())) or "none"
        said = reason(error)
        if not self._moves:
            release_waiting()
        return CheckpointError(
            f"{self._folder}: {what} failed ({said}); complete checkpoints kept: {kept}"
        )

    def restore(self, step: int, target: Any) -> Any:
        """Restores a state with the structure, types and shardings of `target`.

        Raises:
            CheckpointError: if the checkpoint is damaged or of another model.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        restored = ocp.checkpoint_utils.construct_restore_args(abstract)
        return self._read(step, ocp.args.PyTreeRestore(abstract, restored))

    def restore_arrays(self, step: int) -> dict:
        """Restores a state as NumPy arrays, whatever devices saved it.

        Returns:
            The fields of the state as nested dictionaries.

        Raises:
            CheckpointError: if the checkpoint is damaged.
        """
        path = self._folder / str(step) / "state"
        handler = ocp.PyTreeCheckpointHandler()
        try:
            tree = handler.metadata(path).tree
            as_arrays = jax.tree.map(
                lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
            )
            return handler.restore(
                path, args=ocp.args.PyTreeRestore(restore_args=as_arrays)
            )
        except DAMAGE as error:
            raise self._damaged(step, error) from error
        finally:
            handler.close()

    def meta(self, step: int) -> dict:
        """The JSON saved with a step.

        Raises:
            CheckpointError: if it is damaged.
        """
        try:
            meta = self._manager.restore(
                step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
            )["meta"]
        except DAMAGE as error:
            raise self._damaged(step, error) from error
        if not isinstance(meta, dict):
            raise self.damaged(step, f"meta is {shortened(meta)}, expected keys")
        return meta

    def damaged(self, step: int, reason: str) -> CheckpointError | StorageError:
        """The error for a checkpoint that is not what was saved."""
        return self._damaged(step, ValueError(reason))

    def _read(self, step: int, args: Any) -> Any:
        try:
            return self._manager.restore(step, args=ocp.args.Composite(state=args))[
                "state"
            ]
        except DAMAGE as error:
            raise self._damaged(step, error) from error

    def _damaged(self, step: int, error: Exception) -> CheckpointError | StorageError:
        if isinstance(error, StorageError):
            return error
        if not (self._folder / str(step)).exists():
            return CheckpointError(
                f"{self._folder / str(step)}: gone since it was found, as a training "
                "at work there keeps newer ones; run the same command again"
            )
        others = ", ".join(str(s) for s in self.steps() if s != step) or "none"
        said = reason(error)
        return CheckpointError(
            f"{self._folder / str(step)}: cannot be read ({said}); "
            f"delete this folder to resume from another checkpoint (others: {others})"
        )

    def close(self) -> None:
        """Waits and releases resources."""
        self.wait()
        self._manager.close()
        self._remove_deleted()
