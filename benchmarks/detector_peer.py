"""Hands a detector, its weights and a batch over to PyTorch in another process."""

import dataclasses
import json
import pathlib

import numpy as np

from benchmarks.detector_work import work_of
from benchmarks.jax_program import OPTIMIZER, TRAINING_TARGETS, Program
from benchmarks.peer import Peer
from benchmarks.timing import Case
from hrnet_jax.models.variants import get_variant
from hrnet_jax.pretrained import to_torch

# Memory formats in which PyTorch is tried.
LAYOUTS = ("eager", "channels_last")
# Of models that are there.
PREFIX = "detection/faster_rcnn_"


def open_peer(
    python: str,
    folder: pathlib.Path,
    program: Program,
    case: Case,
    threads: int,
) -> Peer:
    """Starts the process that has the same detector; see `torchvision_detector`.

    Args:
        python: that has torchvision.
        folder: an empty one, for what is handed over.
        program: ours, with norms as they are.
        case: of the program.
        threads: of PyTorch.

    Raises:
        ValueError: if it does not start, or for a detector that is not there.
    """
    facts = {
        "variant": dataclasses.asdict(get_variant(case.model.removeprefix(PREFIX))),
        "mode": case.mode,
        "numbers": work_of(program.model),
        "sgd": {
            "lr": TRAINING_TARGETS["detection"].learning_rate,
            "momentum": OPTIMIZER.momentum,
            "weight_decay": OPTIMIZER.weight_decay,
        },
    }
    (folder / "case.json").write_text(json.dumps(facts))
    state = to_torch(program.variables, program.model, convention="mmdet")
    np.savez(folder / "weights.npz", **state)
    np.savez(folder / "batch.npz", **program.batch)
    script = pathlib.Path(__file__).parent / "torchvision_detector.py"
    return Peer(python, script, str(folder), str(threads))
