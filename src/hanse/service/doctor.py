"""Whether a platform can be used as it is bound: reached, trusted, and with just the rights that are needed."""

from __future__ import annotations

from collections.abc import Sequence

from hanse.ports.platform import Check, PlatformUnavailable
from hanse.service.accepted import accepted_state
from hanse.service.bootstrap import identity, named, zones
from hanse.service.estate import Estate, Trouble, bound
from hanse.service.trust import asks_for_signatures, untrusted
from hanse.service.validate import Checked, check_commit


async def doctor(estate: Estate, name: str) -> list[Check]:
    """What was found about the platform of that name. Changes nothing. Raises Trouble, SourceError and StoreError."""
    branch = estate.config.repository.branch if estate.config.repository else ""
    estate.source.fetch(branch)
    commit = estate.source.head(branch)
    checked = await check_commit(estate.source, estate.language, commit, estate.now(), estate.store)
    if checked.settings is None:
        raise Trouble("the manifest has errors", "`hanse validate` lists them")
    platform = named(checked.settings, name)
    examine = estate.language.vendors[platform.vendor].examine
    if examine is None:
        raise Trouble(f"platforms of {platform.vendor} cannot be examined")
    declared = zones(checked.manifest, name)
    of_manifest, of_trust = _of_manifest(checked), await _of_trust(estate, checked)
    try:
        credential = bound(estate.config, platform)
    except PlatformUnavailable as error:
        return [*of_manifest, Check("credential", "error", str(error), error.advice), *of_trust]
    found: Sequence[Check] = await examine(credential, identity(checked.settings, platform), declared)
    return [*of_manifest, *found, *of_trust]


async def _of_trust(estate: Estate, checked: Checked) -> list[Check]:
    head = await estate.store.head()
    directory, settings = await accepted_state(estate.store, head)
    if asks_for_signatures(estate.trust_root, settings):
        refusals = await untrusted(estate, checked.commit, head, directory, settings)
        return [Check("trust", "error", refusal.message, refusal.advice) for refusal in refusals[:1]]
    if asks_for_signatures(estate.trust_root, checked.settings):
        said = f"no commit needs a signature yet: the trust that {checked.commit[:8]} declares counts once accepted"
        return [Check("trust", "warning", said, "look at that commit, then accept it: `hanse apply`")]
    said = "no commit needs a signature, so whoever can push to the repository decides who has access"
    return [Check("trust", "warning", said, "docs/trust.md shows how to begin")]


def _of_manifest(checked: Checked) -> list[Check]:
    if checked.is_sound:
        return []
    said = f"commit {checked.commit[:8]} has errors, so that rights may be wanted otherwise than is told here"
    return [Check("manifest", "error", said, "`hanse validate` lists them")]
