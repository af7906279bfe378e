"""docs/control-directory.md: its tables are complete, and its session goes as it says."""

import os
import re
import shlex
import stat
from pathlib import Path

import pytest

from pyi_fs.control.directories import DIRECTORIES, DIRECTORY_NAMES, FILE_NAMES
from pyi_fs.control.log import OPERATION_NAMES
from pyi_fs.control.node import ControlNode
from pyi_fs.errors import RequestError
from tests.support.control_rig import Rig

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "control-directory.md"
TEXT = DOCUMENT.read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| (\d{4}) \|", TEXT, re.MULTILINE))
ID = re.compile(r"\b(\d+)-[0-9a-f]{6}\b")


def test_every_file_and_directory_has_its_row():
    assert sorted(ROWS) == sorted(name.decode() for name in (*FILE_NAMES, *DIRECTORY_NAMES))
    assert {(name,) for name in DIRECTORY_NAMES} | {()} == set(DIRECTORIES)


def test_every_row_says_the_mode(rig: Rig):
    for name, entry in rig.control.entries(rig.node(".pyi")):
        assert isinstance(entry, ControlNode)
        assert ROWS[name.decode()] == f"{stat.S_IMODE(rig.control.mode(entry)):04o}", name


def test_every_operation_is_named():
    for name in OPERATION_NAMES.values():
        assert f"`{name}`" in TEXT


def session() -> list[tuple[str, list[str]]]:
    """Returns the commands of the example, each with the lines it prints."""
    [block] = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(step.split("\n")[0], step.split("\n")[1:-1]) for step in steps]


class Shell:
    """As much of a shell as the example needs: echo, cat, ls, readlink, mkdir, rmdir, and `>`."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def run(self, command: str) -> list[str]:
        words = shlex.split(command)
        if words[-2:-1] == [">"]:
            assert words[0] == "echo", command
            return self.write(words[-1], " ".join(words[1:-2]) + "\n")
        verb, path = words
        if verb in ("mkdir", "rmdir"):
            {"mkdir": self.rig.mkdir, "rmdir": self.rig.rmdir}[verb](path)
            return []
        if verb == "ls":
            return self.rig.ls(path)
        if verb == "readlink":
            return [self.rig.readlink(path)]
        assert verb == "cat", command
        data = self.rig.read(path) if self.is_control(path) else self.rig.content(path)
        return data.decode().splitlines()

    def write(self, path: str, text: str) -> list[str]:
        if not self.is_control(path):
            view, rest = self.rig.view_and_rest(path)
            assert view.branch is not None
            self.rig.replace(rest.decode(), text.encode(), view.branch)
            return []
        try:
            self.rig.write(path, text.encode())
        except RequestError as error:
            return [f"write error: {os.strerror(error.errno)}"]
        return []

    def is_control(self, path: str) -> bool:
        try:
            return isinstance(self.rig.resolve(path), ControlNode)
        except RequestError:
            return False


def test_the_session_goes_as_it_says(rig: Rig):
    """Ids differ in their random part from run to run: their numbers are compared."""
    shell = Shell(rig)
    steps = session()
    assert len(steps) > 20
    for command, expected in steps:
        found = shell.run(command)
        assert [ID.sub(r"\1", line) for line in found] == [
            ID.sub(r"\1", line) for line in expected
        ], command


@pytest.mark.parametrize("name", ["merge", "metrics"])
def test_what_is_not_there_is_not_promised(name: str):
    assert f"`{name}`" not in TEXT
