"""The same question asked on the host and on a mount."""

import errno
import os
from collections.abc import Callable
from pathlib import Path


class Both:
    """A fresh directory on the host and one on the mount."""

    def __init__(self, host: Path, mount: Path) -> None:
        """Keeps both."""
        self.host = host
        self.mount = mount

    def say(self, ask: Callable[[Path], object]) -> tuple[object, object]:
        """Returns what the host answers, and what the mount; an error is its errno's name."""
        answers = []
        for place in (self.host, self.mount):
            try:
                answers.append(ask(place))
            except OSError as error:
                answers.append(errno.errorcode[error.errno or 0])
        return answers[0], answers[1]


def with_open(path: Path, flags: int, use: Callable[[int], object]) -> object:
    """Returns what a function makes of a descriptor."""
    descriptor = os.open(path, flags, 0o644)
    try:
        return use(descriptor)
    finally:
        os.close(descriptor)
