# SPDX-License-Identifier: Apache-2.0
"""The filter and its test signal as numbers: what `make_vectors` writes and `write_report` judges.

The signal is a sum of tones inside the pass band, which the filter should let through unchanged,
and tones outside, which decimation would fold into the pass band if the filter let them through.
The error of an output is therefore its distance from the pass-band tones alone, delayed by half
the impulse response; passing ripple, leaking stop band and rounding all add to it.
Frequencies are in cycles per input sample. Standard library only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

PASS_FRACTION = 0.72
"""Edge of the pass band, as a fraction of half the output rate; the stop band is its mirror."""
PASS_TONES = (0.11, 0.34, 0.69)
"""Tones to keep, as fractions of half the output rate."""
STOP_TONES = (1.31, 1.57, 1.83)
"""Tones to remove, as fractions of half the output rate."""
TONE_AMPLITUDE = 0.15
"""Of full scale, each; six tones reach 0.9 at most, so the signal itself never clips."""


@dataclass(frozen=True)
class Shape:
    """The parameters of the design that change its arithmetic."""

    taps: int
    decimation: int
    data_bits: int
    coeff_bits: int


def bessel_i0(x: float) -> float:
    """Returns the modified Bessel function of order 0 by its power series."""
    total = term = 1.0
    k = 1
    while term > 1e-17 * total:
        term *= (x / (2 * k)) ** 2
        total += term
        k += 1
    return total


def coefficients(shape: Shape) -> list[float]:
    """Returns the ideal impulse response: a Kaiser-windowed sinc of unit gain at frequency 0.

    The window is as steep as the length allows for the transition band (Kaiser's formulas).
    """
    cutoff = 0.5 / shape.decimation
    transition = 2 * math.pi * 2 * (1 - PASS_FRACTION) * cutoff
    attenuation_db = 2.285 * transition * (shape.taps - 1) + 7.95
    if attenuation_db > 50:
        beta = 0.1102 * (attenuation_db - 8.7)
    elif attenuation_db > 21:
        beta = 0.5842 * (attenuation_db - 21) ** 0.4 + 0.07886 * (attenuation_db - 21)
    else:
        beta = 0.0
    middle = (shape.taps - 1) / 2
    response = []
    for k in range(shape.taps):
        t = k - middle
        sinc = 2 * cutoff if t == 0 else math.sin(2 * math.pi * cutoff * t) / (math.pi * t)
        window = bessel_i0(beta * math.sqrt(1 - (t / middle) ** 2)) / bessel_i0(beta)
        response.append(sinc * window)
    gain = sum(response)
    return [h / gain for h in response]


def quantised_half(shape: Shape) -> list[int]:
    """Returns the stored half of the impulse response as words of `coeff_bits` bits."""
    limit = 1 << (shape.coeff_bits - 1)
    words = [round(h * (1 << shape.coeff_bits)) for h in coefficients(shape)]
    return [min(limit - 1, max(-limit, word)) for word in words[: shape.taps // 2]]


def tones_at(shape: Shape, fractions: Sequence[float], sample: float) -> float:
    """Returns the sum of these tones at a sample number, in units of full scale."""
    half_rate = 0.5 / shape.decimation
    return TONE_AMPLITUDE * sum(
        math.sin(2 * math.pi * f * half_rate * sample + 0.7 * i) for i, f in enumerate(fractions)
    )


def signal(shape: Shape, count: int) -> list[int]:
    """Returns `count` samples of the test signal as words of `data_bits` bits."""
    scale = (1 << (shape.data_bits - 1)) - 1
    tones = PASS_TONES + STOP_TONES
    return [round(scale * tones_at(shape, tones, sample)) for sample in range(count)]


def signal_to_noise_db(shape: Shape, outputs: Sequence[int]) -> float:
    """Returns how far the outputs stand above their error, once the window has filled."""
    scale = (1 << (shape.data_bits - 1)) - 1
    delay = (shape.taps - 1) / 2
    wanted_power = error_power = 0.0
    for n in range(-(-shape.taps // shape.decimation), len(outputs)):
        newest = shape.decimation * n + shape.decimation - 1
        wanted = scale * tones_at(shape, PASS_TONES, newest - delay)
        wanted_power += wanted**2
        error_power += (outputs[n] - wanted) ** 2
    if wanted_power == 0.0:
        raise ValueError(f"{len(outputs)} outputs are too few for {shape.taps} taps")
    return 10 * math.log10(wanted_power / error_power) if error_power else math.inf
