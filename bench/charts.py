"""A picture for each work, PNG and SVG: how many times better or worse than each peer."""

from pathlib import Path

from bench.measure import Results, summary
from bench.report import factor, reference, slug

COLOURS = ["#0b6e4f", "#c8553d", "#3d5a80", "#e0a458", "#7d5ba6", "#588157", "#8d99ae", "#b56576"]


def draw(results: Results, out: Path) -> list[str]:
    """Writes `WORK.png` and `WORK.svg` into `out`; returns the names of the SVG files."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "pyi-fs"  # the same figures give the same file
    mpl.rcParams["svg.fonttype"] = "none"  # a third of the size, and text that can be searched
    return [name for work in results.works() if (name := _work(results, work, out))]


def _work(results: Results, work: str, out: Path) -> str | None:
    from matplotlib import pyplot

    peers = results.peers(work)
    mine = reference(peers)
    rows = results.rows(work)
    others = [peer for peer in peers if peer != mine]
    if mine is None or not others:
        return None
    height = 1.4 + 0.22 * len(rows) * max(2, len(others))
    figure, axes = pyplot.subplots(figsize=(9, height), layout="constrained")
    thickness = 0.8 / len(others)
    for place, peer in enumerate(others):
        at, lengths = [], []
        for line, row in enumerate(rows):
            values = results.samples[row]
            if mine not in values or peer not in values:
                continue
            times = factor(row, summary(values[mine]).median, summary(values[peer]).median)
            if times is not None:
                at.append(line + place * thickness - 0.4 + thickness / 2)
                lengths.append(times)
        bars = axes.barh(
            at,
            [times - 1 for times in lengths],
            left=1,
            height=thickness * 0.9,
            color=COLOURS[place % len(COLOURS)],
            label=peer,
        )
        labels = [f" {times:,.0f}x " if times >= 10 else f" {times:.2g}x " for times in lengths]
        axes.bar_label(bars, labels=labels, fontsize=6)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row.what for row in rows], fontsize=8)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xlabel(
        f"times better (right of 1) or worse (left) {mine} is than the peer", fontsize=8
    )
    axes.set_title(work, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        fontsize=7,
        frameon=False,
        ncols=len(others),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.6 / height),
    )
    for ending in ("png", "svg"):
        figure.savefig(
            out / f"{slug(work)}.{ending}",
            dpi=130,
            metadata={"Date": None} if ending == "svg" else None,
        )
    pyplot.close(figure)
    return f"{slug(work)}.svg"
