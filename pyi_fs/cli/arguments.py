"""What people write on command lines, and what it means."""

import re
from pathlib import Path
from typing import NamedTuple

import click

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|min|h|)")
# Longer than any job; a slip of the keyboard rather than a wish.
_SECONDS_MAX = 7 * 24 * 3600.0


class Place(NamedTuple):
    """A workspace, perhaps at a snapshot of it."""

    workspace: str
    at: str | None

    def __str__(self) -> str:
        return self.workspace if self.at is None else f"{self.workspace}@{self.at}"


def place(text: str) -> Place:
    """Returns what `WORKSPACE[@SNAPSHOT]` means; `click.BadParameter` for half of it."""
    workspace, at, snapshot = text.partition("@")
    if not workspace or (at and not snapshot):
        raise click.BadParameter(f"'{text}' is not WORKSPACE or WORKSPACE@SNAPSHOT")
    if "/" in text:
        raise click.BadParameter(f"'{text}' is a path, where the name of a workspace belongs")
    return Place(workspace, snapshot or None)


def is_directory(text: str) -> bool:
    """Returns whether the argument of `--from` means a directory of the host.

    It does with a `/` in it, or as `.` or `..`; else it is a workspace, whatever lies around.
    """
    return "/" in text or text in (".", "..")


class Seconds(click.ParamType[float]):
    """A duration: `30s`, `5m`, `1h`, `250ms`, or a number of seconds."""

    name = "DURATION"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns the seconds; fails for what is no duration, is nothing, or is over a week."""
        if isinstance(value, int | float):
            return float(value)
        found = _DURATION.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"'{value}' is no duration: write 30s, 5m or 1h", param, ctx)
        seconds = float(found[1]) * _SECONDS[found[2]]
        if not 0 < seconds <= _SECONDS_MAX:
            self.fail(f"'{value}' is not between 1ms and a week", param, ctx)
        return seconds


def device_label(store: Path, where: Place) -> str:
    """Returns what `findmnt` shows as the source of a mount: `STORE#WORKSPACE[@SNAPSHOT]`."""
    return f"{store}#{where}"


def parsed_label(text: str) -> tuple[Path | None, Place]:
    """Returns the store (None: the default one) and the place of a device label."""
    store, mark, rest = text.rpartition("#")
    if mark and not store.startswith("/"):
        raise click.BadParameter(f"'{text}': the store before '#' is an absolute path")
    if not mark and "/" in text:
        raise click.BadParameter(f"'{text}' names no workspace: write STORE#WORKSPACE")
    return (Path(store) if mark else None), place(rest)
