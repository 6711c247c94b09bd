"""Several scales of images of several sizes, beside NumPy and OpenCV."""

import functools
import itertools
import math

import cv2
import jax
import numpy as np
import pytest
import scipy.special
from scipy.ndimage import map_coordinates

import hrnet_jax
from hrnet_jax import runtime
from hrnet_jax.data.files.image_files import read_size
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.canvases import few_shapes
from hrnet_jax.inference.folder import find_images, predict_files
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.segmentation.boundary import boundary_counts
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.task import SegmentationTask
from hrnet_jax.segmentation.windows import WindowOptions
from hrnet_jax.training import evaluation
from tests import tiny
from tests.compilations import compilations
from tests.tiers import fast_are

K = 3
INFO = DatasetInfo(
    "any", K, ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (99, 9, 9)), flip_pairs=((1, 2),)
)
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


class Averages:
    """A network without weights: what 4x4 pixels look like, and where they lie.

    Logits depend on the place, so that what is seen in the wrong place shows.
    """

    upsample = "bilinear"

    def apply(self, variables, inputs):
        return low_logits(jax.numpy, inputs)


def low_logits(xp, inputs):
    """[B, h, w, 3], normalised, to [B, ceil(h / 4), ceil(w / 4), 3]."""
    height, width = inputs.shape[1:3]
    padded = xp.pad(
        inputs, ((0, 0), (0, -height % 4), (0, -width % 4), (0, 0)), mode="edge"
    )
    rows, columns = padded.shape[1] // 4, padded.shape[2] // 4
    means = padded.reshape(-1, rows, 4, columns, 4, 3).mean((2, 4))
    place = xp.arange(rows)[:, None, None] * 0.1 - xp.arange(columns)[:, None] * 0.07
    # Not alike for classes that swap, or they would be equally likely everywhere.
    return 2 * means + place * np.array([1, 0.4, -1], "float32")


def cv2_resize(maps, size, aligned=False):
    """[h, w, C] to (height, width), by the definition of each mode."""
    if not aligned:
        parts = [cv2.resize(part, size[::-1]) for part in np.moveaxis(maps, -1, 0)]
        return np.stack(parts, -1)
    for axis, count in enumerate(size):
        n = maps.shape[axis]
        place = np.arange(count) * ((n - 1) / max(1, count - 1))
        low = np.clip(np.floor(place).astype(int), 0, max(0, n - 2))
        first = maps.take(low, axis)
        second = maps.take(np.minimum(low + 1, n - 1), axis)
        share = np.moveaxis((place - low)[:, None, None], 0, axis)
        maps = first + (second - first) * share
    return maps


def whole_scores(pixels, options):
    """Logits of what the network sees whole, float64 [h, w, K], at its size."""
    inputs = ((pixels / 255 - MEAN) / STD)[None]
    logits = low_logits(np, inputs)
    if options.flip:
        mirrored = low_logits(np, inputs[:, :, ::-1])[:, :, ::-1]
        logits = (logits + mirrored[..., [0, 2, 1]]) / 2
    return logits[0]


def in_windows(pixels, options, aligned):
    """Logits of an image from its windows, one after the other."""
    window = options.window
    height, width = pixels.shape[:2]
    stride = window.stride or [side * 2 // 3 for side in window.size]
    canvas = np.zeros((height + 200, width + 200, 3))
    canvas[:height, :width] = pixels
    sums, total = np.zeros((*canvas.shape[:2], K)), np.zeros((*canvas.shape[:2], 1))
    lengths = [
        min(a, b) if window.ends == "inside" else a
        for a, b in zip(window.size, (height, width), strict=True)
    ]
    starts = [
        [
            min(i * step, side - length) if window.ends == "inside" else i * step
            for i in range(max(0, math.ceil((side - length) / step)) + 1)
        ]
        for side, length, step in zip((height, width), lengths, stride, strict=True)
    ]
    for row, column in itertools.product(*starts):
        at = np.s_[row : row + lengths[0], column : column + lengths[1]]
        seen = canvas[at]
        logits = cv2_resize(whole_scores(seen, options), seen.shape[:2], aligned)
        values = np.exp(logits)
        if window.average == "probabilities":
            values /= values.sum(-1, keepdims=True)
        sums[at] += values
        total[at] += 1
    return np.log(sums[:height, :width] / total[:height, :width])


def prepared(image, options):
    """The image before it is scaled, and its size without what pads it."""
    inner = image.shape[:2]
    if len(options.image_size) == 2:
        inner = options.image_size
    elif options.image_size:
        inner = tuple(
            int(side * options.image_size[0] / min(inner) + 0.5) for side in inner
        )
    if inner != image.shape[:2]:
        image = cv2.resize(image, inner[::-1])
    bottom, right = (-side % options.multiple for side in inner)
    colour = np.rint(MEAN * 255).tolist()
    border = cv2.BORDER_CONSTANT
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, border, value=colour), inner


