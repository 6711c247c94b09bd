"""Predicts for images or a video with a trained, converted or exported model.

    python scripts/predict.py --workdir=runs/camvid --images=street.jpg --out=out
    python scripts/predict.py --workdir=runs/camvid --images='photos/*.png' --out=out
    python scripts/predict.py --workdir=hrnet_cs_8090_torch11.pth \\
        --images=street.jpg --out=out
    python scripts/predict.py --workdir=runs/camvid --images photos/ more/*.jpg \\
        --out=out --max_side=2000 --only=label
    python scripts/predict.py --workdir=runs/camvid --images='tiles/*.tif' --out=out \\
        --scales=0.75,1,1.25 --flip --window=512,512 --polygons=labelme
    python scripts/predict.py --workdir=camvid.onnx --images=street.jpg --out=out
    python scripts/predict.py --workdir=runs/w300 --images=party.jpg --out=out
    python scripts/predict.py --workdir=runs/w300 --images=party.jpg \\
        --boxes=faces.csv --out=out
    python scripts/predict.py --workdir=runs/w300 --video=0 --out=out
    python scripts/predict.py --workdir=runs/w300 --images=party.jpg \\
        --detector=runs/faces --detector_classes=face --out=out

Takes files, folders and globs, images of any size (--max_side bounds memory and
time). Writes pictures for each image (segmentation: the raw label map, a colour map, an
overlay and panels with a legend; landmarks and pose: the points) and one summary.json,
with the points in pixels of the image. Files that cannot be read are listed at the end
and in summary.json (`failed`); the others are labelled all the same, and the exit code
is then 1 (2 where none could be read).

Landmark models predict in each face box: those in --boxes, those that the detection
run of --detector finds, or those found by a frontal-face detector. A photograph without
a face gets an empty list in summary.json. Pose models predict in each box of --boxes or
--detector; without them, in the whole image as the box of one person.

--video takes a file or the number of a camera and writes a video and, for points, a
line of JSON for each frame; Ctrl-C ends it. Files of PyTorch weights are converted in
memory; where that needs options, scripts/convert.py makes a work directory of them.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING

from hrnet_jax.config import command_line
from hrnet_jax.errors import ConfigError

# Exit code where some of the images could not be predicted for.
SOME_FAILED = 1

if TYPE_CHECKING:
    from hrnet_jax.inference.boxes import Boxes
    from hrnet_jax.inference.finder import ObjectFinder
    from hrnet_jax.inference.opened import OpenedModel


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workdir",
        required=True,
        help="work directory of a run or conversion, a file of PyTorch weights (.pth, "
        ".safetensors, ...), its https:// address or hf://OWNER/NAME, or a file of "
        "scripts/export.py",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--images",
        nargs="+",
        action="extend",
        help="files, folders or globs, also as file:// URLs",
    )
    source.add_argument("--video", help="video file, or the number of a camera")
    parser.add_argument("--out", required=True, help="folder for the results")
    add_box_flags(parser)
    parser.add_argument(
        "--max_frames", type=int, help="frames of the video after which to stop"
    )
    parser.add_argument(
        "--max_side",
        type=int,
        help="reduce larger images to this many pixels before the network; results "
        "have the original size",
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[],
        help="files to write, of label,color,overlay,panels, which are the usual ones, "
        "and indexed (segmentation)",
    )
    add_segmentation_flags(parser)
    parser.add_argument(
        "--show",
        action="store_true",
        help="open a window with each picture, where there is a display",
    )
    parser.add_argument("--step", default="best", help="best, latest or a number")
    parser.add_argument(
        "--pad_multiple",
        type=int,
        default=1,
        help="pad sides to multiples of this, so that similar sizes compile once",
    )
    arguments = command_line.parse_with_changes(parser)
    arguments.changes = [*protocol_of(arguments), *arguments.changes]
    return arguments


def add_segmentation_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that are for segmentation alone."""
    parser.add_argument(
        "--scales",
        metavar="SCALE[,SCALE...]",
        help="segmentation: predict at each of these sizes, and average",
    )
    parser.add_argument(
        "--flip", action="store_true", help="segmentation: average with mirror images"
    )
    parser.add_argument(
        "--window",
        metavar="HEIGHT,WIDTH",
        help="segmentation: predict in windows of this size, in full resolution",
    )
    parser.add_argument(
        "--polygons",
        choices=("coco", "labelme"),
        help="segmentation: write polygons as well, in one COCO file or a labelme file "
        "for each image",
    )
    parser.add_argument(
        "--submission",
        action="store_true",
        help="segmentation: write what the server of the data set takes as well, into "
        "the folder submission",
    )


