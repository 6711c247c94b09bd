"""Times torchvision's operators of detection when asked to, for `detection_operators`.

    python torchvision_operators.py INPUTS.npz THREADS

Needs torch, torchvision, NumPy and this checkout, so it may run in an environment of its own.
Reads names of operators from the standard input, one a line, and answers each with a
line: seconds of one call.
"""

import sys
import time

import numpy as np
import torch
from torchvision.ops import batched_nms, nms, roi_align

from benchmarks.torch_detector import assign, sample


def operators(data: dict[str, np.ndarray]) -> dict:
    """Functions by name, on the inputs of `detection_operators`."""
    boxes, scores = (torch.as_tensor(data[name]) for name in ("boxes", "scores"))
    group = torch.as_tensor(data["group"]).long()
    class_scores = torch.as_tensor(data["class_scores"])
    found = {
        "nms": lambda: nms(boxes[:2000], scores[:2000], 0.7),
        "nms of 5 levels": lambda: batched_nms(boxes, scores, group, 0.7)[:1000],
    }

    def class_wise(least: float):
        chosen = class_scores > least
        index, classes = chosen.nonzero(as_tuple=True)
        return batched_nms(boxes[index], class_scores[chosen], classes, 0.5)[:100]

    for least in (0.05, 0.001):
        found[f"nms of 80 classes, score > {least}"] = lambda x=least: class_wise(x)
    levels = [torch.as_tensor(data[f"level{k}"]).permute(0, 3, 1, 2) for k in range(4)]
    # Contiguous as torchvision's operator makes them in every call otherwise.
    levels = [level.contiguous() for level in levels]
    leaves = [level.clone().requires_grad_() for level in levels]
    rois = torch.as_tensor(data["rois"])
    rois = torch.cat([torch.zeros(len(rois), 1), rois], dim=1)
    of_level = [torch.as_tensor(np.flatnonzero(data["level"] == k)) for k in range(4)]

    def pool(levels: list, size: int, samples: int):
        pooled = torch.zeros(len(rois), levels[0].shape[1], size, size)
        for k, index in enumerate(of_level):
            scale = 1 / (4 << k)
            pooled[index] = roi_align(
                levels[k], rois[index], size, scale, samples, True
            )
        return pooled

    def train(size: int, samples: int):
        for leaf in leaves:
            leaf.grad = None
        pooled = pool(leaves, size, samples)
        pooled.backward(torch.ones_like(pooled))

    for size in (7, 14):
        for samples, kind in ((0, "adaptive"), (2, "2x2 samples")):
            name = f"RoIAlign {size}x{size}, {kind}"
            found[name] = lambda x=size, y=samples: pool(levels, x, y)
            found[f"{name}, with gradient"] = lambda x=size, y=samples: train(x, y)
    # torchvision has no such operators; these are as mmdetection does it.
    anchors, objects = (torch.as_tensor(data[name]) for name in ("anchors", "objects"))
    for count in (100, 7):
        found[f"matching of {len(anchors)} anchors, {count} objects"] = lambda x=count: (
            assign(anchors, objects[:x], 0.7, 0.3, 0.3)
        )
    assigned = assign(anchors, objects, 0.7, 0.3, 0.3)
    found["sampling of 256 anchors"] = lambda: sample(assigned, 256, 128)
    return found


def main() -> None:
    """Answers until the input ends."""
    torch.set_num_threads(int(sys.argv[2]))
    with np.load(sys.argv[1]) as data:
        found = operators(dict(data))
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        found[line.strip()]()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
