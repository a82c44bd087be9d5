"""Amounts as Kubernetes writes them: one canonical text for each amount and way of writing it.

After k8s.io/apimachinery 0.36, pkg/api/resource: `ParseQuantity` and `Quantity.CanonicalizeBytes`. The API server keeps
some texts as they came (`1.500`, `05`), so whoever compares makes both sides canonical.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

_WRITTEN = re.compile(r"([+-]?)(?=\.?\d)(\d*)(?:\.(\d*))?([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d{1,3}|)", re.ASCII)
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXPONENTS = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_NANO = 10**9
_MAX_BINARY = 2**63 - 1


class _Read(NamedTuple):
    """An amount and how it was written."""

    amount: Fraction
    binary: bool = False
    exponential: bool = False


def canonical(written: str | float) -> str:
    """The text that the API server makes of an amount, such as `1536Mi` of `1.5Gi` and `500m` of 0.5.

    Raises ValueError where it is no amount.
    """
    amount, binary, exponential = _read(str(written))
    if not amount:
        return "0"
    if binary and amount.denominator == 1 and abs(amount) >= 1024:
        number, power = _stripped(amount.numerator, 1024)
        return f"{number}{_BINARY[power]}"
    number, exponent = _stripped(int(amount * _NANO), 10)
    exponent -= 9
    number, exponent = number * 10 ** (exponent % 3), exponent - exponent % 3
    if exponential:
        return f"{number}e{exponent}" if exponent else str(number)
    if exponent not in _DECIMAL:
        raise ValueError(f"'{written}' is more than Kubernetes can write")
    return f"{number}{_DECIMAL[exponent]}"


def amount(written: str | float) -> Fraction:
    """How much it is, for comparison. Raises ValueError where it is no amount."""
    return _read(str(written)).amount


@lru_cache(maxsize=4096)
def _read(text: str) -> _Read:
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no quantity")
    sign, whole, part, suffix = match[1], match[2], match[3] or "", match[4]
    number = Fraction(int(whole + part), 10 ** len(part))
    binary = suffix.endswith("i")
    exponential = not binary and suffix not in _EXPONENTS
    if binary:
        number *= 1024 ** _BINARY.index(suffix)
    else:
        number *= Fraction(10) ** (int(suffix[1:]) if exponential else _EXPONENTS[suffix])
    number = Fraction(
        -(-number * _NANO // 1), _NANO
    )  # what is less than a billionth is rounded away from zero
    if binary:
        number = min(number, Fraction(_MAX_BINARY))
    return _Read(-number if sign == "-" else number, binary, exponential)


def _stripped(number: int, base: int) -> tuple[int, int]:
    """The number without its factors `base`, and how many they were."""
    times = 0
    while number % base == 0:
        number, times = number // base, times + 1
    return number, times
