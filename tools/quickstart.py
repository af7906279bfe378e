"""Shows a workspace at work on a real design. `tools/quickstart` installs what this needs.

Every line after a `$` is run by bash as it is printed, in the directory before the `$`; every time
is that of its bash, from start to end. What a line is said to do is checked, and the first surprise
ends the run. However it ends, nothing stays mounted and no process that was started stays alive.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from tools.quickstart_session import (
    QuickstartError,
    Ran,
    Session,
    duration,
    expect,
    mounted_below,
)

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
DESIGN = ROOT / "bench" / "designs" / "fir_dsp"
WORKSPACE = "fir"
FORK = "as-shipped"
# From the design's README: slow and big, small and fast, and one that is too inaccurate to pass.
VARIANTS = (
    "small MACS=2",
    "lean TAPS=48 MACS=6 COEFF_BITS=10",
    "coarse TAPS=32 MACS=4 COEFF_BITS=8",
)
# The status of a flow whose variant works but is not accurate enough.
NOT_ACCURATE = 2
ROUNDS = 50
MEASURED = ("one pread: snapshot of an edit", "one pwrite: restore", "one pwrite: undo")


class Variant(NamedTuple):
    """A line of exploration: a branch's name and what the flow is told."""

    name: str
    settings: str


class Explored(NamedTuple):
    """What became of a variant; `lines` in the order they were run."""

    variant: Variant
    lines: list[Ran]
    report: dict[str, Any]


# --- the steps ------------------------------------------------------------


def mount_design(session: Session) -> None:
    """Fills a workspace from the design's directory, mounts it, names the state."""
    session.title("Fill a workspace from a directory and mount it")
    session.do(
        f"pyi-mount --from $DESIGN {WORKSPACE} mnt/main", what="import the design and mount it"
    )
    session.do("ls", "mnt/main")
    session.do("echo start > .pyi/snapshot; cat .pyi/last", "mnt/main", what="name a snapshot")


def branch_and_fork(session: Session, variants: list[Variant]) -> None:
    """Makes a branch for each variant and a fork, each with a mount process of its own."""
    session.title("Branch it, fork it, mount each with a process of its own")
    for variant in variants:
        session.do(f"echo {variant.name} > .pyi/branch", "mnt/main", what="make a branch")
    session.do(f"pyi-fork {WORKSPACE}@start {FORK}", what="fork the workspace")
    for variant in variants:
        session.do(
            f"pyi-mount --branch {variant.name} {WORKSPACE} mnt/{variant.name}",
            what="mount a branch or fork",
        )
    session.do(f"pyi-mount {FORK} mnt/{FORK}", what="mount a branch or fork")
    session.do("ls .pyi/branches", "mnt/main")


def explore(session: Session, variant: Variant) -> Explored:
    """Runs the flow of one variant in its mount, between two snapshots."""
    where = f"mnt/{variant.name}"
    lines = []

    def run(line: str, *, what: str = "", statuses: tuple[int, ...] = (0,)) -> Ran:
        lines.append(session.run(line, where, what=what, statuses=statuses))
        return lines[-1]

    flow = "./flow.sh"
    if variant.settings:
        run(f"echo '{variant.settings}' > settings")
        flow += " $(cat settings)"
    before = run("cat .pyi/snapshot", what="snapshot after an edit")
    expect(
        "+1 ~0 -0" in before.output or not variant.settings,
        f"{variant.name}: one new file, but the snapshot says {before.output.strip()}",
    )
    run(flow, what="flow: simulate and synthesise", statuses=(0, NOT_ACCURATE))
    after = run("cat .pyi/snapshot", what="snapshot after a flow")
    expect("\t+" in after.output, f"{variant.name}: no new files, but {after.output.strip()}")
    report = json.loads((session.base / where / "build" / "report.json").read_text())
    return Explored(variant, lines, report)


def explore_all(session: Session, variants: list[Variant]) -> list[Explored]:
    """Explores all at the same time and shows each as it ends; returns them in the order given."""
    session.title("Run the unmodified flow in all of them at the same time")
    found = {}
    everything = [*variants, Variant(FORK, "")]
    with ThreadPoolExecutor(len(everything)) as threads:
        futures = [threads.submit(explore, session, variant) for variant in everything]
        try:
            for future in as_completed(futures):
                explored = future.result()
                found[explored.variant] = explored
                session.say(f"  {explored.variant.name}:", "italic")
                for ran in explored.lines:
                    session.show(ran)
        except BaseException:
            # The threads wait for their flows, and leaving this block for the threads.
            session.stop()
            raise
    return [found[variant] for variant in everything]


