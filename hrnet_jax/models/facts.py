"""Facts about models that other packages read."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True)
class LayerInit:
    """How a layer of a head starts, whatever the initializer of the network.

    Attributes:
        kernel: standard deviation of a normal distribution; `he` (normal, fan-out, gain
            of ReLU); `xavier` (uniform, Glorot & Bengio 2010).
        bias: value of every bias.
    """

    kernel: float | str
    bias: float = 0.0


class ModelFacts:
    """Facts that differ between models, as they are for most.

    Attributes:
        output_kind: selects the naming scheme in `pretrained.names`.
        representations: those that the model may be asked for.
        auxiliary_outputs: names of outputs that only a loss reads.
        init_as_pytorch: parts whose kernels the official code leaves at PyTorch's
            initial values, where it draws all others.
        init_with_zeros: layers whose biases the official code starts at 0.
        init_layers: regular expression of layers -> how they start.
        norm_default: batch-norm mode that the family's weights were trained with.
    """

    output_kind: ClassVar[str]
    representations: ClassVar[tuple[str, ...]]
    auxiliary_outputs: ClassVar[tuple[str, ...]] = ()
    init_as_pytorch: ClassVar[tuple[str, ...]] = ()
    init_with_zeros: ClassVar[tuple[str, ...]] = ()
    init_layers: ClassVar[Mapping[str, LayerInit]] = {}
    norm_default: ClassVar[str] = "batch"

    @property
    def min_size(self) -> int:
        """Smallest side of an image that the model reads, in pixels."""
        return 1

    def attention_multiply_adds(self, shapes: dict[str, Any]) -> int:
        """Multiply-adds of products between activations, for one image.

        Args:
            shapes: outputs of every module, by its name.
        """
        return 0