def protocol_of(arguments: argparse.Namespace) -> list[str]:
    """The keys that --scales, --flip and --window stand for."""
    changes = []
    if arguments.scales is not None:
        changes.append(f"eval.inference.scales={_tuple(arguments.scales)}")
    if arguments.flip:
        changes.append("eval.inference.flip=true")
    if arguments.window is not None:
        changes.append(f"eval.inference.window.size={_tuple(arguments.window)}")
    return changes


def _tuple(numbers: str) -> str:
    """`1,2` as a tuple, one number and none as well."""
    return f"({numbers.strip(' ,')},)" if numbers.strip(" ,") else "()"


def add_box_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say where the boxes to predict in come from."""
    parser.add_argument(
        "--boxes",
        help="JSON or CSV file with the boxes of faces or persons in the images; CSV: "
        "image,x1,y1,x2,y2; or the summary.json of a detector",
    )
    parser.add_argument(
        "--detector",
        help="detection run that finds the boxes to predict in; as --workdir",
    )
    parser.add_argument(
        "--detector_classes",
        type=lambda text: tuple(text.split(",")),
        default=(),
        help="names of the objects whose boxes count, such as person,cat; default: all",
    )
    parser.add_argument(
        "--detector_score",
        type=float,
        help="objects of a higher score count; default: 0.5",
    )


def main() -> None:
    """Predicts and prints where the results are."""
    arguments = parse_arguments()
    failures: list[str] = []
    with command_line.reporting_errors():
        if arguments.video is None:
            lines, failures = predict_images(arguments)
        else:
            lines = predict_frames(arguments)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    if failures:
        sys.stderr.write("".join(f"error: {failure}\n" for failure in failures))
        sys.exit(SOME_FAILED if lines else command_line.INPUT_ERROR)


def check_detector_flags(arguments: argparse.Namespace) -> None:
    """Refuses flags that do not go together, and models that do not.

    Raises:
        ConfigError: naming them.
    """
    from hrnet_jax.export.opening import named_model
    from hrnet_jax.inference.finder import check_detector, check_score

    if arguments.detector is None:
        chosen = arguments.detector_classes or arguments.detector_score is not None
        if chosen and arguments.boxes is None:
            raise ConfigError(
                "--detector_classes and --detector_score go with --detector, or with "
                "--boxes and the summary.json of a detector"
            )
        return
    if arguments.boxes is not None:
        raise ConfigError(
            "--detector finds the boxes that --boxes gives; leave one of them out"
        )
    if arguments.detector_score is not None:
        check_score(arguments.detector_score)
    check_detector(named_model(arguments.detector), named_model(arguments.workdir))


def open_models(
    arguments: argparse.Namespace,
) -> "tuple[OpenedModel, ObjectFinder | None]":
    """The model of --workdir, and what finds boxes for it if --detector does."""
    from hrnet_jax import runtime
    from hrnet_jax.export.opening import open_any
    from hrnet_jax.inference.finder import USUAL_SCORE, ObjectFinder

    runtime.enable_compilation_cache()
    runtime.report_unused_accelerator()
    find = None
    if arguments.detector is not None:
        score = arguments.detector_score
        find = ObjectFinder(
            open_any(arguments.detector),
            arguments.detector_classes,
            USUAL_SCORE if score is None else score,
        )
    run = open_any(
        arguments.workdir,
        arguments.step,
        pad_multiple=arguments.pad_multiple,
        changes=arguments.changes,
    )
    return run, find


def given_boxes(arguments: argparse.Namespace) -> "Boxes | None":
    """The boxes in --boxes, those of objects as the flags of a detector choose."""
    from hrnet_jax.inference.boxes import read_boxes

    if arguments.boxes is None:
        return None
    return read_boxes(
        arguments.boxes,
        classes=arguments.detector_classes,
        score=arguments.detector_score,
    )


def predict_images(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Predicts for --images; returns what to print, and what failed.

    Where all failed there is nothing to print.
    """
    from hrnet_jax.export.opening import named_model
    from hrnet_jax.inference import folder
    from hrnet_jax.inference.showing import Windows

    if arguments.max_frames is not None:
        raise ConfigError("--max_frames goes with --video, not with --images")
    check_detector_flags(arguments)
    images = folder.find_images(*arguments.images)
    boxes = given_boxes(arguments)
    request = {
        "boxes": boxes,
        "max_side": arguments.max_side,
        "only": arguments.only,
        "also": further_files(arguments),
    }
    model = named_model(arguments.workdir)
    folder.check_request(model, images, arguments.out, **request)
    run, find = open_models(arguments)
    windows = Windows() if arguments.show else None
    report = folder.predict_files(
        run, images, arguments.out, **request, find=find, windows=windows
    )
    if windows is not None and windows.problem:
        sys.stderr.write(f"{windows.problem}; see {arguments.out}\n")
    failures = [entry["error"] for entry in report["failed"]]
    if not report["images"]:
        return [], failures
    where = f"see {arguments.out}/{folder.SUMMARY_FILE}"
    if failures:
        where = f"{len(failures)} failed, {where}"
    number = len(report["images"])
    labelled = f"{number} {'image' if number == 1 else 'images'} labelled"
    if not run.task.takes_boxes:
        return [f"{labelled}, {where}"], failures
    one, many = run.task.in_boxes
    nothing = f"no {one} found" if boxes is None else "no boxes given"
    lines = [
        f"{entry['image']}: {nothing}"
        for entry in report["images"]
        if not entry["found"]
    ]
    count = sum(len(entry["found"]) for entry in report["images"])
    found = f"{count} {one if count == 1 else many}"
    return [*lines, f"{labelled}, {found}, {where}"], failures


