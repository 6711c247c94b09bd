"""The model card of a published run: README.md with a header that the hub reads."""

import json
from types import ModuleType
from typing import Any

from hrnet_jax.config.options import dotted_keys
from hrnet_jax.experiment.defaults import default_config, to_json
from hrnet_jax.registry import get_spec
from hrnet_jax.workdir.published import PublishedRun

_LIBRARY = "hrnet_jax"
# Names that the hub has for tasks.
_PIPELINES = {
    "classification": "image-classification",
    "landmarks": "keypoint-detection",
    "pose": "keypoint-detection",
    "pyramid": "object-detection",
    "segmentation": "image-segmentation",
}
_NAMED = 60  # outputs that a card lists
# Sections that say nothing of what was learned.
_LEFT_OUT = ("checkpoint.", "eval.", "logging.", "mesh.")


def model_card(hub: ModuleType, repo: str, run: PublishedRun, licence: str = "") -> str:
    """Header and text of README.md.

    Args:
        hub: the library of the hub, which writes the header.
        repo: `OWNER/NAME`.
        run: what is published.
        licence: as the hub writes it, `apache-2.0`; empty for none.
    """
    parts = [_about(repo, run), _use(repo, run), _results(run)]
    if run.step:  # else it was converted
        parts.append(_training(run))
    header = hub.ModelCardData(**_header(hub, repo, run, licence)).to_yaml()
    return "\n\n".join([f"---\n{header}\n---", *parts]) + "\n"


def _header(
    hub: ModuleType, repo: str, run: PublishedRun, licence: str
) -> dict[str, Any]:
    pipeline = _PIPELINES.get(run.config["task"])
    values: dict[str, Any] = {
        "license": licence or None,
        "library_name": _LIBRARY,
        "pipeline_tag": pipeline,
        "tags": ["hrnet", "jax", "flax", run.config["model"]["name"]],
        "datasets": [run.info.name],
        "metrics": sorted(set(run.metrics) - {"loss"}) or None,
    }
    best = _best_metric(run)
    if best is not None:
        values["model_name"] = repo.partition("/")[2]
        values["eval_results"] = [
            hub.EvalResult(
                task_type=pipeline or run.config["task"],
                dataset_type=run.info.name,
                dataset_name=run.info.name,
                metric_type=best,
                metric_value=run.metrics[best],
            )
        ]
    return values


def _best_metric(run: PublishedRun) -> str | None:
    """The metric that ranks checkpoints, if it was evaluated."""
    best = get_spec(run.config["task"]).best_metric
    return best[0] if best and best[0] in run.metrics else None


def _about(repo: str, run: PublishedRun) -> str:
    model, info = run.config["model"]["name"], run.info
    kinds = (
        ("classes", info.class_names),
        ("points", info.point_names),
        ("classes", info.image_class_names),
        ("classes", info.box_class_names),
    )
    outputs = [
        f"{len(found)} {kind}: {', '.join(found[:_NAMED])}"
        + (", ..." if len(found) > _NAMED else "")
        for kind, found in kinds
        if found
    ]
    what = (
        f"`{model}` of hrnet_jax, an HRNet (High-Resolution Representations for "
        f"Labeling Pixels and Regions) in JAX and Flax, for the data set `{info.name}`; "
        f"weights of step {run.step}."
    )
    lines = [
        f"# {repo.partition('/')[2]}",
        "",
        what,
    ]
    if outputs:
        lines += ["", *outputs]
    if run.record is not None:
        record = run.record
        licence = record.licence or "not stated"
        lines.append(
            f"\nConverted from `{record.file}` of {record.source}; its licence: "
            f"{licence}; published: {record.published}."
        )
    return "\n".join(lines)


def _use(repo: str, run: PublishedRun) -> str:
    name = run.config["model"]["name"]
    return f"""## Use

```python
import hrnet_jax

predictor = hrnet_jax.load_pretrained("{name}", "hf://{repo}")
prediction = predictor.predict("image.jpg")
```

`hf://{repo}` is also what `scripts/predict.py --workdir=` and
`--config.model.init_from=` take. `model.safetensors` has the names and layouts of the
official PyTorch code, which reads it as well."""


def _results(run: PublishedRun) -> str:
    if not run.metrics:
        return "## Results\n\nNot evaluated with hrnet_jax."
    rows = [f"| `{name}` | {value:.6g} |" for name, value in run.metrics.items()]
    return "\n".join(["## Results", "", "| metric | value |", "|---|---|", *rows])


def _training(run: PublishedRun) -> str:
    default = to_json(default_config(run.config["task"]))
    rows = [
        f"{dotted} = {json.dumps(value)}"
        for dotted in dotted_keys(run.config)
        if not dotted.startswith(_LEFT_OUT)
        and not isinstance(value := _at(run.config, dotted), dict)
        and value != _at(default, dotted)
    ]
    changed = "\n".join(rows) or "nothing"
    return f"""## Training configuration

What differs from the defaults of the task; `config.json` has every key.

```
{changed}
```

```
python scripts/train.py --config=config.json --workdir=runs/again
```"""


def _at(config: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config
