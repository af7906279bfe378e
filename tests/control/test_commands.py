"""What can be written, and what every wrong text is told."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.control import commands
from pyi_fs.control.commands import BranchCommand, MountCommand, RestoreCommand, TakeCommand
from pyi_fs.control.refusals import sentence
from pyi_fs.errors import InvalidArgumentError, NameTooLongError, NotFoundError, RequestError

LONGEST = "n" * limits.REF_NAME_LENGTH_MAX


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"\n", TakeCommand(None, "")),
        (b"  \n", TakeCommand(None, "")),
        (b"good", TakeCommand("good", "")),
        (b"good\n", TakeCommand("good", "")),
        (b"  good \t\n", TakeCommand("good", "")),
        (b"good\nit works", TakeCommand("good", "it works")),
        (b"good\nit works\n", TakeCommand("good", "it works")),
        (b"good\n\na\n\nb\n\n", TakeCommand("good", "\na\n\nb")),
        (b"\nno name, but a reason\n", TakeCommand(None, "no name, but a reason")),
        ("good\nüber\n".encode(), TakeCommand("good", "über")),
        (LONGEST.encode(), TakeCommand(LONGEST, "")),
    ],
)
def test_a_snapshot_is_a_name_and_a_message(data: bytes, command: TakeCommand):
    assert commands.take_command(data) == command


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"1st", "not a name"),
        (b"two words", "not a name"),
        (b"a..b", "not a name"),
        (b".hidden", "not a name"),
        (b"../up", "not a name"),
        (b"--name", "not a name"),
        ("größe".encode(), "not a name"),
        (LONGEST.encode() + b"n", "at most 128"),
        (b"na\0me", "NUL"),
        (b"name\nmess\0age", "NUL"),
        (b"name\n\xff\xfe", "UTF-8"),
        (b"name\n" + b"x" * (limits.MESSAGE_BYTES_MAX + 1), "at most 65536"),
        (b"x" * (commands.COMMAND_BYTES_MAX + 1), "too long"),
    ],
)
def test_a_wrong_snapshot_is_told_why(data: bytes, word: str):
    with pytest.raises(InvalidArgumentError, match=word):
        commands.take_command(data)


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"12-3fa9c1", RestoreCommand("12-3fa9c1", None)),
        (b" 12 \n", RestoreCommand("12", None)),
        (b"good\tsrc/a.v\n", RestoreCommand("good", b"src/a.v")),
        (b"good\t./src//a.v/", RestoreCommand("good", b"src/a.v")),
        (b"good\t/src", RestoreCommand("good", b"src")),
        (b"good\ta b \n", RestoreCommand("good", b"a b ")),
        (b"good\ta\tb\n", RestoreCommand("good", b"a\tb")),
        (b"good\t\xff\xfe", RestoreCommand("good", b"\xff\xfe")),
        (b"good\tline\nbreak\n", RestoreCommand("good", b"line\nbreak")),
        (b"good\tsub/.pyi", RestoreCommand("good", b"sub/.pyi")),
    ],
)
def test_a_restore_is_a_snapshot_and_a_path_of_any_bytes(data: bytes, command: RestoreCommand):
    assert commands.restore_command(data) == command


@pytest.mark.parametrize(
    ("data", "error", "word"),
    [
        (b"\n", InvalidArgumentError, "nothing was written"),
        (b"\tpath", InvalidArgumentError, "nothing was written"),
        (b"good src/a.v", InvalidArgumentError, "TAB"),
        (b"g\xfcod", InvalidArgumentError, "ASCII"),
        (b"good\t/", InvalidArgumentError, "no path after"),
        (b"good\t\n", InvalidArgumentError, "no path after"),
        (b"good\ta/../b", InvalidArgumentError, r"\.\."),
        (b"good\t.pyi/last", InvalidArgumentError, "no part"),
        (b"good\ta\0b", InvalidArgumentError, "NUL"),
        (b"good\t" + b"n" * 256, NameTooLongError, "255"),
        (b"good\t" + b"n/" * 2049, NameTooLongError, "4095"),
    ],
)
def test_a_wrong_restore_is_told_why(data: bytes, error: type[RequestError], word: str):
    with pytest.raises(error, match=word):
        commands.restore_command(data)


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"x\n", BranchCommand("x", None, False)),
        (b"x 12-3fa9c1", BranchCommand("x", "12-3fa9c1", False)),
        (b"x good --ephemeral\n", BranchCommand("x", "good", True)),
        (b"--ephemeral x", BranchCommand("x", None, True)),
        (b" x\t main ", BranchCommand("x", "main", False)),
    ],
)
def test_a_branch_is_a_name_and_where_it_starts(data: bytes, command: BranchCommand):
    assert commands.branch_command(data) == command


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\n", "nothing was written"),
        (b"--ephemeral", "NAME"),
        (b"x --ephemeral --ephemeral", "NAME"),
        (b"x --fast", "'--fast'"),
        (b"x -e", "'-e'"),
        (b"x y z", "NAME"),
        (b"1x", "not a name"),
        (b"x\ny", "one line"),
        ("ä".encode(), r"ASCII text, not '\\xc3\\xa4'$"),
        (b"x\0", "NUL"),
    ],
)
def test_a_wrong_branch_is_told_why(data: bytes, word: str):
    with pytest.raises(InvalidArgumentError, match=word):
        commands.branch_command(data)


@pytest.mark.parametrize("data", [b"x", b"x\n", b" x \n"])
def test_head_and_drop_take_one_name(data: bytes):
    assert commands.branch_name(data) == "x"


@pytest.mark.parametrize("data", [b"", b"\n", b"x y", b"-x", b"12", b"x\n\ny", b"\xe4", b"\0"])
def test_head_and_drop_take_nothing_else(data: bytes):
    with pytest.raises(InvalidArgumentError):
        commands.branch_name(data)


@pytest.mark.parametrize(
    ("data", "operation"),
    [
        (b"\n", None),
        (b"please", None),
        (b"\0\xff", None),
        (b"-", None),
        (b" 17\n", 17),
        (b"007", 7),
    ],
)
def test_undo_takes_any_text_and_digits_are_an_operation(data: bytes, operation: int | None):
    assert commands.operation(data) == operation


@pytest.mark.parametrize(
    "data", [b"2-b1a59c", b"-1", b"#8", b"8 (restore)", b"12 13", b"8.0", b"0x8", "\u0663".encode()]
)
def test_undo_refuses_what_looks_like_an_operation_and_is_none(data: bytes):
    with pytest.raises(InvalidArgumentError, match="digits alone"):
        commands.operation(data)


def test_an_operation_with_endless_digits_is_not_found():
    with pytest.raises(NotFoundError, match="20000 digits"):
        commands.operation(b"9" * 20000)


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
@example(b"good\t..")
@example("²".encode())
def test_every_text_is_a_command_or_is_refused_in_one_sentence(data: bytes):
    parsers = (
        commands.take_command,
        commands.restore_command,
        commands.branch_command,
        commands.branch_name,
        commands.operation,
    )
    for parser in parsers:
        try:
            parser(data)
        except RequestError as error:
            told = sentence(error)
            assert len(told) > 10
            assert told.count(b"\n") == 1
            assert told.endswith(b"\n")


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"try /m\n", MountCommand(None, "try", None, b"/m")),
        (b"  try\t /m/a b \n", MountCommand(None, "try", None, b"/m/a b ")),
        (b"try /m\xff", MountCommand(None, "try", None, b"/m\xff")),
        (b"@good /m", MountCommand(None, None, "good", b"/m")),
        (b"other/ /m", MountCommand("other", None, None, b"/m")),
        (b"other/try /m", MountCommand("other", "try", None, b"/m")),
        (b"other@12-3fa9c1 /m", MountCommand("other", None, "12-3fa9c1", b"/m")),
    ],
)
def test_a_mount_is_what_and_where(data: bytes, command: MountCommand):
    assert commands.mount_command(data) == command


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "absolute MOUNTPOINT"),
        (b"try", "absolute MOUNTPOINT"),
        (b"/m", "absolute MOUNTPOINT"),
        (b"try m", "absolute MOUNTPOINT"),
        (b"try ../m", "absolute MOUNTPOINT"),
        (b"try other /m", "absolute MOUNTPOINT"),
        (b"/ /m", "not a name"),
        (b"a/b/c /m", "not a name"),
        (b"a/b@c /m", "not a name"),
        (b"@ /m", "no snapshot after"),
        (b"other@ /m", "no snapshot after"),
        (b"..@c /m", "not a name"),
        (b"1st /m", "not a name"),
        (b"try /m\0", "NUL"),
        ("größe /m".encode(), "plain ASCII"),
    ],
)
def test_a_wrong_mount_is_told_why(data: bytes, word: str):
    with pytest.raises(InvalidArgumentError, match=word):
        commands.mount_command(data)


def test_a_mountpoint_has_a_longest_path():
    with pytest.raises(NameTooLongError):
        commands.mount_command(b"try /" + b"x" * limits.SYMLINK_BYTES_MAX)
