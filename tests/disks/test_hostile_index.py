"""The chunk index with another schema, other types, rows of nothing: the packs are the truth."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.damage import build
from tests.support.judging import SETTINGS, fresh_copy, judged

pytestmark = [pytest.mark.slow]
WORKSPACES = ("a", "fork")
TERABYTE = 1 << 40


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indexed") / "store"
    build(path)
    return path


values = st.sampled_from([None, 0, -1, 2**40, 2**63 - 1, 1.5, "text", b"", bytes(32), b"\xff" * 40])
STATEMENTS = (
    "DROP TABLE chunk",
    "DROP TABLE pack",
    "DROP TABLE meta",
    "DELETE FROM meta",
    "ALTER TABLE chunk RENAME COLUMN pack TO other",
    "DELETE FROM chunk",
    "DELETE FROM pack",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = 99",
    "PRAGMA user_version = -5",
    "PRAGMA application_id = 5",
    "CREATE VIEW evil AS SELECT * FROM chunk",
    "CREATE TRIGGER evil AFTER INSERT ON chunk BEGIN DELETE FROM pack; END",
    "UPDATE chunk SET condemned = 'x'",
    "UPDATE meta SET value = 'x'",
    "INSERT INTO lease VALUES (X'00', 'x')",
    "INSERT INTO lease VALUES ('../../../etc', -1)",
)


@given(
    st.lists(st.sampled_from(STATEMENTS), max_size=2),
    st.lists(
        st.tuples(
            st.sampled_from(["offset", "raw_length", "stored_length", "method", "pack"]), values
        ),
        max_size=2,
    ),
)
@example(["DROP TABLE chunk"], [])
@example([], [("stored_length", TERABYTE)])
@SETTINGS
def test_an_index_of_anything(
    template: Path, tmp_path: Path, statements: list[str], updates: list[tuple[str, object]]
) -> None:
    """Another schema, other types, rows of nothing: the packs are the truth."""
    store = fresh_copy(template, tmp_path / "copy")
    with sqlite3.connect(store / "index.sqlite", isolation_level=None) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        for column, value in updates:
            try:
                connection.execute(f"UPDATE chunk SET {column} = ?", (value,))
            except sqlite3.Error:
                continue
        for statement in statements:
            try:
                connection.execute(statement)
            except sqlite3.Error:
                continue
    connection.close()
    judged(store, WORKSPACES)
