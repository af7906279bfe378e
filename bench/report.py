"""The report of a run: markdown for people, JSON for programs."""

import json
from pathlib import Path

from bench.machine import Machine
from bench.measure import Results, Row, summary
from bench.peers import OURS

NOISY = 0.25


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def reference(peers: list[str]) -> str | None:
    """Returns whose figures the others are compared with: ours, if we took part."""
    named = [peer for peer in peers if peer.startswith(OURS)]
    return OURS if OURS in named else next(iter(named), None)


def factor(row: Row, ours: float, theirs: float) -> float | None:
    """Returns how many times better ours is than theirs; None where one of them is nothing."""
    if not ours or not theirs:
        return None
    return ours / theirs if row.more_is_better else theirs / ours


def _cell(row: Row, values: dict[str, list[float]], peer: str, mine: str | None) -> str:
    if peer not in values:
        return ""
    found = summary(values[peer])
    text = _number(found.median) + (" ~" if found.spread > NOISY else "")
    if mine is None or peer == mine or mine not in values:
        return text
    times = factor(row, summary(values[mine]).median, found.median)
    return text if times is None else f"**{times:.2f}x** ({text})"


def table(results: Results, work: str) -> str:
    """Returns a work as a markdown table: ours, and for each peer how many times better ours is."""
    mine = reference(results.peers(work))
    peers = sorted(results.peers(work), key=lambda peer: peer != mine)
    lines = ["| | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for row in results.rows(work):
        values = results.samples[row]
        cells = [_cell(row, values, peer, mine) for peer in peers]
        lines.append(f"| {row.what}, {row.unit} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown(results: Results, machine: Machine, notes: list[str], charts: list[str]) -> str:
    """Returns the whole report."""
    parts = [
        "# Bench",
        machine.line(),
        "Medians. In bold, how many times better the first column is than this peer in this run"
        f" (above 1: better); `~` marks rows whose middle half spreads over more than {NOISY:.0%}.",
    ]
    for work in results.works():
        parts.append(f"## {work}")
        parts += [f"![{work}]({name})" for name in charts if name == f"{slug(work)}.svg"]
        parts.append(table(results, work))
    if notes:
        parts += ["## Notes", *notes]
    if results.skipped:
        parts += ["## Not measured", "\n".join(f"- {sentence}" for sentence in results.skipped)]
    return "\n\n".join(parts) + "\n"


def slug(work: str) -> str:
    """Returns the name of a work's chart, without its ending."""
    return (
        "".join(letter if letter.isalnum() else "-" for letter in work)
        .strip("-")
        .replace("--", "-")
    )


def as_json(results: Results, machine: Machine, notes: list[str]) -> str:
    """Returns everything that was measured, each sample."""
    rows = [
        {
            "work": row.work,
            "what": row.what,
            "unit": row.unit,
            "more_is_better": row.more_is_better,
            "samples": values,
        }
        for row, values in results.samples.items()
    ]
    found = {"machine": machine.as_json(), "rows": rows, "notes": notes, "skipped": results.skipped}
    return json.dumps(found, indent=1) + "\n"


def write(
    out: Path, results: Results, machine: Machine, notes: list[str], charts: list[str]
) -> None:
    """Writes `report.md` and `results.json` into a directory that exists."""
    (out / "report.md").write_text(markdown(results, machine, notes, charts))
    (out / "results.json").write_text(as_json(results, machine, notes))
