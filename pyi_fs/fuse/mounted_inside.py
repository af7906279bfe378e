"""Whether anything is mounted on a directory of our own mount, as far as this process sees.

A name that the kernel forgets loses what is mounted on it, so a mount that has something inside
tells it the changed names one by one. Asked at every publish: the list of mounts is read again only
if it has changed, which poll(2) says.

Source: proc_pid_mountinfo(5); Documentation/filesystems/proc.rst, *poll* of mounts.
"""

import os
import select


class MountedInside:
    """Looks for mounts whose parent is ours. `number`: the major:minor of our mount."""

    def __init__(self, number: str) -> None:
        """Opens the list; looks at it when it is asked."""
        self._number = number.encode()
        self._descriptor = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLPRI)
        self._found: bool | None = None

    def any(self) -> bool:
        """Returns whether something is mounted inside now."""
        if self._found is None or self._poll.poll(0):
            self._found = self._look()
        return self._found

    def _look(self) -> bool:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        text = bytearray()
        while part := os.read(self._descriptor, 1 << 16):
            text += part
        # Not `splitlines`: a path may have a carriage return in it.
        lines = bytes(text).rstrip(b"\n").split(b"\n")
        rows = [line.split(b" ", 3)[:3] for line in lines]
        ours = {mount for mount, _, number in rows if number == self._number}
        return any(parent in ours for _, parent, _ in rows)

    def close(self) -> None:
        """Closes the list."""
        os.close(self._descriptor)
