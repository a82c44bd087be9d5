"""Kubernetes' quantities: `1000m` is `1`, `1024Mi` is `1Gi`, `0.5` is `500m`.

The rules are those of k8s.io/apimachinery/pkg/api/resource (https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource).
"""

import re
from fractions import Fraction
from math import ceil

_FORM = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")
_DECIMAL = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
_BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
_SMALLEST = Fraction(1, 10**3)  # in lists of resources, the only place where the API has quantities


class QuantityError(ValueError):
    """The text is no quantity."""

    def __init__(self) -> None:
        super().__init__(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )


def value(text: str) -> Fraction:
    """What a quantity stands for. Raises QuantityError."""
    return _read(text)[0]


def canonical(text: str) -> str:
    """The one spelling that the API server keeps of a quantity. Raises QuantityError."""
    amount, suffix = _read(text)
    if suffix.endswith("i") and abs(amount) >= 2**10:
        return _shortest(Fraction(ceil(amount)), 2**10, 0, _BINARY)
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        return _shortest(amount, 10**3, -3, ["" if n == 0 else f"e{n}" for n in range(-9, 21, 3)])
    return _shortest(amount, 10**3, -3, _DECIMAL)


def _read(text: str) -> tuple[Fraction, str]:
    found = _FORM.fullmatch(text)
    if found is None:
        raise QuantityError
    sign, digits, suffix = found[1], Fraction(found[2].rstrip(".") or "0"), found[3] or ""
    if suffix.endswith("i"):
        factor = Fraction(2 ** (10 * _BINARY.index(suffix)))
    elif suffix in _DECIMAL:
        factor = Fraction(10) ** (3 * (_DECIMAL.index(suffix) - 3))
    else:
        factor = Fraction(10) ** int(suffix[1:])
    # What is smaller is rounded away from nothing.
    amount = Fraction(ceil(digits * factor / _SMALLEST)) * _SMALLEST
    return (-amount if sign == "-" else amount), suffix


def _shortest(amount: Fraction, base: int, power: int, suffixes: list[str]) -> str:
    """The whole number with the greatest suffix that needs no fraction."""
    if amount == 0:
        return "0"
    amount /= Fraction(base) ** power
    place = 0
    while place + 1 < len(suffixes) and (amount / base).denominator == 1:
        amount, place = amount / base, place + 1
    return f"{amount.numerator}{suffixes[place]}"
