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
import sys

from hrnet_jax.config import command_line, ctrl_c
from hrnet_jax.launching import job, tpu_vm
from hrnet_jax.launching.shell import Shell


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own command line and, after `--`, that of the job."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [options] -- SCRIPT.py [arguments]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    job.add_arguments(parser)
    parser.add_argument("--zone", required=True, help="such as us-west4-a")
    parser.add_argument("--project", help="default: that of gcloud's configuration")
    parser.add_argument(
        "--service_account", help="whose permissions the hosts have (an e-mail address)"
    )
    parser.add_argument(
        "--runtime_version", help="operating system (default: that of the chip)"
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
    return job.parse(parser, argv)


def main() -> None:
    """Runs the job, or prints what that would be."""
    arguments, command = parse_arguments(sys.argv[1:])
    with command_line.reporting_errors():
        shell = Shell(arguments.dry_run)
        options = tpu_vm.Options(
            zone=arguments.zone,
            project=arguments.project,
            spot=arguments.spot,
            service_account=arguments.service_account,
            runtime=arguments.runtime_version,
            wait_minutes=arguments.wait_minutes,
            poll_seconds=arguments.poll_seconds,
            max_restarts=arguments.max_restarts,
            delete_after=arguments.delete_after,
        )
        pod_slice = tpu_vm.PodSlice(job.make_job(arguments, command), options, shell)
        if arguments.dry_run:
            pod_slice.show()
            return
        ctrl_c.is_handled_by(tpu_vm.stop)
        try:
            code = pod_slice.run()
        except KeyboardInterrupt:
            code = ctrl_c.EXIT_CODE
    sys.exit(code)


if __name__ == "__main__":
    main()
