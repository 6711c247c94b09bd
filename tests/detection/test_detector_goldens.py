"""Whole detectors equal mmdetection 3.3 on synthetic weights, in both precisions.

Tolerances are those of the goldens' README. Regions are fed with the stored proposals,
whose order hangs on differences of 1e-7; random draws are replaced by the rule there.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.detection import box_head, mask_head
from hrnet_jax.detection.postprocess import chosen_detections, whole_mask
from hrnet_jax.detection.proposals import propose
from hrnet_jax.detection.regions import decode_in_images
from hrnet_jax.detection.two_stage import (
    classify_regions,
    detection_masks,
    pool_regions,
    region_masks,
    two_stage_candidates,
)
from hrnet_jax.pretrained import to_torch
from tests.detection import golden_detectors as golden
from tests.goldens import synthetic_weights

# Too long for `make test-all`, whose hour is for everything.
pytestmark = pytest.mark.detectors

TWO_STAGES = golden.NAMES[:3]
# (outputs over their standard deviation, boxes in pixels, scores)
SINGLE = (2e-4, 2e-3, 5e-5)
DOUBLE = (1e-8, 1e-8, 1e-8)


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "float64"])
def double(request):
    """Whether to compute in double precision."""
    with jax.enable_x64(request.param):
        yield request.param


@pytest.fixture(scope="module", params=golden.NAMES)
def detector(request, double):
    """(name, model, variables, whether in double precision)."""
    dtype = jnp.float64 if double else jnp.float32
    return request.param, *golden.model_and_variables(request.param, dtype), double


def run_two_stages(model, variables, images, sizes, proposals):
    """All stored outputs of a detector with proposals."""
    heads, numbers = model.bind(variables), model.settings
    levels = heads.pyramid_of(images)
    outputs = heads.propose(levels)
    own = propose(
        outputs, sizes, heads.strides, numbers.rpn, numbers.conventions, train=False
    )
    candidates = two_stage_candidates(heads, levels, sizes, numbers, proposals)
    found = chosen_detections(
        candidates, numbers.detections, numbers.conventions.plus_one
    )
    if heads.has_masks:
        masks = detection_masks(heads, levels, found, numbers)
        found = found._replace(masks=masks)
    boxes, valid, stages, masks = proposals.boxes, proposals.valid, [], []
    for index, stage in enumerate(numbers.stages):
        args = (heads, levels, boxes, valid, index, numbers)
        logits, deltas = classify_regions(*args)
        pooled = pool_regions(levels, boxes, valid, box_head.POOLED, heads, numbers)
        stages.append((boxes, pooled, logits, deltas))
        boxes = decode_in_images(boxes[:, :, None], deltas, sizes, stage, numbers)
        boxes = boxes[:, :, 0]
        if heads.has_masks:
            args = (heads, levels, found.boxes, found.valid, index, numbers)
            own_class = found.classes[..., None, None, None]
            masks.append(jnp.take_along_axis(region_masks(*args), own_class, -1))
    if heads.has_masks:
        side = mask_head.POOLED
        masks.append(
            pool_regions(levels, found.boxes, found.valid, side, heads, numbers)
        )
    return levels, outputs, own, stages, masks, found


def run_fcos(model, variables, images, sizes):
    heads = model.bind(variables)
    levels = heads.pyramid_of(images)
    return levels, heads.heads(levels), heads.detect(images, sizes)


def compare(detector, case, outputs: dict) -> None:
    name, _, _, double = detector
    tolerance = (DOUBLE if double else SINGLE)[0]
    for key, value in outputs.items():
        if key in case["outputs"]:
            golden.assert_matches(name, case, key, value, tolerance)


def compare_detections(detector, case, found) -> None:
    name, _, _, double = detector
    end = "_float64_run" if double else ""
    _, in_boxes, in_scores = DOUBLE if double else SINGLE
    for index, facts in enumerate(case["images"]):
        start = f"{case['name']}/"
        assert found.valid[index].all()
        boxes = found.boxes[index] / np.array(2 * facts["scale_factor"])
        expected = golden.arrays(name)
        difference = boxes - expected[f"{start}boxes{index}{end}"]
        assert np.abs(difference).max() <= in_boxes
        difference = found.scores[index] - expected[f"{start}scores{index}{end}"]
        assert np.abs(difference).max() <= in_scores
        labels = expected[f"{start}labels{index}"]
        np.testing.assert_array_equal(found.classes[index], labels)
        if found.masks is None:
            continue
        shape = case["outputs"][f"masks{index}"]["shape"]
        wanted = golden.unpacked(expected[f"{start}masks{index}_bits"], shape)
        pairs = zip(found.masks[index], boxes, strict=True)
        pasted = [whole_mask(mask, box, facts["ori_shape"]) for mask, box in pairs]
        assert (np.stack(pasted) != wanted).sum() <= 3


@pytest.mark.parametrize("part", ["batch", "single"])
def test_predictions(detector, part):
    name, model, variables, double = detector
    case = golden.case_of(name, part)
    images = golden.images(case).astype(np.float64 if double else np.float32)
    args = variables, images, golden.image_sizes(case)
    if name.startswith("fcos"):
        run = runtime.jit(lambda *args: run_fcos(model, *args))
        levels, heads, found = jax.device_get(run(*args))
        outputs = {}
        for index, one in enumerate(heads):
            outputs[f"cls{index}"] = golden.nchw(one.logits)
            outputs[f"reg{index}"] = golden.nchw(one.distances)
            outputs[f"centerness{index}"] = golden.nchw(one.centerness)
    else:
        stored = golden.proposals(name, case, double)
        run = runtime.jit(lambda *args: run_two_stages(model, *args))
        results = jax.device_get(run(*args, stored))
        levels, rpn, own, stages, masks, found = results
        outputs = named_outputs(rpn, stages, masks, stored.valid)
        compare_proposals(own, stored, double)
        compare_moved(detector, case, stages, stored.valid)
    outputs |= {f"pyramid{index}": golden.nchw(one) for index, one in enumerate(levels)}
    expected = {
        key
        for key, output in case["outputs"].items()
        if "strides" in output and not key.startswith("rois")
    }
    assert expected <= outputs.keys()
    compare(detector, case, outputs)
    compare_detections(detector, case, found)


def named_outputs(rpn, stages, masks, valid) -> dict:
    """Outputs by the names of the goldens, in PyTorch's layout."""
    outputs = {}
    for index, (logits, deltas) in enumerate(rpn):
        outputs[f"rpn_cls{index}"] = golden.nchw(logits)
        outputs[f"rpn_reg{index}"] = golden.nchw(deltas)
    for index, (_, pooled, logits, deltas) in enumerate(stages):
        features = pooled[valid.reshape(-1)][::25]
        outputs[f"roi_features{index}"] = golden.nchw(features)
        outputs[f"roi_cls{index}"] = logits[valid]
        outputs[f"roi_reg{index}"] = deltas[valid].reshape(valid.sum(), -1)
    if masks:
        *logits, features = masks
        outputs["mask_features"] = golden.nchw(features[::10])
        for index, one in enumerate(logits):
            outputs[f"mask_logits{index}"] = one.reshape(-1, 28, 28)
    return outputs


