"""The LimitRange of a landing zone: its rows with what the API server adds to them, and what it would refuse. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hanse.platforms.kubernetes.blocks import Limits
from hanse.platforms.kubernetes.quantity import amount, canonical

_SECTIONS = ("default", "default_request", "min", "max", "max_limit_request_ratio")
_RISING = ("min", "default_request", "default", "max")
"""Sections of a limit in the order in which their amounts may only rise."""

_Path = tuple[str | int, ...]


class Wrong(NamedTuple):
    """What is wrong with a landing zone's limits, and where in its block."""

    code: str
    message: str
    advice: str
    path: _Path


def limit_range(limits: Limits) -> tuple[tuple[str, ...], tuple[Wrong, ...]]:
    """Rows such as `Container.default.cpu=500m`, in order, and all that is wrong."""
    found: dict[str, str] = {}
    wrong: list[Wrong] = []
    for kind, field, block in (
        ("Container", "container", limits.container),
        ("Pod", "pod", limits.pod),
        ("PersistentVolumeClaim", "persistentVolumeClaim", limits.persistent_volume_claim),
    ):
        path = ("kubernetes", "limits", field)
        sections = {s: dict(getattr(block, s)) for s in _SECTIONS if hasattr(block, s)}
        read = {
            section: _quantities(amounts, (*path, _camel(section)), wrong)
            for section, amounts in sections.items()
        }
        _rising(read, path, wrong)
        for section, amounts in (_defaulted(read) if kind == "Container" else read).items():
            found |= {f"{kind}.{_camel(section)}.{name}": text for name, text in amounts.items()}
    return tuple(sorted(f"{name}={text}" for name, text in found.items())), tuple(wrong)


def _quantities(amounts: Mapping[str, str | float], path: _Path, wrong: list[Wrong]) -> dict[str, str]:
    found = {}
    for name, written in amounts.items():
        try:
            found[name] = canonical(written)
            if amount(written) < 0:
                raise ValueError(f"'{written}' is less than nothing")
            if (amount(written) * 1000).denominator != 1:  # SetDefaults_ResourceList rounds it up, in silence
                raise ValueError(f"'{written}' is finer than a thousandth, and Kubernetes counts in these")
        except ValueError as error:
            advice = "write a quantity such as 500m, 2 or 1.5Gi"
            wrong.append(Wrong("not-a-quantity", str(error), advice, (*path, name)))
            found.pop(name, None)
    return found


def _rising(sections: Mapping[str, Mapping[str, str]], path: _Path, wrong: list[Wrong]) -> None:
    """What the API server would refuse: a least that is more than a default, a default that is more than a most.

    k8s.io/kubernetes 1.36, pkg/apis/core/validation, ValidateLimitRange.
    """
    present = [section for section in _RISING if sections.get(section)]
    for i, lower in enumerate(present):
        for upper in present[i + 1 :]:
            for name, text in sections[lower].items():
                most = sections[upper].get(name)
                if most is not None and amount(text) > amount(most):
                    message = f"{_camel(lower)} {name} of {text} is more than {_camel(upper)} of {most}"
                    advice = f"lower it, or raise {_camel(upper)}"
                    wrong.append(Wrong("out-of-range", message, advice, (*path, _camel(lower), name)))


def _defaulted(read: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What the API server makes of a limit of containers.

    k8s.io/kubernetes 1.36, pkg/apis/core/v1/defaults.go, SetDefaults_LimitRangeItem.
    """
    default = {**read["max"], **read["default"]}
    request = {**read["min"], **default, **read["default_request"]}
    return {
        **{name: dict(amounts) for name, amounts in read.items()},
        "default": default,
        "default_request": request,
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
