"""What a check of a store found: values, and the list they are gathered in."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from pyi_fs.errors import CorruptError

Severity = Literal["error", "warning", "note"]
"""`error`: something that was acknowledged cannot be read.

`warning`: nothing is lost yet, or what is lost was never promised.
`note`: what a crash or a running process leaves behind."""

PATHS_MAX = 1_000
"""Paths and refs kept of one finding: a lost pack touches everything, and a list of it helps
nobody."""

YOUNG_SECONDS = 60
"""From its first byte to its name a file takes milliseconds; a table of a large tree some seconds,
all the while growing."""

_ORDER = {"error": 0, "warning": 1, "note": 2}


class Finding(NamedTuple):
    """One thing that is not as it should be.

    `kind` is a word (`journal`, `chunk`, …), `file` is relative to the store. `paths`: files whose
    content or attributes it touches. `refs`: whose, as `WORKSPACE/BRANCH` or `WORKSPACE@SNAPSHOT`.
    """

    severity: Severity
    kind: str
    file: str
    message: str
    paths: tuple[bytes, ...] = ()
    refs: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns one line for people."""
        text = f"{self.severity}: {self.file or 'store'}: {self.message}"
        if self.paths:
            first = self.paths[0].decode(errors="backslashreplace")
            text += f" (touches {first}" + (
                f" and {len(self.paths) - 1} more)" if self.paths[1:] else ")"
            )
        return text + (f" [{', '.join(self.refs)}]" if self.refs else "")


_Key = tuple[Severity, str, str, str]


def is_young(path: str) -> bool:
    """Returns whether a file of the host may be half made by a running process, or is gone."""
    try:
        return time.time() - os.stat(path).st_mtime < YOUNG_SECONDS
    except FileNotFoundError:
        return True


class Report:
    """Findings being gathered: the same thing found again adds its paths and refs."""

    def __init__(self, progress: Callable[[str], None] | None = None) -> None:
        """Starts with nothing found; `progress` is told the name of each file that is looked at."""
        self._found: dict[_Key, tuple[dict[bytes, None], dict[str, None]]] = {}
        self._progress = progress

    def looking_at(self, file: str) -> None:
        """Tells who waits."""
        if self._progress is not None:
            self._progress(file)

    def add(
        self,
        severity: Severity,
        kind: str,
        file: str,
        message: str,
        *,
        paths: Iterable[bytes] = (),
        refs: Iterable[str] = (),
    ) -> None:
        """Adds a finding, or paths and refs to the one that is there."""
        all_paths, all_refs = self._found.setdefault((severity, kind, file, message), ({}, {}))
        for path in paths:
            if len(all_paths) < PATHS_MAX:
                all_paths[path] = None
        for ref in refs:
            if len(all_refs) < PATHS_MAX:
                all_refs[ref] = None

    @contextmanager
    def examining(self, kind: str, file: str, *, refs: Iterable[str] = ()) -> Iterator[None]:
        """Makes a finding of whatever the block raises.

        A file that is gone is the caller's to judge.
        """
        try:
            yield
        except CorruptError as error:
            self.add("error", kind, error.file, str(error), refs=refs)
        except Exception as error:  # noqa: BLE001
            # A damaged byte may make a decoder do anything, and a check that dies of it is none.
            self.add("error", kind, file, f"{type(error).__name__}: {error}", refs=refs)

    def findings(self) -> list[Finding]:
        """Returns all findings, errors first."""
        found = [
            Finding(*key, tuple(paths), tuple(refs)) for key, (paths, refs) in self._found.items()
        ]
        return sorted(found, key=lambda finding: (_ORDER[finding.severity], finding.file))
