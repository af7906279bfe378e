"""Python's collector of reference cycles: off while modules are loaded, rare in a server.

Loading makes tens of thousands of objects that all stay; looking for garbage among them took a
twentieth of the time of `pyi-mount`. And whenever what a server had made since had grown by a
quarter, it looked through all of them again, some 10 ms in which nobody is answered.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects that are made until the youngest are looked at, and how often until the others are. What a
# request makes has no cycles but for a failure's traceback, which may hold the data of a write (the
# translator lets go of it): 700 objects, the default, is every tenth request.
_SERVING = (4_000, 10, 20)


@contextmanager
def loading() -> Iterator[None]:
    """Looks for no garbage meanwhile, and never in what there is by then."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """Has a process that goes on for hours look seldom, and not at what it began with."""
    gc.freeze()
    gc.set_threshold(*_SERVING)


def let_go() -> None:
    """Frees what a session had that is no more, also of what `settle` put aside; takes some 20 ms.

    Parts of a mount know each other, and have descriptors.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
