"""A local page that answers to images, made with Gradio (extra `page`)."""

import contextlib
import functools
import os
import pathlib
import sys
import tempfile
import threading
from typing import Any

# Before the import: nothing is sent anywhere, and what is dropped goes at the end.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio

from hrnet_jax.config import ctrl_c
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.pages.answers import LABEL, VIEWS, Answer, Answerer, in_one_line

_ANY_FACE = "find faces"
_WHOLE = "the whole image"
_BUTTONS = {LABEL: "Label map (PNG)", "picture": "Picture (PNG)", "json": "JSON"}
# Fonts that are here: those of the other themes are fetched.
_FONTS = ["system-ui", "sans-serif"]
# Seconds after which pictures of visitors who left are removed.
_KEPT = 600
_HEIGHT = 420


def build_page(answerer: Answerer, folder: pathlib.Path) -> gradio.Blocks:
    """The page, not yet served.

    Args:
        answerer: the model.
        folder: for the files that visitors take away.
    """
    about = answerer.run.about
    step = f", step {about['step']}" if about.get("step") else ""
    kinds = [kind for kind in _BUTTONS if kind != LABEL or answerer.labels_pixels]
    with gradio.Blocks(
        title=f"{about['model']} - hrnet_jax",
        analytics_enabled=False,
        delete_cache=(_KEPT, _KEPT),
    ) as page:
        gradio.Markdown(f"### {about['model']}{step}")
        last = gradio.State(None, time_to_live=_KEPT)
        with gradio.Row():
            with gradio.Column():
                image = gradio.Image(
                    label="Drop an image, or take one",
                    type="filepath",
                    sources=["upload", "webcam", "clipboard"],
                    height=_HEIGHT,
                    elem_id="image",
                )
                _leave_unread(image)
                boxes = gradio.Radio(
                    [_ANY_FACE, _WHOLE],
                    value=_ANY_FACE,
                    label="Where",
                    visible=answerer.finds_boxes,
                )
            with gradio.Column():
                picture = gradio.Image(
                    label="Prediction",
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                    height=_HEIGHT,
                    elem_id="picture",
                )
                view = gradio.Radio(
                    [*VIEWS],
                    value=VIEWS[0],
                    label="Show",
                    elem_id="view",
                    visible=answerer.labels_pixels,
                )
                opacity = gradio.Slider(
                    0,
                    1,
                    value=0.5,
                    label="Opacity",
                    elem_id="opacity",
                    visible=answerer.labels_pixels,
                )
                legend = gradio.HTML(elem_id="legend")
                with gradio.Row():
                    buttons = [
                        gradio.DownloadButton(
                            _BUTTONS[kind], interactive=False, elem_id=f"take-{kind}"
                        )
                        for kind in kinds
                    ]
        outputs = [picture, legend, last, *buttons]
        inputs = [image, boxes, view, opacity]
        # The model answers to one at a time.
        options: dict[str, Any] = {
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "api_visibility": "private",
        }
        visit = functools.partial(_answered, answerer, folder, kinds)
        image.change(visit, inputs, outputs, **options)
        boxes.change(visit, inputs, outputs, **options)
        redraw = functools.partial(_redrawn, answerer, folder, kinds)
        again = [picture, *buttons]
        for control in (opacity.release, view.change):
            control(redraw, [last, view, opacity], again, **options)
    return page


def _leave_unread(image: Any) -> None:
    """Has an image component hand over the file as it was dropped.

    So that errors of files are ours to word, and read as `scripts/predict.py` does.
    """
    image.preprocess = lambda payload: payload and payload.path


def _answered(
    answerer: Answerer,
    folder: pathlib.Path,
    kinds: list[str],
    name: str | None,
    where: str,
    view: str,
    opacity: float,
) -> list[Any]:
    """Values of the page for an image; of none, an empty page."""
    if name is None:
        empty = gradio.DownloadButton(value=None, interactive=False)
        return [None, "", None, *(empty for _ in kinds)]
    try:
        answer = answerer.answer(name, find=where == _ANY_FACE)
    except DataError as error:
        raise gradio.Error(in_one_line(error, name), print_exception=False) from None
    shown = _redrawn(answerer, folder, kinds, answer, view, opacity)
    return [shown[0], answerer.legend(answer), answer, *shown[1:]]


def _redrawn(
    answerer: Answerer,
    folder: pathlib.Path,
    kinds: list[str],
    answer: Answer | None,
    view: str,
    opacity: float,
) -> list[Any]:
    """The picture and the files of an answer."""
    if answer is None:
        return [gradio.skip()] * (1 + len(kinds))
    picture = answerer.picture(answer, view, opacity)
    # Each visitor has own files.
    own = pathlib.Path(tempfile.mkdtemp(dir=folder))
    files = answerer.files(answer, picture, own)
    buttons = [
        gradio.DownloadButton(value=str(files[kind]), interactive=True)
        for kind in kinds
    ]
    return [picture, *buttons]


def serve(answerer: Answerer, folder: pathlib.Path, host: str, port: int) -> None:
    """Serves the page until Ctrl-C.

    Args:
        answerer: the model.
        folder: for files of visitors.
        host: address to listen at.
        port: that is free.

    Raises:
        ConfigError: if the port is not free any more.
    """
    page = build_page(answerer, folder)
    stopped = threading.Event()
    with ctrl_c.first_one_asks(stopped.set):
        try:
            page.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                ssr_mode=False,
                allowed_paths=[str(folder)],
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                theme=gradio.themes.Default(font=_FONTS, font_mono=["monospace"]),
            )
        except OSError as error:
            raise ConfigError(
                f"port {port} of {host} cannot be used ({error}); choose another with "
                "--port"
            ) from None
        sys.stdout.write(f"http://{host}:{port} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        stopped.wait()
    with contextlib.redirect_stdout(None):
        page.close(verbose=False)
    sys.stderr.write("stopped by Ctrl-C\n")
