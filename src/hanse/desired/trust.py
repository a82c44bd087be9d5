"""`Organization.trust`: whose keys they are, and whether what it says holds together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile

from hanse.desired.findings import Steps
from hanse.desired.kinds import Organization, ProtectedPaths, Signer, Who
from hanse.desired.manifest import Id, Manifest, id_of
from hanse.desired.paths import GRANTS, MANIFESTS, REVOCATIONS, glob, is_manifest
from hanse.desired.report import Report
from hanse.desired.terms import BadTime, read_interval
from hanse.foundation.keys import BadKey, PublicKey, read_gpg, read_ssh


def key_of(signer: Signer) -> PublicKey | BadKey:
    """The key of a signer (which has exactly one)."""
    return read_ssh(signer.ssh) if signer.ssh is not None else read_gpg(signer.gpg or "")


def protections(rows: Sequence[ProtectedPaths]) -> Callable[[str], ProtectedPaths | None]:
    """What answers for a file which row says who may change it: the last one that matches, if any does."""
    patterns = [(glob(row.paths), row) for row in reversed(rows)]
    return lambda path: next((row for pattern, row in patterns if pattern.fullmatch(path)), None)


def disabled(manifest: Manifest) -> tuple[str, ...]:
    """Who is disabled, of those whom the organisation's trust and the tags' rules name."""
    organization = manifest.organization
    signers = organization.trust.signers if organization else ()
    named = {signer.user for signer in signers if signer.user}
    for who in _all_who(manifest):
        named.update(who.users)
        for name in who.groups:
            group = manifest.groups.get(name)
            named.update(group.members if group else ())
    users = (manifest.users.get(name) for name in sorted(named))
    return tuple(user.name for user in users if user is not None and user.state == "disabled")


def _all_who(manifest: Manifest) -> list[Who]:
    organization = manifest.organization
    who = [row.changed_by for row in organization.trust.protected] if organization else []
    who += [one for _, one in _approvers(organization)] if organization else []
    return who + [tag.set_by for tag in manifest.tag_definitions.values() if tag.set_by is not None]


def check_trust(report: Report, now: datetime) -> None:
    """Report what is wrong with the organisation's trust and with `setBy` of tags."""
    organization = report.manifest.organization
    _setters(report, organization)
    if organization is None:
        return
    trust, identity = organization.trust, id_of(organization)
    keys: dict[str, Signer] = {}
    for i, signer in enumerate(trust.signers):
        _signer(report, identity, ("trust", "signers", i), signer, now)
        _key(report, identity, ("trust", "signers", i), signer, keys)
    for i, row in enumerate(trust.protected):
        for j, pattern in enumerate(row.paths):
            _matches(report, identity, ("trust", "protected", i, "paths", j), pattern)
        _signs(report, identity, ("trust", "protected", i, "changedBy"), row.changed_by)
    for field, who in _approvers(organization):
        _approves(report, identity, ("trust", "approvals", field), who)
    if trust.protected and not trust.signers:
        message = "paths are protected, and nobody's signature counts, so nobody could change them"
        report.error(identity, "no-signers", message, "declare 'signers'", ("trust", "protected"))
    _unprotected(report, organization)


PROTECTS_NOTHING = "protects-nothing"
"""The code of a finding that stands on which files there are, whatever they say."""


def _matches(report: Report, identity: Id, steps: Steps, pattern: str) -> None:
    """Warn of a pattern that no file of the manifest matches, where it is meant for such files."""
    parts = pattern.strip("/").split("/")
    plain = list(takewhile(lambda part: not set("*?") & set(part), parts))
    _, dot, ending = parts[-1].rpartition(".")
    is_other = dot and not set("*?") & set(ending) and not parts[-1].endswith(MANIFESTS)
    if is_other or any(part.startswith(".") for part in parts) or parts[0] in (GRANTS, REVOCATIONS):
        return
    manifest, matching = report.manifest, glob([pattern])
    folder = "/".join(plain[:-1] if plain == parts and pattern.endswith(MANIFESTS) else plain)
    at_hand = filter(is_manifest, manifest.files)
    if any(map(matching.fullmatch, at_hand)) or any(map(matching.fullmatch, manifest.files_below(folder))):
        return
    *above, last = parts
    advice = "correct it, or take it out; it may stay if such files are yet to come"
    if plain == parts:
        depth = len(above)
        beside = {path.split("/")[depth] for path in manifest.files_below("/".join(above))}
        guess = report.guess(f"path in {'/'.join(above)}", last, beside)
        advice = f"did you mean '{'/'.join([*above, guess])}'?" if guess else advice
    message = f"'{pattern}' matches no file of the manifest, and protects nothing of it"
    report.warning(identity, PROTECTS_NOTHING, message, advice, steps)


def _setters(report: Report, organization: Organization | None) -> None:
    """Who may set tags."""
    for tag in report.manifest.tag_definitions.values():
        if tag.set_by is None:
            continue
        if organization is not None and organization.trust.signers:
            _signs(report, id_of(tag), ("setBy",), tag.set_by)
            continue
        _people(report, id_of(tag), ("setBy",), tag.set_by)
        if organization is not None:
            message = f"nobody's signature counts, so nobody could prove that they may set '{tag.name}'"
            advice = "declare Organization.trust.signers, or take 'setBy' out"
            report.error(id_of(tag), "no-signers", message, advice, ("setBy",))


