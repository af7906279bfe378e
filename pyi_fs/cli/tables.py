"""Answers as tables: drawn on a terminal, tab-separated lines elsewhere."""

import sys
from collections.abc import Sequence
from datetime import datetime

from pyi_fs.cli.program import visible

_LAST_COLUMN_MIN = 20
"""What the last column may be wrapped to, so that a table fits: it has the long texts."""

_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table. Where nobody looks: one line a row, without title and head."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(map(_plain, row)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=None, header_style="bold")
    for column in columns:
        table.add_column(column)
    for fixed in table.columns[:-1]:
        fixed.no_wrap = True
    for row in rows:
        table.add_row(*(Text(visible(text)) for text in row))
    # Rather lines that the terminal wraps than ids cut off, which nobody could type.
    least = sum(_width(column, rows, place) for place, column in enumerate(columns))
    console = Console()
    console.width = max(console.width, least)
    console.print(table)


def _width(column: str, rows: Sequence[Sequence[str]], place: int) -> int:
    """Returns the least width of a column, with the blanks beside it."""
    from rich.cells import cell_len

    lines = [line for row in rows for line in row[place].split("\n")]
    width = max(map(cell_len, [column, *lines]))
    is_last = all(len(row) == place + 1 for row in rows)
    return 2 + (min(width, _LAST_COLUMN_MIN) if is_last else width)


def time_text(time_ns: int) -> str:
    """Returns a moment in local time, to the second."""
    return datetime.fromtimestamp(time_ns // 10**9).isoformat(" ")


def _plain(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)
