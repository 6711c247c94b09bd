"""A local page that answers to images, made with Gradio (extra `page`)."""

import collections
import html
import os
import pathlib
import shutil
import signal
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

_FACES = "find faces"
_WHOLE = "the whole image"
_BUTTONS = {LABEL: "Label map", "picture": "Picture", "json": "JSON"}
# Fonts that are here: those of the other themes are fetched.
_FONTS = ["system-ui", "sans-serif"]
# Seconds after which pictures of visitors who left are removed.
_KEPT = 600
_HEIGHT = 420
# Folders of files to take away that stay while the page is served.
_FOLDERS = 100


class Page:
    """The parts of the page and what they do.

    Args:
        answerer: the model.
        folder: for the files that visitors take away.
    """

    def __init__(self, answerer: Answerer, folder: pathlib.Path):
        self._answerer = answerer
        self._folder = folder
        self._taken: collections.deque[pathlib.Path] = collections.deque()
        self._kinds = [
            kind for kind in _BUTTONS if kind != LABEL or answerer.labels_pixels
        ]

    def build(self) -> gradio.Blocks:
        """The page, not yet served."""
        about = self._answerer.run.about
        step = f", step {about['step']}" if about.get("step") else ""
        with gradio.Blocks(
            title=f"{about['model']} - hrnet_jax",
            analytics_enabled=False,
            delete_cache=(_KEPT, _KEPT),
        ) as page:
            gradio.Markdown(f"### {about['model']}{step}")
            last = gradio.State(None, time_to_live=_KEPT)
            with gradio.Row():
                with gradio.Column():
                    image, boxes, view, opacity = self._asked()
                with gradio.Column():
                    picture, legend, *buttons = self._answers()
            # The model answers to one at a time.
            options: dict[str, Any] = {
                "concurrency_id": "model",
                "concurrency_limit": 1,
                "api_visibility": "private",
            }
            inputs = [image, boxes, view, opacity]
            for control in (image, boxes):
                outputs = [picture, legend, last, *buttons]
                control.change(self.answered, inputs, outputs, **options)
            for event in (opacity.release, view.change):
                outputs = [picture, *buttons]
                event(self.redrawn, [last, view, opacity], outputs, **options)
        return page

    def _asked(self) -> tuple[Any, ...]:
        """The image that is asked about, and how."""
        labels = self._answerer.labels_pixels
        image: Any = gradio.Image(
            label="Drop an image, or take one",
            type="filepath",
            sources=["upload", "webcam", "clipboard"],
            height=_HEIGHT,
            elem_id="image",
        )
        # The file as it was dropped: its errors are ours to word, and it is read as
        # `scripts/predict.py` does.
        image.preprocess = lambda payload: payload and payload.path
        boxes = gradio.Radio(
            [_FACES, _WHOLE],
            value=_FACES,
            label="Where",
            elem_id="boxes",
            visible=self._answerer.finds_boxes,
        )
        view = gradio.Radio(
            [*VIEWS], value=VIEWS[0], label="Show", elem_id="view", visible=labels
        )
        opacity = gradio.Slider(
            0, 1, value=0.5, label="Opacity", elem_id="opacity", visible=labels
        )
        return image, boxes, view, opacity

    def _answers(self) -> list[Any]:
        """The picture, the legend, and a button for each file."""
        picture = gradio.Image(
            label="Prediction",
            format="png",
            interactive=False,
            buttons=["fullscreen"],
            height=_HEIGHT,
            elem_id="picture",
        )
        legend = gradio.HTML(elem_id="legend")
        with gradio.Row():
            buttons = [
                gradio.DownloadButton(
                    _BUTTONS[kind],
                    interactive=False,
                    min_width=120,
                    elem_id=f"take-{kind}",
                )
                for kind in self._kinds
            ]
        return [picture, legend, *buttons]

    def answered(
        self, name: str | None, where: str, view: str, opacity: float
    ) -> list[Any]:
        """Values of the parts for an image; of none, an empty page."""
        if name is None:
            empty = gradio.DownloadButton(value=None, interactive=False)
            return [None, "", None, *(empty for _ in self._kinds)]
        try:
            answer = self._answerer.answer(name, find=where == _FACES)
        except DataError as error:
            said = html.escape(in_one_line(error, name))  # which the page takes as HTML
            raise gradio.Error(said, print_exception=False) from None
        picture, *buttons = self.redrawn(answer, view, opacity)
        return [picture, self._answerer.legend(answer), answer, *buttons]

    def redrawn(self, answer: Answer | None, view: str, opacity: float) -> list[Any]:
        """The picture of an answer, and its files."""
        if answer is None:
            return [gradio.skip() for _ in ("picture", *self._kinds)]
        picture = self._answerer.picture(answer, view, opacity)
        # Each visitor has own files.
        own = pathlib.Path(tempfile.mkdtemp(dir=self._folder))
        self._taken.append(own)
        if len(self._taken) > _FOLDERS:
            shutil.rmtree(self._taken.popleft(), ignore_errors=True)
        files = self._answerer.files(answer, picture, own)
        buttons = [
            gradio.DownloadButton(value=str(files[kind]), interactive=True)
            for kind in self._kinds
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
    page = Page(answerer, folder).build()
    stopped = _ctrl_c()
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
            f"port {port} of {host} cannot be used ({error}); choose another with --port"
        ) from None
    sys.stdout.write(f"http://{host}:{port} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    stopped.wait()
    page.close(verbose=False)
    sys.stderr.write("stopped by Ctrl-C\n")


def _ctrl_c() -> threading.Event:
    """What the first Ctrl-C sets from now on; the second ends the process.

    Does nothing where Ctrl-C is ignored, as of a process that a shell started in the
    background.
    """
    stopped = threading.Event()

    def pressed(*_: Any) -> None:
        if stopped.is_set():
            os._exit(ctrl_c.EXIT_CODE)
        stopped.set()

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        ctrl_c.is_handled_by(pressed)
    return stopped
