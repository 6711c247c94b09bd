"""Where weights come from: a path, an https address, or a name on the hub."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

from hrnet_jax.errors import HRNetError, WeightsError
from hrnet_jax.pretrained import downloads, hub
from hrnet_jax.pretrained.known import find_known, get_known, known_files
from hrnet_jax.storage.paths import as_path

_SCHEMES = ("http://", "https://", hub.SCHEME)


@dataclasses.dataclass(frozen=True)
class Located:
    """Weights on this machine.

    Attributes:
        given: what the user wrote.
        path: a file, a work directory, or the folder of a published run.
        record: name of the released file where the path does not end in it; None where
            it does, or nothing is known.
    """

    given: str
    path: pathlib.Path
    record: str | None = None

    @property
    def is_fetched(self) -> bool:
        """Whether the path is one that the user did not choose."""
        return is_address(self.given)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Errors about the path name what the user wrote."""
        try:
            yield
        except HRNetError as error:
            text = str(error)
            if not self.is_fetched or str(self.path) not in text:
                raise
            raise type(error)(text.replace(str(self.path), self.given)) from error


def is_address(source: str | os.PathLike) -> bool:
    """Whether something is to be fetched, so no path."""
    return isinstance(source, str) and source.startswith(_SCHEMES)


def is_hub_name(source: str | os.PathLike) -> bool:
    """Whether something begins with `hf://`."""
    return isinstance(source, str) and source.startswith(hub.SCHEME)


def locate(source: str | os.PathLike) -> Located:
    """Fetches what is an address; a path is taken as it is, there or not.

    Raises:
        WeightsError: if it cannot be fetched, or is not what it should be.
    """
    if not isinstance(source, str) or not is_address(source):
        return Located(os.fspath(source), as_path(source))
    if not is_hub_name(source):
        return Located(source, downloads.fetch(source))
    repository = hub.SCHEME + hub.parse(source).repo
    names = [record.file for record in known_files() if record.address == repository]
    return Located(source, hub.fetch(source), names[0] if names else None)


def address_of(name: str) -> str:
    """The address of a released file by its name.

    Raises:
        WeightsError: for an unknown name, and where a page has to be visited.
    """
    if len(find_known(name)) > 1:
        pages = sorted({record.page for record in find_known(name)})
        raise WeightsError(
            f"{name}: several released files have this name and no address that gives "
            f"them without a browser; see {' and '.join(pages)}"
        )
    record = get_known(name)
    if not record.address:
        raise WeightsError(
            f"{name}: no address is known that gives it without a browser; "
            f"{record.page} tells where it is"
        )
    return record.address
