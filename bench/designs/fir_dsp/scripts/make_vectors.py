# SPDX-License-Identifier: Apache-2.0
"""Writes the coefficients and the signal that the test bench reads, one decimal per line."""

import argparse
from collections.abc import Iterable
from pathlib import Path

import fir_model


def main() -> None:
    """Writes both files for the shape given as options."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("taps", "decimation", "data-bits", "coeff-bits", "samples"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--coefficients", type=Path, required=True, metavar="FILE")
    parser.add_argument("--signal", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    shape = fir_model.Shape(options.taps, options.decimation, options.data_bits, options.coeff_bits)
    write_lines(options.coefficients, fir_model.quantised_half(shape))
    write_lines(options.signal, fir_model.signal(shape, options.samples))


def write_lines(path: Path, numbers: Iterable[int]) -> None:
    """Writes one number per line."""
    path.write_text("".join(f"{number}\n" for number in numbers))


if __name__ == "__main__":
    main()
