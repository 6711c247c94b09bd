"""Models as files that run without this package: StableHLO and ONNX."""

from hrnet_jax.export.check import Check
from hrnet_jax.export.writing import ExportOptions, ExportSource, export_model

__all__ = ["Check", "ExportOptions", "ExportSource", "export_model"]
