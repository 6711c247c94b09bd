"""Names on the hub: what they mean, what is fetched, and one line for what goes wrong."""

import re

import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import close_session, constants, hf_api, lfs

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained import hub as names
from hrnet_jax.pretrained import sources
from tests.pretrained.hub_server import SMALL, serving

SIGN = "backbone.stage2.0.branches.0.0.conv1.weight"
HRNET = safetensors.numpy.save({SIGN: np.arange(SMALL, dtype=np.float32)})
OTHER = safetensors.numpy.save({"bert.embeddings": np.zeros(8, np.float32)})


@pytest.fixture(scope="module")
def server():
    with serving() as hub:
        yield hub
        close_session()


def turn_to(address, cache, monkeypatch):
    """Has the library, which reads its variables once, ask a server."""
    for place in (constants, hf_api, lfs):
        if hasattr(place, "ENDPOINT"):
            monkeypatch.setattr(place, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(hf_api.api, "endpoint", address)


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """A hub with a repository of one file, and empty caches."""
    monkeypatch.setenv("HRNET_JAX_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    turn_to(server.address, tmp_path / "hub", monkeypatch)
    server.repositories.clear()
    server.requests.clear()
    server.damaged.clear()
    server.cut.clear()
    server.page = b""
    server.add("owner/w18", {"README.md": b"#", "model.safetensors": HRNET})
    return server


def refused(address) -> str:
    with pytest.raises(WeightsError) as error:
        names.fetch(address)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://o/n", ("o/n", None, "")),
        ("hf://o/n.x@v1", ("o/n.x", "v1", "")),
        ("hf://o/n@refs%2Fpr%2F1/a/b.pth", ("o/n", "refs/pr/1", "a/b.pth")),
        ("hf://o/n/b.pth", ("o/n", None, "b.pth")),
    ],
)
def test_names(text, expected):
    found = names.parse(text)
    assert (found.repo, found.revision, found.file) == expected
    assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://n",
        "hf://o/n@",
        "hf://o/n/",
        "hf://o/n//a",
        "hf://o/..",
        "hf://o/n/../a.pth",
    ],
)
def test_wrong_names(text):
    with pytest.raises(WeightsError, match="expected hf://OWNER/NAME"):
        names.parse(text)


def test_the_file_of_weights_comes_once(hub, monkeypatch, tmp_path):
    path = names.fetch("hf://owner/w18")
    assert path.read_bytes() == HRNET
    downloads = [each for each in hub.requests if "/resolve/main/" in each[1]]
    assert ("GET", "/owner/w18/resolve/main/model.safetensors") in downloads
    hub.requests.clear()
    assert names.fetch("hf://owner/w18") == path
    assert not [each for each in hub.requests if each[0] == "GET" and each in downloads]
    with serving() as other:
        dead = other.address
    turn_to(dead, tmp_path / "hub", monkeypatch)
    assert names.fetch("hf://owner/w18") == path
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert names.fetch("hf://owner/w18") == path


def test_a_revision_and_a_file_in_a_folder(hub):
    old = hub.repositories["owner/w18"].names["main"]
    hub.repositories["owner/w18"].commit({"runs/a.pth": b"\x80a"}, "dev/1")
    path = names.fetch("hf://owner/w18@dev%2F1/runs/a.pth")
    assert path.read_bytes() == b"\x80a" and path.parent.name == "runs"
    text = refused("hf://owner/w18/runs/a.pth")
    assert "no such file in the repository; it has README.md, model.safe" in text
    assert names.fetch(f"hf://owner/w18@{old}").read_bytes() == HRNET
    text = refused("hf://owner/w18@v9")
    assert text.endswith("w18@v9: the repository has no revision 'v9'")
    hub.requests.clear()  # a commit never changes
    names.fetch(f"hf://owner/w18@{old}/model.safetensors")
    assert hub.requests == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.pth", "README.md"], "a.pth"),
        (["a.pth", "pytorch_model.bin", "model.safetensors"], "model.safetensors"),
        (["a.pth", "pytorch_model.bin"], "pytorch_model.bin"),
    ],
)
def test_which_file_is_meant(files, expected):
    assert names.choose(names.HubAddress("o/n"), files) == (expected,)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["config.json"],
            "no weights of an HRNet in the repository; it has config.json",
        ),
        ([], "no weights of an HRNet in the repository; it has no files"),
        (["b.pth", "a.pth"], "choose one, hf://o/n/b.pth: a.pth, b.pth"),
        (["hrnet_jax.json", "config.json"], "a run of hrnet_jax without model.safete"),
        ([f"{n}.pth" for n in range(10)], "7.pth and 2 more"),
    ],
)
def test_repositories_that_leave_a_choice_or_none(files, message):
    with pytest.raises(WeightsError, match=message):
        names.choose(names.HubAddress("o/n"), files)


