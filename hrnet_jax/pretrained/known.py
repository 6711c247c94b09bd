"""Facts about every released file: one record each, in `known.json`.

Facts that no state dict holds (how it upsamples, how images were normalised, what it
reached and how that was measured) are looked up by the name of the file.
"""

import dataclasses
import functools
import importlib.resources
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from hrnet_jax.config.json_files import read_object
from hrnet_jax.config.options import read_fields
from hrnet_jax.errors import WeightsError
from hrnet_jax.models.normalization import IMAGENET_MEAN, IMAGENET_STD
from hrnet_jax.storage.paths import as_path

# Beside the checkpoint of a converted file: what it was and what was decided.
RECORD_FILE = "weights.json"
_FILE = "known.json"
# `owner/name@branch:path`, the branch only where it is not the usual one.
_REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+))?:([^\s,]+)")
# Of PyTorch's files, which people keep as `.safetensors` of the same name.
_TORCH_ENDINGS = (".pth.tar", ".pth", ".pt", ".bin")


@dataclasses.dataclass(frozen=True)
class KnownFile:
    """One released file of weights.

    Attributes:
        file: its name; for the timm hub, where all files are called alike, the tag;
            empty where the release gives no name.
        source: repository and branch, or library.
        convention: whose names the tensors have; see `names.SCHEMES`.
        model: for `create_model`.
        data: data set it was trained on.
        outputs: classes or points; None for pyramids, and where not documented.
        upsample: inside the exchange, for `create_model`.
        momentum: of the batch norms, PyTorch's convention; None where all were
            frozen.
        epsilon: of the batch norms.
        inplace_abn: the effective scale of a norm is |weight| + 1e-5.
        input_size: (height, width) of training, in pixels; None if not documented.
        mean: subtracted from images in [0, 1], in the order of the channels as fed.
        std: divides them after that.
        channel_order: `rgb` or `bgr`, as fed.
        licence: of the release.
        metric: name of the published figure; empty where there is none.
        value: that figure.
        protocol: how it was measured.
        reference: where all this is written.
        options: further options for `create_model`.
        settings: keys of a run's configuration that say how such weights see images, and
            what their outputs mean.
        detector: framework around a pyramid.
        note: anything else one should know.
        address: of the file, `https://...` or `hf://OWNER/NAME`, where it can be fetched
            without a browser; empty where a page has to be visited.
        sha256: hexadecimal digits that it begins with, as published: OpenMMLab and timm
            put the first eight into the names of files.
    """

    file: str
    source: str
    convention: str
    model: str
    data: str
    outputs: int | None = None
    upsample: str = "nearest"
    momentum: float | None = None
    epsilon: float = 1e-5
    inplace_abn: bool = False
    input_size: tuple[int, int] | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    channel_order: str = "rgb"
    licence: str = ""
    metric: str = ""
    value: float | None = None
    protocol: str = ""
    reference: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    detector: str = ""
    note: str = ""
    address: str = ""
    sha256: str = ""

    @property
    def family(self) -> str:
        """`classification`, `segmentation`, ..."""
        return self.model.split("/")[0]

    @property
    def published(self) -> str:
        """Figure and protocol as one text."""
        if self.value is None:
            return "no figure published"
        return f"{self.metric} {self.value:g}, {self.protocol}"

    @property
    def page(self) -> str:
        """Web page that tells where to get the file."""
        if self.source.startswith("timm, model hub"):
            return f"https://huggingface.co/timm/{self.file}"
        found = _REFERENCE.match(self.reference)
        if found is None:  # read in a wheel of OpenMMLab
            return f"https://github.com/open-mmlab/{self.source.split()[0]}"
        repository, branch, path = found.groups()
        return f"https://github.com/{repository}/blob/{branch or 'HEAD'}/{path}"

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain lists, numbers and strings."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "KnownFile":
        """The inverse of `to_json`; absent and null values take the defaults.

        Raises:
            WeightsError: naming a key that is missing or unknown, or its value.
        """
        given = {key: value for key, value in values.items() if value is not None}
        return read_fields(cls, given, WeightsError)


@functools.cache
def known_files() -> tuple[KnownFile, ...]:
    """All records, in the order of their repositories."""
    text = importlib.resources.files(__package__).joinpath(_FILE).read_text()
    return tuple(
        KnownFile.from_json(group["defaults"] | values)
        for group in json.loads(text)
        for values in group["files"]
    )


def find_known(name: str) -> tuple[KnownFile, ...]:
    """Records of a file name, a path that ends in one, or a tag.

    A `.safetensors` file has the record of the PyTorch file of its name. Two branches
    released different files of the same name, so there can be two.
    """
    base = pathlib.PurePath(name).name
    names = {name, base}
    stem = base.removesuffix(".safetensors")
    if stem not in ("", base):
        names |= {stem, *(stem + ending for ending in _TORCH_ENDINGS)}
    return tuple(record for record in known_files() if record.file in names)


def get_known(name: str) -> KnownFile:
    """The one record of a name.

    Raises:
        WeightsError: if there is none, or more than one.
    """
    found = find_known(name)
    if len(found) == 1:
        return found[0]
    if found:
        raise WeightsError(
            f"{name}: {len(found)} released files have this name "
            f"({'; '.join(record.source for record in found)})"
        )
    raise WeightsError(f"{name}: no released file of this name is known")


def read_record(workdir: str | os.PathLike) -> KnownFile | None:
    """The record of the released file that a work directory was made of, if any.

    Raises:
        WeightsError: naming the file that holds it, if that is not as it was written.
    """
    path = as_path(workdir) / RECORD_FILE
    if not path.is_file():
        return None
    content = read_object(path, WeightsError)
    if not isinstance(content.get("record", ""), dict | None):
        raise WeightsError(
            f"{path}: no 'record' in it; expected what scripts/convert.py wrote"
        )
    if content["record"] is None:
        return None
    try:
        return KnownFile.from_json(content["record"])
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
