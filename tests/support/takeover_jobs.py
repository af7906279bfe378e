"""Jobs that run on a mount whose server dies: none may see an error, all must find what they wrote.

    python -m tests.support.takeover_jobs JOB DIRECTORY SEED

Each works until its standard input ends, checks what it has, and prints `JOB: COUNT` with how much
it did. Any error, and any byte or name that is not as it must be, is a traceback and exit code 1.
"""

import contextlib
import fcntl
import json
import mmap
import os
import random
import select
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

MAPPED_BYTES = int(os.environ.get("PYI_MAPPED_BYTES", 64 << 20))
_PAGE = 4096
_LISTED = 2_000


def steps() -> Iterator[int]:
    """Counts until standard input ends, once at least."""
    count = 0
    while count == 0 or not select.select([0], [], [], 0)[0]:
        yield count
        count += 1


def database(directory: Path, seed: int) -> int:
    """Commits rows in WAL mode; every commit that returned must be there."""
    connection = sqlite3.connect(directory / "rows.db", timeout=60)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT)")
    done = 0
    for number in steps():
        with connection:
            connection.execute("INSERT INTO rows VALUES (?, ?)", (number, f"row {number}" * 20))
        done = number + 1
        if number % 200 == 199:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert connection.execute("SELECT count(*), max(number) FROM rows").fetchone() == (
        done,
        done - 1,
    )
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    return done


def logger(directory: Path, seed: int) -> int:
    """Appends numbered lines to an open file; no line may be missing, there twice, or torn."""
    path = directory / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    done = 0
    for number in steps():
        line = f"line {number:09d} {'.' * (number % 70)}\n".encode()
        assert os.write(descriptor, line) == len(line)
        if number % 50 == 0:
            os.fsync(descriptor)
        done = number + 1
    lines = path.read_bytes().splitlines()
    assert [int(line.split()[1]) for line in lines] == list(range(done))
    return done


