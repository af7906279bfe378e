"""Runs the works on the peers, in turn, and writes the report. `bench/run` is its command."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from bench import machine as machines
from bench import report
from bench.measure import Results, turns
from bench.peers import OURS, places
from bench.peers.base import Peer
from bench.peers.keepers import Keeper, keepers
from bench.trees import make_tree
from bench.works import agents, beside, data, experiment, jobs, memory, metadata, space, states

Say = Callable[[str], None]
F = TypeVar("F", bound=Callable[..., object])
WORKS = (
    "metadata",
    "clients",
    "data",
    "states",
    "beside",
    "jobs",
    "agents",
    "experiment",
    "space",
    "memory",
)


class Bench:
    """One run: its results, its options, a base directory for everything it makes."""

    def __init__(
        self, base: Path, chosen: frozenset[str], quick: bool, repeats: int, say: Say
    ) -> None:
        """`chosen`: names of peers, empty for all."""
        self.base, self.chosen, self.quick, self.repeats, self.say = (
            base,
            chosen,
            quick,
            repeats,
            say,
        )
        self.results = Results()
        self.notes: list[str] = []
        self._count = 0

    def room(self) -> Path:
        """Returns a new empty directory."""
        self._count += 1
        room = self.base / f"r{self._count}"
        room.mkdir()
        return room

    def _takes_part(self, peer: Peer | Keeper) -> bool:
        if self.chosen and not any(peer.name.startswith(name) for name in self.chosen):
            return False
        reason = peer.missing()
        if reason:
            self.results.skip(f"{peer.name}: {reason}")
        return reason is None

    def on_places(self, work: str, do: Callable[[Path, str], None]) -> None:
        """Does a work on each place, in turns, each time on a fresh one."""
        peers = {name: peer for name, peer in places().items() if self._takes_part(peer)}
        for name in turns(list(peers), self.repeats):
            self.say(f"{work}: {name}")
            room = self.room()
            try:
                place = peers[name].start(room)
                try:
                    do(place, name)
                finally:
                    peers[name].end()
            except (OSError, RuntimeError) as error:
                self.results.skip(f"{work} on {name} failed: {error}")
            shutil.rmtree(room, ignore_errors=True)

    def on_keepers(
        self, work: str, all_of_them: list[Keeper], do: Callable[[Keeper, Path], None]
    ) -> None:
        """Does a work on each keeper of states, once: each takes many samples itself."""
        for keeper in all_of_them:
            if not self._takes_part(keeper):
                continue
            self.say(f"{work}: {keeper.name}")
            room = self.room()
            try:
                do(keeper, room)
            except (OSError, RuntimeError) as error:
                self.results.skip(f"{work} on {keeper.name} failed: {error}")
            shutil.rmtree(room, ignore_errors=True)

    def source(self, files: int) -> Path:
        """Returns a tree of so many files, made at its first use."""
        directory = self.base / f"source{files}"
        if not directory.exists():
            make_tree(directory, files)
        return directory

    def run(self, work: str) -> None:
        """Does one of `WORKS`."""
        getattr(self, f"_{work}")()

    def _metadata(self) -> None:
        self.on_places(
            "metadata", lambda place, name: metadata.measure(place, name, self.results, self.quick)
        )

    def _clients(self) -> None:
        self.on_places(
            "clients",
            lambda place, name: metadata.measure_four(place, name, self.results, self.quick),
        )

    def _data(self) -> None:
        self.on_places(
            "data", lambda place, name: data.measure(place, name, self.results, self.quick)
        )

    def _jobs(self) -> None:
        self.say("jobs: making what they work on")
        material = jobs.Material(self.room(), self.quick)
        self.on_places(
            "jobs", lambda place, name: jobs.measure(place, name, material, self.results)
        )

    def _states(self) -> None:
        for files in (200, 2000) if self.quick else (200, 20_000, 200_000):
            source = self.source(files)

            def do(keeper: Keeper, room: Path, files: int = files, source: Path = source) -> None:
                states.measure(keeper, room, source, files, self.results, self.quick)

            self.on_keepers(f"states, {files:,} files", keepers(), do)

    def _beside(self) -> None:
        if self.chosen and OURS not in self.chosen:
            return
        self.say("beside other work")
        room = self.room()
        beside.measure(room, self.source(500 if self.quick else 20_000), self.results, self.quick)
        shutil.rmtree(room, ignore_errors=True)

    def _agents(self) -> None:
        source = self.source(500 if self.quick else 20_000)
        self.on_keepers(
            "agents",
            agents.loops(),
            lambda keeper, room: agents.measure(keeper, room, source, self.results, self.quick),
        )

    def _experiment(self) -> None:
        self.say("experiment")
        self.notes.append(experiment.measure(self.room(), self.results, self.quick))

    def _space(self) -> None:
        self.say("space: disk writes")
        space.disk_writes(self.room(), self.results, self.quick)
        self.say("space: sizes of stores")
        space.sizes(self.room(), self.results, self.quick)

    def _memory(self) -> None:
        self.say("memory")
        memory.measure(self.room(), self.results, self.quick)


def _directory(flag: str, name: str, default: str, text: str) -> Callable[[F], F]:
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option(flag, name, type=kind, default=default, show_default=True, help=text)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--peers", default="", help="Only these, with commas; default: all there are.")
@click.option("--works", default=",".join(WORKS), show_default=True, help="Only these.")
@click.option("--quick", is_flag=True, help="Small sizes: shows that all works, measures little.")
@click.option("--repeats", type=click.IntRange(1), help="Turns of each peer [5; with --quick 1]")
@_directory("--dir", "directory", "/var/tmp", "Where the work is done: the disk that is measured.")
@_directory("--out", "out", "bench-report", "Where report.md, results.json and charts go.")
def main(
    peers: str, works: str, quick: bool, repeats: int | None, directory: Path, out: Path
) -> None:
    """Measures pyi-fs beside its peers: the same work on each, in turns, on the same disk.

    Peers that cannot be had here are named in the report. An hour; minutes with --quick.
    """
    wanted = [work for work in works.split(",") if work]
    unknown = [work for work in wanted if work not in WORKS]
    if unknown:
        raise click.UsageError(
            f"no such work: {', '.join(unknown)} (there are: {', '.join(WORKS)})"
        )
    known = {*places(), *(keeper.name for keeper in [*keepers(), *agents.loops()])}
    chosen = frozenset(name for name in peers.split(",") if name)
    strangers = [name for name in chosen if not any(one.startswith(name) for one in known)]
    if strangers:
        raise click.UsageError(
            f"no such peer: {', '.join(strangers)} (there are: {', '.join(sorted(known))})"
        )
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    base = Path(tempfile.mkdtemp(prefix="pyi-bench.", dir=directory))
    machine = machines.look(base)
    console.print(machine.line(), highlight=False)
    bench = Bench(
        base, chosen, quick, repeats or (1 if quick else 5), lambda text: console.print(f"  {text}")
    )
    try:
        for work in wanted:
            bench.run(work)
            _write(out, bench, machine)  # what is measured is kept even if the rest is interrupted
    finally:
        shutil.rmtree(base, ignore_errors=True)
    click.echo((out / "report.md").read_text())
    click.echo(f"in {out}: report.md, results.json, charts as PNG and SVG", err=True)


def _write(out: Path, bench: Bench, machine: machines.Machine) -> None:
    try:
        from bench.charts import draw

        charts = draw(bench.results, out)
    except ImportError:
        charts = []
        bench.results.skip("matplotlib is not installed: charts")
    report.write(out, bench.results, machine, bench.notes, charts)


if __name__ == "__main__":
    main()
