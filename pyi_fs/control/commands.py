"""What is written to control files: bytes in, one frozen command or a refusal out.

Pure. A trailing newline is optional and blanks around a command do not matter. Names, ids and
options are ASCII; a message is UTF-8; a path is whatever bytes it is. Whether what is named exists
is not looked at here.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.errors import InvalidArgumentError, NameTooLongError, NotFoundError
from pyi_fs.ids import OperationId
from pyi_fs.model.refs import check_ref_name

# The longest command there can be: a name, a newline, a message, a newline.
COMMAND_BYTES_MAX = limits.REF_NAME_LENGTH_MAX + limits.MESSAGE_BYTES_MAX + 2
# Longer numbers are no operation of any log, and Python refuses to read digits without end.
_OPERATION_DIGITS_MAX = 18
# Digits of any script, as a number or a reference to one begins.
_LIKE_A_NUMBER = re.compile(r"[-+#]?\d")
_EPHEMERAL = "--ephemeral"
# Each command is read twice: to see what has to be copied before it, and to be done.
_read_once = lru_cache(maxsize=8)
_BLANKS = re.compile(rb"[ \t]+")


class TakeCommand(NamedTuple):
    """Take a snapshot; an empty name is none."""

    name: str | None
    message: str


class RestoreCommand(NamedTuple):
    """Restore the tree, or only `path` (no leading slash, no `.` or `..` in it)."""

    snapshot: str
    path: bytes | None


class BranchCommand(NamedTuple):
    """Make a branch; `start` is a snapshot or a branch, None is here."""

    name: str
    start: str | None
    ephemeral: bool


class ForkCommand(NamedTuple):
    """Make a workspace; `start` is a snapshot or a branch, None is here."""

    name: str
    start: str | None


class MountCommand(NamedTuple):
    """Serve another mount beside this one.

    `workspace` None is this one's, `branch` None its first. `at`: a snapshot, to be shown
    read-only. `mountpoint`: an absolute path.
    """

    workspace: str | None
    branch: str | None
    at: str | None
    mountpoint: bytes


@_read_once
def take_command(data: bytes) -> TakeCommand:
    r"""Returns the command of `NAME[\nMESSAGE]`.

    An empty first line asks for a snapshot without a name.
    """
    first, _, rest = _checked(data, "a snapshot's name").partition(b"\n")
    name = first.strip().decode("ascii", "backslashreplace")
    message = message_text(rest)
    return TakeCommand(check_ref_name(name) if name else None, message)


def message_text(data: bytes) -> str:
    """Returns a snapshot's message without the newlines at its end."""
    _checked(data, "a message")
    stripped = data.rstrip(b"\n")
    if len(stripped) > limits.MESSAGE_BYTES_MAX:
        raise InvalidArgumentError(
            f"a message has at most {limits.MESSAGE_BYTES_MAX} bytes, this one has {len(stripped)}"
        )
    try:
        return stripped.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"a message is UTF-8: {error.reason} at byte {error.start}"
        ) from None


@_read_once
def restore_command(data: bytes) -> RestoreCommand:
    """Returns the command of `ID-or-NAME` or `ID-or-NAME<TAB>PATH`."""
    _checked(data, "a snapshot to restore")
    before, tab, after = data.lstrip(b" \n").partition(b"\t")
    words = _words(before, "a snapshot's id or name")
    if len(words) > 1:
        raise InvalidArgumentError(
            f"one snapshot, then a TAB and a path if only that is meant: {_shown(before)}"
        )
    if not tab:
        return RestoreCommand(words[0], None)
    return RestoreCommand(words[0], _tree_path(after.removesuffix(b"\n")))


@_read_once
def branch_command(data: bytes) -> BranchCommand:
    """Returns the command of `NAME [FROM] [--ephemeral]`."""
    words = _words(data, "a branch's name")
    options = [word for word in words if word.startswith("-")]
    names = [word for word in words if not word.startswith("-")]
    unknown = [option for option in options if option != _EPHEMERAL]
    if unknown:
        raise InvalidArgumentError(f"unknown option '{unknown[0]}': a branch has only {_EPHEMERAL}")
    if len(options) > 1 or not 1 <= len(names) <= 2:
        raise InvalidArgumentError(
            f"a branch is made with NAME [FROM] [{_EPHEMERAL}]: {_shown(data)}"
        )
    return BranchCommand(
        check_ref_name(names[0]), names[1] if len(names) == 2 else None, bool(options)
    )


