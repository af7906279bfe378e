"""What every test gets: hypothesis profiles, the order of layers, marks, and a collected heap.

The tests run from the lowest layer up, and a failure in a layer stops those above it: what stands
on broken ground would only say so again, less clearly.
"""

import gc
import os
import sqlite3
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pyi_fs.store import index
from tests.support import transports
from tests.support.layers import layer_of

TESTS = Path(__file__).resolve().parent

# An assertion in a helper says as much as one in a test. Here, not in their package: the mounts and
# other processes that tests start import from that, and pytest takes 0.1 s each time.
pytest.register_assert_rewrite(
    *(f"tests.support.{name}" for name in ("crashes", "machine", "naive", "workspaces"))
)

# No deadlines: the machines are shared, and no test may depend on time.
settings.register_profile("dev", max_examples=50, deadline=None, print_blob=True)
settings.register_profile(
    "ci", max_examples=100, deadline=None, derandomize=True, database=None, print_blob=True
)
settings.register_profile(
    "long",
    max_examples=5000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--long`, for tests that can be made to look harder."""
    parser.addoption(
        "--long", action="store_true", help="longer scenarios (with --hypothesis-profile=long)"
    )


@pytest.fixture(scope="module")
def writeback(request: pytest.FixtureRequest) -> bool:
    """Returns whether mounts use the kernel's writeback cache; see `pytest_generate_tests`."""
    return bool(request.param)


@pytest.fixture(scope="session")
def is_long(pytestconfig: pytest.Config) -> bool:
    """Returns whether a test may take minutes."""
    return bool(pytestconfig.getoption("--long"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs tests that mount on every transport, and those with `writeback` in both modes.

    Or on the `TRANSPORTS` of their module. What also runs on the host says so itself
    (`tests/posix/conftest.py`).
    """
    definition, fixtures = metafunc.definition, metafunc.fixturenames
    folder = Path(str(definition.path)).parent.name
    if folder not in transports.FOLDERS or not definition.get_closest_marker("mount"):
        return
    names = getattr(metafunc.module, "TRANSPORTS", transports.NAMES)
    if "writeback" not in fixtures:
        metafunc.parametrize("transport", names, indirect=True, scope="module")
    elif "spot" not in fixtures:
        is_long = metafunc.config.getoption("--long")
        is_seldom = definition.get_closest_marker("long_in_writeback") is not None
        kinds = transports.kinds(is_long, names, folder=folder, is_seldom=is_seldom)
        metafunc.parametrize(
            "transport, writeback", kinds.values(), ids=kinds, indirect=True, scope="module"
        )


@pytest.fixture(autouse=True, scope="module")
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Gives the transport of the mounts of a test; the direct one where it does not matter."""
    before = transports.current()
    transports.use(getattr(request, "param", before))
    yield transports.current()
    transports.use(before)


def _not_their_turn(items: list[pytest.Item]) -> list[pytest.Item]:
    """Returns what to leave out so that tests `in_turns` run once for each other parameter."""
    turns: dict[tuple[Path, str], list[object]] = {}
    left_out: list[pytest.Item] = []
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("in_turns"):
            parameters = dict(item.callspec.params)
            name = parameters.pop("transport")
            seen = turns.setdefault((item.path, item.originalname), [])
            if parameters not in seen:
                seen.append(parameters)
            if transports.NAMES.index(name) != seen.index(parameters) % len(transports.NAMES):
                left_out.append(item)
    return left_out


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the lowest layer first and skips mounts where there is no `/dev/fuse`."""
    left_out = [] if config.getoption("--long") else _not_their_turn(items)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: layer_of(item.nodeid))
    if os.path.exists("/dev/fuse"):
        return
    for item in items:
        if item.get_closest_marker("mount"):
            item.add_marker(pytest.mark.skip(reason="/dev/fuse is missing: nothing can be mounted"))


def pytest_collection_finish() -> None:
    """Hides what the tools hold from the collector, so that a collection per test is cheap."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Deals tests out in their order, where several processes run them."""
    from tests.support.scheduling import InOrder

    scheduler = InOrder(config, log)
    config.pluginmanager.register(scheduler)
    return scheduler


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Stops before the next layer once a test of this one has failed."""
    result = yield
    if (
        item.session.testsfailed
        and nextitem is not None
        and layer_of(nextitem.nodeid) > layer_of(item.nodeid)
    ):
        item.session.shouldstop = (
            f"{item.path.parent.name} failed: the layers above it were not run"
        )
    return result


class _ProcessConnection(sqlite3.Connection):
    """A connection that ends with whoever holds it, like one of a process that dies."""

    def __del__(self) -> None:
        self.close()


@pytest.fixture(autouse=True, scope="session")
def _connections_end() -> Iterator[None]:
    """Lets what stands for a process die with its index open; Python 3.13 warns of that."""
    connect = partial(sqlite3.connect, factory=_ProcessConnection)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "connect", connect)
        yield


@pytest.fixture(autouse=True)
def _collected_heap() -> Iterator[None]:
    """Collects garbage after each test, so that a leaked descriptor is this test's failure.

    A fixture, because pytest looks for such leaks in the last hook of the teardown, and no hook of
    a conftest can stand between that one and the end of the fixtures. Set up first, torn down last.
    """
    yield
    gc.collect()
