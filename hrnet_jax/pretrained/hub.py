"""Weights by name on the Hugging Face hub: `hf://OWNER/NAME[@REVISION][/FILE]`.

`huggingface_hub` does the work, with its cache, its endpoint, its token and its
variables; here is what a name means, and one line for what can go wrong.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from hrnet_jax.errors import HRNetError, WeightsError, how_to_install
from hrnet_jax.pretrained.entries import SIGN
from hrnet_jax.pretrained.weights_cache import cache_folder, checksum

SCHEME = "hf://"
# Of a repository that `scripts/convert.py RUN hf://...` made.
RECORD_FILE = "hrnet_jax.json"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PUBLISHED_FILES = (RECORD_FILE, CONFIG_FILE, WEIGHTS_FILE)

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([^/@]+))?(?:/(.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".pth.tar")
# Where a repository has several, the usual names, the better first.
_USUAL = (WEIGHTS_FILE, "pytorch_model.bin")
_LISTED = 8
# What the library says of a file that did not come to its end.
_ENDED = "peer closed connection"


@dataclasses.dataclass(frozen=True)
class HubAddress:
    """A repository of models, or a file in it.

    Attributes:
        repo: `OWNER/NAME`.
        revision: branch, tag or commit; None for the main branch.
        file: path in the repository; empty where it is to be found.
    """

    repo: str
    revision: str | None = None
    file: str = ""

    def __str__(self) -> str:
        quoted = urllib.parse.quote(self.revision or "", safe="")
        revision = f"@{quoted}" if quoted else ""
        return f"{SCHEME}{self.repo}{revision}" + (f"/{self.file}" if self.file else "")

    @property
    def by_hand(self) -> pathlib.Path:
        """Folder for files of the repository that were fetched by hand."""
        revision = urllib.parse.quote(self.revision or "main", safe="")
        return cache_folder().joinpath("hub", *self.repo.split("/"), revision)


def parse(address: str) -> HubAddress:
    """Reads `hf://OWNER/NAME[@REVISION][/FILE]`; a slash in the revision is `%2F`.

    Raises:
        WeightsError: for anything else.
    """
    found = _ADDRESS.fullmatch(address)
    repo, revision, file = found.groups() if found else ("", None, None)
    parts = [*repo.split("/"), *(file.split("/") if file else ())]
    if {"", ".", ".."} & set(parts):
        raise WeightsError(f"{address}: expected hf://OWNER/NAME[@REVISION][/FILE]")
    return HubAddress(repo, revision and urllib.parse.unquote(revision), file or "")


def fetch(address: str) -> pathlib.Path:
    """The file of weights that is meant, or the folder of a published run.

    Raises:
        WeightsError: one line, if it cannot be had or is no HRNet.
    """
    wanted = parse(address)
    kept = _kept_by_hand(wanted)
    if kept is not None:
        return kept
    hub = import_hub(address)
    with explaining(wanted):
        names, is_reachable = _names(hub, wanted)
        chosen = choose(wanted, names)
        if is_reachable and RECORD_FILE not in chosen:
            _refuse_other_networks(hub, wanted, chosen[0])
        paths = [_download(hub, wanted, name, is_reachable) for name in chosen]
    return paths[0].parent if RECORD_FILE in chosen else paths[0]


def choose(wanted: HubAddress, names: Sequence[str]) -> tuple[str, ...]:
    """Which files of a repository to fetch: one of weights, or a published run.

    Raises:
        WeightsError: if none or several are candidates.
    """
    has = f"it has {_listed(names)}"
    if wanted.file:
        if wanted.file not in names:
            raise WeightsError(f"{wanted}: no such file in the repository; {has}")
        return (wanted.file,)
    if RECORD_FILE in names:
        missing = [name for name in PUBLISHED_FILES if name not in names]
        if missing:
            raise WeightsError(
                f"{wanted}: a run of hrnet_jax without {missing[0]}; {has}"
            )
        return PUBLISHED_FILES
    found = [name for name in names if name.endswith(_ENDINGS)]
    usual = [name for name in _USUAL if name in found]
    if usual or len(found) == 1:
        return ((usual or found)[0],)
    if found:
        raise WeightsError(
            f"{wanted}: several files of weights; choose one, {wanted}/{found[0]}: "
            f"{_listed(found)}"
        )
    raise WeightsError(f"{wanted}: no weights of an HRNet in the repository; {has}")


def import_hub(address: str) -> ModuleType:
    """The library of the hub.

    Raises:
        WeightsError: if it is not installed.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{address}: names of the hub need the package huggingface_hub, which is "
            f"not installed: {how_to_install('hub')} in the folder of hrnet_jax"
        ) from error
    return huggingface_hub


@contextlib.contextmanager
def explaining(wanted: HubAddress) -> Iterator[None]:
    """Errors of the library as one line of ours.

    Raises:
        WeightsError: for everything that a repository, a network or a token can cause.
    """
    from huggingface_hub import errors

    try:
        yield
    except (errors.HFValidationError, errors.HTTPError) as error:
        raise WeightsError(f"{wanted}: {_reason(wanted, error)}") from error
    except OSError as error:
        # The library's own, for a file of another size or an answer of another server.
        if error.errno is not None and not is_unreachable(error):
            raise
        raise WeightsError(f"{wanted}: {_reason(wanted, error)}") from error
    except RuntimeError as error:  # around what stopped an upload
        cause = error.__cause__
        if not isinstance(cause, errors.HTTPError):
            raise
        raise WeightsError(f"{wanted}: {_reason(wanted, cause)}") from error
    except ValueError as error:
        if isinstance(error, HRNetError):
            raise
        raise WeightsError(f"{wanted}: {_not_the_hub()} ({_line(error)})") from error


