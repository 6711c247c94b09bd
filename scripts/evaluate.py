"""Evaluates a checkpoint of a run, or a file of predicted landmarks.

    python scripts/evaluate.py --workdir=runs/camvid --step=best
    python scripts/evaluate.py --workdir=runs/camvid --report=report
    python scripts/evaluate.py --workdir=runs/w300 --split=common,full --ced=ced.png
    python scripts/evaluate.py --workdir=runs/coco_pose \\
        --detections=COCO_val2017_detections_AP_H_56_person.json
    python scripts/evaluate.py --workdir=hf://OWNER/NAME --config.dataset.data_dir=/data
    python scripts/evaluate.py --workdir=hrnet_cs_8090_torch11.pth \\
        --config.dataset.name=cityscapes --config.dataset.data_dir=/data
    python scripts/evaluate.py --predictions=CFSS_COFW68.txt --truth=test_annotations

The run's own configuration is used; any of its keys can be changed, for example
--config.dataset.data_dir=/data --config.eval.inference.flip=true. Runs that were
published have their own, too; other PyTorch weights take the defaults of their task and
need the name of a data set with as many classes or points. Files of predictions and
the folder of true points have the layout of the COFW68 benchmark.

Several processes evaluate together: scripts/launch/local.py, docs/scaling.md.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from hrnet_jax.config import command_line
from hrnet_jax.config.picture_files import check_picture_file
from hrnet_jax.config.tables import columns
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.storage import paths, targets
from hrnet_jax.workdir.files import write_json


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of one split.

    Attributes:
        metrics: name -> value.
        remarks: what one should know about them, a line each.
        errors: face -> its error, a fraction; None where there are none, or
            they were not asked for.
        normalizer: name of the divisor of the errors.
    """

    metrics: dict[str, float]
    remarks: Sequence[str] = ()
    errors: dict[str, float] | None = None
    normalizer: str = ""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--workdir",
        help="work directory of a run or conversion, a file of PyTorch weights (.pth, "
        ".safetensors, ...), its https:// address or hf://OWNER/NAME",
    )
    source.add_argument("--predictions", help="file of predicted landmarks")
    parser.add_argument("--truth", help="folder of true points, for --predictions")
    parser.add_argument("--step", help="best (the default), latest or a number")
    parser.add_argument(
        "--split",
        metavar="NAME[,NAME...]",
        help="splits to evaluate (default: the test split of the configuration)",
    )
    parser.add_argument(
        "--detections",
        metavar="FILE",
        help="pose: JSON of persons that a detector found (image_id, category_id, bbox, "
        "score), to look into instead of the annotated boxes",
    )
    _add_targets(parser)
    arguments = command_line.parse_with_changes(parser)
    if arguments.predictions and not arguments.truth:
        parser.error("--predictions needs --truth, the folder of true points")
    of_runs = ("step", "split", "report", "changes", "detections")
    others = ("truth",) if arguments.workdir else of_runs
    for name in others:
        if getattr(arguments, name):
            option = "config.KEY=VALUE" if name == "changes" else name
            needed = "predictions" if arguments.workdir else "workdir"
            parser.error(f"--{option} goes with --{needed}")
    if arguments.worst is not None and not arguments.report:
        parser.error("--worst goes with --report")
    return arguments


