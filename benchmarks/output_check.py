"""Checks that two frameworks compute the same, before either is timed."""

import jax
import numpy as np

from benchmarks.jax_program import make_program
from benchmarks.timing import Case
from benchmarks.torch_program import TorchProgram, Variant, prepare_torch

# Largest difference of outputs in standard deviations, and of losses relative.
TOLERANCE = 1e-4


def check_outputs(case: Case, device: str) -> float:
    """Difference of the outputs in evaluation, in full float32.

    Args:
        case: its model and image size are tried, on one image.
        device: PyTorch's.

    Returns:
        The largest difference in standard deviations of PyTorch's outputs, with
        norms as they are and, where they may be, folded.

    Raises:
        ValueError: if it is above the tolerance.
    """
    is_folded = (False, True) if case.mode == "infer" else (False,)
    case = Case(case.model, "infer", 1, case.height, case.width)
    with jax.default_matmul_precision("highest"):
        programs = [make_program(case, folded=folded) for folded in is_folded]
        ours = []
        for program in programs:
            program.compile()
            ours.append(np.asarray(program()))
    prepare_torch(tf32=False)
    theirs = TorchProgram(case, Variant(), programs[0], device).outputs()
    prepare_torch(tf32=True)
    theirs = theirs.cpu().numpy()
    if theirs.ndim == 4:
        theirs = theirs.transpose(0, 2, 3, 1)
    differences = [np.abs(outputs - theirs).max() for outputs in ours]
    difference = float(np.max(differences) / theirs.std())
    if not difference <= TOLERANCE:
        raise ValueError(
            f"{case}: outputs differ from PyTorch's by {difference:.1e} standard "
            f"deviations, expected at most {TOLERANCE:.0e}"
        )
    return difference


def check_losses(case: Case, losses: dict[str, float]) -> None:
    """The first losses in training mode agree, where TF32 does not blur them."""
    if jax.default_backend() != "cpu":
        return
    for name, value in losses.items():
        if not abs(value - losses["jax"]) <= TOLERANCE * abs(losses["jax"]):
            raise ValueError(
                f"{case}: the first loss is {losses['jax']:.6f} with JAX and "
                f"{value:.6f} with {name}"
            )
