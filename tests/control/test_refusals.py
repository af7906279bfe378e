"""Who was refused what: by user, the last one, bounded."""

import errno

import pytest

from pyi_fs.control import refusals
from pyi_fs.control.refusals import Refusals, sentence
from pyi_fs.errors import BusyError, InvalidArgumentError, NotFoundError


def refuse(kept: Refusals, uid: int, error: Exception) -> None:
    with pytest.raises(type(error)), kept.noted(uid):
        raise error


def test_each_user_reads_the_last_refusal_of_their_own():
    kept = Refusals()
    refuse(kept, 1, NotFoundError("no snapshot 'a'"))
    refuse(kept, 2, BusyError("branch 'b' is held"))
    refuse(kept, 1, NotFoundError("no snapshot 'c'"))
    assert kept.of(1) == b"no snapshot 'c'\n"
    assert kept.of(2) == b"branch 'b' is held\n"
    assert kept.of(3) == b""


def test_success_leaves_the_last_refusal():
    kept = Refusals()
    refuse(kept, 1, NotFoundError("no"))
    with kept.noted(1):
        pass
    assert kept.of(1) == b"no\n"


def test_the_user_refused_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refusals, "REFUSED_USERS_MAX", 2)
    kept = Refusals()
    for uid in (1, 2, 1, 3):
        refuse(kept, uid, NotFoundError(f"no {uid}"))
    assert [kept.of(uid) for uid in (1, 2, 3)] == [b"no 1\n", b"", b"no 3\n"]


def test_a_sentence_is_one_bounded_line():
    assert sentence(NotFoundError("a\nb\r\nc")) == b"a b c\n"
    assert sentence(NotFoundError()) == b"NotFoundError\n"
    assert sentence(InvalidArgumentError("\udcff")) == b"\\udcff\n"
    assert len(sentence(NotFoundError("x" * 100_000))) == refusals.SENTENCE_BYTES_MAX + 1


def test_a_failing_disk_is_told_in_words_too():
    kept = Refusals()
    refuse(kept, 1, OSError(errno.ENOSPC, "No space left on device"))
    assert kept.of(1) == b"the store could not do it: No space left on device\n"


def test_a_bug_is_no_refusal():
    kept = Refusals()
    refuse(kept, 1, ZeroDivisionError())
    assert kept.of(1) == b""
