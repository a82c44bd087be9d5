"""The starter of a real Keystone keeps its promises."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hanse.demo import keystone as starter
from hanse.demo.keystone import Keystone, KeystoneError


class Client:
    """Just enough of the Identity API, as the administrator of a project, or of the system."""

    def __init__(self, cloud: Keystone, **whom: Any) -> None:
        self.url = cloud.url
        user = {"name": cloud.admin.username, "domain": {"id": "default"}, "password": cloud.admin.password}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": whom.get("user", user)}},
                "scope": whom.get("scope", {"project": {"name": "admin", "domain": {"id": "default"}}}),
            }
        }
        self.token: str | None = None
        with self._send("POST", "/auth/tokens", body) as answer:
            self.token = answer.headers["X-Subject-Token"]
            self.catalog = json.load(answer)["token"].get("catalog", [])

    def _send(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            path if path.startswith("http") else self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"X-Auth-Token": self.token} if self.token else {}),
        )
        return urllib.request.urlopen(request, timeout=60)  # noqa: S310

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer; HTTPError for any failure."""
        with self._send(method, path, body) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def all_of(self, what: str) -> list[dict[str, Any]]:
        """Every row, page by page."""
        rows, path = [], f"/{what}?limit=1000"
        while path:
            page = self("GET", path)
            rows += page[what]
            path = page["links"].get("next")
        return rows


def identifier() -> str:
    return uuid4().hex


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_first_token_names_keystone_itself_in_its_catalogue(keystone: Keystone) -> None:
    [service] = Client(keystone).catalog
    assert service["type"] == "identity"
    assert {endpoint["url"] for endpoint in service["endpoints"]} == {keystone.url}


def test_it_listens_on_the_loopback_only(keystone: Keystone) -> None:
    assert urllib.parse.urlsplit(keystone.url).hostname == "127.0.0.1"
    port = urllib.parse.urlsplit(keystone.url).port
    with socket.socket() as other:  # all of 127.0.0.0/8 is this machine, and it must not be there either
        assert other.connect_ex(("127.0.0.2", port or 0)) != 0


def test_secrets_are_readable_by_the_owner_only(keystone: Keystone) -> None:
    assert keystone.folder.stat().st_mode & 0o077 == 0
    secret = ["admin.password", "keystone.conf", "fernet/0", "fernet/1", "credential/0", "credential/1"]
    assert {(keystone.folder / name).stat().st_mode & 0o777 for name in secret} == {0o600}
    assert keystone.admin.password not in repr(keystone)


def test_clouds_yaml_is_one_that_signs_in(keystone: Keystone) -> None:
    cloud = json.loads(keystone.clouds_yaml("fra"))["clouds"]["fra"]["auth"]
    assert cloud["auth_url"] == keystone.url
    named = {
        "name": cloud["username"],
        "domain": {"id": cloud["user_domain_id"]},
        "password": cloud["password"],
    }
    project = {"name": cloud["project_name"], "domain": {"id": cloud["project_domain_id"]}}
    assert Client(keystone, user=named, scope={"project": project}).token


def test_a_reader_of_the_system_sees_all_and_changes_nothing(keystone: Keystone) -> None:
    admin = Client(keystone)
    reader = {"name": f"reader-{identifier()}", "password": "pass-word-of-a-reader", "domain_id": "default"}
    user = admin("POST", "/users", {"user": reader})["user"]["id"]
    [role] = admin("GET", "/roles?name=reader")["roles"]
    admin("PUT", f"/system/users/{user}/roles/{role['id']}")
    client = Client(
        keystone, user={"id": user, "password": reader["password"]}, scope={"system": {"all": True}}
    )
    assert client.all_of("projects")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        client("POST", "/projects", {"project": {"name": "not-by-a-reader", "domain_id": "default"}})


