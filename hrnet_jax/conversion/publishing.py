"""Runs to the hub: weights, configuration, record and a model card."""

import os
import pathlib
import tempfile
from types import ModuleType
from typing import Any

import hrnet_jax
from hrnet_jax.conversion.model_card import model_card
from hrnet_jax.errors import CheckpointError, WeightsError
from hrnet_jax.experiment.defaults import default_config, to_json
from hrnet_jax.inference.workdir import LoadedRun, load_run
from hrnet_jax.pretrained import hub as names
from hrnet_jax.pretrained.sources import is_address
from hrnet_jax.workdir.opening import read_run_config
from hrnet_jax.workdir.published import PublishedRun, is_published, write_published

# Made by the hub with a repository.
_ITS_OWN = (".gitattributes",)


def publish(
    workdir: str | os.PathLike,
    address: str,
    *,
    step: int | str = "best",
    licence: str = "",
    private: bool = False,
    overwrite: bool = False,
) -> tuple[str, int]:
    """Publishes a run on the hub, so that `load_run(address)` gives it back.

    Args:
        workdir: of a run, or what `scripts/convert.py` made.
        address: `hf://OWNER/NAME`, made if it is not there.
        step: `best`, `latest` or a number.
        licence: for the model card, as the hub writes it (`apache-2.0`); empty for none.
        private: whether a new repository is to be seen by its owner alone.
        overwrite: add to a repository that has files already, as another commit.

    Returns:
        The page of the repository, and the number of tensors.

    Raises:
        CheckpointError: if there is no such run.
        WeightsError: for a name, a token or a repository that does not do.
    """
    wanted = names.parse(address)
    if wanted.revision or wanted.file:
        raise WeightsError(f"{address}: expected hf://OWNER/NAME to publish to")
    if is_published(workdir):
        raise CheckpointError(f"{workdir}: published before; expected a work directory")
    hub = names.import_hub(address)
    if hub.get_token() is None:
        raise WeightsError(
            f"{address}: publishing needs a token of the hub that may write; set "
            "HF_TOKEN, or `hf auth login`"
        )
    run = load_run(workdir, step)
    published = PublishedRun(
        _without_places(read_run_config(pathlib.Path(workdir))),
        run.info,
        run.step,
        run.metrics,
        run.record,
    )
    with tempfile.TemporaryDirectory() as folder, names.explaining(wanted):
        content = pathlib.Path(folder)
        version = hrnet_jax.__version__
        count = write_published(content, published, run.variables, version)
        card = model_card(hub, wanted.repo, published, licence)
        (content / "README.md").write_text(card, encoding="utf-8")
        return _upload(hub, wanted, content, run, private, overwrite), count


def _upload(
    hub: ModuleType,
    wanted: names.HubAddress,
    folder: pathlib.Path,
    run: LoadedRun,
    private: bool,
    overwrite: bool,
) -> str:
    """One commit with all files; returns the page of the repository."""
    api = hub.HfApi(library_name="hrnet_jax", library_version=hrnet_jax.__version__)
    page = api.create_repo(wanted.repo, private=private or None, exist_ok=True)
    siblings = api.model_info(wanted.repo).siblings or ()
    there = {file.rfilename for file in siblings} - {*_ITS_OWN}
    if there and not overwrite:
        raise CheckpointError(
            f"{wanted} has files already ({', '.join(sorted(there)[:4])}); choose another "
            "name, or --overwrite adds a commit with this run"
        )
    api.upload_folder(
        repo_id=wanted.repo,
        folder_path=folder,
        commit_message=f"{run.config.model.name}, step {run.step}",
    )
    return str(page)


def _without_places(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the folders of this machine, which nobody else has."""
    default = to_json(default_config(config["task"]))
    dataset = config["dataset"] | {"data_dir": default["dataset"]["data_dir"]}
    start = config["model"]["init_from"]
    if not is_address(start):
        start = pathlib.PurePath(start).name
    model = config["model"] | {"init_from": start}
    return config | {"dataset": dataset, "model": model}
