"""Errors that users can cause and correct.

Command lines print them as one line, `error: <message>`, and exit with code 2.
Each message names the file, key or value at fault and what was expected.
"""


class HRNetError(ValueError):
    """Base of every error caused by input rather than by a bug."""


class ConfigError(HRNetError):
    """A configuration key or value is wrong."""


class DataError(HRNetError):
    """A data set, a record or an image file is wrong."""


class WeightsError(HRNetError):
    """Weights do not fit the model they were offered to."""


class CheckpointError(HRNetError):
    """A work directory or a checkpoint cannot be used."""


class ExportError(HRNetError):
    """A model cannot be exported, or an exported one cannot be used."""