def scaled_size(size, scale, options):
    """Size of an image at a scale."""
    long = math.floor((options.base_size or max(size)) * scale + 0.5)
    other = math.floor(min(size) * long / max(size) + 0.5)
    return (long, other) if size[0] > size[1] else (other, long)


def black_to(pixels, shape):
    """Padded to a shape at the bottom and right."""
    bottom, right = (a - b for a, b in zip(shape, pixels.shape, strict=False))
    return np.pad(pixels, ((0, bottom), (0, right), (0, 0)))


def as_published(image, options, aligned, shapes):
    """Logarithm of the scores [h, w, K], step by step as the official scripts do.

    What is seen whole is padded to the shapes of the views.
    """
    label = image.shape[:2]
    image, inner = prepared(image, options)
    total = 0
    for scale, shape in zip(options.scales, shapes, strict=True):
        scaled = scaled_size(image.shape[:2], scale, options)
        pixels = cv2.resize(image.astype(np.float64), scaled[::-1])
        if options.in_windows(scale):
            logits = in_windows(pixels, options, aligned)
        else:
            logits = whole_scores(black_to(pixels, shape), options)
            logits = cv2_resize(logits, shape, aligned)[: scaled[0], : scaled[1]]
        total = total + cv2_resize(np.exp(logits), image.shape[:2], aligned)
    if not options.keeps_padding:
        total = total[: inner[0], : inner[1]]
    return np.log(cv2_resize(total, label, aligned))


def straight(image, options, aligned, shapes):
    """Logits [h, w, K] where those of a view are read once, at each pixel's place."""
    label = image.shape[:2]
    image, inner = prepared(image, options)
    kept = image.shape[:2] if options.keeps_padding else inner
    total = 0
    for scale, shape in zip(options.scales, shapes, strict=True):
        scaled = scaled_size(image.shape[:2], scale, options)
        pixels = cv2.resize(image.astype(np.float64), scaled[::-1])
        if options.in_windows(scale):
            maps = in_windows(pixels, options, aligned)
        else:
            maps = whole_scores(black_to(pixels, shape), options)
        places = []
        for axis in (0, 1):
            place = np.arange(label[axis], dtype=np.float64)
            steps = [(label[axis], kept[axis]), (image.shape[axis], scaled[axis])]
            if not options.in_windows(scale):
                steps.append((shape[axis], maps.shape[axis]))
            for here, there in steps:
                if aligned:
                    place = place * (there - 1) / max(1, here - 1)
                else:
                    place = (place + 0.5) * there / here - 0.5
                place = np.clip(place, 0, there - 1)
            places.append(place)
        grid = np.meshgrid(*places, indexing="ij")
        logits = np.stack(
            [map_coordinates(maps[..., k], grid, order=1) for k in range(K)], -1
        )
        if len(options.scales) > 1 and options.fusion == "softmax":
            logits = scipy.special.softmax(logits, -1)
        total = total + logits / len(options.scales)
    if len(options.scales) > 1 and options.fusion == "softmax":
        return np.log(total)
    return total


PROTOCOLS = {
    "default": {"scales": (0.5, 1.0, 1.4), "flip": True},
    "logits": {"scales": (0.75, 1.3), "fusion": "logits"},
    "base size": {"scales": (0.5, 1.0), "base_size": 60},
    "one scale": {"scales": (1.3,)},
    "windows": {
        "scales": (0.8, 1.0, 1.6),
        "window": WindowOptions((24, 32), whole_up_to=0.8),
    },
    "windows of the image": {"window": WindowOptions((24, 32), ends="beyond")},
    "Cityscapes": {
        "scales": (0.5, 1.0, 1.75),
        "base_size": 64,
        "fusion": "exp",
        "flip": True,
        "window": WindowOptions((32, 64), (32, 64), average="exp", whole_up_to=1),
    },
    "PASCAL-Context": {
        "scales": (0.75, 1.0),
        "base_size": 48,
        "fusion": "exp",
        "window": WindowOptions((40, 40), ends="beyond", average="exp"),
    },
    "PASCAL-Context of SEG-OCR": {
        "scales": (0.75, 1.0),
        "base_size": 52,
        "image_size": (44,),
        "multiple": 8,
        "fusion": "exp",
        "window": WindowOptions((40, 40), ends="beyond", average="exp"),
    },
    "ADE20K": {
        "scales": (1.0,),
        "image_size": (44,),
        "multiple": 8,
        "keeps_padding": True,
        "fusion": "exp",
    },
    "LIP": {"image_size": (48, 48), "fusion": "exp", "flip": True},
    "own size, softmax": {"image_size": (44,), "multiple": 8, "scales": (0.5, 1.0)},
}


