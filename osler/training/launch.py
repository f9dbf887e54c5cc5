"""Several processes on one machine, started and watched by torchrun's own launcher (torch.distributed.elastic)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence


def launch(processes: int, arguments: Sequence[str]) -> tuple[int, str]:
    """Runs `osler` with these arguments in so many processes: the exit code, and what went wrong in words.

    The first to fail ends them all. Ctrl-C and SIGTERM are passed on to all, which have 30 s to save their work. What
    the first process had to say, it has said itself.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    logging.disable()  # what there is to say is told here, in a line
    with tempfile.TemporaryDirectory(prefix="osler-") as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id="osler",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "osler", *arguments)
        except ChildFailedError as error:
            # Those that were killed came first: the others failed for want of them, or the launcher ended them.
            failures = error.failures.items()
            rank, failure = min(failures, key=lambda item: (not _killed(item[1].exitcode), item[1].timestamp))
            return _told(rank, processes, failure.exitcode, failure.message)
        except SignalException as told:
            return 128 + told.sigval, ""
    return 0, ""


def _killed(code: int) -> bool:
    return code < 0 and code != -signal.SIGTERM


def _told(rank: int, processes: int, code: int, message: object) -> tuple[int, str]:
    which = f"process {rank} of {processes}"
    if code < 0:
        name = signal.Signals(-code).name
        return 1, f"{which} was killed ({name}), and the others ended; `osler resume` goes on from the last checkpoint"
    if rank == 0 or not isinstance(message, dict):
        return code, ""
    return code, f"{which}: {message['message'].partition(': ')[2]}"
