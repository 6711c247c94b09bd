"""An accelerator that is not used is told of, in one line."""

import jax
import pytest

from hrnet_jax.runtime import accelerators


@pytest.fixture
def messages(tmp_path, monkeypatch, caplog):
    """What is said on a machine with such device files."""
    monkeypatch.setattr(accelerators, "_DEVICES", tmp_path)
    monkeypatch.setattr(accelerators.shutil, "which", lambda _: None)
    platforms = jax.config.jax_platforms
    jax.config.update("jax_platforms", None)

    def said(*names):
        for name in names:
            (tmp_path / name).touch()
        accelerators.report_unused_accelerator.cache_clear()
        caplog.clear()
        for _ in range(2):
            accelerators.report_unused_accelerator()
        return caplog.messages

    yield said
    jax.config.update("jax_platforms", platforms)
    accelerators.report_unused_accelerator.cache_clear()


@pytest.mark.parametrize(
    ("names", "device", "extra"),
    [
        (["nvidiactl", "nvidia0"], "an NVIDIA GPU", "cuda"),
        (["accel0", "accel1"], "a TPU", "tpu"),
    ],
)
def test_an_unused_accelerator_is_one_line_with_the_command(
    names, device, extra, messages
):
    (line,) = messages(*names)
    assert line == (
        f"{device} is there, but this JAX computes on the CPU: pip install -e "
        f"'.[all,{extra}]' in the folder of hrnet_jax (JAX_PLATFORMS=cpu: as intended)"
    )


def test_a_driver_without_device_files_counts_as_well(messages, monkeypatch):
    monkeypatch.setattr(accelerators.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert messages()[0].startswith("an NVIDIA GPU is there")


def test_nothing_is_said_where_nothing_is_wrong(messages, monkeypatch):
    assert messages("nvidiactl", "null") == []
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        assert messages("nvidia0") == []
    jax.config.update("jax_platforms", "cpu")
    assert messages("nvidia0") == []
