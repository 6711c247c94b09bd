"""HRNet in PyTorch, to compare speed and outputs with.

Written from the published architecture with the official parameter names, so
that `load_state_dict(to_torch(variables, model))` is strict. Like the official
code it builds the whole representation before the head's first convolution and
leaves every norm and activation a layer of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hrnet_jax.models.variants import VARIANTS, Variant, get_variant

# Inner widths of the bottlenecks that widen the branches for classification.
INCREASE_WIDTHS = (32, 64, 128, 256)


def conv(
    inputs: int, outputs: int, size: int = 3, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Square convolution padded by half its size."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=bias)


def conv_norm(
    inputs: int,
    outputs: int,
    size: int = 3,
    stride: int = 1,
    *,
    relu: bool = True,
    bias: bool = False,
) -> nn.Sequential:
    """Convolution (0), batch norm (1), optional ReLU (2)."""
    layers = [conv(inputs, outputs, size, stride, bias), nn.BatchNorm2d(outputs)]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and an identity shortcut."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.bn1 = conv(width, width), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(self.bn2(self.conv2(y)) + x, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; outputs four times its width."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = (
            conv_norm(inputs, outputs, 1, relu=False) if inputs != outputs else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(y + shortcut, inplace=True)


class Exchange(nn.Module):
    """Parallel branches of basic blocks, then every resolution sums all.

    Args:
        widths: of the branches.
        blocks: in each.
        upsample: resize method.
        kept: resolutions that are computed, the highest first; None for all.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        blocks: int,
        upsample: str,
        kept: int | None = None,
    ):
        super().__init__()
        self.upsample = upsample
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(blocks)))
            for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(
                _path(widths, source, target) for source in range(len(widths))
            )
            for target in range(len(widths) if kept is None else kept)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [self._fuse(maps, target) for target in range(len(self.fuse_layers))]

    def _fuse(self, maps: list[Tensor], target: int) -> Tensor:
        total = None
        for source, x in enumerate(maps):
            if source != target:
                x = self.fuse_layers[target][source](x)
            if source > target:
                x = resize(x, maps[target].shape[2:], self.upsample)
            total = x if total is None else total + x
        return functional.relu(total)


def _path(widths: tuple[int, ...], source: int, target: int) -> nn.Module | None:
    """Layers from one branch to another; nothing to itself."""
    if source == target:
        return None
    if source > target:
        return conv_norm(widths[source], widths[target], 1, relu=False)
    steps = target - source
    outputs = [widths[source]] * (steps - 1) + [widths[target]]
    return nn.Sequential(
        *(
            conv_norm(widths[source], width, stride=2, relu=index < steps - 1)
            for index, width in enumerate(outputs)
        )
    )


def resize(x: Tensor, size: torch.Size, method: str) -> Tensor:
    """`bilinear`, `align_corners` or `nearest`, like `hrnet_jax`'s resize."""
    if method == "nearest":
        return functional.interpolate(x, size=size, mode="nearest")
    aligned = method == "align_corners"
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=aligned)


