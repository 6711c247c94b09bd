"""Shows what differs between runs and what came out, best first.

    python scripts/collect.py runs/sweep
    python scripts/collect.py runs/a runs/b --out=comparison

Takes folders of sweeps, of runs, and folders that hold runs; runs may still train. It
prints a table, and writes it as table.md, table.csv and table.html, with pictures of
the curves of all runs, of how much each key mattered, and of the values by key. What is
best is told by the metric that ranks the checkpoints of a run, on the evaluation split.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line

# In the folder that is named first.
_OUT = "collected"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders", nargs="+", metavar="DIR", help="sweeps, runs, or folders of runs"
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help=f"folder for table and pictures (default: {_OUT} in the first DIR)",
    )
    return parser.parse_args()


def main() -> None:
    """Prints one table, and writes it with pictures."""
    arguments = parse_arguments()
    with command_line.reporting_errors():
        # Late, so that help need not wait for matplotlib.
        from hrnet_jax.storage.paths import as_path
        from hrnet_jax.sweeps import tables
        from hrnet_jax.sweeps.collecting import collect
        from hrnet_jax.sweeps.plots import draw_all
        from hrnet_jax.whole_files import write_whole

        runs = collect(arguments.folders)
        header, rows = tables.table_of(runs)
        text = tables.as_markdown(header, rows)
        sys.stdout.write(f"{text}\n")
        out = as_path(arguments.out or as_path(arguments.folders[0]) / _OUT)
        out.mkdir(parents=True, exist_ok=True)
        pictures, remarks = draw_all(runs, out)
        title = ", ".join(arguments.folders)
        page = tables.as_html(title, header, rows, remarks, pictures)
        write_whole(out / "table.md", f"{text}\n")
        write_whole(out / "table.csv", tables.as_csv(header, rows))
        write_whole(out / "table.html", page)
        sys.stderr.writelines(f"note: {remark}\n" for remark in remarks)
    sys.stdout.write(f"{out}\n")


if __name__ == "__main__":
    main()
