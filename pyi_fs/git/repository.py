"""A git repository as export needs it: found or made, asked through git itself.

Only refs and objects are ever written (by `git fast-import`, `stream.py`): never a work tree, an
index, HEAD or a branch that is checked out. Nothing is written through a symbolic link, and no hook
of the repository runs: who wrote it may be who is to be kept in a sandbox.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyi_fs.errors import (
    AccessDeniedError,
    InvalidArgumentError,
    NotFoundError,
    RequestError,
)

TRAILER = "Pyi-Snapshot"
"""Ends the message of every commit made here, with the snapshot's id."""
IGNORING_TRAILER = "Pyi-Left-Out"
"""In the message of a commit made with `--respect-gitignore`."""

# Those GIT_* variables that choose which configuration of the user counts; all others name
# repositories and are dropped.
_KEPT_VARIABLES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")
# How far back a commit made here is looked for below one that was not.
_SEARCH_COMMITS_MAX = 1000


class GitCommit(NamedTuple):
    """A commit as the trailers tell: `snapshot` is the id in its trailer, "" if it has none."""

    id: str
    time: int
    snapshot: str
    ignoring: bool


class Git:
    """Runs git with a clean environment; standard input is never the user's."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """`environment` says where PATH and the user's configuration are; None: the usual ones."""
        if environment is None:
            environment = {"PATH": os.defpath, "HOME": str(Path.home())}
        clean = {
            name: value
            for name, value in environment.items()
            if not name.startswith("GIT_") or name in _KEPT_VARIABLES
        }
        self.environment = {**clean, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
        found = shutil.which("git", path=clean.get("PATH", os.defpath))
        if found is None:
            raise NotFoundError("git is not installed (not found in PATH)")
        self.program = found

    def run(
        self, arguments: Sequence[str], *, data: bytes = b"", ok: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a git command to its end; `RequestError` if its exit code is not in `ok`."""
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=data,
            capture_output=True,
            check=False,
        )
        if done.returncode not in ok:
            raise RequestError(f"git: {complaint(done.stderr) or f'exit code {done.returncode}'}")
        return done


def complaint(stderr: bytes) -> str:
    """Returns the line of git's standard error that says what is wrong, without its prefix."""
    lines = [line for line in stderr.decode(errors="backslashreplace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    line = fatal[0] if fatal else lines[-1] if lines else ""
    return line.removeprefix("fatal: ").removeprefix("error: ")


class Repository:
    """An existing repository; use `open_repository`."""

    def __init__(self, git: Git, path: Path, directory: str) -> None:
        """`directory` is the git directory of the repository whose top is `path`."""
        self.git = git
        self.path = path
        self.directory = directory

    def command(self, *arguments: str) -> list[str]:
        """Returns the arguments of a git command for this repository, without its hooks."""
        # fast-import runs the hook reference-transaction.
        return [f"--git-dir={self.directory}", "-c", f"core.hooksPath={os.devnull}", *arguments]

    def ask(self, *arguments: str, ok: Sequence[int] = (0,)) -> str:
        """Returns what a git command prints, stripped of line ends."""
        done = self.git.run(self.command(*arguments), ok=ok)
        return done.stdout.decode(errors="surrogateescape").strip("\n")

    def identity(self) -> tuple[str, str]:
        """Returns name and address that git would commit with here, or those of pyi-fs."""
        text = self.ask("config", "--null", "--get-regexp", r"^user\.(name|email)$", ok=(0, 1))
        values = dict(item.partition("\n")[::2] for item in text.split("\0") if item)
        name, email = (_person(values.get(f"user.{key}", "")) for key in ("name", "email"))
        return (name or "pyi-fs", email or "pyi@localhost")

    def checked_out(self) -> dict[str, str]:
        """Returns the refs that are checked out somewhere, unborn ones too, with the work tree."""
        found, place, is_bare = {}, "", False
        for line in self.ask("worktree", "list", "--porcelain").splitlines():
            word, _, value = line.partition(" ")
            if word == "worktree":
                place, is_bare = value, False
            elif word == "bare":
                is_bare = True
            elif word == "branch" and not is_bare:
                found[value] = place
        return found

    def refuse_links(self, ref: str) -> None:
        """Raises `AccessDeniedError` if objects or a ref would be written through a link.

        As it is now: who can write to the git directory meanwhile needs no link.
        """
        target = self.ask("symbolic-ref", "--quiet", ref, ok=(0, 1, 128))
        if target:
            raise AccessDeniedError(f"'{ref}' stands for '{target}' (use --git-branch)")
        top = Path(self.ask("rev-parse", "--path-format=absolute", "--git-common-dir"))
        below = [Path(place) for place in ("objects", ref, f"logs/{ref}")]
        ways = {top / part for place in below for part in (place, *place.parents)} - {top}
        with suppress(FileNotFoundError):
            # `pack`, and the 256 directories of loose objects.
            ways.update((top / "objects").iterdir())
        for path in sorted(ways):
            if path.is_symlink():
                raise AccessDeniedError(
                    f"{path} is a symbolic link, through which nothing is written"
                    " (export into another repository, and fetch from that)"
                )

    def resolve(self, revision: str) -> str | None:
        """Returns the id of the commit that a revision names, or None."""
        arguments = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            f"{revision}^{{commit}}",
        ]
        return self.ask(*arguments, ok=(0, 1, 128)) or None

    def contains(self, commit: str, ancestor: str) -> bool:
        """Returns whether a commit is the other one or descends from it."""
        command = self.command("merge-base", "--is-ancestor", ancestor, commit)
        return self.git.run(command, ok=(0, 1)).returncode == 0

    def commits(self, revision: str, count: int = 1) -> list[GitCommit]:
        """Returns a commit and its first parents, newest first, at most `count`."""
        fields = [f"%(trailers:key={key},valueonly)" for key in (TRAILER, IGNORING_TRAILER)]
        layout = "%H%x00%ct%x00" + "%x00".join(fields) + "%x00"
        options = ["--no-show-signature", "--first-parent", f"-{count}"]
        text = self.ask("log", *options, f"--format=tformat:{layout}", revision)
        values = text.split("\0")
        return [
            GitCommit(id_.strip(), int(time), snapshot.strip(), bool(ignoring.strip()))
            for id_, time, snapshot, ignoring in zip(
                values[0::4], values[1::4], values[2::4], values[3::4], strict=False
            )
        ]

    def recent(self, revision: str) -> list[GitCommit]:
        """Returns the commits among which one made here is looked for."""
        return self.commits(revision, _SEARCH_COMMITS_MAX)


def branch_ref(git: Git, name: str) -> str:
    """Returns the full ref of a branch; `InvalidArgumentError` if git takes no such name."""
    full = f"refs/heads/{name}"
    done = git.run(["check-ref-format", full], ok=(0, 1))
    if done.returncode or name.startswith("-") or name == "HEAD":
        raise InvalidArgumentError(f"git takes no branch name {name!r} (use --git-branch)")
    return full


def is_nothing(path: Path) -> bool:
    """Returns whether a repository would be made at a path: an empty directory is nothing."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def open_repository(git: Git, path: Path, *, bare: bool = False, head: str = "") -> Repository:
    """Returns the repository whose top or git directory is `path`; makes it if there is nothing.

    An empty directory is nothing. A new bare repository has `head` as its HEAD, so that a clone of
    it shows something. Never finds a repository further up.
    """
    if is_nothing(path):
        # A bare repository has nothing checked out, so its HEAD may be the branch we write.
        kind = ["--bare", f"--initial-branch={head}"] if bare and head else []
        git.run(["init", "--quiet", *kind, "--", str(path)])
    elif not path.is_dir():
        raise InvalidArgumentError(f"{path} is not a directory")
    real = path.resolve()
    git.environment["GIT_CEILING_DIRECTORIES"] = str(real.parent)
    try:
        done = git.run(["-C", str(real), "rev-parse", "--absolute-git-dir"])
    except RequestError as error:
        if "not a git repository" not in str(error):
            raise
        raise NotFoundError(f"{path} is not a git repository, and not empty") from error
    return Repository(git, path, os.fsdecode(done.stdout.rstrip(b"\n")))


def _person(text: str) -> str:
    """Returns a part of an identity without what git does not take there."""
    return "".join(c for c in text if c not in "<>\n\0").strip(" .,:;\"'\\\t\r")
