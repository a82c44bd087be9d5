"""From a manifest to what is wanted of each owner, of the people, and of the organisation itself.

Equal manifests, however they are written and spread over files, give equal values with equal digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hanse.desired.folders import is_below, named_folders
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import (
    LandingZone,
    Limits,
    LocalChanges,
    Operator,
    Platform,
    Project,
    TenantRow,
    Workspace,
)
from hanse.desired.manifest import Manifest
from hanse.desired.settings import Pace, PlatformSettings, Settings
from hanse.desired.tags import effective_tags, tag_texts
from hanse.desired.terms import sort_key
from hanse.desired.trust import disabled
from hanse.model import Owner, Personal, Tenant, WorkspaceOn


def intents(manifest: Manifest) -> dict[Owner, Intent]:
    """What is wanted of each owner: of each tenant, and of each workspace on the platforms it has tenants on.

    Tenants whose platform or landing zone is not declared soundly are left out.
    """
    making = _Making(manifest)
    found: dict[Owner, Intent] = {}
    for project in manifest.projects.values():
        for intent in making.tenants(project):
            found[intent.owner] = intent
    places = dict.fromkeys((owner.platform, intent.workspace) for owner, intent in found.items())
    return found | _workspaces_on(making, places)


def workspaces_on(manifest: Manifest, places: Iterable[tuple[str, str]]) -> dict[Owner, Intent]:
    """What is wanted of workspaces on platforms, each by the present name of both, where both are declared."""
    return _workspaces_on(_Making(manifest), places)


def _workspaces_on(making: _Making, places: Iterable[tuple[str, str]]) -> dict[Owner, Intent]:
    found: dict[Owner, Intent] = {}
    for platform, name in places:
        workspace = making.manifest.workspaces.get(name)
        if workspace is not None and platform in making.vendors:
            intent = making.workspace_on(workspace, platform)
            found[intent.owner] = intent
    return found


def samples(manifest: Manifest) -> list[Intent]:
    """An intent for each landing zone that no tenant has, so that it can be checked before somebody needs it."""
    making = _Making(manifest)
    used = {
        (row.platform, row.landing_zone) for project in manifest.projects.values() for row in project.tenants
    }
    return [
        Intent(
            owner=Tenant(platform, "workspace", "project"),
            organization=making.organization,
            workspace="workspace",
            project="project",
            landing_zone=name,
            landing_zone_block=block,
            landing_zone_files=making.landing_zone_files.get((platform, name), {}),
            platform_block=making.platform_blocks[platform],
        )
        for (platform, name), block in making.landing_zone_blocks.items()
        if (platform, name) not in used
    ]


def directory(manifest: Manifest) -> Directory:
    """The people and groups that the manifest declares."""
    return Directory(
        people={
            user.name: Person(
                user.name,
                Personal(user.email) if user.email else None,
                Personal(user.display_name) if user.display_name else None,
                user.state == "active",
                {key: Personal(value) for key, value in user.external_ids.items()},
            )
            for user in manifest.users.values()
        },
        groups={group.name: tuple(sorted(set(group.members))) for group in manifest.groups.values()},
    )


def settings(manifest: Manifest) -> Settings:
    """The organisation, its platforms and roles. Raises ValueError where no organisation is declared."""
    if manifest.organization is None:
        raise ValueError("no organization is declared")
    making = _Making(manifest)
    organization = manifest.organization
    return Settings(
        organization=replace(organization, access=(), ignore=tuple(sorted(set(organization.ignore)))),
        grants=_united(manifest.terms.get(("", ""), ())),
        workspace_grants={
            manifest.names.workspace(workspace): _united(terms)
            for (workspace, project), terms in manifest.terms.items()
            if workspace and not project
        },
        platforms={
            name: PlatformSettings(
                name,
                making.vendors[name],
                making.platform_blocks[name],
                platform.credential,
                platform.display_name,
                platform.location or "",
                platform.local_changes,
                making.operators[name],
                _pace(platform.limits, manifest.vocabulary.vendors[making.vendors[name]].pace),
            )
            for name, platform in manifest.platforms.items()
            if name in making.vendors
        },
        roles=dict(manifest.roles),
        set_by={
            name: definition.set_by
            for name, definition in manifest.tag_definitions.items()
            if definition.set_by is not None
        },
        disabled=disabled(manifest),
    )


class _Making:
    """What many intents share, computed once."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        organization = manifest.organization
        self.organization = organization.name if organization else ""
        self.vendors: dict[str, str] = {}
        self.platform_blocks: dict[str, dict[str, Any]] = {}
        self.operators: dict[str, tuple[Operator, ...]] = {}
        for name, platform in manifest.platforms.items():
            for vendor, block in manifest.vocabulary.blocks(platform).items():
                self.vendors.setdefault(name, vendor)
                self.platform_blocks.setdefault(name, _plain(block))
            self.operators[name] = _operators(platform)
        self.landing_zone_blocks = {
            names: plain
            for names, zone in manifest.landing_zones.items()
            if (plain := self._landing_zone_block(zone)) is not None
        }
        self.landing_zone_files = {
            names: {
                path: file.documents
                for path, file in manifest.folder_files.items()
                if is_below(path, folders)
            }
            for names, zone in manifest.landing_zones.items()
            if (folders := [folder for _, folder in named_folders(zone)])
        }

    def _landing_zone_block(self, zone: LandingZone) -> dict[str, Any] | None:
        """Plain values with all defaults, so that an absent block equals an empty one; None where unsound."""
        vendor = self.vendors.get(zone.platform)
        if vendor is None:
            return None
        vocabulary = self.manifest.vocabulary
        written = vocabulary.blocks(zone).get(vendor)
        if written is not None:
            return _plain(written)
        try:
            return _plain(msgspec.convert({}, vocabulary.vendors[vendor].landing_zone))
        except msgspec.ValidationError:
            return None

    def tenants(self, project: Project) -> Iterator[Intent]:
        manifest = self.manifest
        workspace, oldest = manifest.names.project(project.workspace, project.name)
        grants = _united(manifest.terms.get((project.workspace, project.name), ()))
        tags = tag_texts(effective_tags(manifest, project)) if project.tenants else {}
        for row in project.tenants:
            block = self.landing_zone_blocks.get((row.platform, row.landing_zone))
            if block is not None:
                yield Intent(
                    owner=Tenant(row.platform, workspace, oldest),
                    organization=self.organization,
                    workspace=project.workspace,
                    project=project.name,
                    display_name=project.display_name,
                    description=project.description,
                    tags=tags,
                    payment_method=project.payment_method or "",
                    grants=grants,
                    landing_zone=row.landing_zone,
                    landing_zone_block=block,
                    landing_zone_files=self.landing_zone_files.get((row.platform, row.landing_zone), {}),
                    platform_block=self.platform_blocks[row.platform],
                    operators=self.operators[row.platform],
                    quotas=row.quotas,
                    deletion=manifest.landing_zones[row.platform, row.landing_zone].deletion,
                    local_changes=self._local_changes(row),
                    native=row.native.id if row.native else "",
                )

    def workspace_on(self, workspace: Workspace, platform: str) -> Intent:
        manifest = self.manifest
        return Intent(
            owner=WorkspaceOn(platform, manifest.names.workspace(workspace.name)),
            organization=self.organization,
            workspace=workspace.name,
            display_name=workspace.display_name,
            tags=tag_texts(effective_tags(manifest, workspace)),
            grants=_united(manifest.terms.get((workspace.name, ""), ())),
            platform_block=self.platform_blocks[platform],
            operators=self.operators[platform],
            local_changes=manifest.platforms[platform].local_changes,
        )

    def _local_changes(self, row: TenantRow) -> LocalChanges:
        zone = self.manifest.landing_zones[row.platform, row.landing_zone]
        return row.local_changes or zone.local_changes or self.manifest.platforms[row.platform].local_changes


def _plain(block: Struct) -> dict[str, Any]:
    # By way of JSON, so that a block which was stored and read again equals one that was just made.
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(block))
    return values


def _pace(limits: Limits, usual: Pace) -> Pace:
    return Pace(
        limits.requests_per_second or usual.requests_per_second, limits.concurrency or usual.concurrency
    )


def _united(terms: Iterable[Term]) -> tuple[Term, ...]:
    return tuple(sorted(found, key=sort_key)) if len(found := set(terms)) > 1 else tuple(found)


def _operators(platform: Platform) -> tuple[Operator, ...]:
    return tuple(sorted(set(platform.operators), key=lambda o: (o.user or "", o.native or "", o.role)))