def task_with(aligned=False, **options):
    model = Averages()
    model.upsample = "align_corners" if aligned else "bilinear"
    return SegmentationTask(model, INFO, inference=InferenceOptions(**options))


def made_image(height, width):
    rng = np.random.default_rng([height, width])
    noise = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.blur(noise, (7, 7))


SIZES = [(50, 64), (64, 47), (33, 61)]


def batch_of(task, images):
    samples = [
        task.eval_transform(
            {"image": one, "label": np.zeros(one.shape[:2], np.uint8), "image_id": ""}
        )
        for one in images
    ]
    arrays = [{k: v for k, v in one.items() if k != "image_id"} for one in samples]
    return jax.tree.map(lambda *parts: np.stack(parts), *arrays)


CASES = [(name, aligned, 1) for name in PROTOCOLS for aligned in (False,)]
CASES += [("default", True, 1), ("PASCAL-Context of SEG-OCR", True, 1)]
CASES += [("default", False, 3), ("ADE20K", True, 3)]
FAST = [
    ("default", False, 1),
    ("Cityscapes", False, 1),
    ("PASCAL-Context of SEG-OCR", True, 1),
]


@pytest.mark.parametrize(
    "case", fast_are(FAST, CASES), ids=lambda case: "-".join(map(str, case))
)
def test_protocols_are_those_of_numpy_and_opencv(case):
    """Images of three sizes share a canvas and a batch, or have one each."""
    name, aligned, most = case
    options = InferenceOptions(**PROTOCOLS[name])
    plain = as_published if options.fusion == "exp" else straight
    task = task_with(aligned, **PROTOCOLS[name], canvases=most)
    task = task.for_sizes(np.array(SIZES))
    groups = task.eval_groups(np.array(SIZES))
    assert len(set(groups)) == most
    for group in set(groups):
        members = [size for size, g in zip(SIZES, groups, strict=True) if g == group]
        images = [made_image(*size) for size in members]
        batch = batch_of(task, images)
        got = np.asarray(jax.jit(task.logits)({}, batch["image"], batch))
        for image, logits in zip(images, got, strict=True):
            height, width = image.shape[:2]
            shapes = task._canvas((height, width)).views
            expected = plain(image, options, aligned, shapes)
            found = logits[:height, :width]
            np.testing.assert_allclose(found, expected, atol=2e-4)


def test_few_shapes_hold_all_sizes_and_pad_little():
    rng = np.random.default_rng(0)
    sizes = np.concatenate(
        [rng.integers((300, 600), (420, 641), (40, 2)), [[640, 427], [640, 400]]]
    )[:, None]
    groups, shapes = few_shapes(sizes, 4)
    assert len(shapes) == 4
    assert (shapes[groups] >= sizes).all()
    # Landscapes and portraits do not share a shape, nor do small and large ones.
    assert groups[-1] == groups[-2] and (groups[:-2] != groups[-1]).all()
    used = sizes.prod(-1).sum() / shapes[groups].prod(-1).sum()
    assert used > 0.85
    # Each of a few sizes has its own; the order of the images does not matter.
    groups, shapes = few_shapes(sizes[[0, 1, 0]], 4)
    np.testing.assert_array_equal(shapes[groups], sizes[[0, 1, 0]])
    other = few_shapes(sizes[::-1], 4)
    np.testing.assert_array_equal(other[1], few_shapes(sizes, 4)[1])


def test_twenty_sizes_take_four_programs():
    rng = np.random.default_rng(1)
    sizes = rng.integers((24, 40), (40, 64), (20, 2))
    assert len({tuple(size) for size in sizes}) == 20
    task = task_with(scales=(0.5, 1.0)).for_sizes(sizes)
    predict = jax.jit(task.predict)
    with compilations() as compiled:
        for size in sizes:
            image = made_image(*size)
            images, crops = task.to_network(image)
            found = jax.device_get(predict({}, task.network_batch(images, crops)))
            for name, maps in task.to_image(found, crops).items():
                assert maps.shape == image.shape[:2], name
    assert len(compiled) == 4


@pytest.mark.slow
def test_a_folder_of_twenty_sizes_takes_four_programs(tmp_path, monkeypatch):
    """From files to files, each with the labels of its image padded to its canvas."""
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    run = hrnet_jax.load_run(tiny.finished_run())
    for k in range(20):
        image = made_image(24 + k % 7, 40 + k)
        cv2.imwrite(str(tmp_path / f"{k}.png"), image[..., ::-1])
    images = find_images(tmp_path)
    sizes = np.array([read_size(path) for path in images])
    with compilations() as compiled:
        predict_files(run, images, tmp_path / "out", only=["label"], progress=False)
    assert len(compiled) <= 4
    task = run.for_sizes(sizes).task
    for path in images[::6]:
        image = cv2.imread(str(path))[..., ::-1]
        canvas = task._canvas(image.shape[:2]).image
        padded = np.zeros((*canvas, 3), np.uint8)
        padded[: len(image), : image.shape[1]] = image
        expected = run.predict(padded)["label"][: len(image), : image.shape[1]]
        label = cv2.imread(str(tmp_path / f"out/{path.stem}_label.png"), 0)
        np.testing.assert_array_equal(label, expected)


