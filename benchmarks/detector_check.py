"""Checks that a detector computes the same here and in PyTorch, before it is timed."""

import pathlib
import tempfile
from typing import Any

import jax
import numpy as np

from benchmarks import detector_work
from benchmarks.detector_peer import open_peer
from benchmarks.jax_program import Program, make_program
from benchmarks.output_check import TOLERANCE
from benchmarks.timing import Case
from hrnet_jax.models.folding import fold_batch_norm

# Of the images that are tried.
SIDES = (320, 320)
# Share of detections that have a counterpart: rounding may turn two near scores around,
# and then suppression and the cut at the best thousand choose others.
LEAST_FOUND = 0.98
# Pixels, and score, by which counterparts differ at most.
NEAR_BOX, NEAR_SCORE = 0.05, 1e-3


def check(
    case: Case,
    python: str,
    sides: tuple[int, int] | None = None,
    gradients: bool = False,
) -> tuple[dict[str, float], str]:
    """Compares both, on one image and in full float32.

    Args:
        case: its model and mode are tried.
        python: that has torchvision.
        sides: (height, width) of the image; `SIDES` if None.
        gradients: whether those of some kernels are compared as well, which compiles
            for a minute where the network is a published one.

    Returns:
        Figures by name and the versions of the other side. To predict: `outputs`, the
        largest difference of the proposal network in standard deviations, and `found`,
        the least share of detections of either side that the other one has. To train:
        relative differences of losses and of norms of gradients.

    Raises:
        ValueError: if one is beyond its tolerance.
    """
    case = Case(case.model, case.mode, 1, *(sides or SIDES))
    program = make_program(case)
    if case.mode == "train":
        program.batch.update(_priorities(program))
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-detector-") as folder:
        peer = open_peer(python, pathlib.Path(folder), program, case, threads=1)
        try:
            peer.ask("check")
            with np.load(pathlib.Path(folder) / "check.npz") as arrays:
                theirs = dict(arrays)
        finally:
            peer.close()
    with jax.default_matmul_precision("highest"):
        if case.mode == "train":
            found = _compare_losses(program, theirs, gradients)
        else:
            found = _compare_outputs(program, theirs)
    refuse_differences(str(case), found)
    return found, peer.greeting


def refuse_differences(case: str, found: dict[str, float]) -> None:
    """Refuses figures of `check` that are beyond their tolerances.

    Raises:
        ValueError: naming the first of them.
    """
    for name, value in found.items():
        is_right, limit = value <= TOLERANCE, f"most {TOLERANCE:g}"
        if name == "found":
            is_right, limit = value >= LEAST_FOUND, f"least {LEAST_FOUND:g}"
        if not is_right:
            raise ValueError(
                f"{case}: {name} is {value:.2g}, expected at {limit}; the two "
                "detectors do not compute the same"
            )


def as_text(found: dict[str, float]) -> str:
    """`outputs 1.2e-05, found 1`."""
    return ", ".join(f"{name} {value:.2g}" for name, value in found.items())


def _priorities(program: Program) -> dict[str, np.ndarray]:
    """Numbers that decide which anchors and regions are drawn, instead of random ones."""
    outputs = jax.eval_shape(
        program.model.apply, program.variables, program.batch["image"]
    )
    anchors = sum(logits.size for logits, _ in outputs)
    regions = program.model.numbers.rpn.train_proposals + detector_work.PLACES
    rng = np.random.default_rng(0)
    return {
        f"{name}_priority": rng.permutation(count).astype(np.uint32)
        for name, count in (("rpn", anchors), ("roi", regions))
    }


def _compare_losses(
    program: Program, theirs: dict[str, np.ndarray], gradients: bool
) -> dict[str, float]:
    loss = detector_work.detector_loss(program.model)

    def of_params(params, rest, batch):
        rngs = {"dropout": jax.random.key(0)}
        return loss({**rest, "params": params}, batch, rngs)

    arguments = program.variables["params"], dict(program.variables), program.batch
    ours: dict[str, Any] = {}
    if gradients:
        found, (_, scalars) = jax.jit(jax.grad(of_params, has_aux=True))(*arguments)
        kernels = {
            "first": found["stem"]["conv1"]["kernel"],
            "reduce": found["pyramid"]["reduce"]["kernel"],
            "fc1": found["box_head"]["fc1"]["kernel"],
        }
        for name, kernel in kernels.items():
            # Twelve million squares lose three digits in single precision.
            whole = np.asarray(kernel, np.float64).ravel()
            ours[f"gradient/{name}"] = np.linalg.norm(whole)
    else:
        _, (_, scalars) = jax.jit(of_params)(*arguments)
    ours |= {f"loss/{name}": value for name, value in scalars.items()}
    return {
        name: abs(float(ours[name]) - float(value)) / abs(float(value))
        for name, value in theirs.items()
        if name in ours
    }


def _compare_outputs(program: Program, theirs: dict[str, np.ndarray]) -> dict:
    model, variables = fold_batch_norm(program.model, program.variables)

    @jax.jit
    def compute(variables, images):
        outputs = model.apply(variables, images)
        return outputs, detector_work.detect(model, variables, images)

    outputs, found = jax.device_get(compute(variables, program.batch["image"]))
    differences = []
    for k, both in enumerate(outputs):
        for name, part in zip(("logits", "deltas"), both, strict=True):
            other = theirs[f"{name}{k}"]
            difference = np.abs(part.reshape(other.shape) - other).max()
            differences.append(difference / other.std())
    ours = tuple(found[name][0][found["valid"][0]] for name in _PARTS)
    others = tuple(theirs[f"{name}_of0"] for name in _PARTS)
    if not len(ours[0]) or not len(others[0]):
        raise ValueError("nothing was found, so there is nothing to compare")
    shares = _share_found(ours, others), _share_found(others, ours)
    return {"outputs": float(max(differences)), "found": min(shares)}


_PARTS = ("boxes", "scores", "classes")


def _share_found(wanted: tuple, there: tuple) -> float:
    """Share of detections (boxes, scores, classes) that are among others."""
    boxes = np.abs(wanted[0][:, None] - there[0][None]).max(-1) < NEAR_BOX
    scores = np.abs(wanted[1][:, None] - there[1][None]) < NEAR_SCORE
    classes = wanted[2][:, None] == there[2][None]
    return float((boxes & scores & classes).any(1).mean())
