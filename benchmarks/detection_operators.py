"""Times the operators of detection, beside torchvision's where one is given.

    python -m benchmarks.detection_operators --threads 2
    python -m benchmarks.detection_operators --torch-python=ENVIRONMENT/bin/python

Inputs are those of an image of 800x1344 pixels. torchvision runs in a process of its
own, of any Python that has torch and torchvision; the two take turns. Both keep what
they need in memory; nothing is compiled while the clock runs.
"""

if __name__ == "__main__":
    from hrnet_jax.config import arenas

    # See `compare_torch`.
    arenas.share_one_arena()

import argparse
import functools
import json
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Callable

import numpy as np


def make_inputs(regions: int = 512, channels: int = 256) -> dict[str, np.ndarray]:
    """Boxes in clusters, as detectors make them, and a pyramid of noise."""
    rng = np.random.default_rng(0)

    def boxes(count: int) -> np.ndarray:
        centre = rng.uniform(0, 1, (count, 2)) * (1344, 800)
        side = np.exp(rng.normal(np.log(120), 0.8, (count, 1)))
        ratio = np.exp(rng.normal(0, 0.35, (count, 1)))
        half = np.concatenate([side * ratio, side / ratio], axis=1) / 2
        corners = np.concatenate([centre - half, centre + half], axis=1)
        return np.clip(corners, 0, [1344, 800] * 2).astype(np.float32)

    clusters = np.repeat(boxes(400), 25, axis=0) + rng.normal(0, 8, (10000, 4))
    rois = boxes(regions)
    area = (rois[:, 2:] - rois[:, :2]).prod(1)
    level = np.floor(np.log2(np.sqrt(area) / 56 + 1e-6)).clip(0, 3)
    return {
        "boxes": rng.permutation(clusters).astype(np.float32),
        "scores": rng.random(10000, np.float32),
        "group": np.arange(10000, dtype=np.int32) % 5,
        "class_scores": rng.dirichlet(np.full(81, 0.05), 1000)[:, :80].astype("f"),
        "rois": rois,
        "level": level.astype(np.int32),
        "objects": boxes(100),
        **{
            f"level{k}": rng.normal(size=(1, h, w, channels)).astype(np.float32)
            for k, (h, w) in enumerate(((200, 336), (100, 168), (50, 84), (25, 42)))
        },
    }


def add_anchors(data: dict[str, np.ndarray]) -> None:
    """Adds those of the whole pyramid, `anchors` float32 [268506, 4]."""
    from hrnet_jax.detection.anchors import grid_anchors

    shapes = ((200, 336), (100, 168), (50, 84), (25, 42), (12, 21))
    data["anchors"] = np.concatenate(grid_anchors(shapes, (4, 8, 16, 32, 64)))


def operators(data: dict[str, np.ndarray]) -> dict:
    """Compiled functions without arguments, by name."""
    import jax
    import jax.numpy as jnp

    x = {name: jnp.asarray(value) for name, value in data.items()}
    found: dict[str, Callable] = {}

    def add(name: str, function, *arguments) -> None:
        compiled = jax.jit(function).lower(*arguments).compile()
        found[name] = lambda: jax.block_until_ready(compiled(*arguments))

    _add_suppression(add, x)
    _add_pooling(add, x)
    _add_assignment(add, x)
    return found


def _add_suppression(add: Callable, x: dict) -> None:
    import jax.numpy as jnp

    from hrnet_jax.detection.nms import nms

    everything = jnp.ones(10000, bool)
    add(
        "nms",
        lambda *a: nms(*a, 0.7, 2000),
        *(value[:2000] for value in (x["boxes"], x["scores"], everything)),
    )
    add(
        "nms of 5 levels",
        lambda boxes, scores, valid, group: nms(boxes, scores, valid, 0.7, 1000, group),
        x["boxes"],
        x["scores"],
        everything,
        x["group"],
    )

    def class_wise(boxes, scores, least: float):
        classes = jnp.tile(jnp.arange(80), 1000)
        scores = scores.ravel()
        return nms(jnp.repeat(boxes, 80, 0), scores, scores > least, 0.5, 100, classes)

    for least in (0.05, 0.001):
        name = f"nms of 80 classes, score > {least}"
        function = functools.partial(class_wise, least=least)
        add(name, function, x["boxes"][:1000], x["class_scores"])


