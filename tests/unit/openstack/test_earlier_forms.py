"""What was written for OpenStack in an earlier way means the same, and is told."""

from datetime import UTC, datetime

from hanse.desired.intents import settings
from hanse.desired.load import load
from hanse.foundation.diagnostics import render
from hanse.main import language

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PLATFORM = """\
{apiVersion: hanse/v1, kind: Organization, name: example}
---
apiVersion: hanse/v1
kind: Platform
name: one
credential: one
openstack:
  users: {domain: corporate, externalId: one}
  PREFIX
"""


def test_the_earlier_place_of_the_prefix_of_tags() -> None:
    def read(prefix: str) -> tuple[object, list[str]]:
        loaded = load({"a.yaml": PLATFORM.replace("PREFIX", prefix).encode()}, language().vocabulary, NOW)
        return settings(loaded.manifest).platforms, [render(found) for found in loaded.diagnostics]

    now, nothing = read("tags: {prefix: 'org:'}")
    assert nothing == []
    assert read("tagPrefix: 'org:'") == (
        now,
        ["a.yaml:9:3: warning: 'openstack.tagPrefix' is deprecated; write it as 'openstack.tags.prefix'"],
    )
