"""Shows where the time of a model goes: by stage, by kind, against the roofline.

    python benchmarks/profile.py
    python benchmarks/profile.py --case w18:train:1x512x1024 --picture profile.png
    python benchmarks/profile.py --all --json profile.json --picture profile.png

A case runs as it does in earnest (on a CPU in pieces, see `hrnet_jax.runtime.pieces`;
`--whole` runs one program) from bytes to results or to the updated state. Every
kernel in JAX's own profile is looked up in the text of the compiled program, whose
metadata tells stage and kind; its FLOPs and bytes are counted from shapes, and their
sums are printed beside XLA's. Kernels that run at the same time share that time
equally, time in which none runs is "waiting": the parts add up to the wall time.

The roof is measured in the same run. A stage's roofline time is the sum of the least
times of its kernels, each bound by arithmetic or by memory; more than 100 % means
that values were still in a cache.

Backends: run on CPUs. Traces of an H200 were read by the same code; there kernels in
CUDA graphs that compute the same share a name, which `XLA_FLAGS=
--xla_gpu_enable_command_buffer=` (no graphs) avoids. Never run on a TPU; attribution was
tried on a program compiled for TPU v5e.
"""

import importlib.machinery
import importlib.util
import pathlib
import sys

_FOLDER = pathlib.Path(__file__).resolve().parent


def _path_without_this_folder() -> list[str]:
    return [entry for entry in sys.path if pathlib.Path(entry).resolve() != _FOLDER]


def _become_standard_profile() -> None:
    """Gives way to the standard library's module of the same name.

    Whoever runs another script of this folder has the folder first on the path, and
    `cProfile`, which PyTorch imports, asks for `profile`.
    """
    spec = importlib.machinery.PathFinder.find_spec(
        "profile", _path_without_this_folder()
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["profile"] = module
    spec.loader.exec_module(module)


if __name__ == "profile":
    _become_standard_profile()
else:
    if __name__ == "__main__":
        # Started by its path: import from the root without hiding `profile`.
        sys.path[:] = [str(_FOLDER.parent), *_path_without_this_folder()]

        from hrnet_jax.config import arenas

        # As every script begins.
        arenas.share_one_arena()
    from benchmarks.profiling.command import main

if __name__ == "__main__":
    main()
