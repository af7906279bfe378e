"""How answers look: quoting as git's, both forms of a diff, the limit."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.control import answers
from pyi_fs.errors import FileTooLargeError
from pyi_fs.model.diff import Change

CHANGES = [
    Change("A", b"new"),
    Change("M", b"with space"),
    Change("D", b"tab\there"),
    Change("R", b"to\n", b"from"),
    Change("T", b"link"),
    Change("P", b"caf\xc3\xa9"),
]


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        (b"", b""),
        (b"plain-name_1.v", b"plain-name_1.v"),
        (b"with space", b"with space"),
        (b"$HOME;'*", b"$HOME;'*"),
        (b"tab\t", b'"tab\\t"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"\a\b\t\n\v\f\r", b'"\\a\\b\\t\\n\\v\\f\\r"'),
        (b"\x01\x1f\x7f\x80\xff", b'"\\001\\037\\177\\200\\377"'),
        ("é".encode(), b'"\\303\\251"'),
    ],
)
def test_names_are_quoted_with_c_escapes(path: bytes, quoted: bytes):
    assert answers.quoted(path) == quoted


NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: not set(name) & set(b"\0/") and name not in (b".", b"..", b".git")
)


@settings(max_examples=3)
@given(st.lists(NAMES, min_size=20, max_size=60, unique=True))
def test_names_are_quoted_as_git_does(tmp_path_factory: pytest.TempPathFactory, names: list[bytes]):
    """Each list of names is made as untracked files, and git lists them."""
    tree: Path = tmp_path_factory.mktemp("names")
    subprocess.run(["git", "init", "-q", tree], check=True)
    for name in names:
        Path(str(tree), name.decode("utf-8", "surrogateescape")).touch()
    command = ["git", "-C", str(tree), "-c", "core.quotePath=true", "ls-files", "--others"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout.splitlines()
    assert sorted(listed) == sorted(answers.quoted(name) for name in names)


def test_a_diff_has_one_line_for_each_change():
    assert answers.diff_lines(CHANGES) == (
        b'A\tnew\nM\twith space\nD\t"tab\\there"\nR\tfrom\t"to\\n"\nT\tlink\nP\t"caf\\303\\251"\n'
    )


def test_a_diff_with_nul_leaves_names_as_they_are():
    assert answers.diff_records(CHANGES) == (
        b"A\tnew\0M\twith space\0D\ttab\there\0R\tfrom\0to\n\0T\tlink\0P\tcaf\xc3\xa9\0"
    )


def test_an_empty_diff_is_an_empty_answer():
    assert answers.diff_lines([]) == answers.diff_records([]) == b""


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.integers())))
@example({"name": "\udcff\n"})
def test_a_status_is_one_line_of_json(fields: dict[str, object]):
    line = answers.json_line(fields)
    assert line.count(b"\n") == 1
    assert set(json.loads(line.decode("utf-8", "backslashreplace"))) or not fields


def test_a_text_is_one_line_and_no_text_is_no_line():
    assert answers.line("main") == b"main\n"
    assert answers.line("") == b""


def test_an_answer_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "CONTROL_ANSWER_BYTES_MAX", 10)
    assert answers.bounded([b"12345", b"67890"]) == b"1234567890"
    with pytest.raises(FileTooLargeError, match="11 bytes"):
        answers.bounded([b"12345", b"67890", b"1"])
