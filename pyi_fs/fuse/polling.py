"""What the request loops of one process share: its right to poll, and a look at all its devices.

A loop polls its own device without yielding to the event loop. Where several mounts are served by
one process, the others' requests would wait meanwhile: so a poll is of all devices, and a loop that
finds another's request yields at once.
"""

import select

from pyi_fs.fuse.polling_tokens import PollingTokens


class Polling:
    """Of one process: it has one core to poll on, however many mounts it serves."""

    def __init__(self, tokens: PollingTokens) -> None:
        """`tokens`: the process's share in who may poll."""
        self.tokens = tokens
        self._poll = select.poll()
        self._devices: set[int] = set()
        self.poll = self._poll.poll
        """Returns what can be read, given how long to wait, as `select.poll` does."""
        self.is_shared = False
        """Whether there is more than one device."""
        self.others = 0
        """Tasks that have something to do beside the loops: meanwhile these yield to them."""

    def add(self, device: int) -> None:
        """A loop reads this device from now on."""
        self._devices.add(device)
        self._poll.register(device, select.POLLIN)
        self.is_shared = len(self._devices) > 1

    def remove(self, device: int) -> None:
        """A loop has ended, whose device is still open; with the last one the tokens go."""
        self._devices.discard(device)
        self._poll.unregister(device)
        self.is_shared = len(self._devices) > 1
        if not self._devices:
            self.tokens.close()

    def is_for(self, device: int, found: list[tuple[int, int]]) -> bool:
        """Returns whether what `poll` found is for one device alone: nobody else waits."""
        return not self.is_shared or (len(found) == 1 and found[0][0] == device)