def further_files(arguments: argparse.Namespace) -> list[str]:
    """Kinds of files that --polygons and --submission ask for."""
    kinds = [arguments.polygons] if arguments.polygons else []
    return [*kinds, *(["submission"] if arguments.submission else [])]


def predict_frames(arguments: argparse.Namespace) -> list[str]:
    """Predicts for --video; returns what to print."""
    from hrnet_jax.inference import video

    if arguments.boxes is not None:
        raise ConfigError(
            "--boxes goes with --images; videos are searched for faces, or for what "
            "--detector finds"
        )
    if arguments.max_side is not None or arguments.only or arguments.show:
        raise ConfigError("--max_side, --only and --show go with --images")
    if further_files(arguments):
        raise ConfigError("--polygons and --submission go with --images")
    check_detector_flags(arguments)
    source = arguments.video
    if source.isdecimal() and not pathlib.Path(source).exists():
        source = int(source)
    bound = arguments.max_frames
    video.check_request(source, arguments.out, max_frames=bound)
    run, find = open_models(arguments)
    report = video.predict_video(
        run, source, arguments.out, find=find, max_frames=bound
    )
    stopped = ", stopped" if report["interrupted"] else ""
    speed = f"{report['predicted_per_second']:.1f} a second"
    where = f"see {arguments.out}/{report['video']}"
    return [f"{report['frames']} frames, {speed}{stopped}, {where}"]


if __name__ == "__main__":
    main()
