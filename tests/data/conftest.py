"""Keeps what `scripts/prepare_data.py` does to the log within a test."""

import logging

import pytest


@pytest.fixture(autouse=True)
def log_as_before():
    logger = logging.getLogger("hrnet_jax")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])