class Records:
    """Ten images of five sizes, with labels that are nearly what is predicted."""

    sizes = np.array([(50, 64), (64, 47), (33, 61), (64, 50), (36, 40)] * 2, np.int32)

    def __len__(self):
        return len(self.sizes)

    def image_sizes(self):
        return self.sizes

    def __getitem__(self, index):
        image = made_image(*self.sizes[index])
        label = image.argmax(-1).astype(np.uint8)
        label[:3, :5] = 255
        return {"image": image, "label": label, "image_id": f"image{index}"}


EVALUATED = {
    "scales": (0.75, 1.0, 1.5),
    "flip": True,
    "fusion": "exp",
    "window": WindowOptions((32, 32), whole_up_to=0.75, average="exp"),
    "canvases": 2,
    "boundary": True,
}


@functools.cache
def scored_by_hand():
    """Confusion matrix and counts near borders, image by image, in NumPy."""
    options, records = InferenceOptions(**EVALUATED), Records()
    task = task_with(**EVALUATED).for_sizes(records.sizes)
    assert len(task._canvases) == 2
    confusion, near = np.zeros((K, K), int), np.zeros((K, 3), int)
    for sample in map(records.__getitem__, range(len(records))):
        label = sample["label"]
        shapes = task._canvas(label.shape).views
        scores = as_published(sample["image"], options, False, shapes)
        predicted = scores.argmax(-1).astype(np.uint8)
        counted = label != 255
        np.add.at(confusion, (label[counted], predicted[counted]), 1)
        near += boundary_counts(label, predicted, K)
    return confusion, near


@pytest.mark.slow
@pytest.mark.parametrize("cut", [(1, 1), (1, 3), (1, 8), (8, 8)], ids=str)
def test_evaluation_is_that_of_the_plain_protocol(cut, tmp_path):
    devices, batch_size = cut
    mesh = runtime.make_mesh(data=devices)
    task, records = task_with(**EVALUATED), Records()
    predict = evaluation.make_predict_step(task, mesh)
    evaluator = evaluation.evaluator_over(
        predict, task, {}, records, mesh, batch_size=batch_size, per_example=True
    )
    assert predict._cache_size() <= 2
    confusion, near = scored_by_hand()
    metrics = evaluator.compute()
    correct = np.diag(confusion)
    iou = correct / (confusion.sum(0) + confusion.sum(1) - correct)
    assert 0.1 < iou.mean() < 0.9
    # Where two classes are equally likely, rounding decides.
    assert metrics["mean_iou"] == pytest.approx(iou.mean(), abs=2e-4)
    both, labelled, predicted = near.T
    expected = np.mean(both / (labelled + predicted - both))
    assert metrics["boundary_iou"] == pytest.approx(expected, abs=1e-3)
    evaluator.report(tmp_path)
    rows = (tmp_path / "images.csv").read_text().splitlines()
    assert rows[0].endswith(",boundary_iou") and len(rows) == 1 + len(records)
    worst = evaluator.worst(2)
    assert f"image{worst[0]}," in rows[1] and f"image{worst[1]}," in rows[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, r"scales' must be one or more positive numbers, got \(\)"),
        ({"scales": (1.0, 0.0)}, r"scales' must be .* got \(1.0, 0.0\)"),
        ({"scales": (1.0, -0.5)}, r"scales' must be one or more positive"),
        ({"scales": (float("nan"),)}, r"scales' must be one or more positive"),
        ({"fusion": "sum"}, r"fusion' must be softmax, logits or exp, got 'sum'"),
        ({"base_size": -1}, r"base_size' must be a long side in pixels, or 0"),
        ({"image_size": (1, 2, 3)}, r"image_size' must be empty, a short side, or a"),
        ({"image_size": (0,)}, r"image_size' must be empty, .*got \(0,\)"),
        ({"multiple": 0}, r"multiple' must be at least 1, got 0"),
        ({"canvases": 0}, r"canvases' must be at least 1, got 0"),
        ({"keeps_padding": True}, r"keeps_padding' is True, but .*multiple' is 1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        InferenceOptions(**options)


def test_a_negative_largest_whole_scale_is_named():
    with pytest.raises(ConfigError, match=r"whole_up_to' must be a scale, .* got -1"):
        WindowOptions((8, 8), whole_up_to=-1)