def _add_pooling(add: Callable, x: dict) -> None:
    import jax
    import jax.numpy as jnp

    from hrnet_jax.detection.boxes import Conventions
    from hrnet_jax.detection.roi_align import roi_align

    levels = tuple(x[f"level{k}"] for k in range(4))
    rois, valid = x["rois"][None], jnp.ones((1, len(x["rois"])), bool)

    def train(levels, rois, valid, pool):
        pooled, back = jax.vjp(lambda levels: pool(levels, rois, valid), levels)
        return pooled, back(jnp.ones_like(pooled))

    for size in (7, 14):
        for samples, kind in ((0, "adaptive"), (2, "2x2 samples")):
            conventions = Conventions(roi_samples=samples)
            pool = functools.partial(roi_align, size=size, conventions=conventions)
            name = f"RoIAlign {size}x{size}, {kind}"
            add(name, pool, levels, rois, valid)
            both = functools.partial(train, pool=pool)
            add(f"{name}, with gradient", both, levels, rois, valid)


def _add_assignment(add: Callable, x: dict) -> None:
    import jax
    import jax.numpy as jnp

    from hrnet_jax.detection.matching import match
    from hrnet_jax.detection.sampling import sample_labels

    anchors = x["anchors"]
    for count in (100, 7):
        add(
            f"matching of {len(anchors)} anchors, {count} objects",
            lambda *a: match(*a, 0.7, 0.3, 0.3),
            anchors,
            jnp.ones(len(anchors), bool),
            x["objects"],
            jnp.arange(100) < count,
        )
    assigned = match(anchors, None, x["objects"], jnp.ones(100, bool), 0.7, 0.3, 0.3)
    draw = functools.partial(sample_labels, count=256, most_positive=128)
    add("sampling of 256 anchors", draw, jax.random.key(0), assigned)


def measure(args: argparse.Namespace) -> dict:
    """Times everything in turns."""
    from benchmarks.peer import Peer
    from benchmarks.timing import environment, seconds

    data = make_inputs(args.regions, args.channels)
    add_anchors(data)
    ours = operators(data)
    peer = None
    with tempfile.TemporaryDirectory() as folder:
        if args.torch_python:
            inputs = pathlib.Path(folder) / "inputs.npz"
            np.savez(inputs, **data)
            script = pathlib.Path(__file__).parent / "torchvision_operators.py"
            peer = Peer(args.torch_python, script, str(inputs), str(args.threads))
        rows = {}
        for name, function in ours.items():
            mine, theirs = [], []
            for _ in range(args.rounds + 1):  # The first does not count.
                mine.append(seconds(function))
                if peer is not None:
                    theirs.append(peer.seconds(name))
            rows[name] = {"ms": 1e3 * statistics.median(mine[1:])}
            if peer is not None:
                rows[name]["torchvision_ms"] = 1e3 * statistics.median(theirs[1:])
            print(name, {key: round(value, 2) for key, value in rows[name].items()})
        if peer is not None:
            peer.close()
    return {
        "environment": environment(),
        "threads": args.threads,
        "torch": peer.greeting if peer else None,
        "rounds": args.rounds,
        "milliseconds": rows,
    }


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = functools.partial(parser.add_argument, type=int)
    add("--threads", default=len(os.sched_getaffinity(0)), help="cores for each side")
    add("--rounds", default=7, help="calls that count; their median is printed")
    add("--regions", default=512, help="regions to pool")
    add("--channels", default=256, help="of the pyramid")
    parser.add_argument("--torch-python", help="a Python that has torchvision")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file for all figures")
    args = parser.parse_args()
    for name in ("threads", "rounds", "regions", "channels"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    return args


def main() -> None:
    """Measures and prints."""
    from benchmarks.peer import limit_threads

    args = parse_arguments()
    limit_threads(args.threads)
    result = measure(args)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    else:
        json.dump(result["environment"], sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
