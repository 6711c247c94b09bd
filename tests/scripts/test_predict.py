"""scripts/predict.py from end to end: boxes, faces, videos, and wrong input."""

import json

import cv2
import numpy as np
import pytest

from hrnet_jax.conversion.labels import label_info
from hrnet_jax.conversion.saving import save_converted
from hrnet_jax.data.generated.faces import draw_face
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained.convert import to_torch
from hrnet_jax.pretrained.files import write_weights_file
from hrnet_jax.registry import create_model, get_spec
from tests import tiny
from tests.tiers import asked_for, slow_are

PHOTOS = "--images={tmp}/photos/*.png"
FACE = "--images={tmp}/photos/face.png"
WALL = "--images={tmp}/photos/wall.png"

ANSWERED = {
    "faces": ["--workdir={faces}", PHOTOS],
    "boxes": ["--workdir={faces}", PHOTOS, "--boxes={tmp}/boxes.csv"],
    "video": ["--workdir={faces}", "--video={tmp}/clip.mp4", "--max_frames=3"],
    "segmented video": [
        "--workdir={finished}",
        "--video={tmp}/clip.mp4",
        "--scales=0.5,1",
        "--window=48,48",
    ],
    "several": [
        "--workdir={finished}",
        "--images",
        "{tmp}/photos/face.png",
        "file://{tmp}/photos/wall.png",
        "--images={tmp}/mixed/[ab].png",
        "--max_side=48",
        "--only=label,overlay",
        "--show",
    ],
}

# Frames of those of `ANSWERED` that are videos.
VIDEOS = {"video": 3, "segmented video": 4}

# name: (arguments, names of what is labelled, what the one line of the other says)
PARTLY = {
    "one damaged of four": (
        ["--workdir={finished}", "--images={tmp}/mixed"],
        ["a", "b", "d"],
        "{tmp}/mixed/c.png is truncated",
    ),
    "one damaged face": (
        ["--workdir={faces}", "--images={tmp}/mixed"],
        ["a", "b", "d"],
        "{tmp}/mixed/c.png is truncated",
    ),
    "box outside": (
        ["--workdir={faces}", FACE, "--boxes={tmp}/outside.json"],
        [],
        "{tmp}/photos/face.png: box [900.0, 10.0, 950.0, 60.0] is outside the image",
    ),
}

# name: (arguments, what the one line on standard error says)
REFUSED = {
    "text for weights": (
        ["--workdir={tmp}/text.pth", FACE],
        "{tmp}/text.pth: not a readable PyTorch checkpoint",
    ),
    "missing weights": (
        ["--workdir={tmp}/gone.safetensors", FACE],
        "{tmp}/gone.safetensors: no such file",
    ),
    "step of a file": (
        ["--workdir={tmp}/mine.safetensors", FACE, "--step=5"],
        "step '5' of {tmp}/mine.safetensors: a file of weights has no steps",
    ),
    "box without a size": (
        ["--workdir={faces}", FACE, "--boxes={tmp}/flat.csv"],
        "{tmp}/flat.csv, line 2 (face.png), box 0: [10.0, 20.0, 10.0, 70.0] has no siz",
    ),
    "image without boxes": (
        ["--workdir={faces}", PHOTOS, "--boxes={tmp}/outside.json"],
        "no boxes for {tmp}/photos/wall.png",
    ),
    "change of no key": (
        ["--workdir={faces}", FACE, "--set=eval.inference.flop=true"],
        "cannot set 'eval.inference.flop=true'",
    ),
    "boxes for a segmentation": (
        ["--workdir={finished}", FACE, "--boxes={tmp}/outside.json"],
        "boxes were given, but segmentation/tiny looks at whole images",
    ),
    "missing boxes": (
        ["--workdir={faces}", FACE, "--boxes={tmp}/gone.csv"],
        "cannot read {tmp}/gone.csv",
    ),
    "boxes for a video": (
        ["--workdir={faces}", "--video=0", "--boxes={tmp}/boxes.csv"],
        "--boxes goes with --images",
    ),
    "frames of images": (
        ["--workdir={faces}", FACE, "--max_frames=3"],
        "--max_frames goes with --video",
    ),
    "bound of a video": (
        ["--workdir={faces}", "--video=0", "--max_side=100"],
        "--max_side, --only and --show go with --images",
    ),
    "bound of nothing": (
        ["--workdir={finished}", FACE, "--max_side=0"],
        "max_side must be at least 1 pixel, got 0",
    ),
    "unknown kind": (
        ["--workdir={finished}", FACE, "--only=mask"],
        "only=mask: segmentation/tiny does not write mask; expected some of label, col",
    ),
    "URL": (
        ["--workdir={finished}", "--images=https://host/a.png"],
        "https://host/a.png: images are read from this machine alone; download them",
    ),
    "no frames": (
        ["--workdir={finished}", "--video={tmp}/clip.mp4", "--max_frames=0"],
        "max_frames must be at least 1, got 0",
    ),
    "missing video": (
        ["--workdir={finished}", "--video={tmp}/gone.mp4"],
        "{tmp}/gone.mp4: no such file; expected a video file or the number of a camera",
    ),
    "text for a video": (
        ["--workdir={finished}", "--video={tmp}/text.mp4"],
        "{tmp}/text.mp4 cannot be read as a video",
    ),
    "no such camera": (
        ["--workdir={finished}", "--video=97"],
        "camera 97 does not open",
    ),
}

