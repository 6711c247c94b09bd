"""Metrics do not depend on batches, devices and processes."""

import json
import socket
import subprocess
import sys

import jax
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.info import load_info
from hrnet_jax.data.records import prepared_directory
from hrnet_jax.data.stream.feeding import feed
from hrnet_jax.detection.metrics import CocoEvaluator
from hrnet_jax.detection.transforms import AugmentationOptions
from tests import tiny
from tests.detection import evaluated

OPTIONS = AugmentationOptions(test_scale=(96, 64), max_objects=4)


def evaluate(folder, batch_size, mesh):
    """An evaluator that saw the mixed set by way of the devices of a mesh."""
    info = load_info(prepared_directory("detection_coco", folder))
    evaluator = CocoEvaluator(info, masks=True, expected=11)
    batches = evaluated.batches(
        folder,
        "detection_coco",
        "val",
        batch_size,
        OPTIONS,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    both = (batch | {"found": evaluated.moved_objects(batch)} for batch in batches)
    flat = (
        {k: v for k, v in batch.items() if k != "found"}
        | {f"found_{key}": value for key, value in batch["found"].items()}
        for batch in both
    )
    for batch in feed(flat, mesh):
        found = {
            key.removeprefix("found_"): value
            for key, value in batch.items()
            if key.startswith("found_")
        }
        evaluator.update(batch, found)
    return evaluator


def summary(evaluator):
    return [evaluator.compute(), evaluator.worst(11), evaluator.remarks()]


def test_batches_and_devices_change_nothing(tmp_path):
    evaluated.mixed_set(tmp_path)
    one = runtime.make_mesh(1, 1)
    expected = summary(evaluate(tmp_path, 3, one))
    assert 0.1 < expected[0]["AP"] < 0.9 and 0.1 < expected[0]["mask_AP"] < 0.9
    assert sorted(expected[1]) == list(range(11))
    for batch_size, mesh in ((1, one), (8, runtime.make_mesh(8, 1))):
        assert summary(evaluate(tmp_path, batch_size, mesh)) == expected


TWO_PROCESSES = """
import json, sys, pathlib
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
rank, port, folder = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
jax.distributed.initialize(f"localhost:{port}", 2, rank)
from hrnet_jax import runtime
from tests.detection.test_sharded_evaluation import evaluate, summary
print(json.dumps(summary(evaluate(folder, 4, runtime.make_mesh()))), flush=True)
"""


@pytest.mark.slow
def test_every_process_counts_the_images_of_all(tmp_path):
    evaluated.mixed_set(tmp_path)
    with socket.create_server(("localhost", 0)) as free:
        port = str(free.getsockname()[1])
    variables = tiny.environment(XLA_FLAGS="--xla_force_host_platform_device_count=2")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, str(rank), port, str(tmp_path)],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    expected = summary(evaluate(tmp_path, 3, runtime.make_mesh(1, 1)))
    for out, _ in results:
        assert json.loads(out.splitlines()[-1]) == expected
