"""Settings in words: what is written is what is shown, and nonsense is refused with an example."""

import click
import pytest

from pyi_fs.cli.gc_settings import Size, with_words, words_of
from pyi_fs.engine.gc_settings import DEFAULT, Settings

HOUR = 3600


def test_words_say_what_they_make() -> None:
    words = ["automatic=off", "budget=20GB", "free=none", "plain=0", "all=12h", "weekly=52w"]
    made = with_words(DEFAULT, words)
    assert made == Settings(
        automatic=False,
        budget_bytes=20 * 10**9,
        budget_percent=None,
        free_percent=None,
        plain_bytes=0,
        plain_percent=None,
        all_seconds=12 * HOUR,
        weekly_seconds=52 * 7 * 24 * HOUR,
    )
    assert with_words(DEFAULT, words_of(made)) == made
    assert with_words(made, words_of(DEFAULT)) == DEFAULT
    assert words_of(with_words(DEFAULT, ["hourly=90s"]))[5] == "hourly=90s"


@pytest.mark.parametrize(
    "word",
    ["automatic=yes", "budget=much", "budget=101%", "free=", "all=ever", "hourly=7", "colour=red"],
)
def test_nonsense_is_refused(word: str) -> None:
    with pytest.raises(click.UsageError, match=word.partition("=")[0]):
        with_words(DEFAULT, [word])


def test_a_size_is_understood_or_refused() -> None:
    size = Size()
    assert [size.convert(text, None, None) for text in ("7", "1.5k", "20GB", "3 m")] == [
        *(7, 1500, 20 * 10**9, 3 * 10**6)
    ]
    with pytest.raises(click.BadParameter):
        size.convert("much", None, None)
