"""Which stage of the network a kernel belongs to, and what kind of work it is.

Both are read from the metadata that a compiled program carries: the scopes
(`.../stage3/module1/exchange/from1_to0/norm/...`, in the backward pass within
`transpose(jvp(...))`) and the source files on the stack of each instruction.

A fused kernel counts as a whole for the stage and kind that most of its arithmetic
comes from; one with a convolution or matrix product is that. A kernel that only
moves values is a copy, and where XLA made it without metadata it belongs to the
stage that reads its result. What remains is reported as unattributed.
"""

import collections
import dataclasses
import functools
import re

from benchmarks.profiling import costs
from hrnet_jax.costs.hlo import HloProgram, Instruction

BODY = (
    "stem",
    "stage1",
    "transition1",
    "stage2",
    "transition2",
    "stage3",
    "transition3",
    "stage4",
)
UNATTRIBUTED = "unattributed"
WAITING = "waiting"
STAGES = ("input", *BODY, "head", "loss", "optimiser", UNATTRIBUTED, WAITING)
KINDS = (
    "convolution",
    "norm",
    "elementwise",
    "exchange",
    "upsampling",
    "head",
    "proposals",
    "matching",
    "regions",
    "detections",
    "loss",
    "optimiser",
    "input",
    "copies",
    UNATTRIBUTED,
    WAITING,
)

# Parts of a detector, by the files of `hrnet_jax.detection` they are in: the first whose
# file is on the stack. Suppression belongs to what it serves.
_PARTS = {
    "matching": {"matching.py", "sampling.py"},
    "detections": {"postprocess.py"},
    "regions": {"roi_align.py", "roi_axes.py", "roi_chunks.py", "roi_loops.py"},
    "proposals": {"nms.py", "proposals.py"},
}

# How far to look for the reader of a copy: copies of copies are rare.
_REACH = 4


@dataclasses.dataclass(frozen=True)
class Label:
    """Stage and kind of a kernel, one of `STAGES` and one of `KINDS`."""

    stage: str
    kind: str


class Attribution:
    """Tells the labels of one program's kernels.

    Args:
        program: the compiled program.
        model: class name of the network, the scope that flax gives it.
        is_training: whether work outside of the network and its derivative is the
            optimiser's.
    """

    def __init__(self, program: HloProgram, model: str, is_training: bool):
        self._program = program
        self._model = model
        self._is_training = is_training

    def label(self, name: str) -> Label:
        """Label of the kernel that runs the instruction of this name."""
        instruction = self._program.instructions.get(name)
        if instruction is None:
            return Label(UNATTRIBUTED, UNATTRIBUTED)
        return self._own(instruction) or self._from_neighbours(instruction)

    @functools.cache  # noqa: B019  (lives as long as a program)
    def _own(self, kernel: Instruction) -> Label | None:
        """From the metadata of what a kernel computes; None without any."""
        inside = list(self._program.inside(kernel))
        for chosen in (
            [part for part in inside if costs.is_product(part)],
            [part for part in inside if not costs.is_movement(part)],
        ):
            if chosen:
                return self._heaviest(chosen)
        # It moves values. Its own metadata may tell more than that of its parts.
        labels = [self._simple(part) for part in (kernel, *reversed(inside))]
        known = next((label for label in labels if label), None)
        if known is None or known.kind == "upsampling":
            return known
        return Label(known.stage, "copies")

    def _heaviest(self, parts: list[Instruction]) -> Label | None:
        weights = collections.Counter()
        for part in parts:
            if label := self._simple(part):
                # One more, for transcendental functions count no FLOPs.
                weights[label] += 1 + costs.flops(self._program, part)
        if not weights:
            return None
        # Ties (a norm's multiply-add and a ReLU's comparison) by order of kinds.
        return max(weights, key=lambda key: (weights[key], -KINDS.index(key.kind)))

    def _simple(
        self, instruction: Instruction, is_product: bool | None = None
    ) -> Label | None:
        if is_product is None:
            is_product = costs.is_product(instruction)
        return label_of(
            instruction.op_name,
            self._program.files(instruction),
            is_product,
            self._model,
            self._is_training,
        )

    def _from_neighbours(self, kernel: Instruction) -> Label:
        """Of a kernel without metadata: the stage that reads it, or feeds it.

        XLA drops the metadata of some gradients of convolutions, but what lays out
        their results keeps it. Other arithmetic without a name stays without one.
        """
        inside = list(self._program.inside(kernel))
        product = any(map(costs.is_product, inside))
        moves = all(map(costs.is_movement, inside))
        kind = "copies" if moves else UNATTRIBUTED
        for step in (self._readers, self._sources):
            ring = [kernel]
            for _ in range(_REACH if product or moves else 0):
                ring = [other for one in ring for other in step(one)]
                for other in ring:
                    if product and (label := self._simple(other, True)):
                        if label.stage != "optimiser":
                            return label
                    elif moves and (label := self._own(other)):
                        return Label(label.stage, kind)
        return Label(UNATTRIBUTED, kind)

    def _readers(self, instruction: Instruction) -> list[Instruction]:
        users = self._program.users.get(instruction.name, [])
        return [user for user in users if user.opcode != "tuple"]

    def _sources(self, instruction: Instruction) -> list[Instruction]:
        return [self._program.instructions[name] for name in instruction.operands]


def label_of(
    op_name: str, files: frozenset[str], is_product: bool, model: str, is_training: bool
) -> Label | None:
    """Label of one instruction before fusion.

    Args:
        op_name: its scopes and primitive.
        files: names of the source files on its stack.
        is_product: whether it is a convolution or matrix product.
        model: class name of the network.
        is_training: whether the program is a train step.

    Returns:
        None where the metadata does not tell.
    """
    scopes = _scopes(op_name)
    stage = _stage(scopes, op_name, model, is_training)
    if stage is None:
        return None
    return Label(stage, _kind(stage, scopes, files, is_product))


def _scopes(op_name: str) -> list[str]:
    """Parts of a name without transformations: `transpose(jvp(a))/jit(f)/b` is a, b."""
    scopes = []
    for part in op_name.split("/"):
        if part.startswith(("jit(", "pjit(")):
            continue
        while match := re.fullmatch(r"[\w-]+\((.*)\)", part):
            part = match[1]
        scopes.append(part)
    return scopes


def _stage(
    scopes: list[str], op_name: str, model: str, is_training: bool
) -> str | None:
    if "input" in scopes:
        return "input"
    # Methods are scopes as well: `backbone.represent`, or `FasterRCNN.detect`.
    of_model = [scope == model or scope.startswith(f"{model}.") for scope in scopes]
    if any(of_model):
        after = scopes[of_model.index(True) + 1 :]
        names = [
            scope for scope in after if not scope.startswith((f"{model}.", "backbone"))
        ]
        return names[0] if names and names[0] in BODY else "head"
    if "jvp(" in op_name:
        return "loss"
    if is_training and op_name.startswith(("jit(", "pjit(")):
        return "optimiser"
    return None


def _kind(
    stage: str, scopes: list[str], files: frozenset[str], is_product: bool
) -> str:
    if "resize.py" in files:
        return "upsampling"
    for part, sources in _PARTS.items():
        if not sources.isdisjoint(files):
            return part
    if stage in ("input", "loss", "optimiser"):
        return stage
    if not is_product and (
        "batch_norm.py" in files
        or any(re.fullmatch(r"norm\d*", scope) for scope in scopes)
    ):
        return "norm"
    if stage == "head":
        return "head"
    if "exchange" in scopes:
        return "exchange"
    return "convolution" if is_product else "elementwise"
