"""The one evaluation loop."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from tqdm import tqdm

from hrnet_jax import runtime
from hrnet_jax.data.examples import HasTruth
from hrnet_jax.data.stream.batches import eval_batches
from hrnet_jax.data.stream.feeding import device_part, feed
from hrnet_jax.data.stream.grouping import SizedRecords, steps_per_epoch
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.runtime import processes
from hrnet_jax.tasks.annotated import reads_truth
from hrnet_jax.tasks.few_shapes import FewShapes, few_shapes
from hrnet_jax.tasks.protocol import (
    Evaluator,
    Trains,
    groups_images,
)
from hrnet_jax.training.speed import shows_bar

PredictFn = Callable[[dict, dict], dict[str, jax.Array]]


class PredictStep(jax.stages.Wrapped, Protocol):
    """A jitted `PredictFn`."""

    def __call__(self, variables: dict, batch: dict) -> dict[str, jax.Array]: ...


def make_predict_step(task: Trains, mesh: Mesh) -> PredictStep:
    """Builds the compiled function (variables, batch) -> predictions."""

    def sharding(name: str, value: jax.Array) -> NamedSharding:
        if name in task.totals:
            return runtime.replicated(mesh)
        rank = value.ndim if name in task.pixel_maps else 1
        return runtime.batch_sharding(mesh, rank)

    def predict(variables: dict, batch: dict) -> dict[str, jax.Array]:
        predictions = task.predict(variables, batch)
        return {
            name: jax.lax.with_sharding_constraint(value, sharding(name, value))
            for name, value in predictions.items()
        }

    return runtime.jit(predict, mesh)


def predictions_over(
    predict: PredictFn,
    task: Trains,
    variables: dict,
    records: SizedRecords,
    mesh: Mesh,
    *,
    batch_size: int,
    workers: int = 0,
    threads: int = 4,
    progress: str = "",
    sizes: np.ndarray | None = None,
) -> Iterator[tuple[dict, dict[str, jax.Array]]]:
    """Yields (batch, predictions) over a split.

    In the order of the records, or group after group where the task groups images, or
    has few shapes for them; batches then hold `record`, the index of each.

    Args:
        progress: label of a progress bar; empty for none.
        sizes: int [N, 2], of the images that few shapes are chosen for; those of the
            records if None.
    """
    groups = None
    # The program is of the task that came: it depends on the shapes of batches alone.
    if few_shapes(task):
        own = records.image_sizes()
        task = cast(Trains, task.for_sizes(own if sizes is None else sizes))
        groups = cast(FewShapes, task).eval_groups(own)
    elif groups_images(task):
        groups = task.eval_groups(records.image_sizes())
    batches = eval_batches(
        records,
        task.eval_transform,
        batch_size=batch_size,
        workers=workers,
        threads=threads,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        groups=groups,
    )
    count = -(-len(records) // batch_size)
    bar = tqdm(
        total=count if groups is None else steps_per_epoch(groups, batch_size),
        desc=progress,
        unit="batch",
        leave=False,
        disable=not progress,
    )
    with bar:
        for batch in feed(batches, mesh, map_keys=task.map_keys):
            yield batch, predict(variables, device_part(batch))
            bar.update()


def evaluator_over(
    predict: PredictFn,
    task: Trains,
    variables: dict,
    records: SizedRecords,
    mesh: Mesh,
    *,
    per_example: bool = False,
    **kwargs,
) -> Evaluator:
    """An evaluator that saw a whole split; arguments as for `predictions_over`.

    Args:
        per_example: whether its `report` and `worst` will be asked for.
    """
    if reads_truth(task):
        truth = cast(HasTruth, records).truth()
        evaluator = task.evaluator(per_example, truth)
    elif groups_images(task):
        evaluator = task.evaluator(per_example, len(records))
    else:
        evaluator = task.evaluator(per_example)
    for batch, predictions in predictions_over(
        predict, task, variables, records, mesh, **kwargs
    ):
        evaluator.update(batch, predictions)
    return evaluator


def draw_chosen(
    predict: PredictFn,
    task: Trains,
    variables: dict,
    records: SizedRecords,
    mesh: Mesh,
    indices: Sequence[int],
    **kwargs,
) -> dict[str, np.ndarray]:
    """Pictures of chosen examples of a split, in their order.

    Of several processes all have to call it; the first draws, the others get none.
    """
    chosen = _Subset(records, indices)
    pictures: dict[int, tuple[str, np.ndarray]] = {}
    if not len(chosen):
        return {}
    # Of all records, whose programs are compiled.
    sizes = records.image_sizes() if few_shapes(task) else None
    for batch, predictions in predictions_over(
        predict, task, variables, chosen, mesh, sizes=sizes, **kwargs
    ):
        per_example = {k: v for k, v in predictions.items() if k not in task.totals}
        rows = processes.gather_rows((device_part(batch), per_example))
        names = processes.gather_names(batch["image_id"], batch["example_valid"])
        for index, name in enumerate(names if processes.is_first() else ()):
            if not rows[0]["example_valid"][index]:
                continue
            target, prediction = jax.tree.map(lambda x, i=index: x[i], rows)
            picture = task.draw(target["image"], prediction, target)
            place = int(target.get("record", len(pictures)))
            pictures[place] = str(name).replace("/", "_"), picture
    return {name: picture for _, (name, picture) in sorted(pictures.items())}


def spread(records: SizedRecords, count: int) -> list[int]:
    """Indices of up to `count` examples spread evenly over a split."""
    chosen = np.linspace(0, len(records) - 1, min(count, len(records)), dtype=int)
    return [int(index) for index in chosen]


class _Subset:
    """Chosen records of a split."""

    def __init__(self, records: SizedRecords, indices: Sequence[int]):
        self._records = records
        self._indices = [int(index) for index in indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict:
        return self._records[self._indices[index]]

    def image_sizes(self) -> np.ndarray:
        return self._records.image_sizes()[self._indices]


def reading_options(config: TrainConfig, progress: str) -> dict[str, Any]:
    """Arguments of `predictions_over` from a configuration."""
    return {
        "batch_size": config.eval.batch_size,
        "workers": config.dataset.workers,
        "threads": config.dataset.threads,
        "progress": progress if shows_bar(config.logging) else "",
    }
