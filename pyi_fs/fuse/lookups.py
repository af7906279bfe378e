"""How often the kernel has been told of each node: what it may still ask about.

A walk of 200,000 unchanged files must not make 200,000 Python objects: counts stand in pages of
machine words, one page for 1,024 neighbouring node ids, and a page goes when its last count does.
Node ids of one view are dense, so that is 4 bytes a node. A count of 2**32 - 1 goes on in a
dictionary; no mount has reached that.

The pages are the ledger's: a server that takes over finds them there.
"""

from array import array
from collections.abc import Iterable, Iterator

from pyi_fs.fuse.ledger import Ledger, MemoryLedger, NoLedger, Word
from pyi_fs.ids import NodeId

_PAGE_BITS = 10
_PAGE_NODES = 1 << _PAGE_BITS
_MASK = _PAGE_NODES - 1
_USED = _PAGE_NODES
_COUNT_MAX = (1 << 32) - 1
_COUNTED = Word.COUNTED.value


class LookupCounts:
    """Counts lookups of nodes.

    A node that was never looked up, or forgotten as often, is unknown.
    """

    __slots__ = ("_excess", "_ledger", "_pages", "_words")

    def __init__(self, ledger: Ledger | None = None) -> None:
        """Begins with the nodes that a dead server's ledger knows, else with none."""
        self._ledger = NoLedger() if ledger is None else ledger
        self._words = self._ledger.words
        # page: counts of 1,024 nodes, then how many of them are not 0
        self._pages: dict[int, memoryview[int] | array[int]] = {}
        self._excess: dict[NodeId, int] = {}
        if isinstance(self._ledger, MemoryLedger):
            for key, page in list(self._ledger.kept_pages()):
                # Counted again: the server may have died between a count and its page's.
                page[_USED] = sum(map(bool, page[:_PAGE_NODES]))
                if page[_USED]:
                    self._pages[key] = page
                else:
                    self._ledger.free_page(key)

    def __contains__(self, node: NodeId) -> bool:
        page = self._pages.get(node >> _PAGE_BITS)
        return page is not None and page[node & _MASK] != 0

    def add(self, node: NodeId) -> None:
        """Counts one lookup."""
        page = self._pages.get(node >> _PAGE_BITS)
        if page is None:
            page = self._ledger.new_page(node >> _PAGE_BITS)
            self._pages[node >> _PAGE_BITS] = page
        index = node & _MASK
        count = page[index]
        if count == 0:
            # Told before it is done: to take back a first lookup that was not counted is nothing.
            # Not so a later one: rather one too many than one too few.
            self._words[_COUNTED] = node
            page[_USED] += 1
        if count == _COUNT_MAX:
            self._excess[node] = self._excess.get(node, 0) + 1
        else:
            page[index] = count + 1
        self._words[_COUNTED] = node

    def add_all(self, nodes: Iterable[NodeId]) -> None:
        """Counts one lookup each of the nodes of a listing, most of which are in one page.

        None is told to the ledger by its number: of a listing that a server died in the counts stay
        too high, if the kernel asks again, by one each. That is none too few.
        """
        key, page, first = -1, None, 0
        for node in nodes:
            if page is None or node >> _PAGE_BITS != key:
                key = node >> _PAGE_BITS
                page = self._pages.get(key)
                if page is None:
                    page = self._pages[key] = self._ledger.new_page(key)
                first = key << _PAGE_BITS
            count = page[node - first]
            if count == _COUNT_MAX:
                self._excess[node] = self._excess.get(node, 0) + 1
                continue
            if count == 0:
                page[_USED] += 1
            page[node - first] = count + 1

    def drop(self, node: NodeId, count: int) -> bool:
        """Takes back `count` lookups.

        Returns whether the node is unknown from now on (and was not before).
        """
        page = self._pages.get(node >> _PAGE_BITS)
        index = node & _MASK
        if page is None or page[index] == 0:
            return False
        left = page[index] + self._excess.pop(node, 0) - count
        if left > 0:
            page[index] = min(left, _COUNT_MAX)
            if left > _COUNT_MAX:
                self._excess[node] = left - _COUNT_MAX
            return False
        page[index] = 0
        page[_USED] -= 1
        if page[_USED] == 0:
            del self._pages[node >> _PAGE_BITS]
            self._ledger.free_page(node >> _PAGE_BITS)
        return True

    def between(self, start: int, end: int) -> Iterator[NodeId]:
        """Yields the known nodes in `[start, end)`, in no order; both are multiples of 1,024."""
        for key in [key for key in self._pages if start <= key << _PAGE_BITS < end]:
            page = self._pages[key]
            base = key << _PAGE_BITS
            yield from (NodeId(base + index) for index in range(_PAGE_NODES) if page[index])
