"""Lists folders without what file managers leave in them."""

from pathlib import Path

# Of Windows, macOS and Synology, in lower case; the rest begins with a dot.
_LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"}
_SHOWN = 6


def listed(folder: Path, pattern: str = "*") -> list[Path]:
    """Files and folders that match a glob pattern, sorted by path.

    Left out is what `is_litter` names, and all that is in a folder of such a name.

    Args:
        folder: where to look; a folder that is not there lists as empty.
        pattern: relative to `folder`; `**/*` for all that is below it.
    """
    return sorted(
        path
        for path in folder.glob(pattern)
        if not any(map(is_litter, path.relative_to(folder).parts))
    )


def is_litter(name: str) -> bool:
    """Whether a file of this name is hidden (`.DS_Store`, `._a.png`) or `Thumbs.db`."""
    return name.startswith(".") or name.lower() in _LITTER


def contents_of(folder: Path) -> str:
    """The first names in a folder, for a message that something is not there."""
    names = [path.name for path in listed(folder)] if folder.is_dir() else []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "nothing") + more
