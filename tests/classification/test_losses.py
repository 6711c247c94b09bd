"""Losses of classification equal PyTorch's."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from hrnet_jax.classification.losses import cross_entropy, distillation, smoothed
from hrnet_jax.classification.options import LossOptions
from hrnet_jax.errors import ConfigError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (5, 4)).astype(np.float32)
TEACHER = RNG.normal(0, 3, (5, 4)).astype(np.float32)
CLASSES = np.array([0, 3, 1, 1, 2])
SEVERAL = RNG.integers(0, 2, (5, 4)).astype(np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_cross_entropy_is_pytorchs(smoothing):
    expected = functional.cross_entropy(
        torch.tensor(LOGITS), torch.tensor(CLASSES), label_smoothing=smoothing
    )
    targets = smoothed(np.eye(4, dtype=np.float32)[CLASSES], smoothing)
    assert cross_entropy(LOGITS, targets) == pytest.approx(float(expected), rel=1e-6)


def test_so_is_that_of_soft_labels():
    soft = RNG.dirichlet(np.ones(4), 5).astype(np.float32)
    expected = functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(soft))
    assert cross_entropy(LOGITS, soft) == pytest.approx(float(expected), rel=1e-6)


def test_several_classes_have_a_binary_one_each():
    expected = functional.binary_cross_entropy_with_logits(
        torch.tensor(LOGITS), torch.tensor(SEVERAL)
    )
    found = cross_entropy(LOGITS, SEVERAL, several=True)
    assert found == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_the_divergence_from_the_teacher(temperature):
    student, teacher = (torch.tensor(x) / temperature for x in (LOGITS, TEACHER))
    expected = temperature**2 * functional.kl_div(
        student.log_softmax(1), teacher.softmax(1), reduction="batchmean"
    )
    found = distillation(LOGITS, TEACHER, temperature)
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert distillation(TEACHER, TEACHER, temperature) == pytest.approx(0, abs=1e-6)


def test_of_several_classes_it_is_that_of_each():
    p, q = (1 / (1 + np.exp(-np.float64(x) / 2)) for x in (TEACHER, LOGITS))
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    found = distillation(LOGITS, TEACHER, 2.0, several=True)
    assert found == pytest.approx(4 * divergence.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("mixup", -0.2, "must not be negative"),
        ("cutmix", -1.0, "must not be negative"),
        ("label_smoothing", 1.0, "from 0 to below 1"),
        ("mix_probability", 1.5, "from 0 to 1"),
        ("teacher_weight", -0.1, "from 0 to 1"),
        ("temperature", 0.0, "must be positive"),
    ],
)
def test_values_that_cannot_be_are_named(key, value, expected):
    with pytest.raises(ConfigError, match=rf"'loss\.{key}'.*{expected}, got {value}"):
        LossOptions(**{key: value})
