"""What policies cost: 20 of them over 1,000 changed projects, and 1 and 5 over all projects of a large manifest.

The documents are made as values, not read from files: what is timed is what policies add to a validation.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from statistics import median
from typing import Final

from bench.report import Row
from hanse.desired.findings import Spot
from hanse.desired.kinds import (
    AccessRow,
    Document,
    Group,
    LandingZone,
    Location,
    Organization,
    Platform,
    Policy,
    Project,
    TenantRow,
    User,
    Workspace,
)
from hanse.desired.manifest import Declared, Id, Manifest
from hanse.desired.vocabulary import Vocabulary
from hanse.policy import check_policies

V: Final = "hanse/v1"
LIMIT = 2.0
"""Seconds for 20 policies over 1,000 changed projects."""
RULES = (
    ("tenant", 'project.tags.confidentiality == "c1"', 'location.jurisdiction == "EU"'),
    ("grant", 'grant.role == "admin"', 'people.all(p, p.email.endsWith("@example.org"))'),
    ("project", "has(project.tags.confidentiality)", 'project.name.matches(r"^p[0-9]+$")'),
    ("grant", "has(grant.until)", 'grant.until - grant.from <= duration("720h")'),
    ("project", "", 'project.access.exists(a, a.role == "admin")'),
)


def manifest(projects: int, policies: int) -> Manifest:
    """Projects of one tenant and two grants, groups of 10 people; all policies hold."""
    documents: list[Document] = [
        Organization(api_version=V, name="example"),
        Location(api_version=V, name="fra", jurisdiction="EU"),
        Platform(api_version=V, name="cloud", location="fra", credential="cloud"),
        LandingZone(api_version=V, name="production", platform="cloud"),
    ]
    documents += [User(api_version=V, name=f"u-{n}", email=f"u{n}@example.org") for n in range(1_000)]
    documents += [
        Group(api_version=V, name=f"g-{n}", members=tuple(f"u-{n * 10 + m}" for m in range(10)))
        for n in range(100)
    ]
    documents += [Workspace(api_version=V, name=f"w{n}") for n in range(projects // 20 + 1)]
    documents += [
        Project(
            api_version=V,
            name=f"p{n}",
            workspace=f"w{n // 20}",
            tags={"confidentiality": f"c{n % 3}"},
            access=(
                AccessRow(group=f"g-{n % 100}", role="admin"),
                AccessRow(user=f"u-{n % 1000}", role="user", from_="2026-01-01", until="2026-01-20"),
            ),
            tenants=(TenantRow(platform="cloud", landing_zone="production"),),
        )
        for n in range(projects)
    ]
    for n in range(policies):
        on, when, require = RULES[n % len(RULES)]
        documents.append(
            Policy(api_version=V, name=f"rule-{n}", on=on, when=when, require=require, message="no")  # type: ignore[arg-type]
        )
    return Manifest(
        (Declared(document, Spot("all.yaml", n)) for n, document in enumerate(documents)), Vocabulary({}), {}
    )


def run(*, quick: bool) -> list[Row]:
    """Seconds, each the median of three."""
    large = 5_000 if quick else 100_000
    many = manifest(large, 20)
    changed: set[Id] = {("Project", f"w{n // 20}", f"p{n}") for n in range(1_000)}
    took = _seconds(many, changed)
    rows = [Row(f"20 policies, 1,000 changed of {large:,} projects", f"{took:.2f} s", "", took, LIMIT)]
    for count in (1, 5):
        took = _seconds(manifest(large, count), None)
        rows.append(Row(f"{count} policies, all of {large:,} projects", f"{took:.2f} s"))
    return rows


def _seconds(asked: Manifest, changed: Collection[Id] | None) -> float:
    turns = []
    for _ in range(3):
        began = time.perf_counter()
        assert check_policies(asked, lambda one: changed is None or one in changed) == []
        turns.append(time.perf_counter() - began)
    return median(turns)
