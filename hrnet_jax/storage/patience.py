"""How long storage that does not answer is asked again."""

import errno
import logging
import os
import random
import threading
import time

from hrnet_jax.errors import ConfigError, StorageError

# Seconds, of the environment; the default is about what TensorStore allows itself.
VARIABLE = "HRNET_JAX_STORAGE_PATIENCE"
SECONDS = 900.0
# Seconds before the second try, and the most between two tries.
FIRST_DELAY, LONGEST_DELAY = 1.0, 32.0

_log = logging.getLogger(__name__)


def patience() -> float:
    """Seconds for which storage that does not answer is asked again.

    Raises:
        ConfigError: naming the variable, if it holds no such number.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{VARIABLE}={text!r}; expected seconds, 0 or more")
    return seconds


def tries_within(seconds: float) -> int:
    """Tries after the first that fit into so many seconds, with these delays."""
    tries, spent = 0, 0.0
    while spent < seconds:
        spent += min(FIRST_DELAY * 2**tries, LONGEST_DELAY)
        tries += 1
    return tries


class Outage:
    """The time since storage stopped answering, shared by everything that asks it.

    It is said once when that begins and once when it ends. Once the patience is spent,
    whatever is asked is asked once: a run that ends because of that should end soon.
    """

    def __init__(self):
        self._place = ""
        self._since: float | None = None
        self._lock = threading.Lock()

    def answered(self) -> None:
        """Notes that a request succeeded."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                seconds = time.monotonic() - self._since
                _log.info("%s answers again, after %.0f s", self._place, seconds)
                self._since = None

    def failed(self, place: str, reason: str, tries: int) -> float:
        """Seconds to wait before the next try.

        Args:
            place: what does not answer.
            reason: why a request failed, in a few words.
            tries: of this request, so far.

        Raises:
            StorageError: if the patience is spent.
        """
        limit, now = patience(), time.monotonic()
        with self._lock:
            if self._since is None:
                self._since, self._place = now, place
                _log.warning(
                    "%s does not answer (%s); asking again for up to %.0f s",
                    place,
                    reason,
                    limit,
                )
            left = limit - (now - self._since)
        if left <= 0:
            raise StorageError(
                errno.EIO,
                f"does not answer ({reason}), asked for {limit:.0f} s",
                place,
            )
        delay = min(FIRST_DELAY * 2 ** (tries - 1), LONGEST_DELAY)
        return min(delay * random.uniform(0.75, 1.25), left)
