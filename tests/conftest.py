"""Eight virtual CPU devices, a kept compilation cache, real data if present."""

import gc
import logging
import os
import pathlib
import signal

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
# One process runs thousands of tests: it is not to hold the most any of them needed.
os.environ["HRNET_JAX_KEEP_MEMORY"] = "0"

import jax
import pytest

from hrnet_jax import runtime
from tests import case_times, sharing
from tests.tiers import longest_first

ROOT = pathlib.Path(__file__).parents[1]

runtime.enable_compilation_cache(ROOT / ".cache" / "xla-tests")

# What a shell starts in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before there are workers.
sharing.open_folder()

# Tracing makes hundreds of thousands of objects that stay; looking through them as
# often as Python does took a sixth of all time.
gc.set_threshold(50_000, 20, 100)


def pytest_addoption(pluginmanager):
    """Adds the options and hooks that know what a case costs."""
    pluginmanager.register(case_times)


def pytest_collection_modifyitems(items):
    """Has workers begin with the longest files."""
    longest_first(items)


def pytest_collection_finish():
    """Spares the collector of garbage what was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def package_log():
    """Undoes what a command line run in this process does to the package's log."""
    logger = logging.getLogger("hrnet_jax")
    handlers, propagates, level = [*logger.handlers], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = handlers, propagates
    logger.setLevel(level)


@pytest.fixture
def unoptimized():
    """Compiles as the fast tier does, for slow cases that compile more than compute."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Folder of real data sets; tests that need it skip where it is absent."""
    folder = pathlib.Path(
        os.environ.get("HRNET_JAX_DATA", ROOT.parent / "shared" / "data")
    )
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set HRNET_JAX_DATA)")
    return folder


@pytest.fixture
def abandoned_reads():
    """For tests that damage checkpoints, with a filter for the warnings.

    Orbax forgets its other reads when one fails. Collected by chance later, they
    would warn in some other test.
    """
    yield
    gc.collect()