def is_unreachable(error: Exception) -> bool:
    """Whether no hub answered, or none may be asked."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return error.response is not None and error.response.status_code >= 500
    kinds = (errors.HTTPError, errors.LocalEntryNotFoundError)
    return isinstance(error, (*kinds, ConnectionError, TimeoutError))


def _reason(wanted: HubAddress, error: Exception) -> str:
    """What the library says, and what to do about it."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{wanted.repo}"
    if isinstance(error, errors.GatedRepoError):
        return f"its owner wants terms accepted at {page}, and a token in HF_TOKEN"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "no such repository, or a private one that needs a token in HF_TOKEN"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository has no revision {wanted.revision!r}"
    if isinstance(error, errors.HFValidationError):
        return f"not a name of the hub ({_line(error)})"
    if is_unreachable(error):
        offline = constants.HF_HUB_OFFLINE
        why = "HF_HUB_OFFLINE is set" if offline else _line(error)
        what = "ended the connection early" if _ENDED in why else "cannot be reached"
        return (
            f"the hub at {constants.ENDPOINT} {what} ({why}), and its cache does not "
            f"have it; {_by_hand(wanted)}"
        )
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        code = error.response.status_code
        token = ", see to the token in HF_TOKEN" if code in (401, 403) else ""
        return f"the hub answers HTTP {code}{token} ({_line(error)})"
    if isinstance(error, errors.FileMetadataError):
        return f"{_not_the_hub()} ({_line(error)})"
    return _line(error)


def _not_the_hub() -> str:
    from huggingface_hub import constants

    return (
        f"what answers at {constants.ENDPOINT} is not a hub; is it the login page of a "
        "network?"
    )


def _by_hand(wanted: HubAddress) -> str:
    from huggingface_hub import hf_hub_url

    name = wanted.file or WEIGHTS_FILE
    url = hf_hub_url(wanted.repo, name, revision=wanted.revision)
    others = f" (and {CONFIG_FILE}, {RECORD_FILE} where that page has both)"
    return (
        f"fetch {url} by hand and put it at {wanted.by_hand / name}"
        f"{'' if wanted.file else others}"
    )


def _line(error: Exception) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:_LISTED]) or "no files"
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _kept_by_hand(wanted: HubAddress) -> pathlib.Path | None:
    """What somebody put where the error for a missing network says."""
    folder = wanted.by_hand
    if wanted.file:
        return folder / wanted.file if (folder / wanted.file).is_file() else None
    if not folder.is_dir():
        return None
    try:
        chosen = choose(wanted, [path.name for path in folder.iterdir()])
    except WeightsError as error:
        raise WeightsError(f"{error}, which was put at {folder}") from None
    return folder if RECORD_FILE in chosen else folder / chosen[0]


def _names(hub: ModuleType, wanted: HubAddress) -> tuple[list[str], bool]:
    """The files of a repository, and whether the hub said so, not its cache."""
    cached = _cached_names(hub, wanted)
    if _COMMIT.fullmatch(wanted.revision or ""):  # which never changes
        needed = [wanted.file] if wanted.file else PUBLISHED_FILES
        if set(needed) <= set(cached):
            return cached, False
    try:
        info = hub.HfApi().model_info(wanted.repo, revision=wanted.revision)
    except Exception as error:
        if cached and is_unreachable(error):
            return cached, False
        raise
    return [file.rfilename for file in info.siblings or ()], True


def _cached_names(hub: ModuleType, wanted: HubAddress) -> list[str]:
    patterns = [f"*{ending}" for ending in (*_ENDINGS, ".json")]
    try:
        folder = hub.snapshot_download(
            wanted.repo,
            revision=wanted.revision,
            local_files_only=True,
            allow_patterns=patterns,
        )
    except hub.errors.LocalEntryNotFoundError:
        return []
    root = pathlib.Path(folder)
    files = (path for path in root.rglob("*") if path.is_file())
    return [path.relative_to(root).as_posix() for path in files]


def _download(
    hub: ModuleType, wanted: HubAddress, name: str, is_reachable: bool
) -> pathlib.Path:
    """A file of a repository in the hub's cache, with the sha256 that the hub states."""
    with explaining(dataclasses.replace(wanted, file=name)):
        path = hub.hf_hub_download(
            wanted.repo,
            name,
            revision=wanted.revision,
            library_name="hrnet_jax",
            local_files_only=not is_reachable,
        )
    # Large files are kept under their sha256.
    blob = os.path.realpath(path)
    stated = os.path.basename(blob)
    if _SHA256.fullmatch(stated) and checksum(blob) != stated:
        for each in (path, blob):
            pathlib.Path(each).unlink(missing_ok=True)
        raise WeightsError(
            f"{wanted}: the sha256 of {name} is not what the hub states, "
            f"{stated[:8]}...; nothing of it was kept"
        )
    return pathlib.Path(path)


def _refuse_other_networks(hub: ModuleType, wanted: HubAddress, name: str) -> None:
    """Looks at the names of the tensors before gigabytes of another network come.

    Raises:
        WeightsError: if they are none of an HRNet.
    """
    cached = hub.try_to_load_from_cache(wanted.repo, name, revision=wanted.revision)
    if not name.endswith(".safetensors") or isinstance(cached, str):
        return
    try:
        found: Any = hub.HfApi().parse_safetensors_file_metadata(
            wanted.repo, name, revision=wanted.revision
        )
    except hub.errors.SafetensorsParsingError as error:
        raise WeightsError(
            f"{wanted}: {name} is not a readable safetensors file"
        ) from error
    if not any(tensor.endswith(SIGN) for tensor in found.tensors):
        raise WeightsError(
            f"{wanted}: no weights of an HRNet in {name}; its tensors are "
            f"{_listed(list(found.tensors))}"
        )