def mapping(directory: Path, seed: int) -> int:
    """Stores to random pages of a shared mapping, and writes them back now and then."""
    dice, path = random.Random(seed), directory / "mapped"
    with path.open("wb+") as file:
        file.truncate(MAPPED_BYTES)
        pages = mmap.mmap(file.fileno(), MAPPED_BYTES)
        written: dict[int, bytes] = {}
        done = 0
        for number in steps():
            page = dice.randrange(MAPPED_BYTES // _PAGE)
            text = b"%d:%d" % (page, number)
            pages[page * _PAGE : page * _PAGE + len(text)] = text
            written[page] = text
            if number % 500 == 0:
                pages.flush()
            if number % 97 == 0:
                other = dice.choice(list(written))
                start = other * _PAGE
                assert pages[start : start + len(written[other])] == written[other]
            done = number + 1
        pages.flush()
        data = path.read_bytes()
        for page, text in written.items():
            assert data[page * _PAGE : page * _PAGE + len(text)] == text, page
        pages.close()
    return done


def names(directory: Path, seed: int) -> int:
    """Makes, links, moves and removes names, none of which may fail or have been done twice."""
    dice, there = random.Random(seed), dict[str, int]()
    os.chdir(directory)
    done = 0
    for number in steps():
        name = f"n{number}"
        match dice.randrange(7):
            case 0 | 1:
                with open(name, "xb") as file:
                    file.write(name.encode())
                there[name] = os.stat(name).st_ino
            case 2:
                os.mkdir(name + ".d")
                os.rmdir(name + ".d")
            case 3:
                os.symlink(name, name + ".l")
                assert os.readlink(name + ".l") == name
                os.unlink(name + ".l")
            case 4 if there:
                old = dice.choice(list(there))
                os.rename(old, name)
                there[name] = there.pop(old)
            case 5 if there:
                old = dice.choice(list(there))
                os.link(old, name)
                assert os.stat(name).st_ino == there[old]
                os.unlink(old)
                there[name] = there.pop(old)
            case 6 if there:
                old = dice.choice(list(there))
                os.setxattr(old, "user.number", b"%d" % number, os.XATTR_CREATE)
                os.removexattr(old, "user.number")
                if len(there) > 200:
                    os.unlink(old)
                    del there[old]
        done = number + 1
    assert set(os.listdir()) == set(there)
    for name, ino in there.items():
        assert os.stat(name).st_ino == ino, name
    return done


def lister(directory: Path, seed: int) -> int:
    """Lists a large directory in small pieces while names in it come and go."""
    for index in range(_LISTED):
        (directory / f"stays-{index}").touch()
    done = 0
    for number in steps():
        seen = []
        with os.scandir(directory) as entries:
            for index, entry in enumerate(entries):
                seen.append(entry.name)
                if index == _LISTED // 2:
                    (directory / f"comes-{number}").touch()
                    with contextlib.suppress(FileNotFoundError):
                        (directory / f"comes-{number - 3}").unlink()
        stays = [name for name in seen if name.startswith("stays-")]
        assert len(stays) == len(set(stays)) == _LISTED, len(stays)
        done = number + 1
    return done


def held(directory: Path, seed: int) -> int:
    """Keeps files open that have no name, a lock, and a directory that is gone."""
    dice = random.Random(seed)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.mkdir(directory / "gone")
    os.chdir(directory / "gone")
    os.rmdir(directory / "gone")
    unnamed = os.open(directory / "unnamed", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.unlink(directory / "unnamed")
    data = bytearray()
    done = 0
    for number in steps():
        offset, part = dice.randrange(1 << 20), dice.randbytes(dice.randrange(1, 3000))
        assert os.pwrite(unnamed, part, offset) == len(part)
        data.extend(bytes(max(0, offset + len(part) - len(data))))
        data[offset : offset + len(part)] = part
        assert os.fstat(unnamed).st_size == len(data)
        assert os.fstat(unnamed).st_nlink == 0
        if number % 20 == 0:
            assert os.pread(unnamed, len(data), 0) == data
            other = os.open(directory / "lock", os.O_RDWR)
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                raise AssertionError("the lock is lost")
            except BlockingIOError:
                os.close(other)
            try:
                open("x", "w").close()
                raise AssertionError("made in a directory that is gone")
            except FileNotFoundError:
                pass
        done = number + 1
    return done


def control(directory: Path, seed: int) -> int:
    """Takes snapshots, restores, undoes, redoes, makes branches: each is in the log once."""
    commands = directory / ".pyi"
    taking = os.open(commands / "snapshot", os.O_RDWR)

    def tell(name: str, text: str) -> None:
        descriptor = os.open(commands / name, os.O_WRONLY)
        try:
            assert os.write(descriptor, text.encode()) == len(text)
        finally:
            os.close(descriptor)

    def log() -> list[str]:
        return (commands / "log").read_text().splitlines()

    done = 0
    value = directory / "value"
    for number in steps():
        value.write_text(f"good {number}")
        line = os.pread(taking, 1000, 0).decode()
        assert line.endswith("\t+0 ~1 -0\n") or number == 0, line
        taken = line.split("\t")[0]
        value.write_text(f"bad {number}")
        (directory / "litter").mkdir(exist_ok=True)
        reader = os.open(value, os.O_RDONLY)
        tell("restore", taken)
        assert value.read_text() == f"good {number}"
        assert not (directory / "litter").exists()
        assert os.pread(reader, 100, 0).decode() == f"bad {number}"
        os.close(reader)
        tell("undo", "x")
        assert value.read_text() == f"bad {number}", value.read_text()
        tell("redo", "x")
        assert value.read_text() == f"good {number}"
        tell("branch", f"b{number}")
        inner = commands / "branches" / f"b{number}" / "value"
        if not inner.exists():
            inner = directory / ".." / f"b{number}" / "value"
        assert inner.read_text() == f"good {number}"
        inner.write_text("inner")
        tell("snapshot", f"named-{number}")
        assert sum(f'"named-{number}"' in line for line in log()) == 1
        done = number + 1
    os.close(taking)
    entries = [json.loads(line) for line in log()]
    told = [one["operation"] for one in entries if one.get("branch") == directory.name]
    for operation in ("restore", "undo", "redo"):
        assert told.count(operation) == done, (operation, told.count(operation), done)
    return done


def builder(directory: Path, seed: int) -> int:
    """Builds a C program with two processes at once, over and over."""
    for index in range(12):
        body = f"int part{index}(int x) {{ return x * {index} + 1; }}\n"
        (directory / f"part{index}.c").write_text(body)
    calls = "+".join(f"part{index}(i)" for index in range(12))
    declared = "".join(f"int part{index}(int);" for index in range(12))
    main = f'#include <stdio.h>\n{declared}\nint main(void){{int i=3;printf("%d\\n",{calls});}}\n'
    (directory / "main.c").write_text(main)
    objects = " ".join(f"part{index}.o" for index in range(12))
    makefile = f"all: {objects} main.o\n\tcc -o all {objects} main.o\nclean:\n\trm -f *.o all\n"
    (directory / "Makefile").write_text(makefile)
    expected = f"{sum(3 * index + 1 for index in range(12))}\n"
    done = 0
    for number in steps():
        subprocess.run(["make", "-s", "-j2", "all"], cwd=directory, check=True)
        said = subprocess.run(["./all"], cwd=directory, check=True, capture_output=True, text=True)
        assert said.stdout == expected, said.stdout
        subprocess.run(["make", "-s", "clean"], cwd=directory, check=True)
        done = number + 1
    return done


JOBS: dict[str, Callable[[Path, int], int]] = {
    job.__name__: job for job in (database, logger, mapping, names, lister, held, control, builder)
}


if __name__ == "__main__":
    kind, where, number = sys.argv[1:]
    sys.stdout.write(f"{kind}: {JOBS[kind](Path(where), int(number))}\n")
