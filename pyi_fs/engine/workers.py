"""Processes that do heavy work for a mount, one piece each, and end when the mount does.

A worker's standard input is a pipe that its mount holds and never writes to: when the mount is
gone, however it went, the pipe is closed and the worker ends itself. Not `PR_SET_PDEATHSIG`: the
signal comes when the *thread* dies that started the process (prctl(2)), and trio starts processes
in threads that end after ten idle seconds, so that no work of more than that was ever finished.

What the next server of a mount profits from is finished all the same: a base table that is begun
anew at each death is never written, and each server folds more than the one before.
"""

import logging
import subprocess
from collections.abc import Sequence
from functools import partial

import trio

logger = logging.getLogger(__name__)

_ERROR_BYTES_MAX = 2000


class Workers:
    """Starts workers, and waits for them."""

    def __init__(self, command: Sequence[str]) -> None:
        """`command`: the command line of the worker program; its arguments are appended."""
        self._command = tuple(command)

    async def do(self, *arguments: str, outlives: bool = False) -> bool:
        """Has one piece of work done; returns whether it was. A cancelled one is killed.

        What went wrong is logged. `outlives`: it is finished if this process is killed.
        """
        errors = bytearray()
        returned: int | None = None
        try:
            async with trio.open_nursery() as nursery:
                process = await nursery.start(partial(self._run, arguments, outlives))
                async for data in process.stderr:
                    errors += data
                    del errors[:-_ERROR_BYTES_MAX]
                returned = await process.wait()
        except* OSError as group:
            logger.warning("no worker process: %s", group.exceptions[0])
        if returned:
            text = errors.decode(errors="replace")
            logger.warning("worker %s ended with %d: %s", arguments[0], returned, text)
        return returned == 0

    async def _run(
        self,
        arguments: Sequence[str],
        outlives: bool,
        *,
        task_status: trio.TaskStatus[trio.Process],
    ) -> None:
        await trio.run_process(
            [*self._command, *arguments],
            stdin=subprocess.DEVNULL if outlives else subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            task_status=task_status,
        )
