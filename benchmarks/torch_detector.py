"""Faster R-CNN on HRNetV2p in PyTorch with torchvision's operators, to compare with.

Written from the published architecture with the names of mmdetection 3, so that
`load_state_dict(to_torch(variables, model, convention="mmdet"))` is strict. Numbers of
proposals, samples and detections are given, see `detector_work.work_of`. Boxes measure
as mmdetection 2 and 3 measure them; norms keep their statistics, as published.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch_hrnet import Body, concatenate, conv
from hrnet_jax.models.variants import Variant

# The most that a box changes its size: 16 / 1000 and its inverse.
_RATIO_LIMIT = abs(math.log(16 / 1000))
_BACKGROUND, _IGNORED = -1, -2


def _named(**modules: nn.Module) -> nn.Module:
    """Modules below one name."""
    holder = nn.Module()
    for name, module in modules.items():
        holder.add_module(name, module)
    return holder


class FasterRCNN(nn.Module):
    """Body, pyramid, proposals and the box head.

    Args:
        variant: row of the table of variants.
        numbers: of `detector_work.work_of`.
    """

    def __init__(self, variant: Variant, numbers: dict):
        super().__init__()
        features, head_width = numbers["features"], numbers["head_width"]
        self.numbers = numbers
        levels = len(numbers["strides"])
        anchors = len(numbers["scales"]) * len(numbers["ratios"])
        self.backbone = Body(variant, "nearest")
        self.neck = _named(
            reduction_conv=_named(
                conv=conv(sum(variant.branch_widths()), features, 1, bias=True)
            ),
            fpn_convs=nn.ModuleList(
                _named(conv=conv(features, features, bias=True)) for _ in range(levels)
            ),
        )
        self.rpn_head = _named(
            rpn_conv=conv(features, features, bias=True),
            rpn_cls=conv(features, anchors, 1, bias=True),
            rpn_reg=conv(features, 4 * anchors, 1, bias=True),
        )
        classes = numbers["classes"]
        self.roi_head = _named(
            bbox_head=_named(
                shared_fcs=nn.ModuleList(
                    [
                        nn.Linear(features * 7 * 7, head_width),
                        nn.Linear(head_width, head_width),
                    ]
                ),
                fc_cls=nn.Linear(head_width, classes + 1),
                fc_reg=nn.Linear(head_width, 4 * classes),
            )
        )

    def train(self, mode: bool = True) -> "FasterRCNN":
        """As usual, but norms keep their statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Levels [B, C, h, w] of normalised images [B, 3, H, W]."""
        maps = concatenate(self.backbone.represent(images), "bilinear")
        reduced = self.neck.reduction_conv.conv(maps)
        return [
            level.conv(functional.avg_pool2d(reduced, 2**k) if k else reduced)
            for k, level in enumerate(self.neck.fpn_convs)
        ]

    def propose(self, levels: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Logits [B, A] and deltas [B, A, 4] of the anchors of every level."""
        outputs = []
        for level in levels:
            x = functional.relu(self.rpn_head.rpn_conv(level), inplace=True)
            logits = self.rpn_head.rpn_cls(x).permute(0, 2, 3, 1)
            deltas = self.rpn_head.rpn_reg(x).permute(0, 2, 3, 1)
            batch = len(x)
            outputs.append((logits.reshape(batch, -1), deltas.reshape(batch, -1, 4)))
        return outputs

    def anchors(self, levels: list[Tensor]) -> list[Tensor]:
        """Anchors [h * w * A, 4] of every level."""
        scales, ratios = self.numbers["scales"], self.numbers["ratios"]
        found = []
        for level, stride in zip(levels, self.numbers["strides"], strict=True):
            tall = torch.sqrt(torch.tensor(ratios)).repeat_interleave(len(scales))
            side = stride * torch.tensor(scales).repeat(len(ratios))
            half = torch.stack([side / tall, side * tall], -1) / 2
            rows, columns = (torch.arange(n) * stride for n in level.shape[2:])
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            centre = torch.stack([x, y], -1).reshape(-1, 1, 2).float()
            corners = torch.cat([centre - half, centre + half], -1)
            found.append(corners.reshape(-1, 4))
        return found

    def classify(
        self, levels: list[Tensor], boxes: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Logits [R, K + 1] and deltas [R, K, 4] of regions, images in a row."""
        from torchvision.ops import roi_align

        rois = torch.cat(
            [
                torch.cat([one.new_full((len(one), 1), image), one], 1)
                for image, one in enumerate(boxes)
            ]
        )
        sides = rois[:, 3:] - rois[:, 1:3]
        relative = torch.sqrt(sides.prod(1).clamp(min=0)) / self.numbers["finest"]
        last = len(levels) - 2
        place = torch.floor(torch.log2(relative + 1e-6)).clamp(0, last)
        pooled = rois.new_zeros(len(rois), levels[0].shape[1], 7, 7)
        # The last level is for proposals alone.
        for k, level in enumerate(levels[:-1]):
            (index,) = (place == k).nonzero(as_tuple=True)
            if len(index):
                scale = 1 / self.numbers["strides"][k]
                pooled[index] = roi_align(level, rois[index], 7, scale, 0, True)
        head = self.roi_head.bbox_head
        x = pooled.flatten(1)
        for layer in head.shared_fcs:
            x = functional.relu(layer(x), inplace=True)
        return head.fc_cls(x), head.fc_reg(x).reshape(len(x), -1, 4)

    def proposals(
        self,
        levels: list[Tensor],
        outputs: list[tuple[Tensor, Tensor]],
        size: tuple[int, int],
        *,
        train: bool,
    ) -> list[Tensor]:
        """Boxes [P, 4] of every image, best first; see `proposals.propose`."""
        from torchvision.ops import batched_nms

        start = "train_" if train else ""
        limit = self.numbers[f"{start}candidates"]
        most = self.numbers[f"{start}proposals"]
        grids = self.anchors(levels)
        kept = []
        for image in range(len(levels[0])):
            parts = []
            for k, (logits, deltas) in enumerate(outputs):
                one = logits[image].detach()
                scores, index = one.topk(min(limit, len(one)))
                moves = deltas[image].detach()[index]
                boxes = decode(grids[k][index], moves, size)
                parts.append((boxes, scores, torch.full_like(index, k)))
            boxes, scores, level = (
                torch.cat(part) for part in zip(*parts, strict=True)
            )
            some = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
            boxes, scores, level = boxes[some], scores[some], level[some]
            index = batched_nms(boxes, scores, level, self.numbers["overlap"])
            kept.append(boxes[index[:most]])
        return kept

    def detect(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Boxes [N, 4], scores [N] and classes [N] of every image, best first."""
        levels = self.pyramid(images)
        size = images.shape[2], images.shape[3]
        boxes = self.proposals(levels, self.propose(levels), size, train=False)
        logits, deltas = self.classify(levels, boxes)
        scores = functional.softmax(logits, -1)[:, :-1]
        moved = decode(torch.cat(boxes)[:, None], deltas, size, self.numbers["stds"])
        counts = [len(one) for one in boxes]
        return [
            self._detections(*both)
            for both in zip(moved.split(counts), scores.split(counts), strict=True)
        ]

    def _detections(
        self, boxes: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of one image, from boxes [P, K, 4] and scores [P, K]."""
        from torchvision.ops import batched_nms

        least, overlap, count = self.numbers["detections"]
        index, classes = (scores > least).nonzero(as_tuple=True)
        boxes, scores = boxes[index, classes], scores[index, classes]
        kept = batched_nms(boxes, scores, classes, overlap)[:count]
        return boxes[kept], scores[kept], classes[kept]


def decode(
    anchors: Tensor,
    deltas: Tensor,
    size: tuple[int, int],
    stds: list[float] | None = None,
) -> Tensor:
    """Boxes that a head predicts at anchors, cut to an image of (height, width)."""
    if stds is not None:
        deltas = deltas * deltas.new_tensor(stds)
    sides = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., :2] + anchors[..., 2:]) / 2 + sides * deltas[..., :2]
    half = sides * deltas[..., 2:].clamp(-_RATIO_LIMIT, _RATIO_LIMIT).exp() / 2
    limit = deltas.new_tensor([size[1], size[0]])
    corners = [centre - half, centre + half]
    return torch.cat([torch.minimum(x.clamp(min=0), limit) for x in corners], -1)


def encode(anchors: Tensor, boxes: Tensor, stds: list[float] | None = None) -> Tensor:
    """What a head has to predict at anchors to give boxes."""

    def centred(x: Tensor) -> tuple[Tensor, Tensor]:
        sides = (x[..., 2:] - x[..., :2]).clamp(min=1e-6)
        return (x[..., :2] + x[..., 2:]) / 2, sides

    (centre, sides), (wanted, lengths) = centred(anchors), centred(boxes)
    parts = [(wanted - centre) / sides, torch.log(lengths / sides)]
    deltas = torch.cat(parts, -1)
    return deltas if stds is None else deltas / deltas.new_tensor(stds)


def assign(
    anchors: Tensor, objects: Tensor, positive: float, negative: float, least: float
) -> Tensor:
    """Object of every anchor, -1 background, -2 ignored (mmdetection's assigner).

    Args:
        anchors: [A, 4].
        objects: [G, 4].
        positive: overlap from which on an anchor is positive.
        negative: overlap below which it is background.
        least: overlap from which on an object takes its best anchors; above 1, none.
    """
    from torchvision.ops import box_iou

    overlaps = box_iou(objects, anchors)
    best, index = overlaps.max(0)
    assigned = torch.full_like(index, _IGNORED)
    assigned[best < negative] = _BACKGROUND
    assigned = torch.where(best >= positive, index, assigned)
    largest = overlaps.max(1).values
    for k in range(len(objects)):
        if largest[k] >= least:
            assigned[overlaps[k] == largest[k]] = k
    return assigned


def sample(
    assigned: Tensor, count: int, most_positive: int, priority: Tensor | None = None
) -> Tensor:
    """Indices of what is drawn: positives, then background.

    Args:
        assigned: of `assign`.
        count: how many at most.
        most_positive: of them.
        priority: [A], the smallest are drawn; None for random ones.
    """

    def chosen(flags: Tensor, most: int) -> Tensor:
        (index,) = flags.nonzero(as_tuple=True)
        if priority is not None:
            return index[torch.argsort(priority[index], stable=True)[:most]]
        if len(index) <= most:
            return index
        return index[torch.randperm(len(index))[:most]]

    positives = chosen(assigned >= 0, most_positive)
    others = chosen(assigned == _BACKGROUND, count - len(positives))
    return torch.cat([positives, others])
