"""Work 4: whole jobs that people run: git, tar, make, pip, simulation, synthesis, SQLite, rm."""

import random
import shutil
import sqlite3
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import Results, Row
from bench.peers.base import run
from bench.trees import make_tree

WORK = "whole jobs"
DESIGN = Path(__file__).resolve().parent.parent / "designs" / "fir_dsp"
WHO = ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0"]


class Material:
    """What the jobs work on, made once on the disk below."""

    def __init__(self, base: Path, quick: bool) -> None:
        """Makes a repository with two states, an archive of sources, a C project, wheels."""
        self.base = base
        self.repository = base / "repository"
        self._make_repository(2000 if quick else 20_000)
        self.archive = base / "sources.tar"
        library = sysconfig.get_paths()["stdlib"]
        words = ["tar", "-cf", self.archive, "--exclude=site-packages", "--exclude=__pycache__"]
        parts = ["json", "asyncio"] if quick else ["."]
        run([*words, "-C", library, *parts])
        self.project = base / "project"
        self._make_project(20 if quick else 200)
        self.wheels = self._find_wheels(base / "wheels")
        self.rows = 2000 if quick else 20_000

    def _make_repository(self, files: int) -> None:
        make_tree(self.repository, files)
        git = ["git", "-C", self.repository, *WHO]
        run([*git, "init", "-q"])
        run([*git, "add", "-A"])
        run([*git, "commit", "-q", "-m", "one"])
        for index in range(0, files, 10):
            path = self.repository / f"d{index // 200}/f{index}.txt"
            path.write_bytes(b"changed\n" + path.read_bytes())
        run([*git, "commit", "-q", "-a", "-m", "two"])

    def _make_project(self, sources: int) -> None:
        self.project.mkdir()
        draw = random.Random(1)
        for index in range(sources):
            lines = ["#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>"]
            lines += [
                f"int f{index}_{part}(int x) {{ return x * {draw.randrange(99)} + {part}; }}"
                for part in range(20)
            ]
            (self.project / f"s{index}.c").write_text("\n".join(lines) + "\n")
        calls = " + ".join(f"f{index}_0(1)" for index in range(sources))
        declared = "\n".join(f"int f{index}_0(int);" for index in range(sources))
        (self.project / "main.c").write_text(
            f"{declared}\nint main(void) {{ return ({calls}) < 0; }}\n"
        )
        objects = " ".join(f"s{index}.o" for index in range(sources))
        (self.project / "Makefile").write_text(f"app: main.o {objects}\n\t$(CC) -o $@ $^\n")

    def _find_wheels(self, target: Path) -> Path | None:
        """Returns a directory of wheels to install from, or None without an index in reach."""
        words = [sys.executable, "-m", "pip", "download", "-q", "--dest", target]
        try:
            run([*words, "rich", "click", "hypothesis", "sqlite-utils"])
        except RuntimeError:
            return None
        return target


def _git_jobs(work: Path, material: Material) -> Iterator[tuple[str, Callable[[], object]]]:
    clone = work / "clone"
    git = ["git", "-C", clone, *WHO]
    yield "git clone", lambda: run(["git", "clone", "-q", "--no-local", material.repository, clone])
    yield "git checkout of the commit before", lambda: run([*git, "checkout", "-q", "HEAD~1"])
    yield "git checkout back", lambda: run([*git, "checkout", "-q", "-"])
    yield "git status", lambda: run([*git, "status", "--short"])

    def diff() -> None:
        for path in sorted(clone.glob("d0/*"))[:50]:
            path.write_bytes(b"edited\n")
        run([*git, "diff", "--stat"])

    yield "edit 50, git diff", diff
    yield "git commit", lambda: run([*git, "commit", "-q", "-a", "-m", "three"])


def _simulation(work: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    if not (shutil.which("iverilog") and shutil.which("yosys")):
        return
    design = work / "design"
    shutil.copytree(DESIGN, design)
    yield "Icarus simulation", lambda: run([design / "flow.sh", "sim"], cwd=design)
    yield "Yosys synthesis", lambda: run([design / "flow.sh", "synth"], cwd=design)


def _sqlite(path: Path, rows: int) -> None:
    with sqlite3.connect(path) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("create table t (k integer primary key, v text)")
        for first in range(0, rows, 100):
            values = [(first + index, f"value {first + index}" * 5) for index in range(100)]
            database.executemany("insert into t values (?, ?)", values)
            database.commit()
        for key in range(0, rows, 7):
            database.execute("update t set v = v || 'x' where k = ?", (key,))
        database.commit()
    database.close()


def measure(place: Path, peer: str, material: Material, results: Results) -> None:
    """Adds one sample, in seconds, of each job."""
    work = place / "jobs"
    work.mkdir()
    steps = list(_git_jobs(work, material))
    untar = work / "sources"
    untar.mkdir()
    steps.append(
        ("tar x of a source tree", lambda: run(["tar", "-xf", material.archive, "-C", untar]))
    )
    built = work / "project"
    shutil.copytree(material.project, built)
    steps.append(("make -j2 of a C project", lambda: run(["make", "-s", "-j2", "-C", built])))
    if material.wheels:
        words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
        words += ["--target", str(work / "installed"), *map(str, material.wheels.glob("*.whl"))]
        steps.append(("pip install from a local cache", lambda: run(words)))
    else:
        results.skip("no package index in reach: pip install from a local cache")
    steps += _simulation(work)
    steps.append(("SQLite, WAL", lambda: _sqlite(work / "database", material.rows)))
    steps.append(("rm -rf of all of it", lambda: run(["rm", "-rf", work])))
    for what, job in steps:
        with results.time(Row(WORK, what, "s"), peer):
            job()
