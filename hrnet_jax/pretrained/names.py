"""The one map between our layer names and those of the official PyTorch code.

Each rule is a pair of templates; `{x}` stands for a number and a repeated
letter for the same number. Rules are tried in order and work both ways.
Source: the `state_dict` of HRNet-Image-Classification and
HRNet-Semantic-Segmentation (pytorch-v1.1).
"""

import functools
import re

# (our layer, official layer)
_BODY = (
    ("stem/conv{k}", "conv{k}"),
    ("stem/norm{k}", "bn{k}"),
    ("stage1/block{n}/conv{k}", "layer1.{n}.conv{k}"),
    ("stage1/block{n}/norm{k}", "layer1.{n}.bn{k}"),
    ("stage1/block{n}/shortcut/conv", "layer1.{n}.downsample.0"),
    ("stage1/block{n}/shortcut/norm", "layer1.{n}.downsample.1"),
    # A new branch sits one list deeper than a branch that only changes width.
    ("transition{t}/branch{t}/conv", "transition{t}.{t}.0.0"),
    ("transition{t}/branch{t}/norm", "transition{t}.{t}.0.1"),
    ("transition{t}/branch{b}/conv", "transition{t}.{b}.0"),
    ("transition{t}/branch{b}/norm", "transition{t}.{b}.1"),
    (
        "stage{s}/module{m}/branch{b}/block{n}/conv{k}",
        "stage{s}.{m}.branches.{b}.{n}.conv{k}",
    ),
    (
        "stage{s}/module{m}/branch{b}/block{n}/norm{k}",
        "stage{s}.{m}.branches.{b}.{n}.bn{k}",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/step{k}/conv",
        "stage{s}.{m}.fuse_layers.{i}.{j}.{k}.0",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/step{k}/norm",
        "stage{s}.{m}.fuse_layers.{i}.{j}.{k}.1",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/conv",
        "stage{s}.{m}.fuse_layers.{i}.{j}.0",
    ),
    (
        "stage{s}/module{m}/exchange/from{j}_to{i}/norm",
        "stage{s}.{m}.fuse_layers.{i}.{j}.1",
    ),
)
_HEADS = (
    ("head/project", "last_layer.0"),
    ("head/norm", "last_layer.1"),
    ("head/classifier", "last_layer.3"),
    ("increase{b}/conv{k}", "incre_modules.{b}.0.conv{k}"),
    ("increase{b}/norm{k}", "incre_modules.{b}.0.bn{k}"),
    ("increase{b}/shortcut/conv", "incre_modules.{b}.0.downsample.0"),
    ("increase{b}/shortcut/norm", "incre_modules.{b}.0.downsample.1"),
    ("downsample{b}/conv", "downsamp_modules.{b}.0"),
    ("downsample{b}/norm", "downsamp_modules.{b}.1"),
    ("final/conv", "final_layer.0"),
    ("final/norm", "final_layer.1"),
    ("classifier", "classifier"),
)
_RULES = _BODY + _HEADS

# Patterns of our names that belong to task heads; what an ImageNet checkpoint
# and a segmentation model do not share.
HEAD_PATTERNS = (r"^head/", r"^(increase|downsample)\d/", r"^final/", r"^classifier/")

_LAYER_LEAVES = {"kernel": "weight", "bias": "bias"}
_NORM_LEAVES = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def to_official(name: str) -> str | None:
    """Official name of our leaf (`stem/conv1/kernel` -> `conv1.weight`).

    Args:
        name: our leaf without its collection.

    Returns:
        The official name, or None if no rule knows the layer.
    """
    layer, leaf = name.rsplit("/", 1)
    official = _translate(layer, 0)
    leaves = _NORM_LEAVES if _is_norm(layer) else _LAYER_LEAVES
    return f"{official}.{leaves[leaf]}" if official and leaf in leaves else None


def from_official(name: str) -> str | None:
    """Our name of an official tensor, the inverse of `to_official`."""
    if "." not in name:
        return None
    official, leaf = name.rsplit(".", 1)
    layer = _translate(official, 1)
    if layer is None:
        return None
    leaves = _NORM_LEAVES if _is_norm(layer) else _LAYER_LEAVES
    for ours, theirs in leaves.items():
        if theirs == leaf:
            return f"{layer}/{ours}"
    return None


def _is_norm(layer: str) -> bool:
    return layer.rsplit("/", 1)[-1].startswith("norm")


def _translate(layer: str, side: int) -> str | None:
    for rule in _RULES:
        match = _pattern(rule[side]).fullmatch(layer)
        if match:
            return rule[1 - side].format(**match.groupdict())
    return None


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """Regular expression of a template; repeated letters refer back."""
    seen: set[str] = set()
    parts = []
    for text in re.split(r"(\{\w\})", template):
        if not re.fullmatch(r"\{\w\}", text):
            parts.append(re.escape(text))
        elif text in seen:
            parts.append(f"(?P={text[1]})")
        else:
            seen.add(text)
            parts.append(rf"(?P<{text[1]}>\d+)")
    return re.compile("".join(parts))
