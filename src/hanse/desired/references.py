"""Does the manifest hold together? Names that are used exist and are used once, documents fit each other.

All findings at once, and none that only follows from another: what refers to a document that is there but
unsound is no dangling reference.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from hanse.desired.findings import Steps
from hanse.desired.folders import fault, is_below, named_folders
from hanse.desired.grants import check_access
from hanse.desired.kinds import BUILT_IN_PROJECT_ROLES, LandingZone, Platform, Project, TenantRow, Workspace
from hanse.desired.manifest import Id, Manifest, id_of
from hanse.desired.mistakes import meant
from hanse.desired.report import Report
from hanse.desired.tag_checks import check_tags
from hanse.desired.trust import check_trust
from hanse.foundation.time import Invalid, parse_zone


def check(manifest: Manifest, now: datetime) -> Report:
    """Everything wrong between documents; `now` is only used to warn of grants whose time is over."""
    report = Report(manifest)
    _organization(report)
    _repeated(report)
    for platform in manifest.platforms.values():
        _platform(report, platform)
    for zone in manifest.landing_zones.values():
        _landing_zone(report, zone)
    for role in manifest.roles.values():
        if role.name in BUILT_IN_PROJECT_ROLES:
            advice = "take the document out, or choose another name"
            report.error(id_of(role), "built-in-role", f"role '{role.name}' is built in", advice, ("name",))
    for group in manifest.groups.values():
        for i, member in enumerate(group.members):
            if member not in manifest.users:
                report.dangling(id_of(group), ("members", i), "User", member)
    for method in manifest.payment_methods.values():
        if method.workspace is not None:
            report.refer(id_of(method), ("workspace",), "Workspace", method.workspace)
    for workspace in manifest.workspaces.values():
        _former_names(report, workspace)
    for project in manifest.projects.values():
        _project(report, project)
    check_tags(report)
    check_access(report, now)
    check_trust(report, now)
    return report


def _organization(report: Report) -> None:
    manifest = report.manifest
    if manifest.organization is not None:
        zone = parse_zone(manifest.organization.timezone)
        if isinstance(zone, Invalid):
            identity = id_of(manifest.organization)
            report.error(identity, "unknown-timezone", zone.message, zone.advice, ("timezone",))
        for other in list(manifest.organizations.values())[1:]:
            first = manifest.place(f"Organization {manifest.organization.name}")
            message = f"a second organization, '{other.name}'; the first is at {first}"
            report.error(id_of(other), "second-organization", message, "keep exactly one", ("name",))


def _repeated(report: Report) -> None:
    for document, spot in report.manifest.repeated:
        kind, *names = id_of(document)
        source = f"{kind} {'/'.join(names)}"
        message = f"{source} is declared already at {report.manifest.place(source)}"
        report.at(spot, "duplicate-name", message, "keep one of the two, or rename one", ("name",))


def _platform(report: Report, platform: Platform) -> None:
    identity = id_of(platform)
    vocabulary = report.manifest.vocabulary
    if platform.location is not None:
        report.refer(identity, ("location",), "Location", platform.location)
    vendors = list(vocabulary.blocks(platform))
    if not vendors:
        advice = f"add the block of its vendor: {', '.join(vocabulary.vendors)}"
        report.error(identity, "no-vendor", f"platform '{platform.name}' is of no vendor", advice)
    for vendor in vendors[1:]:
        message = f"platform '{platform.name}' is of {vendors[0]} already; a platform has one vendor's block"
        report.error(identity, "second-vendor", message, f"take '{vendor}' out", (vendor,), key=True)
    for i, operator in enumerate(platform.operators):
        if (operator.user is None) == (operator.native is None):
            message = "an operator is exactly one of 'user' and 'native'"
            report.error(identity, "user-or-native", message, "keep one of them", ("operators", i))
        elif operator.user is not None:
            report.refer(identity, ("operators", i, "user"), "User", operator.user)


def _landing_zone(report: Report, zone: LandingZone) -> None:
    identity = id_of(zone)
    manifest = report.manifest
    for steps, folder in named_folders(zone):
        _folder(report, identity, steps, folder)
    report.refer(identity, ("platform",), "Platform", zone.platform)
    platform = manifest.platforms.get(zone.platform)
    vendor = next(iter(manifest.vocabulary.blocks(platform)), None) if platform else None
    if vendor is None:
        return
    blocks = manifest.vocabulary.blocks(zone)
    for other in blocks:
        if other != vendor:
            message = f"platform '{zone.platform}' is of {vendor}, so a block '{other}' has no meaning here"
            report.error(identity, "wrong-vendor", message, f"write '{vendor}:'", (other,), key=True)
    if not blocks:
        try:
            msgspec.convert({}, manifest.vocabulary.vendors[vendor].landing_zone)
        except msgspec.ValidationError:
            advice = f"add '{vendor}: …'"
            report.error(identity, "missing-field", f"missing field '{vendor}'", advice)


def _folder(report: Report, identity: Id, steps: Steps, folder: str) -> None:
    manifest = report.manifest
    wrong = fault(folder)
    if wrong is not None:
        report.error(identity, "not-a-folder", *wrong, steps)
    elif is_below(manifest.spot(identity).path, [folder]):
        message = f"the folder '{folder}' holds this landing zone itself"
        report.error(
            identity, "not-a-folder", message, "keep the platform's files in a folder of their own", steps
        )
    elif not any(is_below(path, [folder]) for path in manifest.folder_files):
        message = f"the folder '{folder}' is not there, or holds no *.yaml or *.yml file"
        report.error(identity, "empty-folder", message, "add a file, or take the field out", steps)


def _project(report: Report, project: Project) -> None:
    identity = id_of(project)
    manifest = report.manifest
    if project.workspace not in manifest.workspaces:
        report.dangling(identity, ("workspace",), "Workspace", project.workspace)
    if project.payment_method is not None:
        report.refer(identity, ("paymentMethod",), "PaymentMethod", project.payment_method)
        method = manifest.payment_methods.get(project.payment_method)
        if method and method.workspace not in (None, project.workspace):
            message = f"payment method '{method.name}' belongs to workspace '{method.workspace}'"
            advice = f"use one of workspace '{project.workspace}', or one without a workspace"
            report.error(identity, "foreign-payment-method", message, advice, ("paymentMethod",))
    if project.formerly or manifest.names.holder(project.workspace, project.name):
        _former_names(report, project)
    seen: set[str] = set()
    for i, tenant in enumerate(project.tenants):
        if tenant.platform in seen:
            message = f"project '{project.name}' has a tenant on '{tenant.platform}' already"
            advice = "keep one per platform; a second one is a project of its own"
            report.error(identity, "second-tenant", message, advice, ("tenants", i, "platform"))
        seen.add(tenant.platform)
        _tenant(report, identity, ("tenants", i), tenant)


def _tenant(report: Report, identity: Id, steps: Steps, tenant: TenantRow) -> None:
    manifest = report.manifest
    if tenant.platform not in manifest.platforms:
        report.dangling(identity, (*steps, "platform"), "Platform", tenant.platform)
        return
    if (tenant.platform, tenant.landing_zone) not in manifest.landing_zones:
        names = ("LandingZone", tenant.platform, tenant.landing_zone)
        if not manifest.declared(names):
            here = report.known("LandingZone", tenant.platform)
            message = f"unknown landing zone '{tenant.landing_zone}' of platform '{tenant.platform}'"
            advice = report.meant("LandingZone", tenant.landing_zone, here)
            report.error(identity, "unknown-reference", message, advice, (*steps, "landingZone"))
    if tenant.quotas:
        vendor = next(iter(manifest.vocabulary.blocks(manifest.platforms[tenant.platform])), None)
        known = manifest.vocabulary.vendors[vendor].quotas if vendor else tuple(tenant.quotas)
        for name in tenant.quotas:
            if name not in known:
                message = f"unknown quota '{name}' of {vendor}"
                advice = meant(report.guess(f"quota of {vendor}", name, known), known)
                report.error(identity, "unknown-quota", message, advice, (*steps, "quotas", name), key=True)


def _former_names(report: Report, document: Workspace | Project) -> None:
    identity = id_of(document)
    for i, entry in enumerate(document.formerly):
        if isinstance(document, Workspace) and "/" in entry:
            message = f"'{entry}' is no name of a workspace"
            report.error(identity, "former-name", message, "write the name alone", ("formerly", i))
    for index, holder in report.manifest.names.clashes(document):
        steps: Steps = ("name",) if index is None else ("formerly", index)
        taken = document.name if index is None else document.formerly[index]
        kind, *names = id_of(holder)
        message = f"the name '{taken}' belongs to {kind.lower()} '{'/'.join(names)}', by its 'formerly'"
        report.error(identity, "former-name", message, "choose a name that was never used", steps)
