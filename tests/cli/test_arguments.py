"""Places, durations, labels: what is meant, and what is refused."""

from pathlib import Path

import click
import pytest

from pyi_fs.cli.arguments import (
    Place,
    Seconds,
    device_label,
    is_directory,
    parsed_label,
    place,
)


def test_a_place_is_a_workspace_and_perhaps_a_snapshot():
    assert place("ws") == Place("ws", None)
    assert place("ws@3-ab12cd") == Place("ws", "3-ab12cd")
    assert str(place("ws@first")) == "ws@first"


@pytest.mark.parametrize("text", ["", "@", "@snap", "ws@", "a/b", "./ws", "ws@a/b"])
def test_half_a_place_is_refused(text):
    with pytest.raises(click.BadParameter):
        place(text)


def test_a_slash_or_dots_alone_make_a_directory():
    assert [is_directory(text) for text in ("./ws", "/ws", "ws/", ".", "..")] == [True] * 5
    assert [is_directory(text) for text in ("ws", "ws@1", "...", ".ws")] == [False] * 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("5min", 300),
        ("1h", 3600),
        ("250ms", 0.25),
        ("2", 2),
        (".5s", 0.5),
    ],
)
def test_durations(text, seconds):
    assert Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1s", "1d", "s", "1 s x", "nan", "200h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(click.BadParameter):
        Seconds().convert(text, None, None)


def test_a_label_can_be_read_back():
    label = device_label(Path("/a/b#c"), Place("ws", "first"))
    assert label == "/a/b#c#ws@first"
    assert parsed_label(label) == (Path("/a/b#c"), Place("ws", "first"))
    assert parsed_label("ws") == (None, Place("ws", None))


def test_a_label_with_a_relative_store_is_refused():
    with pytest.raises(click.BadParameter, match="absolute"):
        parsed_label("store#ws")


def test_a_label_that_is_only_a_store_is_refused():
    with pytest.raises(click.BadParameter, match="write STORE#WORKSPACE"):
        parsed_label("/srv/pyi")
