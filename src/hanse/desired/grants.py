"""Rules of grants: who, in which role, in which interval; the same inline and in files of their own."""

from __future__ import annotations

from datetime import datetime

from hanse.desired.findings import Steps
from hanse.desired.kinds import BUILT_IN_PROJECT_ROLES, AccessRow, Grant, Revocation
from hanse.desired.manifest import Id, Scope, id_of
from hanse.desired.report import Report
from hanse.desired.terms import BadTime, read_term


def check_access(report: Report, now: datetime) -> None:
    """Report what is wrong with any grant, and warn of those that give nobody anything."""
    manifest = report.manifest
    roles = _roles_by_scope(report)
    # Nobody knows on what these were meant to be, so nobody knows which roles fit.
    astray = {id_of(grant) for grant in manifest.grants.values() if not _scope(report, grant)}
    active = {name for name, user in manifest.users.items() if user.state != "disabled"}
    filled = {name for name, group in manifest.groups.items() if group.members}
    for scope, row, identity, steps in manifest.access_rows():
        if (row.user is None) == (row.group is None):
            _who(report, row, identity, steps)
        elif row.user not in active and row.group not in filled:
            _nobody(report, row, identity, steps)
        if row.role not in roles[_level(scope)] and not (identity in astray and _is_role(report, row.role)):
            _role(report, row.role, _level(scope), roles, identity, (*steps, "role"))
        if row.from_ is not None or row.until is not None:
            _interval(report, row, identity, steps, now)
    if manifest.revocations:
        _revocations(report)


_ON = {"organization": "the organization", "workspace": "a workspace", "project": "a project"}


def _level(scope: Scope) -> str:
    return "project" if scope[1] else "workspace" if scope[0] else "organization"


def _roles_by_scope(report: Report) -> dict[str, set[str]]:
    roles: dict[str, set[str]] = {"organization": set(), "workspace": set(), "project": set()}
    roles["project"].update(BUILT_IN_PROJECT_ROLES)
    for role in report.manifest.roles.values():
        roles[role.scope].add(role.name)
    return roles


def _is_role(report: Report, name: str) -> bool:
    return name in report.manifest.roles or name in BUILT_IN_PROJECT_ROLES


def _scope(report: Report, grant: Grant) -> bool:
    """Report what is wrong with where a grant is; whether it can be told on what it is."""
    identity, before = id_of(grant), len(report.findings)
    if grant.project is not None and grant.workspace is None:
        message = "a grant on a project needs its workspace, for project names are unique only within one"
        report.error(identity, "missing-field", message, "add 'workspace: …'", ("project",), key=True)
    elif grant.workspace is not None:
        homes = report.homes(grant.workspace) if grant.project is None else ()
        if homes and not report.manifest.declared(("Workspace", grant.workspace)):
            message = f"unknown workspace '{grant.workspace}'"
            advice = f"did you mean the project {' or '.join(f'{home}/{grant.workspace}' for home in homes)}?"
            report.error(identity, "unknown-reference", message, advice, ("workspace",))
        else:
            report.refer(identity, ("workspace",), "Workspace", grant.workspace)
        if grant.project is not None and report.manifest.declared(("Workspace", grant.workspace)):
            report.refer(identity, ("project",), "Project", grant.workspace, grant.project)
    return len(report.findings) == before and identity not in report.manifest.unsound


def _who(report: Report, row: AccessRow | Grant | Revocation, identity: Id, steps: Steps) -> None:
    what = "revocation" if isinstance(row, Revocation) else "grant"
    if row.user is None:
        message = f"this {what} names nobody"
        report.error(identity, "user-or-group", message, "add 'user: …' or 'group: …'", steps)
    else:
        message = f"a {what} is for a user or for a group, not for both"
        report.error(identity, "user-or-group", message, f"make it two {what}s", (*steps, "group"), key=True)


def _nobody(report: Report, row: AccessRow | Grant, identity: Id, steps: Steps) -> None:
    """A grant for somebody or a group that is not there, or gives nobody access."""
    manifest = report.manifest
    if row.user is not None:
        if row.user not in manifest.users:
            report.dangling(identity, (*steps, "user"), "User", row.user)
        else:
            message = f"user '{row.user}' is disabled, so this gives nobody access"
            report.warning(identity, "disabled-user", message, "take it out", (*steps, "user"))
    elif row.group is not None:
        if row.group not in manifest.groups:
            report.dangling(identity, (*steps, "group"), "Group", row.group)
        elif ("Group", row.group) not in manifest.unsound:
            message = f"group '{row.group}' is empty, so this gives nobody access"
            report.warning(identity, "empty-group", message, "add members", (*steps, "group"))


def _role(
    report: Report, role: str, level: str, roles: dict[str, set[str]], identity: Id, steps: Steps
) -> None:
    declare = f"declare a Role with 'scope: {level}'"
    if _is_role(report, role):
        scope = next(scope for scope, names in roles.items() if role in names)
        fitting = ", ".join(sorted(roles[level]))
        message = f"role '{role}' is of scope {scope}, and this grant is on {_ON[level]}"
        advice = f"roles that fit: {fitting}" if fitting else declare
        report.error(identity, "role-scope", message, advice, steps)
    elif not report.manifest.declared(("Role", role)):
        advice = report.meant(f"Role {level}", role, roles[level]) or declare
        report.error(identity, "unknown-reference", f"unknown role '{role}'", advice, steps)


def _revocations(report: Report) -> None:
    """Warn of grants that are revoked, and of revocations that have nothing to take away any more."""
    manifest = report.manifest
    for taken in manifest.taken:
        where = manifest.spot(("Revocation", taken.by[0].name)).path
        message = f"this grant is revoked by {where}, and gives nobody access"
        report.warning(taken.identity, "revoked-grant", message, "take both out", taken.steps)
    used = {one.name for taken in manifest.taken for one in taken.by}
    for one in manifest.revocations.values():
        identity = ("Revocation", one.name)
        if (one.user is None) == (one.group is None):
            _who(report, one, identity, ())
        elif one.project is not None and one.workspace is None:
            message = "a revocation on a project needs its workspace"
            report.error(identity, "missing-field", message, "add 'workspace: …'", ("project",), key=True)
        elif one.name not in used:
            message = "this revocation takes nothing away any more"
            report.warning(identity, "idle-revocation", message, "take it out", ())


def _interval(report: Report, row: AccessRow | Grant, identity: Id, steps: Steps, now: datetime) -> None:
    term = read_term(row, report.manifest.zone)
    if isinstance(term, BadTime):
        report.error(identity, "bad-interval", term.message, term.advice, (*steps, term.field))
    elif term.expired(now):
        message = f"the time of this grant was over at {row.until}"
        report.warning(identity, "expired-grant", message, "take it out", (*steps, "until"))