# Those of `ANSWERED` that several cases look at.
SHARED = ("faces", "boxes", "video", "several")

# Found only once a run is open; the messages are tested where they come from.
LATE = (
    "boxes for a segmentation",
    "image without boxes",
    "bound of nothing",
    "unknown kind",
    "no frames",
    "missing video",
    "text for a video",
)

# The usage stands above these.
MISUSED = {
    "neither": (["--workdir={finished}"], "one of the arguments --images --video is"),
    "both": (
        ["--workdir={finished}", FACE, "--video=0"],
        "argument --video: not allowed with argument --images",
    ),
}


def landmark_run(workdir):
    """A work directory with untrained weights for 68 points."""
    name = f"landmarks/{tiny.VARIANT_NAME}"
    config = default_config("landmarks")
    config.model.name = name
    variables = initial_variables(create_model(name, num_points=68))
    save_converted(
        workdir, config, variables, label_info(get_spec("landmarks"), "300w", 68)
    )
    return workdir


def write_inputs(folder):
    """Photographs with and without a face, a video, boxes right and wrong."""
    (folder / "photos").mkdir()
    face = draw_face(0, "frontal", 0, 256, 68, 0.0).image
    cv2.imwrite(str(folder / "photos" / "face.png"), face[..., ::-1])
    cv2.imwrite(
        str(folder / "photos" / "wall.png"), np.full((96, 128, 3), 90, np.uint8)
    )
    (folder / "mixed").mkdir()
    for name in "abcd":
        cv2.imwrite(str(folder / "mixed" / f"{name}.png"), face[:64, :96])
    damaged = folder / "mixed" / "c.png"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    codec = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), codec, 10.0, (256, 256))
    for _ in range(4):
        writer.write(face[..., ::-1])
    writer.release()
    (folder / "text.mp4").write_text("no video" * 100)
    (folder / "text.pth").write_text("no weights" * 100)
    header = "image,x1,y1,x2,y2\n"
    (folder / "boxes.csv").write_text(
        f"{header}face.png,40,60,200,220\nface.png,10,20,60,70\nwall.png,0,0,50,50\n"
    )
    (folder / "flat.csv").write_text(f"{header}face.png,10,20,10,70\n")
    (folder / "outside.json").write_text('{"face.png": [[900, 10, 950, 60]]}')


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the braces in the commands stand for."""
    folder = tmp_path_factory.mktemp("predict")
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        model = create_model("segmentation/w18_small_v1", num_classes=3)
        tensors = to_torch(initial_variables(model), model)
        write_weights_file(folder / "mine.safetensors", tensors)
        return {
            "tmp": folder,
            "finished": tiny.finished_run(),
            "faces": landmark_run(folder / "faces"),
        }


@pytest.fixture(scope="module")
def outcomes(places, request):
    """name -> (exit code, standard output, standard error)."""
    commands = {name: arguments for name, (arguments, _) in REFUSED.items()}
    commands |= {name: arguments for name, (arguments, _) in MISUSED.items()}
    commands |= {name: arguments for name, (arguments, *_) in PARTLY.items()}
    commands |= ANSWERED
    # Those that one case alone looks at are for the tier of that case.
    asked = asked_for(request, "name")
    commands = {
        name: [
            "predict",
            *(argument.format(**places) for argument in arguments),
            f"--out={places['tmp']}/out/{name}",
        ]
        for name, arguments in commands.items()
        if name in asked or name in SHARED
    }
    modules = ("hrnet_jax.inference.video", "hrnet_jax.conversion.converting")
    modules += ("hrnet_jax.export.exported", "hrnet_jax.inference.folder", "tests.tiny")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            patch.delenv(name, raising=False)
        return tiny.run_scripts(commands, places["tmp"], *modules)


@pytest.mark.parametrize("name", slow_are(LATE, REFUSED))
def test_wrong_input_is_one_line_and_exit_code_2(name, outcomes, places):
    code, out, err = outcomes[name]
    assert code == 2, err
    assert "Traceback" not in err and out == ""
    # A progress bar may have begun before the file at fault came up.
    lines = [line for line in err.splitlines() if line.strip() and "%|" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    assert REFUSED[name][1].format(**places) in lines[0]
    assert not (places["tmp"] / "out" / name).exists()


@pytest.mark.parametrize("name", MISUSED)
def test_images_or_a_video_but_not_both(name, outcomes):
    code, out, err = outcomes[name]
    assert (code, out) == (2, "")
    assert MISUSED[name][1] in err.splitlines()[-1]


@pytest.mark.parametrize("name", slow_are(["one damaged face"], PARTLY))
def test_one_bad_image_does_not_stop_the_others(name, outcomes, places):
    _, labelled, message = PARTLY[name]
    code, out, err = outcomes[name]
    assert code == (1 if labelled else 2), err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in err
    assert lines[0].startswith(f"error: {message.format(**places)}")
    path = places["tmp"] / "out" / name / "summary.json"
    summary = json.loads(path.read_text())
    assert [entry["name"] for entry in summary["images"]] == labelled
    assert [entry["error"] for entry in summary["failed"]] == [lines[0][7:]]
    if not labelled:
        assert out == ""
        return
    last = out.splitlines()[-1]
    assert last.startswith(f"{len(labelled)} images labelled, ")
    assert last.endswith(f"1 failed, see {path}")


def answer(outcomes, places, name):
    """What was printed, and the summary."""
    code, out, err = outcomes[name]
    assert code == 0, err
    path = places["tmp"] / "out" / name / "summary.json"
    return out, json.loads(path.read_text())


def test_several_images_are_labelled_in_their_own_size(outcomes, places):
    out, summary = answer(outcomes, places, "several")
    folder = places["tmp"] / "out" / "several"
    assert [entry["name"] for entry in summary["images"]] == ["face", "wall", "a", "b"]
    assert summary["max_side"] == 48
    assert cv2.imread(str(folder / "wall_label.png"), -1).shape == (96, 128)
    written = {path.name.rpartition("_")[2] for path in folder.glob("*.png")}
    assert written == {"label.png", "overlay.png"}
    assert out == f"4 images labelled, see {folder}/summary.json\n"


def test_without_a_display_show_is_one_line(outcomes, places):
    lines = [line for line in outcomes["several"][2].splitlines() if "%|" not in line]
    (line,) = [line for line in lines if line.strip()]
    assert line == (
        "no window is shown: there is no display (neither DISPLAY nor "
        f"WAYLAND_DISPLAY is set); see {places['tmp']}/out/several"
    )


def test_found_faces_have_a_box_and_points_each(outcomes, places):
    out, summary = answer(outcomes, places, "faces")
    face, wall = summary["images"]
    (found,) = face["found"]
    assert len(found["box"]) == 4 and len(found["points"]) == 68
    assert found["points"][0].keys() == {"name", "x", "y", "score"}
    assert (places["tmp"] / "out" / "faces" / "face_points.png").is_file()
    folder = places["tmp"]
    assert out.splitlines()[-1] == (
        f"2 images labelled, 1 face, see {folder}/out/faces/summary.json"
    )
    assert wall["image"] == f"{folder}/photos/wall.png"


# Compiles a whole network; `conversion/test_opening.py` opens such files fast.
@pytest.mark.slow
def test_a_file_of_weights_is_converted_in_memory(places, tmp_path):
    folder = places["tmp"]
    arguments = ["--workdir={tmp}/mine.safetensors", WALL, "--out={tmp}/out/weights"]
    command = ["predict", *(argument.format(**places) for argument in arguments)]
    outcome = tiny.run_scripts({"weights": command}, tmp_path, "tests.tiny")
    out, summary = answer(outcome, places, "weights")
    assert out == f"1 image labelled, see {folder}/out/weights/summary.json\n"
    assert summary["model"] == "segmentation/w18_small_v1"
    label = cv2.imread(str(folder / "out" / "weights" / "wall_label.png"), -1)
    assert label.shape == (96, 128) and label.max() < 3


def test_a_photograph_without_a_face_is_said_and_no_error(outcomes, places):
    out, summary = answer(outcomes, places, "faces")
    assert out.splitlines()[0] == f"{places['tmp']}/photos/wall.png: no face found"
    assert summary["images"][1]["found"] == []


def test_given_boxes_are_used_as_they_are(outcomes, places):
    out, summary = answer(outcomes, places, "boxes")
    boxes = [[row["box"] for row in entry["found"]] for entry in summary["images"]]
    assert boxes == [[[40, 60, 200, 220], [10, 20, 60, 70]], [[0, 0, 50, 50]]]
    assert "2 images labelled, 3 faces, see " in out
    for row in (row for entry in summary["images"] for row in entry["found"]):
        x1, y1, x2, y2 = row["box"]
        margin = 0.2 * (x2 - x1)  # crops show a quarter more than the box
        for point in row["points"]:
            assert x1 - margin < point["x"] < x2 + margin
            assert y1 - margin < point["y"] < y2 + margin


@pytest.mark.parametrize("name", slow_are(["segmented video"], VIDEOS))
def test_a_video_becomes_a_video(name, outcomes, places):
    frames = VIDEOS[name]
    out, summary = answer(outcomes, places, name)
    folder = places["tmp"] / "out" / name
    assert summary["frames"] == frames and summary["rate"] == 10.0
    speed = summary["predicted_per_second"]
    assert out == (
        f"{frames} frames, {speed:.1f} a second, see {folder}/clip_predicted.mp4\n"
    )
    stream = cv2.VideoCapture(str(folder / summary["video"]))
    assert stream.get(cv2.CAP_PROP_FRAME_COUNT) == frames
    stream.release()


def test_the_points_of_every_frame_are_a_line(outcomes, places):
    _, summary = answer(outcomes, places, "video")
    path = places["tmp"] / "out" / "video" / summary["points"]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["frame"] for row in rows] == [0, 1, 2]
    assert len(rows[0]["found"]) == 1
    assert np.shape(rows[0]["found"][0]["points"]) == (68, 2)
