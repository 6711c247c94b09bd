"""Whether weights were trained with InPlaceABN, and which release a file is.

InPlaceABN scales by |weight| + epsilon where an ordinary norm scales by weight, so
reading weights the wrong way silently gives wrong outputs. No tensor tells which it
was, but InPlaceABN counts no batches.
"""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained.known import KnownFile, find_known, get_known
from hrnet_jax.pretrained.scheme import Scheme
from hrnet_jax.pretrained.wrappers import has_counters


def find_record(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    name: str | None = None,
    inplace_abn: bool | None = None,
) -> KnownFile | None:
    """The record of a file.

    Args:
        path: of the file.
        tensors: of the file, with batch counters.
        name: of the released file, where it was renamed; empty for no record.
        inplace_abn: decides between two files of one name.

    Raises:
        WeightsError: if two released files have this name and nothing tells which
            this is, or `name` is unknown.
    """
    if name == "":
        return None
    found = find_known(name or pathlib.Path(path).name)
    if name and not found:
        get_known(name)
    if len(found) > 1:
        if inplace_abn is None and has_counters(tensors):
            inplace_abn = False  # InPlaceABN counts no batches.
        found = tuple(r for r in found if inplace_abn in (None, r.inplace_abn))
    if len(found) > 1:
        raise WeightsError(
            f"{path}: two released files have this name, "
            f"{' and '.join(record.source for record in found)}; say --inplace_abn "
            "for the first kind or --no-inplace_abn for the other"
        )
    return found[0] if found else None


def uses_inplace_abn(
    tensors: Mapping[str, np.ndarray],
    scheme: Scheme,
    record: KnownFile | None,
    stated: bool | None,
) -> bool:
    """Whether the scales of a file are |weight| + 1e-5.

    Args:
        tensors: of the file, with batch counters.
        scheme: of its names.
        record: of the released file, where it is one.
        stated: what the user says; wins.

    Raises:
        WeightsError: where the record contradicts the counters, and for official
            segmentation weights without counters and without a record.
    """
    if stated is not None:
        return stated
    counted = has_counters(tensors)
    if record is not None:
        if record.inplace_abn and counted:
            raise WeightsError(
                f"{record.source} trained with InPlaceABN, which counts no batches, "
                "but this file has batch counters; say --inplace_abn or "
                "--no-inplace_abn"
            )
        return record.inplace_abn
    if counted or not scheme.maybe_inplace_abn:
        return False
    raise WeightsError(
        "the file has no batch counters, so it may have been trained with InPlaceABN "
        "(master branch of HRNet-Semantic-Segmentation, files ending in _torch04), "
        "which scales by |weight| + 1e-5; say --inplace_abn or --no-inplace_abn "
        "(in training --config.model.init_inplace_abn), or --record=NAME of the "
        "released file"
    )
