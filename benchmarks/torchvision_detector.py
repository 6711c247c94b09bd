"""Runs a Faster R-CNN in PyTorch with torchvision when asked to, for `compare_detectors`.

    python torchvision_detector.py FOLDER THREADS

Needs torch, torchvision, NumPy and this checkout, so it may run in an environment of its
own. FOLDER has `case.json`, `weights.npz` and `batch.npz`. Requests, one a line:

    eager, channels_last   one call in that memory format; seconds
    check                  writes `check.npz`, what is compared; seconds
    memory                 most bytes of this process so far
"""

import json
import os
import pathlib
import resource
import sys
import time

import numpy as np
import torch
import torchvision
from torch import Tensor

from benchmarks.torch_detector import FasterRCNN
from benchmarks.torch_detector_losses import losses
from hrnet_jax.models.variants import Variant

_LAYOUTS = {
    "eager": torch.contiguous_format,
    "channels_last": torch.channels_last,
}


class Work:
    """The detector in one memory format, and its batch.

    Args:
        folder: of `compare_detectors`.
        layout: `eager` or `channels_last`.
    """

    def __init__(self, folder: pathlib.Path, layout: str):
        case = json.loads((folder / "case.json").read_text())
        self._mode = case["mode"]
        variant = Variant(**case["variant"])
        self.network = FasterRCNN(variant, case["numbers"])
        with np.load(folder / "weights.npz") as weights:
            state = {name: torch.from_numpy(weights[name]) for name in weights}
        self.network.load_state_dict(state)
        self.network.to(memory_format=_LAYOUTS[layout])
        self.network.train(self._mode == "train")
        with np.load(folder / "batch.npz") as batch:
            arrays = dict(batch)
        images = torch.from_numpy(arrays["image"]).permute(0, 3, 1, 2)
        self.images = images.contiguous(memory_format=_LAYOUTS[layout])
        self.objects = [
            (torch.from_numpy(boxes[valid]), torch.from_numpy(classes[valid]).long())
            for boxes, classes, valid in zip(
                arrays["boxes"], arrays["box_class"], arrays["box_valid"], strict=True
            )
        ]
        self._priorities = _priorities(arrays)
        self._optimizer = torch.optim.SGD(self.network.parameters(), **case["sgd"])

    def __call__(self) -> None:
        """One prediction, or one update."""
        if self._mode == "infer":
            with torch.inference_mode():
                self.network.detect(self.images)
            return
        self._optimizer.zero_grad(set_to_none=True)
        found = losses(self.network, self.images, self.objects)
        sum(found.values()).backward()
        self._optimizer.step()

    def compared(self) -> dict[str, np.ndarray]:
        """What our own detector is compared with."""
        if self._mode == "train":
            given = self._priorities
            found = losses(self.network, self.images, self.objects, given)
            total = sum(found.values())
            total.backward()
            kernels = {
                "first": self.network.backbone.conv1,
                "reduce": self.network.neck.reduction_conv.conv,
                "fc1": self.network.roi_head.bbox_head.shared_fcs[0],
            }
            norms = {
                f"gradient/{name}": layer.weight.grad.double().norm().numpy()
                for name, layer in kernels.items()
            }
            self._optimizer.zero_grad(set_to_none=True)
            return {f"loss/{k}": v.detach().numpy() for k, v in found.items()} | norms
        with torch.inference_mode():
            outputs = self.network.propose(self.network.pyramid(self.images))
            found = self.network.detect(self.images)
        arrays = {
            f"{name}{k}": part.numpy()
            for k, both in enumerate(outputs)
            for name, part in zip(("logits", "deltas"), both, strict=True)
        }
        for image, parts in enumerate(found):
            for name, part in zip(("boxes", "scores", "classes"), parts, strict=True):
                arrays[f"{name}_of{image}"] = part.numpy()
        return arrays


def _priorities(arrays: dict[str, np.ndarray]) -> tuple[Tensor, Tensor] | None:
    """Of anchors, and of objects and proposals, where there are any."""
    if "rpn_priority" not in arrays:
        return None
    # Ours has places for objects that are not there.
    places, there = arrays["box_valid"].shape[1], int(arrays["box_valid"][0].sum())
    roi = arrays["roi_priority"].astype(np.int64)
    rpn = torch.from_numpy(arrays["rpn_priority"].astype(np.int64))
    return rpn, torch.from_numpy(np.concatenate([roi[:there], roi[places:]]))


def main() -> None:
    """Answers until the input ends."""
    folder = pathlib.Path(sys.argv[1])
    torch.set_num_threads(int(sys.argv[2]))
    made: dict[str, Work] = {}
    print(f"{torch.__version__}, torchvision {torchvision.__version__}", flush=True)
    for line in sys.stdin:
        try:
            print(_answer(line.strip(), folder, made), flush=True)
        except (RuntimeError, ValueError) as error:
            print(f"failed: {' '.join(str(error).split())}", flush=True)


def _answer(request: str, folder: pathlib.Path, made: dict[str, Work]) -> float:
    if request == "memory":
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    layout = "eager" if request == "check" else request
    if layout not in made:
        made[layout] = Work(folder, layout)
    start = time.perf_counter()
    if request == "check":
        draft = folder / "check.part.npz"
        np.savez(draft, **made[layout].compared())
        os.replace(draft, folder / "check.npz")
    else:
        made[layout]()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