def fork_command(data: bytes) -> ForkCommand:
    """Returns the command of `NAME [FROM]`."""
    words = _words(data, "a workspace's name")
    if len(words) > 2:
        raise InvalidArgumentError(f"a workspace is forked with NAME [FROM]: {_shown(data)}")
    return ForkCommand(check_ref_name(words[0]), words[1] if len(words) == 2 else None)


def mount_command(data: bytes) -> MountCommand:
    """Returns the command of `WHAT MOUNTPOINT`; blanks in the path belong to it.

    WHAT is `BRANCH` or `@SNAPSHOT` of this workspace, or of another one `WORKSPACE/BRANCH`,
    `WORKSPACE/` (its first branch) or `WORKSPACE@SNAPSHOT`.
    """
    text = _checked(data, "what to mount").removesuffix(b"\n").lstrip(b" \t")
    what, path = (*_BLANKS.split(text, maxsplit=1), b"")[:2]
    if not path.startswith(b"/"):
        raise InvalidArgumentError(
            f"a mount is asked for with WHAT and an absolute MOUNTPOINT: {_shown(data)}"
        )
    if len(path) > limits.SYMLINK_BYTES_MAX:
        raise NameTooLongError(f"a path has at most {limits.SYMLINK_BYTES_MAX} bytes")
    (word,) = _words(what, "what to mount")
    return _what_to_mount(word)._replace(mountpoint=path)


def _what_to_mount(word: str) -> MountCommand:
    workspace, at_sign, at = word.partition("@")
    if at_sign:
        if not at:
            raise InvalidArgumentError(f"no snapshot after '@': {word}")
        return MountCommand(check_ref_name(workspace) if workspace else None, None, at, b"")
    before, slash, branch = word.rpartition("/")
    workspace = check_ref_name(before) if slash else ""
    return MountCommand(workspace or None, check_ref_name(branch) if branch else None, None, b"")


def branch_name(data: bytes) -> str:
    """Returns the one name that `head` and `drop` take."""
    words = _words(data, "a branch's name")
    if len(words) > 1:
        raise InvalidArgumentError(f"one branch's name, not {len(words)}: {_shown(data)}")
    return check_ref_name(words[0])


def operation(data: bytes) -> OperationId | None:
    """Returns the operation that is meant by digits alone.

    Any other text, an empty line too, means the last one, but for what begins as a number does:
    who wrote a snapshot's id, say, meant something else than the last operation.
    """
    _checked(data, "an operation", is_any=True)
    text = data.strip()
    if not text.isdigit():
        if _LIKE_A_NUMBER.match(text.decode(errors="replace")):
            raise InvalidArgumentError(
                f"not an operation's id, which is digits alone, as in `log`: {_shown(text)}"
            )
        return None
    if len(text) > _OPERATION_DIGITS_MAX:
        raise NotFoundError(f"no operation has a number of {len(text)} digits")
    return OperationId(int(text))


def _checked(data: bytes, what: str, *, is_any: bool = False) -> bytes:
    """Returns the data if its length is possible and it holds no NUL byte."""
    if len(data) > COMMAND_BYTES_MAX:
        raise InvalidArgumentError(
            f"{what} of {len(data)} bytes is too long (at most {COMMAND_BYTES_MAX})"
        )
    if not is_any and b"\0" in data:
        raise InvalidArgumentError(f"{what} has no NUL bytes in it")
    return data


def _words(data: bytes, what: str) -> list[str]:
    """Returns the words of a line of printable ASCII; at least one."""
    text = _checked(data, what).strip()
    if not text:
        raise InvalidArgumentError(f"nothing was written: {what} is needed")
    if not text.isascii() or not all(32 <= byte < 127 or byte == 9 for byte in text):
        raise InvalidArgumentError(f"{what} is one line of plain ASCII text, not {_shown(text)}")
    return text.decode("ascii").split()


def _tree_path(path: bytes) -> bytes:
    """Returns a path below the root in its plain form; never empty."""
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if not parts:
        raise InvalidArgumentError(
            "no path after the TAB: leave the TAB away to restore everything"
        )
    if b".." in parts:
        raise InvalidArgumentError(f"a path to restore has no '..' in it: {_shown(path)}")
    if parts[0] == b".pyi":
        raise InvalidArgumentError("the control directory is no part of a snapshot")
    plain = b"/".join(parts)
    if len(plain) > limits.SYMLINK_BYTES_MAX or max(map(len, parts)) > limits.NAME_BYTES_MAX:
        raise NameTooLongError(
            f"a path has at most {limits.SYMLINK_BYTES_MAX} bytes, "
            f"and each name in it {limits.NAME_BYTES_MAX}"
        )
    return plain


def _shown(data: bytes) -> str:
    """Returns the beginning of what was written, for a message."""
    return repr(data.strip()[:60])[1:]