def _signer(report: Report, identity: Id, steps: Steps, signer: Signer, now: datetime) -> None:
    for one, other in (("user", "machine"), ("ssh", "gpg")):
        if (getattr(signer, one) is None) == (getattr(signer, other) is None):
            message = f"a signer has exactly one of '{one}' and '{other}'"
            advice = f"keep one of them; another {'key' if one == 'ssh' else 'one'} is a row of its own"
            report.error(identity, f"{one}-or-{other}", message, advice, steps)
    if signer.user is not None:
        report.refer(identity, (*steps, "user"), "User", signer.user)
        user = report.manifest.users.get(signer.user)
        if user is not None and user.state == "disabled":
            message = f"user '{signer.user}' is disabled, so this key counts for nothing"
            report.warning(identity, "disabled-user", message, "take it out", (*steps, "user"))
    interval = read_interval(signer, report.manifest.zone)
    if isinstance(interval, BadTime):
        report.error(identity, "bad-interval", interval.message, interval.advice, (*steps, interval.field))
    elif interval[1] is not None and interval[1] <= now:
        message = f"the time of this key was over at {signer.until}"
        report.warning(identity, "expired-key", message, "take it out", (*steps, "until"))


def _key(report: Report, identity: Id, steps: Steps, signer: Signer, keys: dict[str, Signer]) -> None:
    if (signer.ssh is None) == (signer.gpg is None):
        return
    steps = (*steps, "ssh" if signer.ssh is not None else "gpg")
    key = key_of(signer)
    if isinstance(key, BadKey):
        report.error(identity, "bad-key", key.message, key.advice, steps)
    elif (first := keys.setdefault(key.fingerprint, signer)) is not signer:
        message = f"this is the key of {first.user or first.machine} already"
        report.error(identity, "duplicate-key", message, "each key is one signer's, and stands once", steps)


def _approvers(organization: Organization) -> Iterator[tuple[str, Who]]:
    for field in ("guard", "deletion", "revocation"):
        who: Who | None = getattr(organization.trust.approvals, field)
        if who is not None:
            yield field, who


def _signs(report: Report, identity: Id, steps: Steps, who: Who) -> None:
    """Everybody named exists, and somebody of them has a key that counts."""
    organization = report.manifest.organization
    signers = organization.trust.signers if organization else ()
    machines = {signer.machine for signer in signers if signer.machine}
    for i, machine in enumerate(who.machines):
        if machine not in machines:
            message = f"unknown machine '{machine}': no signer is called so"
            advice = report.meant("machine", machine, machines) or "add it to 'signers' of Organization.trust"
            report.error(identity, "unknown-reference", message, advice, (*steps, "machines", i))
    people = _people(report, identity, steps, who)
    if not who.machines and people is not None and people.isdisjoint(signer.user for signer in signers):
        message = "nobody who is named here is active and has a key among the signers"
        report.warning(identity, "nobody-may", message, _NOBODY, steps)


def _approves(report: Report, identity: Id, steps: Steps, who: Who) -> None:
    """Everybody named exists, and somebody of them is active."""
    if who.machines:
        message = "a machine says yes to nothing: who approves is a person"
        report.error(identity, "machine-approves", message, "take it out", (*steps, "machines"))
    if _people(report, identity, steps, who) == set():
        report.warning(identity, "nobody-may", "nobody who is named here is active", _NOBODY, steps)


_NOBODY = "name somebody, else only the trust root of server.yaml can change it again"


def _people(report: Report, identity: Id, steps: Steps, who: Who) -> set[str] | None:
    """The active people that are meant; None where it cannot be told, for something of it is unsound."""
    manifest = report.manifest
    for i, user in enumerate(who.users):
        report.refer(identity, (*steps, "users", i), "User", user)
    for i, group in enumerate(who.groups):
        report.refer(identity, (*steps, "groups", i), "Group", group)
    if any(group not in manifest.groups for group in who.groups):
        return None
    named = {*who.users, *(member for group in who.groups for member in manifest.groups[group].members)}
    if not named <= manifest.users.keys():
        return None
    return {name for name in named if manifest.users[name].state == "active"}


def _unprotected(report: Report, organization: Organization) -> None:
    """Warn where any signer could write himself into those who may."""
    trust, manifest = organization.trust, report.manifest
    who = _all_who(manifest)
    if not who or not trust.signers:
        return
    identity = id_of(organization)
    home = manifest.spot(identity).path
    groups = {name for one in who for name in one.groups if name in manifest.groups}
    files = {home: "who may do what stands"}
    for name in sorted(groups):
        files.setdefault(manifest.spot(("Group", name)).path, f"the members of '{name}' stand")
    protection = protections(trust.protected)
    open_files = [path for path in files if protection(path) is None]
    if open_files:
        told = " and ".join(f"{files[path]} in {path}" for path in open_files)
        message = f"{told}, which any signer may change"
        advice = f"add to 'protected': {', '.join(open_files)}"
        report.warning(identity, "unprotected-trust", message, advice, ("trust",))
