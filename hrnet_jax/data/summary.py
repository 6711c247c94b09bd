"""A prepared data set in a few lines of text."""

from collections.abc import Sequence

from hrnet_jax.config.tables import columns
from hrnet_jax.data.class_weights import median_frequency_weights
from hrnet_jax.data.info import DatasetInfo

_BAR_WIDTH = 24
_MOST_NAMES = 20
# Classes without pixels that are named a line each.
MOST_NOTES = 5


def summarize(info: DatasetInfo) -> str:
    """Images and sizes per split and subset; pixels per class and class weights.

    Shares are of the labelled pixels; the ignored share is of all pixels. The
    weights are those of `median_frequency_weights` on the training split. Sets
    without classes end after the splits, and what was left out of their files.
    """
    lines = [f"{info.name}: {_contents(info)}", ""]
    lines += _split_lines(info)
    if info.max_objects:
        lines += ["", _named(info.box_class_names)]
    if info.image_class_counts:
        lines += ["", *_image_class_lines(info)]
    train = info.default_splits["train"]
    labelled = train not in info.unlabelled_splits
    if labelled and sum(info.label_histogram.get(train, ())) > 0:
        lines += ["", *_class_lines(info, train)]
        lines += ["", *_weight_lines(info, train)]
    if info.findings:
        rows = [(file, what, str(count)) for file, what, count in info.findings]
        lines += ["", *columns([("file", "found in it", "number"), *rows], "llr")]
    return "\n".join(lines)


def _contents(info: DatasetInfo) -> str:
    parts = [f"{info.num_classes} classes"] if info.num_classes else []
    if info.point_names:
        pairs = len(info.point_flip_pairs)
        parts.append(f"{len(info.point_names)} points, {pairs} flip pairs")
    if info.persons:
        counts = ", ".join(f"{n} of {split}" for split, n in info.persons.items())
        parts.append(f"persons {counts}")
    if info.max_objects:
        kinds = "boxes and masks" if info.object_masks else "boxes"
        parts.append(
            f"{kinds} of {len(info.box_class_names)} classes, up to "
            f"{info.max_objects} in an image"
        )
    if info.image_class_names and not parts:
        several = ", several for an image" if info.multi_label else ""
        parts.append(f"images of {len(info.image_class_names)} classes{several}")
    return ", ".join(parts) or "images"


def _named(names: Sequence[str]) -> str:
    """Names of classes, in their order."""
    shown = ", ".join(names[:_MOST_NAMES])
    more = f", and {len(names) - _MOST_NAMES} more"
    return f"classes: {shown}{more if len(names) > _MOST_NAMES else ''}"


def _image_class_lines(info: DatasetInfo) -> list[str]:
    """Images of each class in each split; of many classes of the rarest and commonest."""
    splits = info.image_class_counts
    train = info.default_splits["train"]
    order = list(range(len(info.image_class_names)))
    if len(order) > _MOST_NAMES:
        order.sort(key=lambda label: splits[train][label])
        half = _MOST_NAMES // 2
        order = [*order[:half], -1, *order[-half:]]
    rows = [("", "class", *(f"{split} images" for split in splits))]
    for label in order:
        if label < 0:
            rows.append(("", "...", *("" for _ in splits)))
            continue
        counts = (str(counts[label]) for counts in splits.values())
        rows.append((str(label), info.image_class_names[label], *counts))
    return columns(rows, f"rl{'r' * len(splits)}")


def _split_lines(info: DatasetInfo) -> list[str]:
    last = "ignored" if info.num_classes else "part of" if info.subsets else ""
    rows = [("split", "images", "size (width x height)", last)]
    for split, count in info.counts.items():
        size = "-"  # of sets that TFDS prepared
        if split in info.min_size:
            size = _range(info.min_size[split], info.max_size[split])
        note = ""
        if split in info.subsets:
            note = " + ".join(info.subsets[split])
        elif info.num_classes:
            note = _ignored_share(info, split)
        rows.append((split, str(count), size, note))
    return columns(rows, "lrlr" if info.num_classes else "lrl")


def _range(low: tuple[int, int], high: tuple[int, int]) -> str:
    text = f"{low[1]}x{low[0]}"
    return text if low == high else f"{text} to {high[1]}x{high[0]}"


def _ignored_share(info: DatasetInfo, split: str) -> str:
    if split in info.unlabelled_splits:
        return "no labels"
    ignored = info.ignored_pixels[split]
    total = ignored + sum(info.label_histogram[split])
    return f"{100 * ignored / total:.2f} %" if total else "-"


def _class_lines(info: DatasetInfo, train: str) -> list[str]:
    weights = median_frequency_weights(info, train)
    shares = {
        split: [100 * pixels / max(1, sum(histogram)) for pixels in histogram]
        for split, histogram in info.label_histogram.items()
        if split not in info.unlabelled_splits
    }
    rows = [("", "class", *(f"{split} %" for split in shares), "", "weight")]
    longest = max(shares[train])
    for label, name in enumerate(info.class_names):
        rows.append(
            (
                str(label),
                name,
                *(f"{share[label]:.3f}" for share in shares.values()),
                "#" * round(_BAR_WIDTH * shares[train][label] / longest),
                f"{weights[label]:.4f}",
            )
        )
    return columns(rows, f"rl{'r' * len(shares)}lr")


def _weight_lines(info: DatasetInfo, train: str) -> list[str]:
    weights = ", ".join(
        f"{weight:.4f}" for weight in median_frequency_weights(info, train)
    )
    lines = [f"class weights (median frequency, split {train}): {weights}"]
    absent = [
        f"{label} ({name})"
        for label, name in enumerate(info.class_names)
        if not info.label_histogram[train][label]
    ]
    asked = "are the mask values, the class list and the ignore label as intended?"
    if len(absent) > MOST_NOTES:
        named = ", ".join(absent[:MOST_NOTES])
        lines.append(
            f"note: {len(absent)} of {info.num_classes} classes have no pixel in split "
            f"{train}, the first {named}; {asked}"
        )
    else:
        lines += [
            f"note: class {each} has no pixel in split {train}; {asked}"
            for each in absent
        ]
    return lines
