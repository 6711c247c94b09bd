"""Files by address: whole, checked and kept, or one error and nothing in the cache."""

import hashlib
import shutil
import ssl
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import strategies

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained import downloads, hub, sources, web_files
from hrnet_jax.pretrained.known import known_files
from hrnet_jax.pretrained.weights_cache import cache_folder
from tests import tiny
from tests.foreign import FEWER, only_our_errors
from tests.pretrained.web_server import Page, serving

NUMBERS = np.arange(5000, dtype=np.float32)
BODY = safetensors.numpy.save({"a": NUMBERS})
SHA256 = hashlib.sha256(BODY).hexdigest()
LOGIN = b"<!DOCTYPE html>\n<html><head><title>Sign in to\n OneDrive</title></head>"


@pytest.fixture(scope="module")
def server():
    with serving() as web:
        yield web


@pytest.fixture
def web(server, tmp_path, monkeypatch):
    """A server with a good file, and an empty cache."""
    monkeypatch.setenv("HRNET_JAX_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(downloads, "PAUSES", (0.0, 0.0))
    server.requests.clear()
    server.pages.clear()
    server.pages["/models/w18.safetensors"] = Page(BODY)
    return server


def address(web, name="w18.safetensors", checksum=SHA256):
    return f"{web.address}/models/{name}" + (f"#sha256={checksum}" if checksum else "")


def kept(tmp_path):
    """Files in the cache."""
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def refused(wanted) -> str:
    with pytest.raises(WeightsError) as error:
        downloads.fetch(wanted)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_comes_once_and_is_kept_under_its_address(web, tmp_path):
    path = downloads.fetch(address(web))
    assert path.read_bytes() == BODY
    host = web.address.removeprefix("http://").replace(":", "_")
    assert path == tmp_path / "cache" / host / "models" / "w18.safetensors"
    web.pages.clear()
    assert downloads.fetch(address(web)) == path
    assert len(web.requests) == 1 and kept(tmp_path) == [path]


def test_without_a_checksum_the_log_says_how_to_have_one(web, caplog):
    downloads.fetch(address(web, checksum=""))
    assert f"no checksum of it is published; {address(web)} has it" in caplog.text


def test_a_wrong_checksum_leaves_nothing(web, tmp_path):
    text = refused(address(web, checksum="0123abcd"))
    url = address(web, checksum="")
    assert text == (
        f"{url}: its sha256 begins with {SHA256[:8]}, expected 0123abcd; nothing of it "
        "was kept"
    )
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (LOGIN, "a web page ('Sign in to OneDrive'), expected a file of weights"),
        (b"  <html>", "a web page, expected a file of weights"),
        (b"", "an empty file, expected"),
        (b"#!/bin/sh", "a file that begins with b'#!/bin/sh', expected"),
        (BODY[:50], "its end is missing"),
        (b"PK\x03\x04 and no more", "its end is missing"),
    ],
)
def test_what_is_no_file_of_weights_leaves_nothing(web, tmp_path, body, what):
    web.pages["/models/x.pth"] = Page(body, content_type="text/html")
    text = refused(address(web, "x.pth", ""))
    assert what in text and text.endswith("nothing of it was kept")
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "what", "attempts"),
    [
        (404, "HTTP 404, no such file there", 1),
        (401, "HTTP 401, it asks for a login; fetch it by hand and put it at", 1),
        (418, "HTTP 418; fetch it by hand and put it at", 1),
        (503, "cannot be reached (HTTP 503); fetch it by hand and put it at", 3),
    ],
)
def test_a_server_that_refuses(web, tmp_path, status, what, attempts):
    web.pages["/models/x.pth"] = Page(LOGIN, status=status)
    assert what in refused(address(web, "x.pth"))
    assert len(web.requests) == attempts and kept(tmp_path) == []


def test_a_cut_connection_is_gone_on_with(web, tmp_path):
    web.pages["/models/w18.safetensors"].cuts = [7000, 6000]
    path = downloads.fetch(address(web))
    assert path.read_bytes() == BODY
    assert [asked for _, asked in web.requests] == [None, "bytes=7000-", "bytes=13000-"]
    assert kept(tmp_path) == [path]


