"""What tests share: oracles, fakes of storage, strategies, workspaces."""

import pytest

# An assertion in a helper says as much as one in a test.
pytest.register_assert_rewrite(
    *(f"tests.support.{name}" for name in ("crashes", "machine", "naive", "workspaces"))
)
