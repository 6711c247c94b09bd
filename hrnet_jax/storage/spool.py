"""Files that grow, for a bucket, where nothing can be appended to an object."""

import os
import pathlib
import tempfile
import time

from hrnet_jax.storage import paths

# Seconds between two copies of files that grow.
INTERVAL = 60.0


class Spool:
    """A local folder whose files are copied into a bucket, whole, when they changed.

    Args:
        target: folder in a bucket.

    Attributes:
        folder: the local one; it goes with this object.
    """

    def __init__(self, target: pathlib.Path):
        self._target = target
        # Kept, as the folder goes with it.
        self._temporary = tempfile.TemporaryDirectory(
            prefix="hrnet-jax-", ignore_cleanup_errors=True
        )
        self.folder = pathlib.Path(self._temporary.name)
        self._copied: dict[str, tuple[int, int]] = {}
        self._last = time.monotonic()

    def copy(self, name: str = "") -> None:
        """Copies what changed since it was copied; one file, or all of them.

        Raises:
            StorageError: if the bucket refuses, or does not answer.
        """
        for path in [self.folder / name] if name else sorted(self.folder.iterdir()):
            if not path.is_file():
                continue
            stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if self._copied.get(path.name) != state:
                # Not the file, to which somebody may append meanwhile.
                content = path.read_bytes()
                paths.write_object(self._target / path.name, content)
                self._copied[path.name] = state
        if not name:
            self._last = time.monotonic()

    def copy_sometimes(self) -> None:
        """Copies what changed, if the last time is a while ago."""
        if time.monotonic() - self._last >= INTERVAL:
            self.copy()

    def close(self) -> None:
        """Copies what changed, and removes the local folder.

        Raises:
            StorageError: as `copy`.
        """
        try:
            self.copy()
        finally:
            self._temporary.cleanup()

    def __fspath__(self) -> str:
        return os.fspath(self.folder)
