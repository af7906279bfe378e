"""The layers of the tests, lowest first: a failure in one keeps those above it from running."""

LAYERS = (
    "model",
    "format",
    "store",
    "engine",
    "properties",
    "crash",
    "control",
    "git",
    "fuse",
    "posix",
    "disks",
    "cli",
)
"""Folders of `tests`, lowest first; everything else comes after them."""


def layer_of(test: str) -> int:
    """Returns where in the order of layers a test stands, given by its node id."""
    folder = test.removeprefix("tests/").partition("/")[0]
    return LAYERS.index(folder) if folder in LAYERS else len(LAYERS)


def layer_name(index: int) -> str:
    """Returns the name of a layer for people."""
    return LAYERS[index] if index < len(LAYERS) else "the rest"
