"""Answers as tables: drawn on a terminal, tab-separated lines elsewhere."""

import sys
from collections.abc import Sequence
from datetime import datetime

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
        table.add_column(column, no_wrap=column != columns[-1])
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def time_text(time_ns: int) -> str:
    """Returns a moment in local time, to the second."""
    return datetime.fromtimestamp(time_ns // 10**9).isoformat(" ")


def _plain(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)
