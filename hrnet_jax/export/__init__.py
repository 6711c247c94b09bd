"""Models as files that run without this package: StableHLO and ONNX."""

from hrnet_jax.export.check import Check
from hrnet_jax.export.writing import ExportOptions, Source, export_model

__all__ = ["Check", "ExportOptions", "Source", "export_model"]
