"""Losses of the Faster R-CNN of `torch_detector`."""

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.torch_detector import FasterRCNN, assign, encode, sample

# No object takes a region that overlaps it by less than others need.
_NEVER = 2.0

Objects = list[tuple[Tensor, Tensor]]
Outputs = list[tuple[Tensor, Tensor]]


def losses(
    network: FasterRCNN,
    images: Tensor,
    objects: Objects,
    priorities: tuple[Tensor, Tensor] | None = None,
) -> dict[str, Tensor]:
    """All losses by name; their sum is to be minimised.

    Args:
        network: the detector.
        images: [B, 3, H, W], normalised.
        objects: boxes [G, 4] and classes [G] of every image.
        priorities: of anchors, and of objects and proposals, instead of random draws.
    """
    levels = network.pyramid(images)
    outputs = network.propose(levels)
    rpn, roi = priorities or (None, None)
    found = _rpn_losses(network, levels, outputs, objects, rpn)
    size = images.shape[2], images.shape[3]
    with torch.no_grad():
        boxes = network.proposals(levels, outputs, size, train=True)
    return found | _roi_losses(network, levels, boxes, objects, roi)


def _rpn_losses(
    network: FasterRCNN,
    levels: list[Tensor],
    outputs: Outputs,
    objects: Objects,
    priority: Tensor | None,
) -> dict[str, Tensor]:
    anchors = torch.cat(network.anchors(levels))
    logits = torch.cat([one for one, _ in outputs], 1)
    deltas = torch.cat([one for _, one in outputs], 1)
    classes, boxes, count = logits.new_zeros(()), logits.new_zeros(()), 0
    for image, (wanted, _) in enumerate(objects):
        assigned = assign(anchors, wanted, *network.numbers["rpn_thresholds"])
        index = sample(assigned, *network.numbers["rpn_samples"], priority)
        target = assigned[index]
        is_object = target >= 0
        classes = classes + functional.binary_cross_entropy_with_logits(
            logits[image, index], is_object.float(), reduction="sum"
        )
        mine = index[is_object]
        right = encode(anchors[mine], wanted[target[is_object]])
        boxes = boxes + (deltas[image, mine] - right).abs().sum()
        count += len(index)
    return {"rpn_class": classes / count, "rpn_box": boxes / count}


def _roi_losses(
    network: FasterRCNN,
    levels: list[Tensor],
    proposals: list[Tensor],
    objects: Objects,
    priority: Tensor | None,
) -> dict[str, Tensor]:
    regions, labels, right = [], [], []
    threshold, stds = network.numbers["roi_threshold"], network.numbers["stds"]
    for boxes, (wanted, classes) in zip(proposals, objects, strict=True):
        assigned = assign(boxes, wanted, threshold, threshold, _NEVER)
        # The objects are regions too, each its own match.
        assigned = torch.cat([torch.arange(len(wanted)), assigned])
        candidates = torch.cat([wanted, boxes])
        index = sample(assigned, *network.numbers["roi_samples"], priority)
        target, chosen = assigned[index], candidates[index]
        is_object = target >= 0
        background = torch.full_like(target, network.numbers["classes"])
        labels.append(torch.where(is_object, classes[target], background))
        right.append(encode(chosen[is_object], wanted[target[is_object]], stds))
        regions.append(chosen)
    logits, deltas = network.classify(levels, regions)
    label = torch.cat(labels)
    (positive,) = (label < network.numbers["classes"]).nonzero(as_tuple=True)
    moved = deltas[positive, label[positive]]
    return {
        "class": functional.cross_entropy(logits, label),
        "box": (moved - torch.cat(right)).abs().sum() / len(label),
    }
