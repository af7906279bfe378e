# SPDX-License-Identifier: Apache-2.0
"""Turns the logs of one run into `report.json` and one line for people.

Exits with 0 if the variant passes, 2 if it works as its golden model says but is less accurate
than the limit. (A variant that disagrees with its golden model never gets here: the test bench
fails first.)

Score, lower is better: cells * cycles per sample * logic levels / 1000, an area-time product
with the longest chain of gates for the length of a cycle.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import fir_model

PARAMETERS = ("TAPS", "DECIMATION", "MACS", "DATA_BITS", "COEFF_BITS", "PIPELINE")


def main() -> None:
    """Writes the report, prints the line, exits with the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="the directory with the logs")
    parser.add_argument("--snr-min-db", type=float, required=True)
    parser.add_argument("parameters", nargs="+", metavar="KEY=VALUE")
    options = parser.parse_args()
    parameters = {name: int(value) for name, value in (p.split("=") for p in options.parameters)}
    report = make_report(options.build, {n: parameters[n] for n in PARAMETERS}, options.snr_min_db)
    # Under another name first, so that whoever waits for the report never reads half of it.
    draft = options.build / "report.json.tmp"
    draft.write_text(json.dumps(report, indent=2) + "\n")
    draft.replace(options.build / "report.json")
    print(describe(report))
    sys.exit(0 if report["pass"] else 2)


def make_report(build: Path, parameters: dict[str, int], snr_min_db: float) -> dict[str, Any]:
    """Returns everything measured about one variant, ready for JSON."""
    shape = fir_model.Shape(
        parameters["TAPS"],
        parameters["DECIMATION"],
        parameters["DATA_BITS"],
        parameters["COEFF_BITS"],
    )
    outputs = [int(line) for line in (build / "outputs.txt").read_text().split()]
    snr_db = round(fir_model.signal_to_noise_db(shape, outputs), 2)
    simulation = read_result(build / "sim.log")
    cells = json.loads((build / "stat.json").read_text())["design"]["num_cells_by_type"]
    levels = read_levels(build / "levels.txt")
    cycles_per_sample = round(simulation["signal_cycles"] / simulation["signal_samples"], 3)
    cell_count = sum(cells.values())
    return {
        "design": "fir_dsp",
        "parameters": parameters,
        "cells": cell_count,
        "flip_flops": sum(n for kind, n in cells.items() if "DFF" in kind),
        "logic_levels": levels,
        "cycles_per_sample": cycles_per_sample,
        "snr_db": snr_db,
        "snr_min_db": snr_min_db,
        "simulation": simulation,
        "pass": snr_db >= snr_min_db,
        "score": round(cell_count * cycles_per_sample * levels / 1000, 1),
    }


def read_result(log: Path) -> dict[str, int]:
    """Returns the numbers of the test bench's RESULT line."""
    for line in log.read_text().splitlines():
        if line.startswith("RESULT "):
            return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
    raise ValueError(f"{log} has no RESULT line")


def read_levels(log: Path) -> int:
    """Returns the length of the longest path between registers, from Yosys' `ltp`."""
    match = re.search(r"Longest topological path in \S+ \(length=(\d+)\)", log.read_text())
    if match is None:
        raise ValueError(f"{log} names no longest path")
    return int(match[1])


def describe(report: dict[str, Any]) -> str:
    """Returns the report as one line."""
    settings = " ".join(f"{name}={value}" for name, value in report["parameters"].items())
    verdict = "PASS" if report["pass"] else f"FAIL (SNR below {report['snr_min_db']:g} dB)"
    return (
        f"{settings}: {report['cells']} cells, {report['flip_flops']} flip-flops,"
        f" {report['logic_levels']} levels, {report['cycles_per_sample']:.2f} cycles/sample,"
        f" SNR {report['snr_db']:.1f} dB, score {report['score']:.0f}: {verdict}"
    )


if __name__ == "__main__":
    main()
