"""Errors that users can cause and correct.

Command lines print them as one line, `error: <message>`, and exit with code 2.
Each message names the file, key or value at fault and what was expected.
"""

import errno
import os


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


class StorageError(OSError, HRNetError):
    """Storage of a bucket refuses, or does not answer.

    Made of an error number, what to say of it, and the place, as an `OSError` is.
    """

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


# Package, as it is imported -> the extra of this project that brings it.
_EXTRAS = {
    **dict.fromkeys(
        ("PIL", "absl", "cv2", "matplotlib", "ml_collections", "orbax", "tqdm"),
        "predict",
    ),
    "safetensors": "predict",
    **dict.fromkeys(
        ("array_record", "clu", "grain", "importlib_resources", "optax"), "train"
    ),
    "faster_coco_eval": "train",
    "yaml": "prepare",
    **dict.fromkeys(("tensorboardX", "tensorflow_datasets"), "train"),
    "h5py": "prepare",
    "skimage": "faces",
    **dict.fromkeys(("onnx", "onnxruntime"), "onnx"),
    **dict.fromkeys(("torch", "timm", "torchvision"), "convert"),
    "libtpu": "tpu",
    "wandb": "wandb",
    "gcsfs": "gcs",
    **dict.fromkeys(("optuna", "optuna_dashboard"), "sweeps"),
    "huggingface_hub": "hub",
    "gradio": "page",
}


def how_to_install(*extras: str) -> str:
    """The command that brings extras of this project, given in its folder."""
    return f"pip install -e '.[{','.join(extras)}]'"


# What a system says of a disk, not of a program: full, over quota, a file too large
# for it, read-only.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# And of a name that a user gave.
_OF_A_NAME = (
    *(errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT),
    *(errno.ENOTDIR, errno.EPERM),
)


def in_one_line(error: Exception) -> str | None:
    """What a script says of an error of its user; None for a bug, which has a traceback.

    Of its user are an `HRNetError`, a package that an extra brings, a disk that is full
    or read-only, and a file that cannot be read or written where the system says so.
    """
    if isinstance(error, HRNetError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return missing_part(error)
    if not isinstance(error, OSError):
        return None
    if error.filename is not None and error.errno in OF_THE_DISK + _OF_A_NAME:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return error.strerror if error.errno in OF_THE_DISK else None


def reason_of(error: OSError) -> str:
    """What the system says of an error, or what the library says that raised it."""
    return error.strerror or str(error) or type(error).__name__


def missing_part(error: ModuleNotFoundError) -> str | None:
    """One line for a package that belongs to an extra; None for any other module."""
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return None
    return (
        f"this needs the package {package}, which is not installed: "
        f"{how_to_install(_EXTRAS[package])} in the folder of hrnet_jax"
    )
