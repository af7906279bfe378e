"""Random calls of several users in a twin, and the search for one that differs."""

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.posix_steps import Step, sequences
from tests.support.posix_twin import Twin

EXAMPLES_MAX = 1000
"""A run in CI does 300; the first that finds a mistake is the last. The rest is for drawings that
come to it late: they change with the strategies."""

PARTS: st.SearchStrategy[list[list[Step]]] = st.lists(sequences(5, 25), min_size=1, max_size=3)
LOST: st.SearchStrategy[list[Step]] = sequences(0, 8)


class Found(BaseException):
    """Something differed: that is what was wanted."""


def make_calls(twin: Twin, parts: list[list[Step]], lost: list[Step]) -> None:
    """Makes the calls of each part, with a restore between two parts that takes `lost` back."""
    twin.begin()
    for index, steps in enumerate(parts):
        if index:
            twin.restore(lost)
        for user, call in steps:
            twin.step(user, call)


def look(twin: Twin) -> None:
    """Makes the calls of random sequences, always the same; `Found` at the first difference."""

    @settings(
        max_examples=EXAMPLES_MAX,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(parts=PARTS, lost=LOST)
    def search(parts: Any, lost: Any) -> None:
        try:
            make_calls(twin, parts, lost)
        except AssertionError as error:
            raise Found(str(error)) from error

    search()
