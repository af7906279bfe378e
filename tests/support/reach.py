"""Lets other users walk to a directory of a test; pytest makes its own for one user only."""

import os
import tempfile
from pathlib import Path


def let_everybody_reach(path: Path) -> None:
    """Opens a directory and those above it, up to the system's directory of temporary files.

    How many lie between depends on whether the tests run in one process or several.
    """
    top = Path(tempfile.gettempdir())
    for place in (path, *path.parents):
        if place == top or not place.is_relative_to(top):
            break
        os.chmod(place, 0o755)