def test_another_network_is_refused_before_it_comes(hub, tmp_path):
    hub.add("owner/bert", {"model.safetensors": OTHER})
    text = refused("hf://owner/bert")
    assert text == (
        "hf://owner/bert: no weights of an HRNet in model.safetensors; its tensors are "
        "bert.embeddings"
    )
    assert not list((tmp_path / "hub").rglob("*.safetensors"))
    hub.add("owner/broken", {"model.safetensors": b"<html>no weights"})
    assert "is not a readable safetensors file" in refused("hf://owner/broken")


def test_repositories_that_nobody_or_not_everybody_sees(hub, monkeypatch):
    missing = "no such repository, or a private one that needs a token in HF_TOKEN"
    assert refused("hf://owner/w19") == f"hf://owner/w19: {missing}"
    hub.add("owner/mine", {"model.safetensors": HRNET}, private=True)
    assert missing in refused("hf://owner/mine")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert names.fetch("hf://owner/mine").read_bytes() == HRNET
    hub.add("owner/terms", {"model.safetensors": HRNET}, gated=True)
    text = refused("hf://owner/terms")
    assert f"its owner wants terms accepted at {hub.address}/owner/terms" in text


def test_a_name_that_the_hub_does_not_allow(hub):
    assert ": not a name of the hub (" in refused("hf://owner/a--b")


def test_a_file_that_arrives_damaged_leaves_nothing(hub, tmp_path):
    hub.damaged.add("model.safetensors")
    text = refused("hf://owner/w18")
    assert re.search("the sha256 of model.safetensors is not what the hub states", text)
    assert text.endswith("nothing of it was kept")
    kept = [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]
    assert all(path.stat().st_size < 1000 for path in kept)
    hub.damaged.clear()
    assert names.fetch("hf://owner/w18").read_bytes() == HRNET


@pytest.mark.slow  # the library tries for five seconds
def test_a_download_that_is_cut_again_and_again(hub, tmp_path):
    hub.cut.add("pytorch_model.bin")
    hub.add("owner/cut", {"pytorch_model.bin": b"\x80" + HRNET})
    text = refused("hf://owner/cut")
    start = f"hf://owner/cut/pytorch_model.bin: the hub at {hub.address} ended the"
    assert text.startswith(start)
    assert "/owner/cut/resolve/main/pytorch_model.bin by hand and put it at" in text
    assert not list((tmp_path / "hub").rglob("*.bin"))
    hub.cut.clear()
    assert names.fetch("hf://owner/cut").read_bytes() == b"\x80" + HRNET


def test_the_login_page_of_a_network(hub, tmp_path):
    hub.page = b"<html><title>Welcome to the hotel</title></html>"
    text = refused("hf://owner/w18")
    assert f"what answers at {hub.address} is not a hub; is it the login page" in text
    assert not list((tmp_path / "hub").rglob("*.safetensors"))


@pytest.mark.parametrize("offline", [False, True])
def test_no_network_names_the_file_and_the_place(hub, tmp_path, monkeypatch, offline):
    with serving() as other:
        dead = other.address
    turn_to(dead, tmp_path / "hub", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    place = tmp_path / "cache" / "hub" / "owner" / "w18" / "main"
    text = refused("hf://owner/w18")
    assert text.startswith(f"hf://owner/w18: the hub at {dead} cannot be reached (")
    assert ("HF_HUB_OFFLINE is set" in text) == offline
    url = f"{dead}/owner/w18/resolve/main/model.safetensors"
    assert f"fetch {url} by hand and put it at {place / 'model.safetensors'}" in text
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(HRNET)
    for address in ("hf://owner/w18", "hf://owner/w18/model.safetensors"):
        assert names.fetch(address) == place / "model.safetensors"
    (place / "hrnet_jax.json").write_text("{}")
    text = refused("hf://owner/w18")
    assert (
        "a run of hrnet_jax without config.json; it has hrnet_jax.json, model" in text
    )
    assert text.endswith(f"which was put at {place}")


def test_the_extra_is_named(monkeypatch):
    real = __import__

    def without(name, *arguments, **options):
        if name == "huggingface_hub":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr("builtins.__import__", without)
    text = refused("hf://owner/w18")
    assert text == (
        "hf://owner/w18: names of the hub need the package huggingface_hub, which is "
        "not installed: pip install -e '.[hub]' in the folder of hrnet_jax"
    )


def test_a_released_file_of_the_hub_keeps_its_record(hub):
    hub.add("timm/hrnet_w18.ms_in1k", {"model.safetensors": HRNET})
    assert sources.locate("hf://timm/hrnet_w18.ms_in1k").record == "hrnet_w18.ms_in1k"
    assert sources.locate("hf://owner/w18").record is None
    assert sources.locate("a/b.pth").path.name == "b.pth"
