"""What a command leaves to do that nobody waits for: done once it was answered.

Closing files, above all: three or more for a layer, and where much was written its runs are written
beside it first.

Invariants:
- What is put off changes nothing that anybody can ask for, and nothing on disk that counts; a
  process that dies before it has lost nothing.
- It is done before the next request is read, or at once where nobody says that he puts off.
"""

from collections import deque
from collections.abc import Callable


class Afterwards:
    """What one workspace's commands left to do, in order."""

    def __init__(self) -> None:
        """Puts nothing off."""
        self._waiting: deque[Callable[[], object]] = deque()
        self.puts_off = False
        """Whether `add` puts off: somebody is going to call `run`."""

    def add(self, act: Callable[[], object]) -> None:
        """Does something at the next `run`, or now."""
        if self.puts_off:
            self._waiting.append(act)
        else:
            act()

    def run(self) -> None:
        """Does what was put off. What one of them raises is raised; the others wait."""
        self.puts_off = False
        while self._waiting:
            self._waiting.popleft()()
