"""The naive oracle, and the host, find mistakes in the model: each one planted here.

The host's question is that of `test_model_against_host.py`, with sequences that are fixed here.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pyi_fs.model import edit
from tests.support import seeded_bugs
from tests.support.model_pair import Pair
from tests.support.posix_search import Found
from tests.support.posix_search import look as look_at_calls
from tests.support.posix_twin import Twin
from tests.support.posix_worlds import HostWorld, ModelWorld
from tests.support.strategies import mutations

pytestmark = pytest.mark.slow

EXAMPLES_MAX = 400
"""What `test_oracle.py` does when nothing else is asked for."""
SEEDS = 5
"""One is enough nearly always. But what is drawn from a seed is another thing after each change of
any module: Hypothesis puts the constants that it finds in the sources among what it draws."""


def look() -> None:
    """Applies random mutations; `Found` at the first difference."""
    for number in range(SEEDS):
        seed(number)(_look)()


@settings(
    max_examples=EXAMPLES_MAX,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def _look(data: st.DataObject) -> None:
    pair = Pair()
    for step in range(data.draw(st.integers(1, 40))):
        change = data.draw(mutations(pair.tree, pair.content, 1000 + step))
        try:
            pair.step(change)
        except AssertionError as error:
            raise Found(str(error)) from error


@pytest.fixture(scope="module")
def beside(host: Path) -> Iterator[HostWorld]:
    """Gives the host's directory with its processes."""
    world = HostWorld(host)
    yield world
    world.close()


def _plant(name: str, patch: pytest.MonkeyPatch) -> None:
    if name in seeded_bugs.IN_THE_HANDLERS:
        patch.setattr(*seeded_bugs.IN_THE_HANDLERS[name])
        return
    for mutation, rule in seeded_bugs.rules_with(name).items():
        patch.setitem(edit._RULES, mutation, rule)  # noqa: SLF001 - what all apply


@pytest.mark.parametrize("name", seeded_bugs.IN_THE_MODEL)
def test_a_mistake_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(name, monkeypatch)
    with pytest.raises(Found):
        look()


@pytest.mark.parametrize("name", [*seeded_bugs.IN_THE_MODEL, *seeded_bugs.IN_THE_HANDLERS])
def test_calls_find_a_mistake(
    name: str, beside: HostWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelWorld(tmp_path)
    _plant(name, monkeypatch)
    with pytest.raises(Found):
        look_at_calls(Twin(beside, model))
    model.close()