def keep_best(session: Session, explored: list[Explored]) -> str:
    """Switches the root to the best variant and drops the others; returns its name."""
    session.title("Keep the best, drop the others")
    passed = [one for one in explored if one.report["pass"]]
    expect(bool(passed), "no variant is accurate enough: nothing to keep")
    best = min(passed, key=lambda one: float(one.report["score"])).variant.name
    names = [one.variant.name for one in explored]
    # Each is locked by the process of its mount, the root's included.
    for name in names:
        session.do(f"pyi-mount --unmount mnt/{name}", what="unmount")
    session.do(f"echo {best} > .pyi/head", "mnt/main", what="switch the root to the best")
    for name in names:
        if name != best:
            session.do(f"echo {name} > .pyi/drop", "mnt/main", what="drop a branch")
    left = session.do("cat .pyi/head; ls .pyi/branches", "mnt/main").split()
    expect(left == [best, *sorted([best, "main"])], f"after head and drop there is {left}")
    session.do("echo best > .pyi/snapshot; cat .pyi/last", "mnt/main", what="name a snapshot")
    return best


def restore_and_undo(session: Session) -> None:
    """Goes back to the start, undoes that, and takes back an `rm -rf`."""
    session.title("Go back to the start, undo that, survive an rm -rf")
    root = session.base / "mnt" / "main"
    report = root / "build" / "report.json"
    best = report.read_bytes()
    session.do("echo start > .pyi/restore; ls", "mnt/main", what="restore")
    expect(not (root / "settings").exists(), "settings is still there after the restore")
    session.do("cat .pyi/undo; echo > .pyi/undo; ls", "mnt/main", what="undo")
    expect(report.read_bytes() == best, "the report is another one after undo")
    session.do("rm -rf rtl tb scripts flow.sh; ls", "mnt/main")
    expect(not (root / "rtl").exists(), "rtl is still there after rm -rf")
    session.do("echo best > .pyi/restore; ls", "mnt/main", what="restore")
    session.do(
        "diff -r $DESIGN/rtl rtl && cmp $DESIGN/flow.sh flow.sh && echo all there, byte for byte",
        "mnt/main",
    )
    expect(report.read_bytes() == best, "the report is another one after the second restore")


def export(session: Session, best: str) -> None:
    """Exports the kept branch to git, twice: the second time there is nothing to do."""
    session.title("Hand the history to git")
    session.do(f"pyi-git-export {WORKSPACE} repository --branch {best}", what="export to git")
    session.do("git -C repository log --oneline --all")
    session.do("git -C repository fsck --strict 2>/dev/null && echo sound")
    settings = session.run(f"git -C repository show {best_ref(session)}:settings").output
    here = (session.base / "mnt" / "main" / "settings").read_text()
    expect(settings == here, f"git has the settings {settings!r}, the workspace {here!r}")


def best_ref(session: Session) -> str:
    """Returns the git branch that was exported to, the only one."""
    refs = session.run("git -C repository for-each-ref --format='%(refname)' refs/heads").output
    expect(len(refs.split()) == 1, f"one git branch was to be made, there are: {refs.split()}")
    return refs.strip()


def measure(session: Session) -> None:
    """Times what a program sees that keeps the control files open: one `pread` or `pwrite` each."""
    session.title(f"The same from a program that keeps the files open, {ROUNDS} times in the fork")
    root = session.base / "mnt" / FORK
    controls = root / ".pyi"
    snapshot = os.open(controls / "snapshot", os.O_RDWR)
    restore = os.open(controls / "restore", os.O_RDWR)
    undo = os.open(controls / "undo", os.O_RDWR)
    try:
        start = os.pread(snapshot, 4096, 0).split()[0]
        for number in range(ROUNDS):
            (root / "note").write_text(f"{number}\n")
            session.timed(MEASURED[0], lambda: os.pread(snapshot, 4096, 0))
            session.timed(MEASURED[1], lambda: os.pwrite(restore, start, 0))
            expect(not (root / "note").exists(), "the note is still there after a restore")
            session.timed(MEASURED[2], lambda: os.pwrite(undo, b"\n", 0))
            expect((root / "note").read_text() == f"{number}\n", "undo brought another note back")
    finally:
        for descriptor in (snapshot, restore, undo):
            os.close(descriptor)
    for what in MEASURED:
        seconds = session.took[what]
        longest = duration(max(seconds))
        session.say(f"{duration(statistics.median(seconds)):>9}  {what}; the longest {longest}")


def clean_up(session: Session) -> None:
    """Removes the fork, unmounts, and checks what is left."""
    session.title("Leave")
    session.do(f"pyi-mount --unmount mnt/{FORK}", what="unmount")
    session.do(f"pyi-store rm --yes {FORK}", what="remove the fork")
    session.do("pyi-mount --unmount mnt/main", what="unmount")
    session.do("pyi-fsck --verify-data && echo sound", what="check the store, every byte of it")
    session.do("pyi-store ls")


# --- the whole run --------------------------------------------------------


