"""Work 6: what reaches the disk, and how large a store becomes.

Bytes that reached the disk are counted by a block device of their own: each peer gets a fresh ext4
on a loop device, and the sectors written to it are read from its `stat` in sysfs (field 7, 512
bytes each; Documentation/block/stat.rst) after everything was synced.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Results, Row
from bench.peers.base import BIN, lacks, lacks_loop, run
from bench.trees import make_tree

DISK = "bytes that reached the disk"
SIZE = "growth of the store"
VARIANTS = "variants of a tree, 1 % changed each"
EDITS = "16 edits of a file of 32 MiB"
PREPEND = "ten bytes before a file of 32 MiB"
_SECTOR = 512


@contextmanager
def own_disk(base: Path, size: int) -> Iterator[tuple[Path, Path]]:
    """Gives a mounted ext4 on a loop device of its own, and the file of its counters."""
    image, top = base / "image", base / "disk"
    top.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size)
    try:
        run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image])
        # The device goes with the mount. By its numbers, since a container may have no node of it.
        run(["mount", "-o", "loop,noatime", image, top])
        try:
            device = top.stat().st_dev
            yield top, Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
        finally:
            run(["umount", top])
    finally:
        image.unlink()


def _written(counters: Path) -> float:
    """Returns MB written to the device so far, everything synced."""
    os.sync()
    return int(counters.read_text().split()[6]) * _SECTOR / 1e6


def _rewrite(directory: Path, megabytes: int, seconds: float) -> None:
    """Writes files of `megabytes` in all and rewrites them three times, evenly over the time."""
    directory.mkdir()
    files, passes = 16, 4
    block = random.Random(1).randbytes(megabytes * 1_000_000 // files)
    start = time.monotonic()
    for again in range(passes):
        for index in range(files):
            with (directory / f"state{index}").open("wb") as file:
                file.write(block[again:] + block[:again])
            due = start + seconds * (again * files + index + 1) / (files * passes)
            # The pace of the job is what is measured: ordinary files go to disk after 30 seconds.
            time.sleep(max(0.0, due - time.monotonic()))


def _experiment(peer: str, base: Path, results: Results, quick: bool) -> None:
    megabytes, seconds = (64, 5.0) if quick else (1000, 120.0)
    with own_disk(base, 8 << 30) as (top, counters):
        store, tree = top / "store", top / "tree"
        tree.mkdir()
        ours = peer.startswith("pyi-fs")
        if ours:
            run([BIN / "pyi-mount", "--store", store, "work", tree])
        before = _written(counters)
        where = tree / "experiment"
        try:
            if ours:
                option = " --ephemeral" if "ephemeral" in peer else ""
                (tree / ".pyi/branch").write_text(f"try main{option}" if option else "try")
                where = tree / ".pyi/branches/try/experiment"
            _rewrite(where, megabytes, seconds)
            if "kept" not in peer:
                if ours:
                    (tree / ".pyi/drop").write_text("try")
                else:
                    shutil.rmtree(where)
            row = Row(DISK, f"{megabytes} MB rewritten 3 times in {seconds:.0f} s", "MB")
            results.add(row, peer, _written(counters) - before)
        finally:
            if ours:
                run([BIN / "pyi-mount", "--unmount", tree])


def disk_writes(base: Path, results: Results, quick: bool) -> None:
    """Adds MB written to the device for an experiment that is dropped, and for one that is kept."""
    reason = lacks("mkfs.ext4", root=True) or lacks_loop()
    if reason:
        results.skip(f"{DISK}: {reason}")
        return
    peers = [
        "pyi-fs, dropped",
        "pyi-fs, ephemeral, dropped",
        "ext4, removed",
        "pyi-fs, kept",
        "ext4, kept",
    ]
    for index, peer in enumerate(peers):
        _experiment(peer, base / f"disk{index}", results, quick)


def _usage(directory: Path) -> float:
    """Returns MB that the files below a directory occupy."""
    os.sync()
    return float(run(["du", "-s", "--block-size=1", directory]).split()[0]) / 1e6


class _Grower:
    """Puts versions of a tree somewhere that keeps all of them; `growth` is in MB."""

    def __init__(self, name: str, base: Path) -> None:
        self.name, self.base, self.tree = name, base, base / "tree"
        base.mkdir(parents=True)

    def begin(self) -> None:
        self.tree.mkdir()
        if self.name == "cp -a":
            (self.base / "store").mkdir()
        if self.name == "git":
            run(["git", "-C", self.tree, "init", "-q"])
        elif self.name == "borg":
            run(["borg", "init", "-e", "none", self.base / "store"], env=self._environment())
        elif self.name == "pyi-fs":
            run([BIN / "pyi-mount", "--store", self.base / "store", "work", self.tree])

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "BORG_BASE_DIR": str(self.base / "borg"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }

    def keep(self, tag: str) -> None:
        if self.name == "git":
            run(["git", "-C", self.tree, "add", "-A"])
            who = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
            run(["git", "-C", self.tree, *who, "commit", "-q", "-m", tag])
        elif self.name == "borg":
            run(
                ["borg", "create", f"{self.base / 'store'}::{tag}", self.tree],
                env=self._environment(),
            )
        elif self.name == "pyi-fs":
            (self.tree / ".pyi/snapshot").write_text(tag)
        else:
            run(["cp", "-a", self.tree, self.base / "store" / tag])

    def size(self) -> float:
        if self.name == "git":
            return _usage(self.tree / ".git")
        return _usage(self.base / "store")

    def rest(self, seconds: float) -> None:
        """Waits until ours has put everything that is kept into chunks, as it does when idle."""
        until = time.monotonic() + seconds
        layers = self.base / "store" / "layers"
        while self.name == "pyi-fs" and time.monotonic() < until:
            if not any(path.stat().st_size for path in layers.glob("*/*/scratch-*")):
                return
            time.sleep(0.5)

    def end(self) -> None:
        """Unmounts ours."""
        if self.name == "pyi-fs":
            run([BIN / "pyi-mount", "--unmount", self.tree])


def _variants(tree: Path, quick: bool) -> Iterator[str]:
    files, count = (200, 10) if quick else (2000, 100)
    shutil.rmtree(tree / "v", ignore_errors=True)
    make_tree(tree / "v", files)
    draw = random.Random(2)
    yield "v0"
    for index in range(1, count):
        for number in draw.sample(range(files), files // 100):
            path = tree / "v" / f"d{number // 200}" / f"f{number}.txt"
            path.write_bytes(b"variant %d\n" % index + path.read_bytes())
        yield f"v{index}"


def _one_file(tree: Path, change: str) -> Iterator[str]:
    content = random.Random(3).randbytes(32 << 20)
    (tree / "large").write_bytes(content)
    yield "before"
    if change == "prepend":
        (tree / "large").write_bytes(b"0123456789" + content)
    else:
        with (tree / "large").open("r+b") as file:
            for index in range(16):
                file.seek(index * 2_000_003)
                file.write(b"edited")
    yield "after"


def _growth(grower: _Grower, what: str, quick: bool) -> float:
    """Returns MB by which what keeps a tree grew from the first state to the last."""
    steps = {
        VARIANTS: lambda: _variants(grower.tree, quick),
        EDITS: lambda: _one_file(grower.tree, "edit"),
        PREPEND: lambda: _one_file(grower.tree, "prepend"),
    }[what]()
    patience = 1.0 if quick else 120.0
    first = 0.0
    grower.begin()
    try:
        for index, tag in enumerate(steps):
            grower.keep(f"s{tag}")
            if index == 0:
                grower.rest(patience)
                first = grower.size()
        grower.rest(patience)
        return grower.size() - first
    finally:
        grower.end()


def sizes(base: Path, results: Results, quick: bool) -> None:
    """Adds MB by which stores grow: a tree's variants, 16 edits, ten bytes before a large file."""
    for name in ("pyi-fs", "git", "borg", "cp -a"):
        reason = lacks("borg") if name == "borg" else None
        if reason:
            results.skip(f"{SIZE}: {reason}")
            continue
        for number, what in enumerate((VARIANTS, EDITS, PREPEND)):
            grower = _Grower(name, base / f"grow-{name.replace(' ', '')}-{number}")
            results.add(Row(SIZE, what, "MB"), name, _growth(grower, what, quick))
            shutil.rmtree(grower.base)
