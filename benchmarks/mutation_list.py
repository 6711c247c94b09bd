"""Forty-six wrong lines of the core, for `mutations`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One wrong line.

    Attributes:
        name: for `--only` and the table; starts with the part it is in.
        old: text that occurs exactly once in the core.
        new: what takes its place.
        tests: ends of the paths of the test files that should fail.
    """

    name: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "exchange: one resolution is left out of the sums",
        "for source in range(1, len(branches)):",
        "for source in range(2, len(branches)):",
        ("models/test_goldens.py",),
    ),
    Mutation(
        "exchange: ReLU after the last convolution of a path down",
        "relu=not is_last,",
        "relu=True,",
        ("models/test_goldens.py",),
    ),
    Mutation(
        "network: OCR compares pixels and objects unscaled",
        " * _KEY_WIDTH**-0.5",
        "",
        ("segmentation/test_object_context.py",),
    ),
    Mutation(
        "network: running variances are biased",
        "var = var * (count / (count - 1))",
        "var = var * 1.0",
        ("models/test_batch_norm.py",),
    ),
    Mutation(
        "network: gradients of norms forget the mean",
        "shift = -multiplier * d_bias / count - mean * slope",
        "shift = -multiplier * d_bias / count",
        ("models/test_batch_norm.py",),
    ),
    Mutation(
        "network: folded norms forget the mean of the batch",
        "(conv_bias - mean) * multiplier + bias",
        "conv_bias * multiplier + bias",
        ("models/test_folding.py",),
    ),
    Mutation(
        "resize: pixels have their centres at the corner",
        "np.maximum((index + 0.5) * (n / m) - 0.5, 0.0)",
        "np.maximum(index * (n / m), 0.0)",
        ("models/test_resize.py",),
    ),
    Mutation(
        "resize: nearest rounds instead of cutting",
        "x = jnp.take(x, np.arange(m) * n // m, axis=axis)",
        "x = jnp.take(x, (np.arange(m) * n + n // 2) // m, axis=axis)",
        ("models/test_resize.py",),
    ),
    Mutation(
        "losses: the mean counts ignored pixels",
        "return ratio(jnp.sum(losses), jnp.sum(weights))",
        "return jnp.mean(losses)",
        ("segmentation/test_losses.py",),
    ),
    Mutation(
        "losses: ohem keeps pixels at the threshold",
        "kept = valid & (probability < threshold)",
        "kept = valid & (probability <= threshold)",
        ("segmentation/test_losses.py",),
    ),
    Mutation(
        "metrics: IoU counts the intersection twice",
        "quotient(both, labelled + predicted - both)",
        "quotient(both, labelled + predicted)",
        ("segmentation/test_metrics.py",),
    ),
    Mutation(
        "metrics: rows of the confusion matrix are predictions",
        "jnp.where(valid, labels * num_classes + predictions, num_classes**2)",
        "jnp.where(valid, predictions * num_classes + labels, num_classes**2)",
        ("segmentation/test_metrics.py",),
    ),
    Mutation(
        "metrics: NME is a mean over points without annotation as well",
        "return distance.sum(1) / (count * normalizer)",
        "return distance.mean(1) / normalizer",
        ("keypoints/test_metrics.py",),
    ),
    Mutation(
        "decoding: a quarter of a cell the wrong way",
        "0.25 * jnp.sign(slope)",
        "-0.25 * jnp.sign(slope)",
        ("keypoints/test_decoding.py",),
    ),
    Mutation(
        "schedule: poly runs one step ahead",
        "fraction = jnp.clip(1.0 - step / num_steps, 0.0, 1.0)",
        "fraction = jnp.clip(1.0 - (step + 1) / num_steps, 0.0, 1.0)",
        ("training/test_schedules.py",),
    ),
    Mutation(
        "optimizer: AdamW decays like Adam",
        '"adamw": (adam, decay),',
        '"adamw": (decay, adam),',
        ("training/test_optimizers.py",),
    ),
    Mutation(
        "loop: gradients of micro-batches are summed up",
        "grads = jax.tree.map(lambda x: x / count, total)",
        "grads = total",
        ("training/test_step.py",),
    ),
    Mutation(
        "loop: every step draws the same random numbers",
        "key = jax.random.fold_in(jax.random.key(seed), state.step)",
        "key = jax.random.key(seed)",
        ("training/test_step.py",),
    ),
    Mutation(
        "loop: the averaged weights are not what is evaluated",
        "return dict(self.ema) or self.variables",
        "return self.variables",
        ("training/test_step.py",),
    ),
    Mutation(
        "resume: the data starts again from the first batch",
        "start_step=begin - phase.start,",
        "start_step=0,",
        ("training/test_resume.py", "training/test_phases.py"),
    ),
    Mutation(
        "resume: nothing is saved when asked to stop",
        "save = evaluate or stop or _is_due",
        "save = evaluate or _is_due",
        ("training/test_resume.py", "training/test_train.py"),
    ),
    Mutation(
        "best: the smallest value, whatever the metric",
        'return -value if direction == "min" else value',
        "return -value",
        ("workdir/test_checkpoints.py",),
    ),
    Mutation(
        "conversion: kernels are written mirrored at the diagonal",
        "np.ascontiguousarray(value.transpose(3, 2, 0, 1))",
        "np.ascontiguousarray(value.transpose(3, 2, 1, 0))",
        ("pretrained/test_convert.py", "pretrained/test_conventions.py"),
    ),
    Mutation(
        "conversion: scales of InPlaceABN keep their sign",
        "value = np.abs(value) + np.float32(1e-5)",
        "value = value + np.float32(1e-5)",
        ("pretrained/test_convert.py",),
    ),
    Mutation(
        "data: filling up a batch counts as examples",
        "np.bool_(index <= last)}",
        "np.bool_(True)}",
        ("test_pipeline.py",),
    ),
    Mutation(
        "data: a second process reads what the first reads",
        "first = start_step * process_count + process_index",
        "first = start_step * process_count",
        ("test_pipeline.py",),
    ),
    Mutation(
        "transforms: left and right labels do not swap in mirrored images",
        "cv2.LUT(label, mirrored_labels)",
        "label",
        ("segmentation/test_transforms.py",),
    ),
    Mutation(
        "transforms: mirrored points keep their names",
        "points, visible = points[order], visible[order]",
        "visible = visible[order]",
        ("keypoints/test_transforms.py",),
    ),
    Mutation(
        "command lines: keys that are not there are set all the same",
        'check_key(dotted, config, f"cannot set {shown}: ")',
        "dotted.strip()",
        ("test_scripts.py",),
    ),
    Mutation(
        "command lines: wrong input of one process ends with exit code 1",
        "watch.fail(INPUT_ERROR, str(error))",
        "watch.fail(BUG, str(error))",
        ("test_failures.py",),
    ),
    Mutation(
        "detection: boxes are clipped to the transposed image",
        "jnp.clip(boxes[..., 2], 0, width),",
        "jnp.clip(boxes[..., 2], 0, height),",
        ("detection/test_boxes.py",),
    ),
    Mutation(
        "detection: suppression starts at overlaps of just the threshold",
        "return overlap >= threshold if at_least else overlap > threshold",
        "return overlap >= threshold",
        ("detection/test_nms.py",),
    ),
    Mutation(
        "detection: objects far from all anchors have none",
        "assigned = jnp.where(best.forced >= 0, best.forced, assigned)",
        "pass",
        ("detection/test_matching.py",),
    ),
    Mutation(
        "detection: samples are more positives than may be",
        "top_candidates(urgency, min(most_positive, count), positive)[1]",
        "top_candidates(urgency, count, positive)[1]",
        ("detection/test_sampling.py",),
    ),
    Mutation(
        "detection: regions are read half a cell aside",
        "rise = jnp.where(cell == 0, b - a, rise)",
        "rise = rise + 0.0",
        ("detection/test_roi_align.py",),
    ),
    Mutation(
        "detection: objects go on to the next stage of a cascade",
        "regions.sample.valid & ~regions.is_object",
        "regions.sample.valid",
        ("detection/test_training_targets.py",),
    ),
    Mutation(
        "detection: boxes of other classes learn",
        "own = classes if deltas.shape[2] > 1 else jnp.zeros_like(classes)",
        "own = jnp.zeros_like(classes)",
        ("detection/test_training_targets.py",),
    ),
    Mutation(
        "detection: padding keeps the mean of images",
        "return jnp.where(inside[..., None], images, 0)",
        "return images",
        ("detection/test_detectors.py",),
    ),
    Mutation(
        "detection: mirrored boxes stay where they are",
        "x1, x2 = width - x2, width - x1",
        "pass",
        ("detection/test_transforms.py",),
    ),
    Mutation(
        "detection: a batch mixes orientations",
        "members = order[groups[order] == group]",
        "members = order",
        ("data/test_grouping.py",),
    ),
    Mutation(
        "detection: crowds count as objects",
        '"iscrowd": int(one.crowd[index]),',
        '"iscrowd": 0,',
        ("detection/test_metrics.py",),
    ),
    Mutation(
        "detection: boxes stay in pixels of the canvas",
        "boxes = boxes / np.array([factor_x, factor_y, factor_x, factor_y])",
        "boxes = boxes * 1.0",
        ("detection/test_metrics.py",),
    ),
    Mutation(
        "conversion: old detectors keep the measures of new ones",
        'return has_proposals and scheme.convention != "mmdet"',
        "return False",
        ("conversion/test_facts.py",),
    ),
    Mutation(
        "conversion: features of a region keep their order",
        '(r"box_head\\d?/fc1/kernel", FLATTENED),',
        "",
        ("pretrained/test_detector_names.py",),
    ),
    Mutation(
        "schedule: rates fall where batches grow",
        "return batch_size / options.reference_batch",
        "return options.reference_batch / batch_size",
        ("training/test_schedules.py",),
    ),
    Mutation(
        "sweeps: objects of a bucket are written over",
        'mode="create"',
        'mode="overwrite"',
        ("sweeps/test_bucket.py",),
    ),
    Mutation(
        "devices: what is asked of all devices in a loop",
        "if shards == 1 or len(jax.tree.leaves(images)[0]) % shards:",
        "if True:",
        ("detection/test_own_images.py",),
    ),
    Mutation(
        "detection: boxes of v1 end at their last pixel",
        "            edges = found.boxes + self._plus_one *",
        "            edges = found.boxes + 0 *",
        ("detection/test_conventions.py",),
    ),
    Mutation(
        "detection: objects of v1 end at edges of pixels",
        "boxes = objects.boxes - self._plus_one *",
        "boxes = objects.boxes - 0 *",
        ("detection/test_conventions.py",),
    ),
    Mutation(
        "detection: an image may be missing in an evaluation",
        "count = len(seen) if self._expected is None else self._expected",
        "count = len(seen)",
        ("detection/test_metrics.py",),
    ),
    Mutation(
        "conversion: boxes that all classes share are each class's",
        "return None if one_class else _size",
        "return None if True else _size",
        ("pretrained/test_detector_names.py",),
    ),
    Mutation(
        "optimizer: biases of norms are biases",
        'and name.removesuffix("bias") + "kernel" in names',
        "and True",
        ("training/test_optimizers.py",),
    ),
    Mutation(
        "optimizer: biases learn at the rate of all",
        "(bias_rate if name in biases else 1.0)",
        "1.0",
        ("training/test_optimizers.py",),
    ),
    Mutation(
        "schedule: a constant warm-up rises",
        'start, start if options.warmup == "constant" else rate, warmup_steps',
        "start, rate, warmup_steps",
        ("training/test_schedules.py",),
    ),
    Mutation(
        "steps: epochs count images, not batches of groups",
        "    if groups is not None:\n        return steps_per_epoch(groups, batch_size)\n",
        "",
        ("training/test_steps.py",),
    ),
    Mutation(
        "boxes: objects end at centres of pixels",
        "reshape(-1, 4) - 0.5)",
        "reshape(-1, 4) + 0.5)",
        ("inference/test_finder.py",),
    ),
    Mutation(
        "finder: objects of any class are looked into",
        'kept &= np.isin(np.asarray(found["classes"]), self._wanted)',
        "kept &= True",
        ("inference/test_finder.py",),
    ),
    Mutation(
        "export: detections that are missing are not missed",
        "for one, other in ((expected, got), (got, expected))",
        "for one, other in ((expected, got),)",
        ("export/test_detectors.py",),
    ),
)
