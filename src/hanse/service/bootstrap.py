"""What a platform's own administrator needs to prepare it for Hanse: accounts and rights. Needs no cloud."""

from __future__ import annotations

import msgspec

from hanse.desired.folders import is_below, named_folders
from hanse.desired.manifest import Manifest
from hanse.desired.settings import PlatformSettings, Settings
from hanse.ports.platform import Bootstrap, PlatformIdentity, Zone
from hanse.service.estate import Language, Trouble
from hanse.service.validate import Checked


def bootstrap(checked: Checked, language: Language, vendor: str, name: str, sign_in: str = "") -> Bootstrap:
    """What prepares the platform of that vendor and name, by a manifest.

    Raises Trouble, also where the manifest has errors: rights are not asked for by what may be a mistake. Raises
    PlatformUnavailable where the platform has no such thing as is asked for.
    """
    if not checked.is_sound or checked.settings is None:
        raise Trouble("the manifest has errors", "`hanse validate` lists them")
    platform = named(checked.settings, name)
    if platform.vendor != vendor:
        raise Trouble(
            f"the platform {name} is of {platform.vendor}, not of {vendor}",
            f"write `hanse bootstrap {platform.vendor} {name}`",
        )
    make = language.vendors[vendor].bootstrap
    if make is None:
        raise Trouble(f"platforms of {vendor} need nothing to be prepared")
    return make(identity(checked.settings, platform), zones(checked.manifest, name), sign_in)


def named(settings: Settings, name: str) -> PlatformSettings:
    """The platform of that name. Raises Trouble."""
    if name not in settings.platforms:
        known = ", ".join(sorted(settings.platforms))
        raise Trouble(
            f"there is no platform {name}", f"there are {known}" if known else "the manifest has none"
        )
    return settings.platforms[name]


def identity(settings: Settings, platform: PlatformSettings) -> PlatformIdentity:
    """Which platform it is, and whose."""
    return PlatformIdentity(settings.organization.name, platform.name, platform.block)


def zones(manifest: Manifest, platform: str) -> list[Zone]:
    """The landing zones that are declared for a platform, with the files of their folders."""
    found = []
    for (whose, name), zone in sorted(manifest.landing_zones.items()):
        if whose == platform:
            blocks = manifest.vocabulary.blocks(zone).values()
            folders = [folder for _, folder in named_folders(zone)]
            files = {p: f.documents for p, f in manifest.folder_files.items() if is_below(p, folders)}
            found.append(Zone(name, next(map(msgspec.to_builtins, blocks), {}), files))
    return found
