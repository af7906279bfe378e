"""The naive oracle finds mistakes in the rules of the model: each one planted here."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pyi_fs.model import edit
from tests.support import seeded_bugs
from tests.support.model_pair import Pair
from tests.support.strategies import mutations

pytestmark = pytest.mark.slow

EXAMPLES_MAX = 400
"""What `test_oracle.py` does when nothing else is asked for."""


class Found(BaseException):
    """Something differed: that is what was wanted."""


@settings(
    max_examples=EXAMPLES_MAX,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def look(data: st.DataObject) -> None:
    """Applies random mutations; `Found` at the first difference."""
    pair = Pair()
    for step in range(data.draw(st.integers(1, 40))):
        change = data.draw(mutations(pair.tree, pair.content, 1000 + step))
        try:
            pair.step(change)
        except AssertionError as error:
            raise Found(str(error)) from error


@pytest.mark.parametrize("name", seeded_bugs.IN_THE_MODEL)
def test_a_mistake_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for mutation, rule in seeded_bugs.rules_with(name).items():
        monkeypatch.setitem(edit._RULES, mutation, rule)  # noqa: SLF001 - what all apply
    with pytest.raises(Found):
        look()