def test_the_next_call_goes_on_where_this_one_ended(web, tmp_path):
    page = web.pages["/models/w18.safetensors"]
    page.cuts = [7000, 0, 0]
    text = refused(address(web))
    assert f"the connection ended after 7000 of {len(BODY)} bytes" in text
    assert text.endswith("the same call goes on where this one ended")
    assert not [path for path in kept(tmp_path) if not path.name.startswith(".")]
    assert downloads.fetch(address(web)).read_bytes() == BODY
    assert web.requests[-1][1] == "bytes=7000-"
    assert len(kept(tmp_path)) == 1


def test_a_file_that_changed_meanwhile_is_fetched_anew(web):
    page = web.pages["/models/w18.safetensors"]
    page.cuts = [7000, 0, 0]
    refused(address(web))
    other = safetensors.numpy.save({"b": NUMBERS})
    web.pages["/models/w18.safetensors"] = Page(other, etag='"2"')
    assert downloads.fetch(address(web, checksum="")).read_bytes() == other


def test_a_cut_connection_leaves_nothing_where_nothing_goes_on(web, tmp_path):
    page = web.pages["/models/w18.safetensors"]
    page.etag, page.cuts = "", [7000, 8000, 9000]
    text = refused(address(web))
    assert f"the connection ended after 9000 of {len(BODY)} bytes" in text
    assert "goes on" not in text and kept(tmp_path) == []


def test_a_file_of_unknown_length_needs_a_checksum(web, tmp_path):
    web.pages["/models/w18.safetensors"].says_length = False
    text = refused(address(web, checksum=""))
    assert "does not say how long the file is; append #sha256=... to the" in text
    assert kept(tmp_path) == []
    assert downloads.fetch(address(web)).read_bytes() == BODY


def test_no_network_names_the_file_and_the_place(web, tmp_path, monkeypatch):
    with serving() as other:
        dead = f"{other.address}/models/w18.safetensors#sha256={SHA256[:8]}"
    path = web_files.parse(dead).path
    way_out = f"fetch it by hand and put it at {path} (its sha256 begins with "
    text = refused(dead)
    assert text.startswith(f"{dead.partition('#')[0]}: cannot be reached (Connection")
    assert text.endswith(f"{way_out}{SHA256[:8]})") and kept(tmp_path) == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert f"(HF_HUB_OFFLINE is set); {way_out}" in refused(dead)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BODY)
    assert downloads.fetch(dead) == path
    path.write_bytes(BODY[:-1] + b"x")
    text = refused(dead)
    assert text.startswith(f"{path}: its sha256 begins with ")
    assert "; delete it to have it fetched again, or put the file of" in text
    assert path.is_file()


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("http://example.org/a.pth", "expected an address that begins with https://"),
        ("https:///a.pth", "expected an address that begins with https://"),
        ("https://example.org/", "expected the address of a file"),
        ("https://example.org/../a.pth", "expected the address of a file"),
        ("https://a:b@example.org/a.pth", "an address with a password in it would be"),
        ("https://example.org/a.pth#md5=12", "'md5=12' after #, expected sha256="),
        ("https://[example.org/a.pth", "no address (Invalid IPv6 URL)"),
        ("https://example.org/a b.pth", "without blanks and other characters that are"),
        ("https://example.org/ä.pth", "without blanks and other characters that are"),
    ],
)
def test_wrong_addresses(wrong, what):
    assert what in refused(wrong)


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_any_text_is_an_address_or_refused(count):
    texts = strategies.text(alphabet=" /.:?#@%[]0aä\n\x00", max_size=40)
    schemes = strategies.sampled_from(["https://", "hf://", "http://", ""])

    def read(text: str) -> None:
        if text.startswith("hf://"):
            assert hub.parse(text).by_hand.is_relative_to(cache_folder())
        else:
            assert web_files.parse(text).path.is_relative_to(cache_folder())

    only_our_errors(
        read, strategies.builds("".join, strategies.tuples(schemes, texts)), count
    )


def test_a_redirection_stays_encrypted(web):
    web.pages["/here"] = Page(leads_to="http://example.org/w18.safetensors")
    assert "which is not encrypted; expected https" in refused(f"{web.address}/here")
    web.pages["/here"] = Page(leads_to=f"{web.address}/models/w18.safetensors")
    assert downloads.fetch(f"{web.address}/here").read_bytes() == BODY


