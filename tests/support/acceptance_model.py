"""What a tree must hold, kept outside of it: the model of the crash test, and its operations.

An operation is a list `[kind, ...]` that JSON can hold. `states` gives what it may leave behind
when it is interrupted: one model after each system call. `perform` makes the calls.
"""

import base64
import hashlib
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Operation = list[Any]
_BLOCK = 128 * 1024
_PAGE = 4096


@dataclass
class Model:
    """Names of regular files below the top, and what they hold; equal values are hard links."""

    names: dict[str, int] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    made: int = 0

    def copy(self) -> "Model":
        """Returns a model that changes on its own; contents are values."""
        return Model(dict(self.names), dict(self.data), self.made)

    def picture(self) -> dict[str, tuple[int, bytes]]:
        """Returns path -> (links, content)."""
        links: dict[int, int] = {}
        for number in self.names.values():
            links[number] = links.get(number, 0) + 1
        return {name: (links[n], self.data[n]) for name, n in self.names.items()}


def picture_of(top: Path) -> dict[str, tuple[int, bytes]]:
    """Returns the same of a real directory; `.pyi` is not listed, so it is not in it."""
    found = {}
    for directory, _, files in os.walk(top, onerror=_raise):
        for name in files:
            path = Path(directory, name)
            found[str(path.relative_to(top))] = (path.lstat().st_nlink, path.read_bytes())
    return found


def _raise(error: OSError) -> None:
    raise error


def contents(seed: int, size: int) -> bytes:
    """Returns bytes that only the arguments decide, half of them compressible."""
    half = random.Random(seed).randbytes(size // 2)
    return (half + b"%d " % seed * (size // 8 + 1))[:size]


def next_operation(rng: random.Random, model: Model, weights: dict[str, int]) -> Operation:
    """Returns an operation that is possible in the model."""
    kinds = list(weights)
    kind = rng.choices(kinds, [weights[kind] for kind in kinds])[0]
    if not model.names or (kind == "create" and len(model.names) > 40):
        kind = "unlink" if model.names else "create"
    size = rng.choice((10, 300, 5000, 40_000, 100_000))
    seed = rng.randrange(1 << 30)
    if kind == "create":
        return ["create", f"d{rng.randrange(3)}/f{model.made}", seed, size]
    name = rng.choice(sorted(model.names))
    length = len(model.data[model.names[name]])
    if kind in ("append", "pwrite"):
        offset = length if kind == "append" else rng.randrange(length + 5000)
        return ["pwrite", name, offset, seed, size]
    if kind == "rewrite":
        return ["rewrite", name, seed, 1_500_000]
    if kind == "truncate":
        return ["truncate", name, rng.randrange(length * 2 + 1)]
    if kind in ("rename", "link"):
        return [kind, name, f"d{rng.randrange(3)}/{kind[0]}{rng.randrange(1000)}"]
    return [kind, name]


def states(operation: Operation, model: Model) -> list[Model]:
    """Returns what an interrupted operation may leave behind; the last is its end.

    The models after each of its system calls, and after each part of a write(2): the kernel splits
    one at pages as it likes, and a dying mount takes the first parts only.
    """
    after = model.copy()
    kind = operation[0]
    if kind == "create":
        after.made += 1
        after.names[operation[1]] = after.made
        after.data[after.made] = b""
        return [after, *_written(after, after.made, 0, contents(*operation[2:]))]
    name = operation[1] if len(operation) > 1 else ""
    number = after.names.get(name, 0)
    if kind == "rewrite":
        return _written(after, number, 0, contents(*operation[2:]))
    if kind == "pwrite":
        return _written(after, number, operation[2], contents(*operation[3:]))
    if kind == "truncate":
        after.data[number] = after.data[number][: operation[2]].ljust(operation[2], b"\0")
    elif kind == "rename" and after.names.get(operation[2]) != number:
        # Between two links of one file rename(2) does nothing.
        after.names[operation[2]] = after.names.pop(name)
    elif kind == "link" and operation[2] not in after.names:
        after.names[operation[2]] = number
    elif kind == "unlink":
        del after.names[name]
    return [after]


def _overwritten(old: bytes, offset: int, new: bytes) -> bytes:
    return old[:offset].ljust(offset, b"\0") + new + old[offset + len(new) :]


def _written(model: Model, number: int, offset: int, new: bytes) -> list[Model]:
    found = []
    first = offset // _PAGE * _PAGE + _PAGE
    for end in (*range(first, offset + len(new), _PAGE), offset + len(new)):
        part = model.copy()
        part.data[number] = _overwritten(model.data[number], offset, new[: end - offset])
        found.append(part)
    return found


def outcome(operation: Operation, model: Model) -> Model:
    """Returns the model after an operation that was acknowledged."""
    kind, *arguments = operation
    if kind in ("pwrite", "rewrite"):
        after = model.copy()
        number = after.names[arguments[0]]
        offset, content = (arguments[1], arguments[2:]) if kind == "pwrite" else (0, arguments[1:])
        after.data[number] = _overwritten(after.data[number], offset, contents(*content))
        return after
    return states(operation, model)[-1]


def perform(top: str, operation: Operation) -> None:
    """Makes the system calls of an operation; links and renames onto what is there as `states`."""
    kind, *arguments = operation
    path = os.path.join(top, arguments[0])
    if kind == "create":
        _write(path, os.O_CREAT | os.O_EXCL, [(0, contents(*arguments[1:]))])
    elif kind == "pwrite":
        _write(path, 0, [(arguments[1], contents(*arguments[2:]))])
    elif kind == "rewrite":
        new = contents(*arguments[1:])
        starts = range(0, len(new), _BLOCK)
        _write(path, 0, [(start, new[start : start + _BLOCK]) for start in starts])
    elif kind == "truncate":
        os.truncate(path, arguments[1])
    elif kind == "rename":
        os.rename(path, os.path.join(top, arguments[1]))
    elif kind == "link":
        if not os.path.lexists(os.path.join(top, arguments[1])):
            os.link(path, os.path.join(top, arguments[1]))
    elif kind == "unlink":
        os.unlink(path)
    elif kind == "fsync":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    else:
        raise AssertionError(f"BUG: no operation {kind}")


def _write(path: str, flags: int, parts: list[tuple[int, bytes]]) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        for offset, part in parts:
            written = os.pwrite(descriptor, part, offset)
            if written != len(part):
                # Its mount died in the middle; the next call says so.
                os.stat(path)
                raise AssertionError(f"short write: {written} of {len(part)} bytes")
    finally:
        os.close(descriptor)


def difference(found: dict[str, tuple[int, bytes]], allowed: list[Model]) -> str:
    """Returns what no allowed model explains, as text; empty if one of them is what was found."""
    pictures = [model.picture() for model in allowed]
    if found in pictures:
        return ""
    wanted = pictures[0]
    wrong = [path for path in sorted({*found, *wanted}) if found.get(path) != wanted.get(path)]
    return ", ".join(f"{p}: {_brief(found.get(p))} not {_brief(wanted.get(p))}" for p in wrong[:6])


def digest(picture: dict[str, tuple[int, bytes]]) -> str:
    """Returns a short text that differs for different pictures."""
    found = hashlib.blake2b(digest_size=16)
    for path, (links, content) in sorted(picture.items()):
        found.update(f"{path}\0{links}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def _brief(entry: tuple[int, bytes] | None) -> str:
    if entry is None:
        return "nothing"
    head = base64.b16encode(entry[1][:6]).decode()
    return f"{entry[0]} links, {len(entry[1])} bytes, {head}"
