"""Fresh inode numbers for one branch, from ranges reserved in its workspace."""

from pyi_fs import limits
from pyi_fs.engine.services import LayerServices
from pyi_fs.ids import InodeNumber


class InodeNumbers:
    """Gives out numbers nobody in the workspace used; ranges double: a short branch wastes few."""

    def __init__(self, services: LayerServices) -> None:
        """Reserves nothing yet."""
        self._services = services
        self._next = InodeNumber(0)
        self._end = InodeNumber(0)
        self._count = limits.INODE_RANGE_MIN

    def take(self) -> InodeNumber:
        """Returns the next number; `NoSpaceError` when a workspace has used all."""
        if self._next >= self._end:
            self._next, self._end = self._services.reserve_inodes(self._count)
            self._count = min(self._count * 2, limits.INODE_RANGE_MAX)
        number = self._next
        self._next = InodeNumber(number + 1)
        return number
