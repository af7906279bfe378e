"""The schema of the chunk index is the one that the document describes."""

import re
import sqlite3
from pathlib import Path

from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex


def test_schema_is_the_documented_one(tmp_path: Path) -> None:
    ChunkIndex(DirectoryStorage(tmp_path)).close()
    database = sqlite3.connect(tmp_path / layout.INDEX)
    documents = Path(__file__).parents[2] / "docs"
    paths = [documents / "on-disk-format.d" / "packs.md", documents / "on-disk-format.md"]
    texts = [path.read_text() for path in paths if path.exists()]
    text = next(text for text in texts if "## Chunk index" in text).partition("## Chunk index")[2]
    documented: set[tuple[str, str]] = set()
    table = ""
    for line in text.splitlines():
        found = re.match(r"\| (?:`(\w+)` )?\| (.*?) \|", line)
        if found is None:
            continue
        table = found[1] or table
        if table:
            documented |= {(table, column) for column in re.findall(r"`(\w+)`", found[2])}
    query = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c"
    rows = database.execute(f"{query} WHERE m.type = 'table' AND m.name NOT LIKE '%migrations'")
    assert documented == set(rows)
    assert "0x70796966" in text
    assert database.execute("PRAGMA application_id").fetchone() == (0x70796966,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()