def compare_proposals(own, stored, double) -> None:
    """Rows are matched to their nearest: neighbours differ by 1e-7 in score."""
    pixels, score = (1e-8, 1e-8) if double else (2e-3, 5e-5)
    for index, valid in enumerate(stored.valid):
        assert own.valid[index].sum() == valid.sum()
        ours = own.boxes[index][own.valid[index]]
        theirs = stored.boxes[index][valid]
        distance = np.abs(ours[:, None] - theirs[None]).max(-1)
        assert distance.min(1).max() <= pixels and distance.min(0).max() <= pixels
        scores = own.scores[index][own.valid[index]] - stored.scores[index][valid]
        assert np.abs(scores).max() <= score


def compare_moved(detector, case, stages, valid) -> None:
    """Regions of the later stages of a cascade."""
    name, _, _, double = detector
    for index, (boxes, *_) in enumerate(stages[1:], start=1):
        key = f"{case['name']}/rois{index}"
        if key not in golden.arrays(name):
            assert case["name"] == "single"
            continue
        expected = golden.arrays(name)[key + ("_float64_run" if double else "")]
        # In double precision every fourth row is stored.
        rows = boxes[valid][:: 4 if double else 1]
        assert np.abs(rows - expected[:, 1:]).max() <= (1e-8 if double else 2e-3)


