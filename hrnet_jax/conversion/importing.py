"""Files of weights to work directories and back."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Sequence

from hrnet_jax.conversion.converting import (
    Converted,
    Imported,
    ImportOptions,
    convert_files,
    convert_published,
)
from hrnet_jax.conversion.saving import save_converted
from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.pretrained.convert import kind_of, scheme_of, to_torch
from hrnet_jax.pretrained.files import check_format, write_weights_file
from hrnet_jax.pretrained.known import RECORD_FILE
from hrnet_jax.pretrained.sources import Located, locate
from hrnet_jax.pretrained.weights_cache import checksum
from hrnet_jax.registry import model_class
from hrnet_jax.storage import paths as storage
from hrnet_jax.storage import targets
from hrnet_jax.whole_files import remove_leftovers, unfinished_folder
from hrnet_jax.workdir.files import CONFIG_FILE, write_json
from hrnet_jax.workdir.opening import read_run_config
from hrnet_jax.workdir.published import WEIGHTS_FILE, is_published
from hrnet_jax.workdir.storage import COMPLETE


def import_weights(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    workdir: str | os.PathLike,
    options: ImportOptions = ImportOptions(),
    *,
    overwrite: bool = False,
) -> Imported:
    """Turns a file of PyTorch weights into a work directory.

    The model is recognised from the names and shapes of the tensors; what they do
    not tell comes from the record of the file, where its name is known.

    Args:
        path: a `.pth` or `.safetensors` file, its `https://` address, or its name on
            the hub, `hf://...`; or several, where a network is released in parts.
        workdir: a new directory; `load_run` and `model.init_from` open it.
        options: what the user knows better.
        overwrite: replace a work directory that was made of a file before; no other.

    Raises:
        CheckpointError: if the directory is in use.
        HRNetError: if the file is unsafe, damaged, ambiguous, mislabelled or of
            another model.
    """
    workdir = storage.absolute(workdir)
    remove_leftovers(workdir.parent)
    _check_target(workdir, overwrite)
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    sources = [locate(each) for each in paths]
    converted = _convert(sources, options)
    # Beside it first, so that what stops here leaves an old one whole, or nothing.
    with unfinished_folder(workdir) as folder:
        try:
            _save(sources, folder / "new", converted)
        except CheckpointError as error:
            # It names a folder that is gone in a moment.
            reason = str(error).replace(str(folder / "new"), str(workdir))
            raise CheckpointError(reason) from error
        _put_in_place(folder / "new", workdir, folder / "old", overwrite)
    return converted.imported


def _convert(sources: Sequence[Located], options: ImportOptions) -> Converted:
    """The network of files, or of a published run."""
    first = sources[0]
    with contextlib.ExitStack() as stack:
        for source in sources:
            stack.enter_context(source.naming())
        if len(sources) == 1 and is_published(first.path):
            if options != ImportOptions():
                raise ConfigError(
                    f"{first.path}: a published run says all about its weights; expected "
                    "no options of reading a file"
                )
            return convert_published(first.path)
        if options.record is None:
            options = dataclasses.replace(options, record=first.record)
        files = [storage.local_file(source.path) for source in sources]
        return convert_files([stack.enter_context(file) for file in files], options)


def _put_in_place(
    new: pathlib.Path, workdir: pathlib.Path, old: pathlib.Path, overwrite: bool
) -> None:
    """Moves a whole work directory to its place, and what is replaced to `old`."""
    # Another conversion may have come first.
    _check_target(workdir, overwrite)
    if storage.is_remote(workdir):
        storage.remove_tree(workdir)
        storage.upload_tree(new, workdir, last=(COMPLETE, CONFIG_FILE))
        return
    try:
        if workdir.exists() and any(workdir.iterdir()):
            os.rename(workdir, old)
        os.rename(new, workdir)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(
            f"{workdir}: cannot be made or replaced ({reason}); choose a new directory"
        ) from error


def _check_target(workdir: pathlib.Path, overwrite: bool) -> None:
    """Refuses a directory that cannot be made, or holds what may not be replaced."""
    targets.check_folder(workdir, what="a new directory", error=CheckpointError)
    if not workdir.exists() or not any(workdir.iterdir()):
        return
    was_made_here = (workdir / RECORD_FILE).is_file()
    if not overwrite:
        way_out = ", or --overwrite" if was_made_here else ""
        raise CheckpointError(
            f"{workdir} is not empty; choose a new directory{way_out}"
        )
    if not was_made_here:
        raise CheckpointError(
            f"{workdir} was not made of a file of weights (it has no {RECORD_FILE}), "
            "so --overwrite leaves it alone; choose a new directory"
        )


def export_weights(
    workdir: str | os.PathLike,
    step: int | str,
    path: str | os.PathLike,
    convention: str = "official",
    changes: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> int:
    """Writes a run's weights as a state dict that a PyTorch code base loads.

    Args:
        workdir: of a run.
        step: `best`, `latest` or a number.
        path: of the new file.
        convention: whose names the tensors get.
        changes: of the run's configuration, see `load_run`.
        overwrite: replace a file that is there already.

    Returns:
        The number of tensors written.

    Raises:
        CheckpointError: if the file is there already, or cannot be written.
        WeightsError: if PyTorch is needed and not installed, or the code base has
            no such model.
    """
    what = "the name of a new file"
    targets.check_file(path, what=what, overwrite=overwrite, error=CheckpointError)
    check_format(path)
    name = read_run_config(storage.as_path(workdir))["model"]["name"]
    scheme_of(kind_of(model_class(name)), convention)
    run = load_run(workdir, step, changes=changes)
    tensors = to_torch(run.variables, run.task.model, convention=convention)
    write_weights_file(path, tensors)
    return len(tensors)


def _save(
    sources: Sequence[Located],
    workdir: str | os.PathLike,
    converted: Converted,
) -> None:
    """Writes the work directory, the record beside the checkpoint."""
    save_converted(workdir, converted.config, converted.variables, converted.info)
    facts, moved = converted.imported.facts, converted.imported.moved
    paths = [source.path for source in sources]
    files = [path / WEIGHTS_FILE if path.is_dir() else path for path in paths]
    content = {
        "file": " and ".join(path.name for path in files),
        "sha256": " and ".join(map(checksum, files)),
        "address": " and ".join(each.given for each in sources if each.is_fetched),
        "model": facts.model,
        "convention": facts.convention,
        "decided": facts.lines(),
        "kept": len(moved.kept),
        "new": list(moved.new),
        "dropped": dict(moved.dropped),
        "record": facts.record and facts.record.to_json(),
    }
    write_json(storage.as_path(workdir) / RECORD_FILE, content)