def test_parallel_writers_and_readers_are_all_served(keystone: Keystone) -> None:
    admin = Client(keystone)
    domain = admin("POST", "/domains", {"domain": {"name": f"crowded-{identifier()}"}})["domain"]["id"]

    def write(number: int) -> None:
        group = admin("POST", "/groups", {"group": {"name": f"group-{number}", "domain_id": domain}})[
            "group"
        ]["id"]
        user = admin("POST", "/users", {"user": {"name": f"user-{number}", "domain_id": domain}})["user"][
            "id"
        ]
        admin("PUT", f"/groups/{group}/users/{user}")
        assert [row["id"] for row in admin("GET", f"/groups/{group}/users")["users"]] == [user]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert len(admin("GET", f"/groups?domain_id={domain}")["groups"]) == 40


def test_two_clouds_from_one_template_share_neither_data_nor_keys_nor_password(
    keystone: Keystone, tmp_path: Path
) -> None:
    with starter.start(tmp_path / "other") as other:
        here, there = Client(keystone), Client(other)
        name = f"only-here-{identifier()}"
        here("POST", "/projects", {"project": {"name": name, "domain_id": "default"}})
        assert name not in {project["name"] for project in there.all_of("projects")}
        assert keystone.admin.password != other.admin.password
        there.token = here.token
        with pytest.raises(urllib.error.HTTPError, match="401"):
            there("GET", "/projects")


def test_a_stopped_cloud_leaves_no_process_and_goes_on_with_its_data(tmp_path: Path) -> None:
    with starter.start(tmp_path) as cloud:
        Client(cloud)("POST", "/projects", {"project": {"name": "kept", "domain_id": "default"}})
        with pytest.raises(KeystoneError, match="is running"):
            starter.start(tmp_path)
    assert not cloud.running
    assert not exists(cloud.pid)
    cloud.stop()  # again changes nothing
    port = urllib.parse.urlsplit(cloud.url).port or 0
    with starter.start(tmp_path, port=port) as again:
        assert again.url == cloud.url
        assert "kept" in {project["name"] for project in Client(again).all_of("projects")}


def test_a_seeded_estate_is_seen_whole_page_by_page(tmp_path: Path) -> None:
    projects = [
        {
            "id": identifier(),
            "name": f"project-{n}",
            "domain": "d" * 32,
            "tags": [f"n{n}"],
            "extra": {"stamp": n},
        }
        for n in range(1200)
    ]
    groups = [
        {
            "id": identifier(),
            "name": f"group-{n}",
            "domain": "d" * 32,
            "description": "seeded",
            "extra": {"n": n},
        }
        for n in range(1200)
    ]
    users = [
        {"id": identifier(), "name": f"user-{n}", "domain": "d" * 32, "extra": {"email": "x@y"}}
        for n in range(9)
    ]
    project, group, user = projects[7]["id"], groups[7]["id"], users[7]["id"]
    estate: Mapping[str, Any] = {
        "domains": [{"id": "d" * 32, "name": "seeded", "description": "by SQL"}],
        "roles": [{"id": "e" * 32, "name": "operator"}],
        "projects": projects,
        "groups": groups,
        "users": users,
        "memberships": [[row["id"], group] for row in users],
        "assignments": [
            {"type": "GroupProject", "actor": group, "target": project, "role": "member"},
            {"type": "UserDomain", "actor": user, "target": "d" * 32, "role": "operator", "inherited": True},
            {"type": "UserSystem", "actor": user, "role": "reader"},
        ],
    }
    with starter.start(tmp_path, estate=estate) as cloud:
        admin = Client(cloud)
        assert len(admin("GET", "/projects")["projects"]) == 1000, "Keystone's own silent limit is in force"
        assert {row["id"] for row in projects} < {row["id"] for row in admin.all_of("projects")}
        assert {row["id"]: row["n"] for row in admin.all_of("groups")} == {
            row["id"]: n for n, row in enumerate(groups)
        }
        # Not by its tag: Keystone 30 filters by tags only what it has cut to 1,000 rows before.
        admin("GET", f"/projects/{project}/tags/n7")  # 404 if it has no such tag
        seen = admin("GET", f"/projects/{project}")["project"]
        assert (seen["id"], seen["name"], seen["stamp"]) == (project, "project-7", 7)
        assert (seen["domain_id"], seen["parent_id"], seen["enabled"]) == ("d" * 32, "d" * 32, True)
        [found] = admin("GET", f"/users?name=user-7&domain_id={'d' * 32}")["users"]
        assert (found["id"], found["email"], found["enabled"]) == (user, "x@y", True)
        assert len(admin("GET", f"/groups/{group}/users")["users"]) == len(users)
        [granted] = admin("GET", f"/role_assignments?scope.project.id={project}&effective&include_names")[
            "role_assignments"
        ][:1]
        assert granted["user"]["name"].startswith("user-")
        assert admin("GET", f"/system/users/{user}/roles")["roles"][0]["name"] == "reader"
        inherited = f"/OS-INHERIT/domains/{'d' * 32}/users/{user}/roles/inherited_to_projects"
        assert admin("GET", inherited)["roles"][0]["name"] == "operator"
        # What was seeded can be changed and deleted like anything else.
        admin("PATCH", f"/projects/{project}", {"project": {"description": "changed", "tags": ["other"]}})
        admin("DELETE", f"/groups/{group}")
        admin("DELETE", f"/users/{user}")
        admin("DELETE", f"/projects/{project}")


