"""A bucket in this process, for tests that need one."""

import pytest

from tests.storage.server import serving


@pytest.fixture
def bucket():
    """An empty bucket, `gs://tests`, that this process and its children find."""
    with serving() as found:
        yield found
