"""The main job, line by line, as its user sees it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from end_to_end.site import CANARY, ORGANIZATION, PROJECT, Site
from hanse.demo import keystone as starter


@pytest.fixture
def site(tmp_path: Path, keystone: starter.Keystone) -> Site:
    return Site(tmp_path, keystone)


def test_a_plan_is_exact_and_the_second_one_is_empty(site: Site) -> None:
    planned = json.loads(site.process("plan", "--json", expect=2))
    assert site.find("project", "shop-prod") is None, "a plan changes nothing"
    site.process("apply", "--yes", "--first", site.git("rev-parse", "HEAD"))
    assert planned["steps"] == 2 * (1 + 2 + 2 + 3)
    assert site.members("shop-prod-user") == {"person-1@example.org", "person-2@example.org"}
    assert site.members("shop-prod-admin") == {"person-3@example.org"}
    assert "Nothing to do" in site.process("plan")
    assert "unbroken" in site.process("journal", "verify")


def test_a_reason_names_commit_and_author(site: Site) -> None:
    site.first()
    commit = site.commit(
        {"dev.yaml": PROJECT.format(name="dev").replace("role: user", "role: reader")}, "Less is more"
    )
    said = site.hanse("plan", expect=2)
    assert f"{commit[:8]} Example Author" in said


def test_hand_made_changes_are_shown_and_rolled_back(site: Site) -> None:
    site.first()
    project, group = site.find("project", "shop-prod"), site.find("group", "shop-prod-user")
    one, three = site.find("user", "person-1@example.org"), site.find("user", "person-3@example.org")
    site.identity.assign_project_role_to_user(project, one, site.identity.find_role("admin"))
    site.identity.remove_user_from_group(one, group)
    site.identity.add_user_to_group(three, group)
    site.identity.update_project(project, name="mine", is_enabled=False)
    said = site.hanse("plan", expect=2)
    assert said.count("changed by hand") == 4, said
    assert "4 steps done; everything holds." in site.hanse("apply", "--yes")
    assert site.find("project", "shop-prod").is_enabled
    assert site.members("shop-prod-user") == {"person-1@example.org", "person-2@example.org"}
    assert "Nothing to do" in site.hanse("plan")


def test_a_person_whom_keystone_learns_of_later_is_picked_up(site: Site) -> None:
    people = (site.repository / "people.yaml").read_text()
    late = "{apiVersion: hanse/v1, kind: User, name: u-4, externalIds: {one: late@example.org}}"
    grant = PROJECT.format(name="dev").replace("user: u-3", "user: u-4")
    site.commit({"people.yaml": f"{people}\n---\n{late}", "dev.yaml": grant})
    said = site.first()
    assert "u-4 is not known there yet" in said
    assert "everything holds" in said
    site.user("late@example.org")
    assert "known there now" in site.hanse("plan", expect=2)
    site.hanse("apply", "--yes")
    assert site.members("shop-dev-admin") == {"late@example.org"}


def test_a_foreign_project_of_a_wanted_name_is_refused_and_with_its_id_adopted(site: Site) -> None:
    foreign = site.identity.create_project(
        name="shop-prod", domain_id=site.domain_id, description="not yours"
    )
    other = site.identity.create_project(name="bystander", domain_id=site.domain_id, tags=["theirs"])
    said = site.hanse("apply", "--yes", "--first", site.git("rev-parse", "HEAD"), expect=1)
    assert f"native: {{id: {foreign.id}}}" in said
    assert site.identity.get_project(foreign.id).description == "not yours"
    adopting = PROJECT.format(name="prod").replace(
        "landingZone: standard}", f"landingZone: standard, native: {{id: {foreign.id}}}}}"
    )
    site.commit({"prod.yaml": adopting})
    assert f"takes over {foreign.id}" in site.hanse("plan", expect=2)
    site.hanse("apply", "--yes")
    assert site.find("project", "shop-prod").id == foreign.id
    assert "Nothing to do" in site.hanse("plan")
    assert site.identity.get_project(other.id).tags == ["theirs"]


def test_a_tenant_taken_out_loses_access_at_once_and_goes_when_approved(site: Site) -> None:
    site.first()
    site.commit({"dev.yaml": None})
    said = site.hanse("apply", "--yes")
    assert site.find("group", "shop-dev-user") is None
    assert site.find("project", "shop-dev") is not None
    subject = said.split("`hanse approve ")[1].split("`")[0]
    assert subject in site.hanse("approve")
    site.hanse("approve", subject, "--reason", "it is over")
    assert "is gone" in site.hanse("apply", "--yes")
    assert site.find("project", "shop-dev") is None


def test_a_broken_head_stops_no_rollback(site: Site) -> None:
    site.first()
    site.identity.update_project(site.find("project", "shop-prod"), name="mine")
    site.commit({"dev.yaml": PROJECT.format(name="dev").replace("workspace: shop", "workspace: shpo")})
    said = site.hanse("apply", "--yes", expect=1)
    assert "dev.yaml:4:12: error: unknown workspace 'shpo'" in said
    assert "did you mean 'shop'?" in said
    assert site.find("project", "shop-prod") is not None


def test_a_plan_file_is_carried_out_but_where_the_cloud_has_changed_since(site: Site) -> None:
    site.first()
    reader = {
        name: PROJECT.format(name=name).replace("role: user", "role: reader") for name in ("prod", "dev")
    }
    site.commit({f"{name}.yaml": text for name, text in reader.items()})
    file = str(site.folder / "plan.json")
    site.hanse("plan", "-o", file, expect=2)
    site.identity.update_project(site.find("project", "shop-prod"), description="by hand")
    said = site.hanse("apply", file, "--yes", expect=1)
    assert "one/shop/prod is left alone" in said
    assert site.members("shop-dev-reader") == {"person-1@example.org", "person-2@example.org"}
    assert site.find("group", "shop-prod-reader") is None


def test_a_run_that_is_killed_is_looked_up_and_nothing_is_made_twice(site: Site) -> None:
    for number in range(6):
        site.commit({f"more-{number}.yaml": PROJECT.format(name=f"more-{number}")})
    command = site.command("apply", "--yes", "--first", site.git("rev-parse", "HEAD"))
    with subprocess.Popen(
        command, env=site.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        _wait_until(lambda: site.find("project", "shop-more-1") is not None)
        run.kill()
    said = site.process("apply", "--yes")
    assert "everything holds" in said
    assert len(list(site.identity.projects(domain_id=site.domain_id))) == 8
    assert "Nothing to do" in site.hanse("plan")
    journal = site.hanse("journal")
    assert "unbroken" in site.hanse("journal", "verify")
    assert journal.count("began a pass") == 2


def test_ctrl_c_stops_cleanly_and_a_second_run_goes_on(site: Site) -> None:
    for number in range(6):
        site.commit({f"more-{number}.yaml": PROJECT.format(name=f"more-{number}")})
    command = site.command("apply", "--yes", "--first", site.git("rev-parse", "HEAD"))
    with subprocess.Popen(
        command, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        _wait_until(lambda: site.find("project", "shop-more-1") is not None)
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=60)
    assert run.returncode == 1, said
    assert "not tried" in said
    assert "Traceback" not in said
    events = [json.loads(line)["event"] for line in site.hanse("journal", "--json").splitlines()]
    kinds = [event["type"] for event in events]
    assert kinds.count("step:intended") == kinds.count("step:concluded"), "no step is left in the dark"
    assert "everything holds" in site.process("apply", "--yes")


# Bad input and faults


def test_a_wrong_password_is_told_without_it(site: Site) -> None:
    site.clouds(password=CANARY)
    said = site.hanse("apply", "--yes", "--first", site.git("rev-parse", "HEAD"), expect=1)
    assert "one could not be read" in said
    assert CANARY.encode() not in site.kept()


def test_an_unknown_cloud_is_told_with_what_to_do(site: Site) -> None:
    site.server_yaml(source="clouds.yaml#two")
    said = site.hanse("plan", expect=1)
    assert "two" in said
    assert "clouds.yaml" in said


def test_a_credential_goes_to_no_other_endpoint_and_no_other_platform(site: Site) -> None:
    site.server_yaml(endpoint="http://127.0.0.1:9")
    assert "127.0.0.1:9" in site.hanse("plan", expect=1)
    site.server_yaml(platform="another")
    assert "bound to the platform another" in site.hanse("plan", expect=1)


def test_a_keystone_that_is_away_is_told_and_nothing_is_lost(site: Site) -> None:
    site.first()
    site.clouds(auth_url="http://127.0.0.1:9/v3")
    site.server_yaml(endpoint="http://127.0.0.1:9")
    said = site.hanse("apply", "--yes", expect=1)
    assert "could not be read" in said
    assert "127.0.0.1:9" in said
    site.clouds()
    site.server_yaml()
    assert "Nothing to do" in site.hanse("plan")


def test_a_role_that_does_not_exist_is_told_and_the_rest_is_done(site: Site) -> None:
    text = (
        (site.repository / "organization.yaml")
        .read_text()
        .replace("roles: {admin: admin}", "roles: {admin: boss}")
    )
    site.commit({"organization.yaml": text})
    said = site.hanse("apply", "--yes", "--first", site.git("rev-parse", "HEAD"), expect=1)
    assert "there is no role name boss" in said
    assert site.members("shop-prod-user") == {"person-1@example.org", "person-2@example.org"}


def test_two_platforms_of_one_name_are_an_error_with_both_places(site: Site) -> None:
    text = (site.repository / "organization.yaml").read_text()
    platform = text.split("---")[1]
    site.commit({"again.yaml": platform})
    said = site.hanse("plan", expect=1)
    assert "again.yaml:" in said
    assert "organization.yaml:" in said


def test_a_credential_that_may_only_read_plans_and_is_refused_with_advice(site: Site) -> None:
    reader = site.user("auditor", CANARY)
    site.identity.assign_system_role_to_user(reader, site.identity.find_role("reader"), "all")
    admin = {"username": "auditor", "password": CANARY, "user_domain_id": site.domain_id}
    content = json.loads(site.server.clouds_yaml("one"))
    auth = content["clouds"]["one"]["auth"]
    for name in ("project_name", "project_domain_id"):
        auth.pop(name)
    auth |= admin | {"system_scope": "all"}
    (site.folder / "clouds.yaml").write_text(json.dumps(content))
    assert "to create" in site.hanse("plan", expect=2)
    said = site.hanse("apply", "--yes", "--first", site.git("rev-parse", "HEAD"), expect=1)
    assert "refused" in said
    assert CANARY.encode() not in site.kept()
    assert site.find("project", "shop-prod") is None


def test_a_workspace_may_have_a_domain_of_its_own(site: Site) -> None:
    _domain_per_workspace(site)
    site.first()
    made = site.identity.find_domain(f"{site.organization}-shop")
    assert {p.name for p in site.identity.projects(domain_id=made.id)} == {"shop-prod", "shop-dev"}
    assert "Nothing to do" in site.hanse("plan")


def test_a_domain_that_may_not_be_made_is_refused_with_advice(site: Site) -> None:
    _domain_per_workspace(site)
    manager = site.user("manager", CANARY)
    site.identity.assign_domain_role_to_user(site.domain_id, manager, site.identity.find_role("manager"))
    content = json.loads(site.server.clouds_yaml("one"))
    auth = content["clouds"]["one"]["auth"]
    for name in ("project_name", "project_domain_id"):
        auth.pop(name)
    auth |= {
        "username": "manager",
        "password": CANARY,
        "user_domain_id": site.domain_id,
        "domain_id": site.domain_id,
    }
    (site.folder / "clouds.yaml").write_text(json.dumps(content))
    said = site.hanse("apply", "--yes", "--first", site.git("rev-parse", "HEAD"), expect=1)
    assert "domain" in said
    assert site.identity.find_domain(f"{site.organization}-shop") is None
    assert CANARY.encode() not in site.kept()


def _domain_per_workspace(site: Site) -> None:
    text = ORGANIZATION.format(organization=site.organization, domain=site.domain)
    own = f'domains: {{perWorkspace: "{site.organization}-{{workspace}}"}}'
    site.commit({"organization.yaml": text.replace(f"domains: {{default: {site.domain}}}", own)})


def test_a_user_name_in_two_domains_is_taken_from_the_declared_one(site: Site) -> None:
    other = site.identity.create_domain(name=f"other-{site.organization}")
    impostor = site.identity.create_user(name="person-1@example.org", domain_id=other.id)
    site.first()
    members = {user.id for user in site.identity.group_users(site.find("group", "shop-prod-user"))}
    assert impostor.id not in members
    assert site.find("user", "person-1@example.org").id in members


def test_names_of_people_are_in_no_journal_record(site: Site) -> None:
    site.first()
    import sqlite3  # noqa: PLC0415 (tests look behind the store's back)

    with sqlite3.connect(site.folder / "hanse.db") as db:
        bodies = b"".join(
            bytes(row[0]) if isinstance(row[0], bytes) else row[0].encode()
            for row in db.execute("select body from journal")
        )
    assert bodies
    assert b"person-1@example.org" not in bodies
    assert b"Example Author" not in bodies


def _wait_until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to that in time")