@pytest.fixture(scope="module")
def trained(detector):
    """Losses by our names, and gradients by the names of mmdetection."""
    name, model, variables, double = detector
    case = golden.case_of(name, "batch")
    images = golden.images(case).astype(np.float64 if double else np.float32)
    sizes, drawn = golden.image_sizes(case), golden.draw(name)
    objects = golden.objects(name)
    objects = objects._replace(boxes=objects.boxes.astype(images.dtype))

    def total(parameters, statistics, images):
        given = {"params": parameters, "batch_stats": statistics}
        losses, measures = model.apply(
            given, images, sizes, objects, drawn, method="losses"
        )
        return sum(losses.values()), (losses, measures)

    step = runtime.jit(jax.value_and_grad(total, has_aux=True))
    statistics = variables["batch_stats"]
    results = jax.device_get(step(variables["params"], statistics, images))
    (value, (losses, measures)), gradients = results
    tree = {"params": gradients, "batch_stats": statistics}
    named = to_torch(tree, model, convention="mmdet")
    return name, double, float(value), losses | measures, named


def expected_losses(name: str, double: bool) -> dict[str, float]:
    """Losses by our names."""
    training = golden.info(name)["training"]
    stored = training["losses_float64_run" if double else "losses"]
    expected: dict[str, float] = {}
    for key, value in stored.items():
        stage, _, loss = key.rpartition(".") if key.startswith("s") else ("", "", key)
        loss = loss.partition(".")[0].removeprefix("loss_")
        ours = {"cls": "class", "bbox": "box", "rpn_cls": "rpn_class"}
        ours |= {"rpn_bbox": "rpn_box", "acc": "accuracy"}
        loss = ours.get(loss, loss) + stage.removeprefix("s")
        # Theirs are lists by level, and an accuracy in percent.
        value = value / 100 if loss.startswith("accuracy") else value
        expected[loss] = expected.get(loss, 0.0) + value
    return expected


def test_losses(trained):
    name, double, total, losses, _ = trained
    expected = expected_losses(name, double)
    assert losses.keys() == expected.keys()
    for key, value in losses.items():
        tolerance = 1e-9 if double else 1e-4 if key.startswith("mask") else 1e-5
        assert value == pytest.approx(expected[key], tolerance, tolerance), key
    key = "total_float64_run" if double else "total"
    expected = golden.info(name)["training"][key]
    assert total == pytest.approx(expected, 1e-9 if double else 1e-5)


def test_gradients(trained):
    name, double, _, _, gradients = trained
    record, stored = golden.info(name)["training"], golden.arrays(name)
    values = [gradients[key].astype(np.float64) for key in record["parameters"]]
    norms = np.array([np.linalg.norm(value) for value in values])
    expected = stored["train/grad_norm_float64_run"]
    assert set(record["without_gradient"]) <= set(record["parameters"])
    if not double:
        small = 1e-6 * expected.max()
        assert (np.abs(norms - expected) <= 0.03 * expected + small).all()
        for module, norm in record["grad_norm_by_module"].items():
            mine = [
                one
                for one, key in zip(norms, record["parameters"], strict=True)
                if key.startswith(f"{module}.")
            ]
            assert np.linalg.norm(mine) == pytest.approx(norm, 0.002), module
        return
    largest = 1e-8 * expected.max()
    assert np.abs(norms - expected).max() <= largest
    projections = [synthetic_weights.projections(value)[0] for value in values]
    expected = stored["train/grad_projection_float64_run"]
    assert np.abs(projections - expected).max() <= largest
    for value, first in zip(
        values, stored["train/grad_first8_float64_run"], strict=True
    ):
        mine = value.reshape(-1)[:8]
        assert np.abs(mine - first[: len(mine)]).max() <= largest
