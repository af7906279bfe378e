"""Runs lines of bash for the quickstart, shows and times them, and leaves nothing mounted."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

# Longer than mounting takes on any machine; a hang must end the run.
PATIENCE_SECONDS = 60
WIDTH = 110


class QuickstartError(Exception):
    """Something did not do what was said; the message is a sentence."""


class Ran(NamedTuple):
    """A line that was run: where, its standard output and error, how long it took."""

    line: str
    where: str
    output: str
    seconds: float


class Session:
    """Lines run below a directory, each by a bash that leads a session of its own.

    `took`: seconds of the lines that count towards something, by what that is.
    Lines may be run by several threads; sets and dicts bear that.
    """

    def __init__(self, base: Path, variables: dict[str, str]) -> None:
        """Starts nothing yet; `variables` are added to the environment of the lines."""
        self.base = base
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            # A log has no edge at which to fold.
            self.console = Console(highlight=False, width=WIDTH)
        self.took: dict[str, list[float]] = {}
        self._is_over = False
        self._running: set[subprocess.Popen[str]] = set()
        self._environment = {**os.environ, **variables}

    def say(self, text: str = "", style: str = "") -> None:
        """Prints a line."""
        self.console.print(Text(text, style))

    def title(self, text: str) -> None:
        """Prints the title of a step."""
        self.say()
        self.say(text, "bold green")

    def show(self, ran: Ran) -> None:
        """Prints a line that was run, and the end of what it said."""
        prompt = Text.assemble(
            (f"{duration(ran.seconds):>9}", "cyan"), f"  {ran.where}$ ", (ran.line, "bold")
        )
        self.console.print(prompt, soft_wrap=True)
        for line in ran.output.expandtabs().rstrip().splitlines()[-12:]:
            self.console.print(Text(" " * 11 + line), soft_wrap=True)

    def run(
        self, line: str, where: str = "", *, what: str = "", statuses: tuple[int, ...] = (0,)
    ) -> Ran:
        """Runs a line in a directory below the base; its time counts towards `what`.

        `QuickstartError` with what it said if it ends with another status.
        """
        started = time.perf_counter()
        process = self._start(line, where)
        output, _ = process.communicate()
        self._running.discard(process)
        seconds = time.perf_counter() - started
        if self.is_over():
            raise QuickstartError(f"interrupted: {line}")
        if process.returncode not in statuses:
            raise QuickstartError(
                f"`{line}` in {self.base / where}: exit status {process.returncode}"
                f"\n{output.strip()}{self._refusal(where)}"
            )
        if what:
            self.took.setdefault(what, []).append(seconds)
        return Ran(line, where, output, seconds)

    def timed(self, what: str, call: Callable[[], object]) -> None:
        """Calls something; its time counts towards `what`."""
        started = time.perf_counter()
        call()
        self.took.setdefault(what, []).append(time.perf_counter() - started)

    def do(self, line: str, where: str = "", *, what: str = "") -> str:
        """Runs a line and shows it; returns its output."""
        ran = self.run(line, where, what=what)
        self.show(ran)
        return ran.output

    def is_over(self) -> bool:
        """Returns whether nothing can be run any more; asked anew, since a signal may say so."""
        return self._is_over

    def stop(self) -> None:
        """Ends what is running; whoever waits for it gets a `QuickstartError`.

        Our own commands are let go on: a mount that is about to be made could not be found and
        ended otherwise. Asked a second time, they are ended too. May be called by a signal handler.
        """
        self._kill(ours_too=self._is_over)
        self._is_over = True

    def end(self) -> list[Path]:
        """Unmounts everything, once nothing runs; returns what was unmounted.

        `QuickstartError` if something stays mounted.
        """
        found = mounted_below(self.base)
        for mountpoint in found:
            self._unmount(mountpoint)
        if left := mounted_below(self.base):
            raise QuickstartError(f"still mounted: {' '.join(map(str, left))}")
        return found

    def _unmount(self, mountpoint: Path) -> None:
        """Unmounts, if need be from under whoever still uses it."""
        lazily = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
        for command in (["pyi-mount", "--unmount"], lazily):
            with contextlib.suppress(subprocess.TimeoutExpired):
                done = subprocess.run(
                    [*command, str(mountpoint)],
                    check=False,
                    env=self._environment,
                    capture_output=True,
                    timeout=PATIENCE_SECONDS,
                    start_new_session=True,
                )
                if done.returncode == 0:
                    return

    def _start(self, line: str, where: str) -> subprocess.Popen[str]:
        if self.is_over():
            raise QuickstartError(f"not run any more: {line}")
        process = subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.base / where,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._running.add(process)
        if self.is_over():
            # Stopped between the question above and now.
            self._kill(ours_too=False)
        return process

    def _kill(self, *, ours_too: bool) -> None:
        for process in list(self._running):
            if ours_too or "pyi-" not in str(process.args):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _refusal(self, where: str) -> str:
        try:
            return f"\n(.pyi/error: {(self.base / where / '.pyi' / 'error').read_text().strip()})"
        except OSError:
            return ""


def mounted_below(base: Path) -> list[Path]:
    """Returns the mountpoints below a directory, newest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # proc(5): blanks and backslashes are octal escapes.
        name = line.split()[4].encode().decode("unicode_escape").encode("latin-1").decode()
        if Path(name).is_relative_to(base):
            found.append(Path(name))
    return found[::-1]


def duration(seconds: float) -> str:
    """Returns a time as a person reads it, with its unit."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def expect(is_so: bool, sentence: str) -> None:
    """Raises `QuickstartError` with a sentence unless it is so."""
    if not is_so:
        raise QuickstartError(sentence)