def test_a_wrong_row_of_an_estate_is_named_and_no_row_is_in(tmp_path: Path) -> None:
    venv = starter.install()
    starter.create(tmp_path, venv)
    good = {"id": identifier(), "name": "good"}
    with pytest.raises(KeystoneError, match="unknown fields: colour"):
        starter.seed(
            tmp_path, venv, {"projects": [good, {"id": identifier(), "name": "bad", "colour": "red"}]}
        )
    with pytest.raises(KeystoneError, match="UNIQUE"):
        starter.seed(tmp_path, venv, {"projects": [good, good]})
    starter.seed(tmp_path, venv, {"projects": [good]})


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(KeystoneError, match="in use"):
        starter.start(tmp_path, port=taken.getsockname()[1])


def test_a_server_that_is_late_is_ended(tmp_path: Path) -> None:
    with pytest.raises(KeystoneError, match=r"not ready after 0\.1 s"):
        starter.start(tmp_path, patience=0.1)
    starter.start(tmp_path).stop()


def test_a_database_that_cannot_be_reached_is_told_and_the_folder_stays_free(tmp_path: Path) -> None:
    with pytest.raises(KeystoneError, match="unable to open database file"):
        starter.start(tmp_path, database="sqlite:////proc/none/keystone.db")
    starter.start(tmp_path).stop()


PARENT = """
import sys, time
from pathlib import Path
from hanse.demo import keystone
cloud = keystone.start(Path(sys.argv[1]), detached=sys.argv[2] == "detached")
sys.stdout.write(f"{cloud.pid}\\n")
sys.stdout.flush()
time.sleep(60)
"""


def killed_parent(folder: Path, how: str) -> int:
    """Let another process start a Keystone, kill that process without mercy; the Keystone's process id."""
    command = [sys.executable, "-c", PARENT, str(folder), how]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert exists(pid)
        parent.send_signal(signal.SIGKILL)
    return pid


def test_the_death_of_its_parent_ends_it(tmp_path: Path) -> None:
    pid = killed_parent(tmp_path, "attached")
    assert eventually(lambda: not exists(pid))


def test_a_detached_one_outlives_its_parent_until_it_is_stopped(tmp_path: Path) -> None:
    pid = killed_parent(tmp_path, "detached")
    cloud = Keystone.attach(tmp_path)
    assert (cloud.pid, cloud.running) == (pid, True)
    assert Client(cloud).token
    cloud.stop()
    assert eventually(lambda: not exists(pid))
    with pytest.raises(KeystoneError, match="no Keystone is running"):
        Keystone.attach(tmp_path)


def test_a_process_that_got_the_same_id_later_is_not_stopped(tmp_path: Path) -> None:
    with starter.start(tmp_path) as cloud:
        pass
    (tmp_path / "keystone.pid").write_text(str(os.getpid()))
    Keystone(cloud.folder, cloud.url, os.getpid(), cloud.admin).stop()  # and here we are


def test_an_installation_that_fails_says_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"cheroot==11.1.2 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(starter, "_REQUIREMENTS", requirements)
    told: list[str] = []
    with pytest.raises(KeystoneError, match="installing Keystone's packages failed"):
        starter.install(tmp_path / "cache", told.append)
    assert len(told) == 1
