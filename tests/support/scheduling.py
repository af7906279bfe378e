"""How the tests of a run are dealt out to the processes that run them side by side.

In the order they were collected in, lowest layer first (`tests/conftest.py`); who is done with one
unit takes the next. A unit is what shares fixtures: a file, or one way to mount of a file. Once a
test has failed nothing of the layers above it is dealt out; what already was is finished.

Source: `LoadScopeScheduling` of pytest-xdist, which knows neither order nor failures.
"""

import re

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.support.layers import layer_name, layer_of
from tests.support.transports import NAMES, WRITE_MODES

_WORDS = re.compile(rf"(?<!\w)({'|'.join(NAMES)})(-({'|'.join(WRITE_MODES)}))?(?![\w])")


def unit_of(test: str) -> str:
    """Returns the unit of a test, given by its node id."""
    path, _, rest = test.partition("::")
    found = _WORDS.search(rest.partition("[")[2])
    return f"{path}[{found[0]}]" if found else path


class InOrder(LoadScopeScheduling):  # type: ignore[misc]
    """Deals units out in their order, and none above a failure."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes back what is above the layer of a failed test and was not dealt out yet."""
        if not report.failed:
            return
        layer = layer_of(report.nodeid)
        above = [unit for unit in self.workqueue if layer_of(unit) > layer]
        for unit in above:
            del self.workqueue[unit]
        if above:
            self._say(f"{layer_name(layer)} failed: the layers above it are not run")

    def _say(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, pytest.TerminalReporter):
            reporter.ensure_newline()
            reporter.write_line(line)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
