"""Runs one command on a TPU slice that SkyPilot finds, as one of its managed jobs.

    python scripts/tpu/skypilot.py --name=w48 --topology=v5e:4x4 --spot -- \\
        scripts/train.py --config=experiments/segmentation/cityscapes.py \\
        --config.dataset.data_dir=gs://BUCKET/data --workdir=gs://BUCKET/runs/w48

Writes a task and hands it to `sky jobs launch`. SkyPilot looks for the slice in all
zones of --infra, takes the run up again where the slice is preempted or the command
ends with exit code 75 (stopped with everything saved), and gives everything back.
--dry_run prints every command and every file. Needs sky. See docs/tpu.md.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse

from hrnet_jax.launching import command_line, skypilot


def make_parser() -> argparse.ArgumentParser:
    """Options of this launcher."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument(
        "--infra", default="gcp", help="gcp, gcp/REGION or gcp/REGION/ZONE"
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="return once the job is accepted, instead of showing what it prints",
    )
    return parser


def main() -> None:
    """Hands the job to SkyPilot, or prints what that would be."""
    command_line.launch(make_parser(), skypilot.Options, skypilot.launch)


if __name__ == "__main__":
    main()
