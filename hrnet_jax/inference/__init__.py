"""Trained models on single images, on any machine."""

from hrnet_jax.inference.predictor import Predictor
from hrnet_jax.inference.workdir import LoadedRun, load_run

__all__ = ["LoadedRun", "Predictor", "load_run"]