def test_a_folder_that_cannot_be_written_is_named(web, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert "HRNET_JAX_WEIGHTS chooses another folder" in refused(address(web))


def test_queries_make_other_files(web):
    web.pages["/d?id=1"], web.pages["/d?id=2"] = Page(BODY), Page(BODY)
    paths = {downloads.fetch(f"{web.address}/d?id={number}") for number in (1, 2)}
    assert len(paths) == 2 and {path.name for path in paths} == {"d"}


FETCH = """
import sys
from hrnet_jax.pretrained import downloads
print(downloads.fetch(sys.argv[1]))
"""


@pytest.mark.slow
def test_processes_that_start_together_fetch_once(web, tmp_path):
    code = FETCH.replace("print", "downloads._CHUNK = 1000\nprint")
    command = [sys.executable, "-c", code, address(web)]
    variables = tiny.environment(HRNET_JAX_WEIGHTS=str(tmp_path / "cache"))
    processes = [
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(web.requests) == 1
    assert {str(path) for path in kept(tmp_path)} == set(outputs)


def made_certificate(folder):
    """A certificate of this machine that only its owner trusts, and its key."""
    paths = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-batch"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return paths


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_https_with_a_certificate_that_is_trusted_or_not(tmp_path):
    cert, key = made_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    code = FETCH.replace("print", "downloads.PAUSES = ()\nprint")
    cache = {"HRNET_JAX_WEIGHTS": str(tmp_path / "cache")}
    with serving(context) as web:
        web.pages["/models/w18.safetensors"] = Page(BODY)
        stranger = tiny.run_python(code, address(web), **cache)
        owner = tiny.run_python(code, address(web), SSL_CERT_FILE=str(cert), **cache)
    assert "cannot be reached ([SSL: CERTIFICATE_VERIFY_FAILED]" in stranger.stderr
    assert owner.returncode == 0, owner.stderr
    assert {str(path) for path in kept(tmp_path)} == {owner.stdout.strip()}


@pytest.mark.slow
def test_a_killed_process_leaves_what_the_next_goes_on_with(web, tmp_path):
    command = [sys.executable, "-c", FETCH, address(web)]
    variables = tiny.environment(HRNET_JAX_WEIGHTS=str(tmp_path / "cache"))
    page = web.pages["/models/w18.safetensors"]
    page.cuts = [5000, 0, 0]  # after which it waits a second
    process = subprocess.Popen(command, env=variables)
    while len(web.requests) < 2:
        time.sleep(0.05)
    process.kill()
    process.wait()
    page.cuts = []
    assert downloads.fetch(address(web)).read_bytes() == BODY
    assert web.requests[-1][1] == "bytes=5000-"


def test_records_name_addresses_and_checksums():
    records = [record for record in known_files() if record.address]
    assert len(records) == 185
    assert len({record.address for record in records}) == 185
    for record in records:
        if record.address.startswith("hf://"):
            assert record.address == f"hf://timm/{record.file}"
            continue
        found = web_files.parse(record.address)
        assert found.path.name == record.file and found.sha256 == record.sha256
        assert not record.sha256 or f"-{record.sha256}" in record.file
    assert sum(bool(record.sha256) for record in known_files()) == 176


def test_the_checksum_of_a_released_file_holds_on_a_mirror():
    name = "hrnetv2_w18-00eb2006.pth"
    assert web_files.parse(f"https://example.org/copies/{name}").sha256 == "00eb2006"
    stated = web_files.parse(f"https://example.org/{name}#sha256={SHA256}")
    assert stated.sha256 == SHA256


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("hrnetv2_w18-00eb2006.pth", None),
        ("hrnet_w18.ms_in1k", None),
        ("HR18-WFLW.pth", "no address is known that gives it without a browser; https"),
        ("hrnet_w48_lip_cls20_473x473.pth", "several released files have this name"),
        ("w18.pth", "no released file of this name is known"),
    ],
)
def test_a_known_name_has_an_address_or_a_page(name, what):
    if what is None:
        assert sources.address_of(name).endswith(name)
        return
    with pytest.raises(WeightsError, match=what):
        sources.address_of(name)
