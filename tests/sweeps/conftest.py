"""A bucket in this process, for sweeps in one."""

from tests.storage.conftest import bucket  # noqa: F401
