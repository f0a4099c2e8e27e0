# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes quantities: "200m", "10Mi", "1e3" as exact numbers, and in the form the API server stores."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?\d+))")
#: What the API server says of a quantity it cannot read.
PATTERN_MESSAGE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@lru_cache(maxsize=4096)
def parse(text: str | int | float) -> Decimal:
    """The exact value of a quantity. Raises ValueError."""
    match = _FORM.fullmatch(str(text))
    if match is None:
        raise ValueError(PATTERN_MESSAGE)
    number, binary, decimal, exponent = match.groups()
    value = Decimal(number)
    if binary:
        return value * _BINARY[binary]
    if exponent is not None:
        return value.scaleb(int(exponent))
    return value.scaleb(_DECIMAL[decimal or ""])


@lru_cache(maxsize=4096)
def canonical(text: str | int | float) -> str:
    """A quantity as the API server writes it back: same kind of suffix, no fraction, largest unit."""
    value = parse(text)
    match = _FORM.fullmatch(str(text))
    assert match is not None  # noqa: S101 - parse has just matched it
    if match.group(2) and (abs(value) >= 1024 or value == 0) and value == value.to_integral_value():
        return _binary(int(value))
    return _decimal(value, scientific=match.group(4) is not None)


def total(texts: list[str]) -> str:
    """The sum of quantities, in binary units where one of them is."""
    value = sum((parse(text) for text in texts), Decimal(0))
    if any(str(text).endswith("i") for text in texts) and value == value.to_integral_value():
        return _binary(int(value))
    return canonical(f"{value:f}")


def _binary(value: int) -> str:
    for suffix, factor in reversed(_BINARY.items()):
        if value and value % factor == 0:
            return f"{value // factor}{suffix}"
    return str(value)


def _decimal(value: Decimal, *, scientific: bool) -> str:
    if value == 0:
        return "0"
    # The API server keeps nothing finer than a nano and rounds up.
    value = value.quantize(Decimal("1e-9"), rounding=ROUND_CEILING)
    for suffix, exponent in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value.scaleb(-exponent)
        if scaled == scaled.to_integral_value():
            if scientific and exponent > 0:
                return f"{int(scaled)}e{exponent}"
            return f"{int(scaled)}{suffix}"
    raise AssertionError("a value of whole nanos always fits the smallest suffix")
