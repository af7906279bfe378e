"""What a report says of the machine, so that its figures can be judged later."""

import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pyi_fs


@dataclass(frozen=True)
class Machine:
    """The header of a report."""

    date: str
    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    filesystem: str
    load_before: float
    version: str
    commit: str

    def line(self) -> str:
        """Returns the header as one sentence."""
        return (
            f"{self.date}; {self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB; Linux"
            f" {self.kernel}; CPython {self.python}; disk below: {self.filesystem}; load before:"
            f" {self.load_before:.1f}; pyi-fs {self.version} ({self.commit})"
        )

    def as_json(self) -> dict[str, object]:
        """Returns the fields by name."""
        return asdict(self)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(directory: Path) -> str:
    found = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE", "--target", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def _commit() -> str:
    root = Path(__file__).resolve().parent.parent
    found = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "no git"


def look(directory: Path) -> Machine:
    """Returns the machine as it is now; `directory` is where the work will be done."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=pages / (1 << 30),
        kernel=platform.release(),
        python=platform.python_version(),
        filesystem=_filesystem(directory),
        load_before=os.getloadavg()[0],
        version=pyi_fs.__version__,
        commit=_commit(),
    )
