"""`pyi-git-export`: snapshots of a branch as commits of a git branch."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import click
from rich import progress as bars
from rich.console import Console

from pyi_fs import limits
from pyi_fs.cli import program, workspaces
from pyi_fs.cli.completion import workspace_names
from pyi_fs.cli.progress import size_text
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.git.export import Options, Progress, Report, export
from pyi_fs.git.left_out import LeftOut
from pyi_fs.ids import WorkspaceName

_NAME = "pyi-git-export"
_EPILOG = """\b
Examples:
  pyi-git-export demo ~/demo.git --bare        all snapshots of demo, to branch pyi/demo
  pyi-git-export demo ~/project --named-only   only the snapshots that have a name
  pyi-git-export demo ~/project --onto main --git-branch from-agent --last
                                               the newest one, as a commit on top of main

Running it again adds what is new. Exit codes: 0 done, 1 refused or failed, 2 usage."""


@click.command(
    _NAME,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("workspace", shell_complete=workspace_names)
@click.argument("repo", type=click.Path(path_type=Path))
@program.store_option
@click.option("--branch", default="main", show_default=True, help="The branch of the workspace.")
@click.option(
    "--git-branch",
    default="",
    help="The git branch to write.  [default: pyi/WORKSPACE, or pyi/WORKSPACE+BRANCH]",
)
@click.option("--last", is_flag=True, help="Only the newest snapshot, as one commit.")
@click.option("--named-only", is_flag=True, help="Only snapshots that have a name.")
@click.option("--automatic", is_flag=True, help="Also snapshots that nobody asked for.")
@click.option("--onto", metavar="REV", help="The parent of the first commit.")
@click.option("--respect-gitignore", is_flag=True, help="Leave out what .gitignore files name.")
@click.option("--bare", is_flag=True, help="If REPO has to be made, make it bare.")
@program.version_option(_NAME)
def command(
    workspace: str,
    repo: Path,
    store: str | None,
    branch: str,
    git_branch: str,
    last: bool,
    named_only: bool,
    automatic: bool,
    onto: str | None,
    respect_gitignore: bool,
    bare: bool,
) -> None:
    """Writes the snapshots of WORKSPACE as commits of the git repository REPO.

    REPO is made if it is missing. Only objects and one git branch are written: no work tree, no
    index, nothing that is checked out. The workspace may be mounted and in use meanwhile.
    """
    if last and named_only:
        raise click.UsageError("--last and --named-only cannot be used together")
    options = Options(
        branch, git_branch, last, named_only, automatic, onto, respect_gitignore, bare
    )
    for line in summary(_run(program.store_path(store), workspace, repo, options)):
        click.echo(line)


def main() -> NoReturn:
    """Runs the program."""
    program.run(command)


def summary(report: Report) -> list[str]:
    """Returns what was done, in lines."""
    if not report.snapshots:
        lines = [f"{report.git_branch}: nothing new"]
    else:
        commits = program.counted(len(report.snapshots), "commit")
        files = program.counted(report.files, "file")
        tip = report.tip[:12]
        lines = [
            f"{report.git_branch}: {commits}, {files} written ({report.file_bytes:,} bytes),"
            f" now at {tip}"
        ]
    return lines + _left_out(report.left_out)


def _left_out(left_out: LeftOut) -> list[str]:
    lines = []
    for reason, count in sorted(left_out.counts.items()):
        paths = [shown(path) for path in left_out.paths[reason]]
        more = ", ..." if count > len(paths) else ""
        lines.append(f"left out: {reason}: {count:,} ({', '.join(paths)}{more})")
    return lines


def shown(path: bytes) -> str:
    """Returns a path as one can show it on a terminal: what is not printable text is escaped."""
    text = path.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _run(store_path: Path, name: str, repo: Path, options: Options) -> Report:
    store = Store.open(store_path, create=False)
    try:
        if not workspaces.exists(store_path, name):
            raise workspaces.missing(store_path, name)
        workspace = Workspace(store, WorkspaceName(name))
        try:
            with _bar() as tell:
                return export(workspace, repo, options, environment=os.environ, progress=tell)
        finally:
            workspace.close()
    finally:
        store.close()


class _Bar:
    """A bar on the terminal, on standard error."""

    def __init__(self) -> None:
        self._bars = bars.Progress(
            bars.TextColumn("commit {task.completed}/{task.total}"),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[files]} files, {task.fields[megabytes]} MB"),
            bars.TextColumn("{task.fields[reading]}", markup=False),
            bars.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bars.add_task("", total=None, files=0, megabytes=0, reading="")

    def __enter__(self) -> Callable[[Progress], None]:
        self._bars.start()
        return self._tell

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def _tell(self, at: Progress) -> None:
        self._bars.update(
            self._task,
            completed=at.commit,
            total=at.commits,
            files=at.files,
            megabytes=at.file_bytes // 10**6,
            reading=reading(at),
        )


class _Lines:
    """Lines on standard error, where that is no terminal: a large file, and each tenth of it.

    A sparse file of a terabyte is a terabyte of zeros to git and takes hours, in which somebody may
    want to know why.
    """

    def __init__(self) -> None:
        self._told: tuple[bytes, int] = (b"", 0)

    def __enter__(self) -> Callable[[Progress], None]:
        return self._tell

    def __exit__(self, *_: object) -> None:
        pass

    def _tell(self, at: Progress) -> None:
        if at.size_bytes < limits.LARGE_FILE_BYTES:
            return
        now = (at.path, at.read_bytes * 10 // at.size_bytes)
        if now != self._told:
            self._told = now
            program.complain(_NAME, reading(at))


def reading(at: Progress) -> str:
    """Returns which large file is read and how much of it is done; empty if none is."""
    if at.size_bytes < limits.LARGE_FILE_BYTES:
        return ""
    percent = at.read_bytes * 100 // at.size_bytes
    return f"reading {shown(at.path)}: {percent} % of {size_text(at.size_bytes)}"


def _bar() -> AbstractContextManager[Callable[[Progress], None]]:
    return _Bar() if sys.stderr.isatty() else _Lines()
