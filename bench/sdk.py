"""The other yardstick: a script over openstacksdk that ensures things one by one, as such scripts are written.

    python -m bench.sdk < what.json

It runs as a process of its own. It finds each thing, makes it where it is missing, and never looks anything up twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from hanse.demo.keystone import Keystone


def ensure(running: Keystone, wanted: Sequence[dict[str, Any]]) -> tuple[float, int, int]:
    """Let the script ensure these projects: its seconds without start and sign-in, its calls, its changes."""
    admin = running.admin
    given = {"url": running.url, "user": admin.username, "password": admin.password, "wanted": wanted}
    done = subprocess.run(
        [sys.executable, "-m", "bench.sdk"],
        input=json.dumps(given),
        text=True,
        check=True,
        capture_output=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return told["seconds"], told["calls"], told["changes"]


def main() -> None:
    """Ensure what stdin describes."""
    import openstack  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 (slow; who imports this need not pay)

    given = json.load(sys.stdin)
    connection: Any = openstack.connect(
        auth_url=given["url"], username=given["user"], password=given["password"], project_name="admin",
        user_domain_id="default", project_domain_id="default", region_name="RegionOne",
    )  # fmt: skip
    identity = connection.identity
    calls = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal calls
        calls += 1

    connection.authorize()
    identity.get_endpoint_data()
    connection.session._session.hooks["response"].append(count)
    began, changes = time.perf_counter(), 0
    roles: dict[str, Any] = {}
    users: dict[str, Any] = {}
    for wanted in given["wanted"]:
        name = wanted["project"]["name"]
        project = identity.find_project(name, domain_id="default")
        if project is None:
            project = identity.create_project(**wanted["project"])
            changes += 1
        for row in wanted["groups"]:
            group = identity.find_group(row["group"]["name"], domain_id="default")
            if group is None:
                group = identity.create_group(**row["group"])
                changes += 1
            role = roles.get(row["role"]) or roles.setdefault(row["role"], identity.find_role(row["role"]))
            if not identity.validate_group_has_project_role(project, group, role):
                identity.assign_project_role_to_group(project, group, role)
                changes += 1
            for member in row["members"]:
                user = users.get(member) or users.setdefault(
                    member, identity.find_user(member, domain_id="default")
                )
                if not identity.check_user_in_group(user, group):
                    identity.add_user_to_group(user, group)
                    changes += 1
    print(json.dumps({"seconds": time.perf_counter() - began, "calls": calls, "changes": changes}))


if __name__ == "__main__":
    main()
