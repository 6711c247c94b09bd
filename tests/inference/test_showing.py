"""Windows where there is a display, a reason where there is none."""

import numpy as np
import pytest
from PIL import ImageShow

from hrnet_jax.inference import showing

PICTURE = np.full((3, 4, 3), 200, np.uint8)


@pytest.fixture
def shown(monkeypatch):
    """Titles and sizes of what was shown."""
    calls = []

    def show(image, title):
        calls.append((image.size, title))
        return True

    monkeypatch.setattr(ImageShow, "show", show)
    monkeypatch.setattr(showing.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return calls


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_display_shows_the_picture(name, shown, monkeypatch):
    monkeypatch.setenv(name, ":0")
    windows = showing.Windows()
    windows.show(PICTURE, "street")
    assert shown == [((4, 3), "street")] and windows.problem == ""


def test_without_a_display_there_is_a_reason_and_no_window(shown):
    windows = showing.Windows()
    windows.show(PICTURE, "street")
    assert shown == []
    assert windows.problem == (
        "no window is shown: there is no display (neither DISPLAY nor "
        "WAYLAND_DISPLAY is set)"
    )


def test_a_desktop_without_a_viewer_is_said(shown, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(ImageShow, "show", lambda image, title: False)
    windows = showing.Windows()
    windows.show(PICTURE, "street")
    assert windows.problem == "no window is shown: no image viewer is installed"


def test_other_systems_have_a_screen(shown, monkeypatch):
    monkeypatch.setattr(showing.sys, "platform", "darwin")
    showing.Windows().show(PICTURE, "street")
    assert len(shown) == 1
