"""A dictionary whose changes are noted in the ledger.

For what few requests change: each change waits for the ledger's `commit`, which the transport calls
before it answers.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from pyi_fs.fuse.ledger import Key, Ledger, Value

_K = TypeVar("_K")
_V = TypeVar("_V")
_NOTHING: Any = object()


class KeptDict(dict[_K, _V]):
    """Item assignment, `del` and `pop` are noted; nothing else may change it.

    `encode` makes of a value what the ledger keeps: numbers, bytes, texts and lists of them.
    """

    def __init__(self, ledger: Ledger, table: str, encode: Callable[[_V], Value]) -> None:
        """Begins empty; `restore` gives it what a dead server noted."""
        super().__init__()
        self._put = ledger.put
        self._is_kept = ledger.survives
        self._table = table
        self._encode = encode

    def restore(self, key: _K, value: _V) -> None:
        """Takes over what the ledger has already."""
        super().__setitem__(key, value)

    def __setitem__(self, key: _K, value: _V) -> None:
        dict.__setitem__(self, key, value)
        if self._is_kept:
            self._put(self._table, cast(Key, key), self._encode(value))

    def __delitem__(self, key: _K) -> None:
        super().__delitem__(key)
        self._put(self._table, cast(Key, key), None)

    def pop(self, key: _K, default: Any = _NOTHING, /) -> Any:
        """Removes a key and returns its value; as `dict.pop`."""
        if key not in self:
            if default is _NOTHING:
                raise KeyError(key)
            return default
        value = self[key]
        del self[key]
        return value