class Body(nn.Module):
    """Stem, stage 1 and the three multi-resolution stages.

    Args:
        variant: row of the table of variants.
        upsample: resize method inside the exchange.
        kept: resolutions that the very last exchange computes.
    """

    def __init__(self, variant: Variant, upsample: str, kept: int = 4):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, stride=2), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = conv(64, 64, stride=2), nn.BatchNorm2d(64)
        width = variant.stage1_width
        self.layer1 = nn.Sequential(
            Bottleneck(64, width),
            *(Bottleneck(4 * width, width) for _ in range(variant.stage1_blocks - 1)),
        )
        widths = (4 * width,)
        for stage, modules in enumerate(variant.modules, start=2):
            following = variant.branch_widths(stage)
            setattr(self, f"transition{stage - 1}", _transition(widths, following))
            setattr(
                self,
                f"stage{stage}",
                nn.Sequential(
                    *(
                        Exchange(
                            following,
                            variant.blocks,
                            upsample,
                            kept if (stage, index) == (4, modules - 1) else None,
                        )
                        for index in range(modules)
                    )
                ),
            )
            widths = following

    def represent(self, x: Tensor) -> list[Tensor]:
        """Maps [B, 3, H, W] to four maps at strides 4, 8, 16 and 32."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.relu(self.bn2(self.conv2(x)), inplace=True)
        maps = [self.layer1(x)]
        for stage in (2, 3, 4):
            transition = getattr(self, f"transition{stage - 1}")
            last = len(maps) - 1
            maps = [
                maps[min(index, last)]
                if layer is None
                else layer(maps[min(index, last)])
                for index, layer in enumerate(transition)
            ]
            maps = getattr(self, f"stage{stage}")(maps)
        return maps


def _transition(before: tuple[int, ...], after: tuple[int, ...]) -> nn.ModuleList:
    """One layer per new branch list entry; None passes a branch unchanged."""
    layers: list[nn.Module | None] = []
    for index, width in enumerate(after):
        if index >= len(before):
            # The official code nests a new branch one list deeper.
            layers.append(nn.Sequential(conv_norm(before[-1], width, stride=2)))
        elif before[index] != width:
            layers.append(conv_norm(before[index], width))
        else:
            layers.append(None)
    return nn.ModuleList(layers)


def concatenate(maps: list[Tensor], upsample: str) -> Tensor:
    """The representation V2: all maps at the size of the first."""
    size = maps[0].shape[2:]
    return torch.cat([maps[0], *(resize(x, size, upsample) for x in maps[1:])], 1)


def _pixel_head(inputs: int, outputs: int) -> nn.Sequential:
    """1x1 convolution (0), norm (1), ReLU (2), 1x1 convolution (3)."""
    return nn.Sequential(
        *conv_norm(inputs, inputs, 1, bias=True), conv(inputs, outputs, 1, bias=True)
    )


class SegmentationNet(Body):
    """HRNetV2 for segmentation: float [B, 3, H, W] to [B, K, H / 4, W / 4]."""

    def __init__(self, variant: Variant, num_classes: int, upsample: str):
        super().__init__(variant, upsample)
        self.upsample = upsample
        total = sum(variant.branch_widths())
        self.last_layer = _pixel_head(total, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.last_layer(concatenate(self.represent(images), self.upsample))


class LandmarkNet(Body):
    """HRNetV2 for landmarks: float [B, 3, H, W] to [B, K, H / 4, W / 4]."""

    def __init__(self, variant: Variant, num_points: int, upsample: str):
        super().__init__(variant, upsample)
        self.upsample = upsample
        total = sum(variant.branch_widths())
        self.head = _pixel_head(total, num_points)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(concatenate(self.represent(images), self.upsample))


class PoseNet(Body):
    """HRNetV1 for pose: float [B, 3, H, W] to [B, K, H / 4, W / 4]."""

    def __init__(self, variant: Variant, num_points: int, upsample: str):
        super().__init__(variant, upsample, kept=1)
        widths = variant.branch_widths()
        self.final_layer = conv(widths[0], num_points, 1, bias=True)

    def forward(self, images: Tensor) -> Tensor:
        return self.final_layer(self.represent(images)[0])


class ClassificationNet(Body):
    """HRNet for classification: float [B, 3, H, W] to [B, K]."""

    def __init__(self, variant: Variant, num_classes: int, upsample: str):
        super().__init__(variant, upsample)
        widths = variant.branch_widths()
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(inputs, width))
            for inputs, width in zip(widths, INCREASE_WIDTHS, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            conv_norm(4 * width, 8 * width, stride=2, bias=True)
            for width in INCREASE_WIDTHS[:-1]
        )
        self.final_layer = conv_norm(1024, 2048, 1, bias=True)
        self.classifier = nn.Linear(2048, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.represent(images)
        total = self.incre_modules[0](maps[0])
        for index, down in enumerate(self.downsamp_modules, start=1):
            total = self.incre_modules[index](maps[index]) + down(total)
        return self.classifier(self.final_layer(total).mean((2, 3)))


def create_torch_model(
    name: str, *, num_outputs: int | None = None, align_corners: bool = False
) -> Body:
    """The PyTorch counterpart of `hrnet_jax.create_model`.

    Args:
        name: `segmentation/<variant>`, `landmarks/<variant>`, `pose/<variant>` or
            `classification/<variant>`.
        num_outputs: classes or points; 19, 68, 17 and 1000 by default.
        align_corners: of all bilinear resizing (not of pose and classification).

    Raises:
        ValueError: for another family.
    """
    family, _, variant = name.partition("/")
    if family not in NETWORKS or variant not in VARIANTS:
        raise ValueError(
            f"no PyTorch counterpart of {name!r}; expected one of "
            f"{', '.join(f'{family}/<variant>' for family in NETWORKS)}"
        )
    network, default = NETWORKS[family]
    method = "align_corners" if align_corners else "bilinear"
    method = "nearest" if family in ("classification", "pose") else method
    return network(get_variant(variant), num_outputs or default, method)


# Family -> network, and its number of outputs where none is given.
NETWORKS: dict[str, tuple[type[Body], int]] = {
    "segmentation": (SegmentationNet, 19),
    "landmarks": (LandmarkNet, 68),
    "pose": (PoseNet, 17),
    "classification": (ClassificationNet, 1000),
}
