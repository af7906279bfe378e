"""What ps(1) shows of this process.

The kernel reads a command line from where it put it when the program began; behind it lies the
environment, whose place may be used as well (the C library gets copies of its variables first).

Source: proc_pid_cmdline(5), proc_pid_stat(5) (`arg_start` and the three after it), and
get_mm_proctitle in fs/proc/base.c: a line that runs into the environment is one string.
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

_STAT = Path("/proc/self/stat")
# Their places among the fields behind the name of the program, which may hold blanks.
_FIRST, _LAST = 45, 49


def set_command_line(words: Sequence[str]) -> None:
    """Shows these words, or as much of them as there is room for.

    Nothing happens where the kernel does not say where the line is (in a namespace of its own).
    """
    fields = _STAT.read_text().rpartition(")")[2].split()
    start, end, environment, limit = (int(field) for field in fields[_FIRST:_LAST])
    if not 0 < start < end or environment != end or limit < end:
        return
    for name, value in os.environb.items():
        os.putenv(name, value)
    text = b" ".join(map(os.fsencode, words))[: limit - start - 1]
    # With a NUL in its last byte the old place is all that is shown, else up to the first NUL.
    line = text.ljust(end - start, b"\0") + b"\0"
    ctypes.memmove(start, line, len(line) if len(text) >= end - start else end - start)
