"""A prepared data set in a few lines of text."""

from hrnet_jax.data.info import DatasetInfo, median_frequency_weights

_BAR_WIDTH = 24


def summarize(info: DatasetInfo) -> str:
    """Images and sizes per split, pixels per class, and class weights.

    Shares are of the labelled pixels; the ignored share is of all pixels. The
    weights are those of `median_frequency_weights` on the training split.
    """
    lines = [f"{info.name}: {info.num_classes} classes", ""]
    lines += _split_lines(info)
    train = info.default_splits["train"]
    if sum(info.label_histogram.get(train, ())) > 0:
        lines += ["", *_class_lines(info, train)]
        lines += ["", *_weight_lines(info, train)]
    return "\n".join(lines)


def _split_lines(info: DatasetInfo) -> list[str]:
    lines = [
        f"{'split':<8} {'images':>8}  {'size (width x height)':<24} {'ignored':>8}"
    ]
    for split, count in info.counts.items():
        (low_h, low_w), (high_h, high_w) = info.min_size[split], info.max_size[split]
        size = f"{low_w}x{low_h}"
        if (low_h, low_w) != (high_h, high_w):
            size += f" to {high_w}x{high_h}"
        ignored = info.ignored_pixels[split]
        total = ignored + sum(info.label_histogram[split])
        share = f"{100 * ignored / total:.2f} %" if total else "-"
        lines.append(f"{split:<8} {count:>8}  {size:<24} {share:>8}")
    return lines


def _class_lines(info: DatasetInfo, train: str) -> list[str]:
    weights = median_frequency_weights(info, train)
    shares = {
        split: [100 * pixels / max(1, sum(histogram)) for pixels in histogram]
        for split, histogram in info.label_histogram.items()
    }
    width = max(12, *(len(name) for name in info.class_names))
    header = "".join(f" {split + ' %':>9}" for split in shares)
    lines = [f"{'':>3} {'class':<{width}}{header}  {'':<{_BAR_WIDTH}} {'weight':>9}"]
    longest = max(shares[train])
    for label, name in enumerate(info.class_names):
        columns = "".join(f" {share[label]:>9.3f}" for share in shares.values())
        bar = "#" * round(_BAR_WIDTH * shares[train][label] / longest)
        lines.append(
            f"{label:>3} {name:<{width}}{columns}  {bar:<{_BAR_WIDTH}} "
            f"{weights[label]:>9.4f}"
        )
    return lines


def _weight_lines(info: DatasetInfo, train: str) -> list[str]:
    weights = ", ".join(
        f"{weight:.4f}" for weight in median_frequency_weights(info, train)
    )
    lines = [f"class weights (median frequency, split {train}): {weights}"]
    for label, pixels in enumerate(info.label_histogram[train]):
        if pixels == 0:
            lines.append(
                f"note: class {label} ({info.class_names[label]}) has no pixel in "
                f"split {train}; are the mask values, the class list and the ignore "
                "label as intended?"
            )
    return lines