def _add_targets(parser: argparse.ArgumentParser) -> None:
    """Options that name what is written."""
    parser.add_argument(
        "--out",
        type=paths.as_path,
        help="JSON file for the metrics; of several splits, one entry each",
    )
    parser.add_argument(
        "--report",
        type=paths.as_path,
        help="folder for tables of classes and images (or faces), the confusion matrix "
        "(or the error distribution) and pictures of the worst, one folder a split",
    )
    parser.add_argument(
        "--worst",
        type=_count,
        metavar="NUMBER",
        help="pictures of the worst images (or faces) in a report (default: 8)",
    )
    parser.add_argument(
        "--errors",
        type=paths.as_path,
        help="landmarks: JSON file for the error of each face, the worst first",
    )
    parser.add_argument(
        "--ced",
        type=paths.as_path,
        help="landmarks: picture of the cumulative error distribution",
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {text}")
    return int(text)


def main() -> None:
    """Evaluates and reports."""
    arguments = parse_arguments()
    # Late, so that help need not wait for JAX.
    from hrnet_jax.runtime import processes

    with command_line.reporting_errors_together():
        check_targets(arguments)
        if arguments.workdir:
            splits = [name.strip() for name in (arguments.split or "").split(",")]
            scores = score_run(
                arguments.workdir,
                arguments.step or "best",
                splits,
                arguments.changes,
                arguments.report,
                arguments.worst,
                arguments.detections or "",
                faces=bool(arguments.errors or arguments.ced),
            )
        else:
            scores = score_predictions(arguments.predictions, arguments.truth)
        if processes.is_first():
            report(scores, arguments)


def check_targets(arguments: argparse.Namespace) -> None:
    """Refuses what cannot be written, before the work.

    Raises:
        ConfigError: naming it.
    """
    if arguments.ced:
        check_picture_file(arguments.ced)
    for path in (arguments.out, arguments.errors):
        if path:
            targets.check_file(path, what="a JSON file")
    if arguments.report:
        targets.check_folder(arguments.report, what="a folder for the report")


def report(scores: dict[str, Scores], arguments: argparse.Namespace) -> None:
    """Prints the metrics, one a line, and writes what was asked for."""
    metrics = {split: score.metrics for split, score in scores.items()}
    print_metrics(metrics)
    for split, score in scores.items():
        for remark in score.remarks:
            print(f"note: {split}: {remark}", file=sys.stderr)
    if arguments.report:
        print(f"report: {arguments.report}", file=sys.stderr)
    if arguments.out:
        (first, *others) = metrics.values()
        write_json(arguments.out, metrics if others else first)
    if arguments.errors or arguments.ced:
        write_errors(scores, arguments.errors, arguments.ced)


def score_run(
    workdir: str,
    step: str,
    splits: list[str],
    changes: list[str],
    folder: pathlib.Path | None,
    worst: int | None = None,
    detections: str = "",
    *,
    faces: bool,
) -> dict[str, Scores]:
    """Evaluates a checkpoint.

    Args:
        workdir: of a run, or PyTorch weights.
        step: `best`, `latest` or a number.
        splits: names; where all are empty, the test split.
        changes: of the run's configuration, `key=value`.
        folder: for a report; None for none.
        worst: pictures of the worst examples in it; None for the usual number.
        detections: file of boxes to look into; empty for those that are annotated.
        faces: whether the error of each face is wanted.

    Returns:
        Split -> scores.

    Raises:
        ConfigError: if the task reports none.
    """
    from hrnet_jax.conversion.opening import open_to_evaluate
    from hrnet_jax.export.opening import is_exported
    from hrnet_jax.registry import get_spec
    from hrnet_jax.training.evaluate import WORST, evaluators_of_run

    if is_exported(workdir):
        raise ConfigError(
            f"{workdir}: exported files are not evaluated; expected the run that it was "
            "exported from"
        )
    config, weights = open_to_evaluate(workdir, step, changes)
    if faces and "errors" not in get_spec(config["task"]).reports:
        raise _without_errors()
    splits = [*filter(None, splits)]
    shown = WORST if worst is None else worst
    evaluators = evaluators_of_run(
        config, weights, step, splits, folder, shown, detections
    )
    scores = {}
    for split, evaluator in evaluators.items():
        scores[split] = Scores(evaluator.compute(), evaluator.remarks())
        if faces:
            scores[split] = dataclasses.replace(
                scores[split], errors=evaluator.errors(), normalizer=evaluator.default
            )
    return scores


def score_predictions(predictions: str, truth: str) -> dict[str, Scores]:
    """Evaluates a file of predictions in the layout of COFW68.

    Returns:
        The name of the file -> scores.

    Raises:
        DataError: if a file is wrong, or both have not the same faces.
    """
    from hrnet_jax.data.points.point_sets import W300
    from hrnet_jax.keypoints import cofw68
    from hrnet_jax.keypoints.metrics import nme, normalizer_from_points, summarize

    predicted = cofw68.read_predictions(predictions)
    points, _ = cofw68.read_annotations(truth)
    if len(predicted) != len(points):
        raise DataError(
            f"{predictions} has {len(predicted)} faces, {truth} {len(points)}; "
            "expected the same"
        )
    default = W300.default_normalizer
    errors = {
        name: nme(predicted, points, normalizer_from_points(points, groups))
        for name, groups in W300.normalizers.items()
    }
    faces = {str(number): float(e) for number, e in enumerate(errors[default], 1)}
    scores = Scores(summarize(errors, default), (), faces, default)
    return {pathlib.Path(predictions).stem: scores}


def print_metrics(metrics: dict[str, dict[str, float]]) -> None:
    """One metric a line; of several splits, one column each below its name.

    A split may have no figure of a metric (no large objects): a dash there.
    """
    rows = [["", *metrics]] if len(metrics) > 1 else []
    for name in dict.fromkeys(name for values in metrics.values() for name in values):
        figures = (values.get(name) for values in metrics.values())
        rows.append([name, *("-" if f is None else f"{f:.4f}" for f in figures)])
    sys.stdout.writelines(f"{line}\n" for line in columns(rows, "lr"))


def write_errors(
    scores: dict[str, Scores], errors: pathlib.Path | None, ced: pathlib.Path | None
) -> None:
    """Writes the errors of all faces and draws their distribution."""
    faces = {split: score.errors or {} for split, score in scores.items()}
    normalizer = next(iter(scores.values())).normalizer
    if errors:
        sorted_faces = {
            split: dict(sorted(values.items(), key=lambda item: -item[1]))
            for split, values in faces.items()
        }
        write_json(errors, {"normalizer": normalizer, "errors": sorted_faces})
    if ced:
        import numpy as np

        from hrnet_jax.keypoints.ced import draw_ced

        curves = {
            split: np.array([*values.values()]) for split, values in faces.items()
        }
        draw_ced(curves, ced, normalizer=normalizer)


def _without_errors() -> ConfigError:
    """For a task whose examples have no error each."""
    from hrnet_jax.registry import get_spec, task_names

    able = [name for name in task_names() if "errors" in get_spec(name).reports]
    return ConfigError(
        f"--errors and --ced are for {', '.join(able)}; this task has neither"
    )


if __name__ == "__main__":
    main()