def run_all(session: Session, variants: list[Variant]) -> None:
    """Runs the steps and prints what came of them."""
    started = time.perf_counter()
    session.say(f"In {session.base}, with {BIN} on PATH and")
    session.say(f"  PYI_STORE={session.base}/store\n  DESIGN={DESIGN}")
    for name in ["main", FORK, *(variant.name for variant in variants)]:
        (session.base / "mnt" / name).mkdir(parents=True)
    mount_design(session)
    branch_and_fork(session, variants)
    explored = explore_all(session, variants)
    best = keep_best(session, explored[:-1])
    restore_and_undo(session)
    export(session, best)
    measure(session)
    clean_up(session)
    expect(not mounted_below(session.base), "something is still mounted")
    session.title(f"Done in {duration(time.perf_counter() - started)}; nothing is mounted any more")
    print_variants(session, explored, best)
    print_times(session)
    print_places(session, best)


def new_table(title: str) -> Table:
    """Returns an empty table."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
    )


def print_variants(session: Session, explored: list[Explored], best: str) -> None:
    """Prints what the flow reported of each variant."""
    table = new_table("What was explored")
    table.add_column("variant", no_wrap=True)
    table.add_column("settings")
    for heading in ("cells", "levels", "cycles", "SNR dB", "score"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for variant, _, report in explored:
        verdict = "passed" if report["pass"] else "failed: SNR"
        if variant.name == best:
            verdict = "best, kept"
        columns = ("cells", "logic_levels", "cycles_per_sample", "snr_db", "score")
        table.add_row(
            variant.name,
            variant.settings or "(a fork)",
            *(f"{report[column]:g}" for column in columns),
            verdict,
            style="bold" if variant.name == best else "" if report["pass"] else "dim",
        )
    session.console.print(table)


def print_times(session: Session) -> None:
    """Prints how long each kind of line took, in the order in which they came first."""
    table = new_table("What it took; a line of bash counts from its start to its end")
    table.add_column("what")
    table.add_column("times", justify="right")
    table.add_column("median", justify="right")
    table.add_column("longest", justify="right")
    for what, seconds in session.took.items():
        longest = duration(max(seconds)) if len(seconds) > 1 else ""
        table.add_row(what, str(len(seconds)), duration(statistics.median(seconds)), longest)
    session.console.print(table)


def print_places(session: Session, best: str) -> None:
    """Prints where to look."""
    base = session.base
    session.say("Where to look", "bold")
    for line in (
        f"  export PATH={BIN}:$PATH PYI_STORE={base}/store",
        f"  pyi-mount --branch {best} {WORKSPACE} {base}/mnt/main    # mounts it again",
        f"  cat {base}/mnt/main/.pyi/log    # what more there is: docs/control-directory.md",
        f"  pyi-mount --unmount {base}/mnt/main",
        "  pyi-store ls; pyi-store --help    # what the store holds",
        f"  git -C {base}/repository log --stat    # every snapshot as a commit",
        f"  rm -r {base}    # all of it goes",
    ):
        session.console.print(Text(line), soft_wrap=True)


def parse_arguments() -> argparse.Namespace:
    """Returns the command line as a namespace."""
    parser = argparse.ArgumentParser(prog="tools/quickstart", add_help=False)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--variant", action="append", default=[])
    return parser.parse_args()


def read_variants(texts: list[str]) -> list[Variant]:
    """Returns the variants asked for, or ours. `QuickstartError` if a name is taken."""
    variants = [Variant(*f"{text} ".split(" ", 1)) for text in texts or VARIANTS]
    variants = [Variant(name, settings.strip()) for name, settings in variants]
    names = [variant.name for variant in variants]
    expect(
        len({*names, "main", FORK, "start", "best"}) == len(names) + 4, f"a name is taken: {names}"
    )
    expect(all(variant.settings for variant in variants), "a variant is a name and settings")
    return variants


def make_base(keep: Path | None) -> Path:
    """Returns the directory for everything, new or empty."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="pyi-quickstart.")).resolve()
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    expect(not any(keep.iterdir()), f"{keep} is not empty: --keep wants a new or empty directory")
    return keep.resolve()


def leave(session: Session) -> None:
    """Unmounts whatever there is, and says so."""
    try:
        for mountpoint in session.end():
            print(f"quickstart: unmounted {mountpoint}", file=sys.stderr)
    except QuickstartError as error:
        print(f"quickstart: {error}", file=sys.stderr)
    else:
        print("quickstart: nothing is mounted any more", file=sys.stderr)


def main() -> int:
    """Returns 0 if all went as said, 1 if not, 130 after Ctrl-C."""
    arguments = parse_arguments()
    try:
        variants = read_variants(arguments.variant)
        base = make_base(arguments.keep)
    except (QuickstartError, OSError) as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    session = Session(
        base,
        {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYI_STORE": str(base / "store"),
            "DESIGN": str(DESIGN),
        },
    )
    # Not an exception: it could come between the start of a process and our knowing of it.
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        session.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        run_all(session, variants)
    except (QuickstartError, OSError) as error:
        print(f"quickstart: {error}", file=sys.stderr)
        leave(session)
        print(f"quickstart: to look at, or to remove: {base}", file=sys.stderr)
        return 130 if received else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
