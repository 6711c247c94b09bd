"""Runs one command on a slice of Cloud TPU VMs, and again where that is taken away.

    python scripts/tpu/vm.py --name=w48 --topology=v5e:4x4 --zone=us-west4-a --spot -- \\
        scripts/train.py --config=experiments/segmentation/cityscapes.py \\
        --config.dataset.data_dir=gs://BUCKET/data --workdir=gs://BUCKET/runs/w48

Rents the slice as a queued resource, copies this checkout to its hosts, installs it and
runs the command on all of them. Where the slice is preempted, or the command ends with
exit code 75 (stopped with everything saved), a new slice takes the run up again.
--dry_run prints every command and every file. Needs gcloud. See docs/tpu.md.

Exit codes: that of the command, 2 for wrong input, 130 after Ctrl-C, which leaves the
slice as it is and says how to give it back.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse

from hrnet_jax.launching import command_line, tpu_vm


def make_parser() -> argparse.ArgumentParser:
    """Options of this launcher."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument("--zone", required=True, help="such as us-west4-a")
    parser.add_argument("--project", help="default: that of gcloud's configuration")
    parser.add_argument(
        "--service_account", help="whose permissions the hosts have (an e-mail address)"
    )
    parser.add_argument(
        "--runtime_version",
        dest="runtime",
        metavar="RUNTIME_VERSION",
        help="operating system (default: that of the chip)",
    )
    parser.add_argument(
        "--wait_minutes",
        type=float,
        default=1440,
        help="at most, for the slice to become active (default: 1440)",
    )
    parser.add_argument(
        "--poll_seconds",
        type=float,
        default=30,
        help="between two questions for its state (default: 30)",
    )
    parser.add_argument(
        "--max_restarts",
        type=int,
        default=100,
        help="how often the run may be taken up again (default: 100)",
    )
    parser.add_argument(
        "--delete_after",
        action="store_true",
        help="give the slice back when the run has ended, however it did",
    )
    return parser


def main() -> None:
    """Runs the job, or prints what that would be."""
    command_line.launch(make_parser(), tpu_vm.Options, tpu_vm.launch)


if __name__ == "__main__":
    main()
