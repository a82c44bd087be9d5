"""What is compiled is what is observed after it was performed, on a real Keystone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openstack_cloud import Corner, connect, credential, told, user

from hanse.demo import keystone as starter


@pytest.fixture
async def corner(keystone: starter.Keystone, tmp_path: Path) -> AsyncIterator[Corner]:
    transport = connect(credential(keystone, tmp_path))
    yield await Corner(transport).furnish(["ann", "ben", "cleo"])
    await transport.close()


@pytest.mark.parametrize("sweep", [False, True])
async def test_the_second_plan_is_empty(corner: Corner, sweep: bool) -> None:
    intent = corner.intent(
        "prod", user("ann", "admin"), user("ben", "user"), user("cleo", "user"), tags={"environment": "prod"}
    )
    first = await corner.converge(intent, sweep=sweep)
    assert told(first) == [
        ("create", "project"),
        ("create", "group/admin"),
        ("create", "group/user"),
        ("create", "group/admin/member/ann"),
        ("create", "group/user/member/ben"),
        ("create", "group/user/member/cleo"),
        ("create", "group/admin/role/member"),
        ("create", "group/user/role/member"),
    ]
    for again in (False, True):
        second, _ = await corner.plan(intent, sweep=again)
        assert (told(second), second.remarks) == ([], ())
