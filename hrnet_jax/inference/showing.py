"""Windows with pictures, where there is a screen to open them on."""

import os
import sys

import numpy as np
from PIL import Image, ImageShow


class Windows:
    """Shows pictures with the image viewer of the desktop.

    Attributes:
        problem: why no window is shown, empty while there is no reason.
    """

    def __init__(self) -> None:
        self.problem = ""
        if not _has_display():
            self.problem = (
                "no window is shown: there is no display (neither DISPLAY nor "
                "WAYLAND_DISPLAY is set)"
            )

    def show(self, picture: np.ndarray, title: str) -> None:
        """Opens a window with uint8 RGB [H, W, 3], unless there is a problem."""
        if not self.problem and not ImageShow.show(Image.fromarray(picture), title):
            self.problem = "no window is shown: no image viewer is installed"


def _has_display() -> bool:
    """Whether windows can be opened; only Unix desktops can lack a screen."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
