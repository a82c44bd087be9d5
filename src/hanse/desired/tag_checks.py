"""Are tags what their definitions say? The definitions themselves, all documents' tags, and what asks for tags."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from hanse.desired.findings import Steps
from hanse.desired.kinds import LandingZone, Platform, Project, SingleTagValue, TagDefinition, TagValue
from hanse.desired.manifest import Id, id_of
from hanse.desired.marks import marked
from hanse.desired.mistakes import what
from hanse.desired.report import Report
from hanse.desired.tag_values import PATTERNS, SELECT, Definition, Fault, Matcher, matcher, no_text
from hanse.desired.tags import TENANT_KINDS, Tagged, effective_tags, given_by, single_text, tag_texts

_EMPTY: tuple[TagValue | None, ...] = (None, "", ())
_WORDS = {"Workspace": "workspace", "PaymentMethod": "payment method"}


def check_tags(report: Report) -> None:
    """Report what is wrong with any definition, any tag, any restriction of a landing zone, any platform's mapping."""
    _Checking(report).all()


class _Checking:
    """The tags of one manifest."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.manifest = manifest = report.manifest
        self.documents: dict[str, Mapping[Any, Tagged]] = {
            "Location": manifest.locations,
            "Platform": manifest.platforms,
            "LandingZone": manifest.landing_zones,
            "Workspace": manifest.workspaces,
            "User": manifest.users,
            "Group": manifest.groups,
            "Project": manifest.projects,
            "PaymentMethod": manifest.payment_methods,
        }
        self.definitions: dict[str, Definition] = {}
        """The sound ones."""
        self.patterns = 0

    def all(self) -> None:
        """Look at everything that has to do with tags."""
        for definition in self.manifest.tag_definitions.values():
            self._definition(definition)
        for kind, documents in self.documents.items():
            self._documents(kind, documents.values())
        self._restrictions()
        if self.manifest.tag_definitions:
            for platform in self.manifest.platforms.values():
                self._mapping(platform)

    def _doubt(self, identity: Id, tag: str) -> None:
        self.report.doubtful.setdefault(identity, set()).add(tag)

    def _is_doubtful(self, identity: Id, tag: str) -> bool:
        return tag in self.report.doubtful.get(identity, ())

    # Definitions

    def _definition(self, definition: TagDefinition) -> None:
        identity = id_of(definition)
        before = len(self.report.findings)
        self._choices(definition, identity)
        pattern = self._matcher(definition, identity)
        who = definition.set_by
        if who is not None and not (who.users or who.groups or who.machines):
            advice = "name users, groups or machines, or take 'setBy' out"
            self._wrong(identity, "nobody may set this tag", advice, ("setBy",))
        if len(self.report.findings) > before or identity in self.manifest.unsound:
            return
        checked = Definition(definition, pattern, self.report.guess)
        faults = checked.faults(definition.default) if definition.default is not None else ()
        for fault in faults:
            message = f"default: {fault.message}"
            self.report.error(identity, fault.code, message, fault.advice, ("default", *fault.steps))
        if not faults:
            self.definitions[definition.name] = checked

    def _choices(self, definition: TagDefinition, identity: Id) -> None:
        if definition.type not in SELECT:
            if definition.values:
                message = f"'values' means nothing for a tag of type {definition.type}"
                advice = "write 'type: select' or 'type: multi-select', or take 'values' out"
                self._wrong(identity, message, advice, ("values",), key=True)
            return
        if not definition.values:
            message = f"a tag of type {definition.type} needs 'values' to choose from"
            self._wrong(identity, message, "add 'values: […]'", ("type",))
        seen: set[str] = set()
        for i, value in enumerate(definition.values):
            if value in seen:
                self._wrong(identity, f"'{value}' stands twice in 'values'", "take one out", ("values", i))
            seen.add(value)

    def _matcher(self, definition: TagDefinition, identity: Id) -> Matcher | None:
        """What matches the pattern, where there is one and it is sound."""
        pattern = definition.pattern
        if pattern is None:
            return None
        if definition.type != "string":
            message = f"'pattern' means nothing for a tag of type {definition.type}"
            advice = "write 'type: string', or take 'pattern' out"
            self._wrong(identity, message, advice, ("pattern",), key=True)
            return None
        self.patterns += 1
        if self.patterns > PATTERNS:
            message = f"more than {PATTERNS} tags have a pattern"
            self._wrong(identity, message, "take some out, or choose from 'values'", ("pattern",), key=True)
            return None
        found = matcher(pattern)
        if found is not None:
            return found
        message = f"{what(pattern)} is no regular expression that can be used here"
        advice = (
            "see that brackets are closed, and use no lookaround, no backreference and no huge repetition"
        )
        self._wrong(identity, message, advice, ("pattern",))
        return None

    def _wrong(self, identity: Id, message: str, advice: str, steps: Steps, *, key: bool = False) -> None:
        self.report.error(identity, "tag-definition", message, advice, steps, key=key)

    # Tags of documents

    def _documents(self, kind: str, documents: Collection[Tagged]) -> None:
        defined = self.manifest.tags_of.get(kind, {})
        wanted = [
            one for name in defined if (one := self.definitions.get(name)) is not None and one.is_wanted
        ]
        for document in documents:
            if document.tags:
                for name, value in document.tags.items():
                    if name not in defined:
                        self._undefined(document, kind, name, value, defined)
                    elif (definition := self.definitions.get(name)) is not None:
                        for fault in definition.faults(value):
                            self._fault(document, name, fault)
                    else:
                        self._doubt(id_of(document), name)
            for one in wanted:
                if document.tags.get(one.name, one.default) in _EMPTY:
                    self._missing(document, one)

    def _undefined(
        self, document: Tagged, kind: str, name: str, value: TagValue, defined: Mapping[str, Any]
    ) -> None:
        """A tag that nobody defined for documents of this kind: free where the kind has no definitions at all."""
        steps = ("tags", name)
        elsewhere = self.manifest.tag_definitions.get(name)
        if elsewhere is not None:
            message = f"tag '{name}' is for {_either(elsewhere.kinds, 'and')}, and this is a {kind}"
            advice = f"take it out, or add {kind} to the 'kinds' of TagDefinition {name}"
            self._tell(document, name, "misplaced-tag", message, advice, steps, key=True)
        elif self.manifest.declared(("TagDefinition", name)):
            self._doubt(id_of(document), name)
        elif defined:
            advice = self.report.meant(f"tag of {kind}", name, defined)
            guess = self.report.guess(f"tag of {kind}", name, defined)
            if guess is not None and guess not in document.tags:
                self._doubt(id_of(document), guess)  # a misspelt tag and the missing one are one mistake
            if guess is None:
                declare = f"take it out, or declare a TagDefinition '{name}' with 'kinds: [{kind}]'"
                advice = f"{declare}; {advice}" if advice else declare
            self._tell(document, name, "unknown-tag", f"unknown tag '{name}'", advice, steps, key=True)
        elif not isinstance(value, str):
            message = f"tags.{name}: expected text, got {what(value)}"
            written = (
                f'put it in quotes: "{single_text(value)}"' if not isinstance(value, tuple) else "write text"
            )
            of_type = _type_of(value)
            advice = (
                f"{written}, or declare a TagDefinition '{name}' with 'type: {of_type}' and 'kinds: [{kind}]'"
            )
            self._tell(document, name, "wrong-type", message, advice, steps)

    def _fault(self, document: Tagged, name: str, fault: Fault) -> None:
        message = f"tags.{name}: {fault.message}"
        self._tell(document, name, fault.code, message, fault.advice, ("tags", name, *fault.steps))

    def _missing(self, document: Tagged, definition: Definition) -> None:
        name = definition.name
        if self._is_doubtful(id_of(document), name):
            return
        if name in document.tags:
            message, steps = f"tags.{name}: this tag must not be empty", ("tags", name)
            self._tell(document, name, "missing-tag", message, f"write {definition.allowed}", steps)
        else:
            advice = f"add '{name}: …' to its 'tags': {definition.allowed}"
            self._tell(document, name, "missing-tag", f"the tag '{name}' is missing", advice, ())

    def _tell(
        self,
        document: Tagged,
        name: str,
        code: str,
        message: str,
        advice: str,
        steps: Steps,
        *,
        key: bool = False,
    ) -> None:
        identity = id_of(document)
        self._doubt(identity, name)
        self.report.error(identity, code, message, advice, steps, key=key)

    # What asks for tags

    def _restrictions(self) -> None:
        """What landing zones ask for, and whether the projects on them have it."""
        asked = {
            names: zone.required_tags
            for names, zone in self.manifest.landing_zones.items()
            if zone.required_tags
        }
        if not asked:
            return
        sound = {names: self._sound(self.manifest.landing_zones[names]) for names in asked}
        for project in self.manifest.projects.values():
            for i, row in enumerate(project.tenants):
                wanted = sound.get((row.platform, row.landing_zone))
                if wanted:
                    self._admitted(
                        project, row.platform, row.landing_zone, ("tenants", i, "landingZone"), sound
                    )

    def _sound(self, zone: LandingZone) -> dict[str, frozenset[str]]:
        """What a landing zone asks for, as texts; nothing fits where a value is none that a project can have."""
        identity = id_of(zone)
        found: dict[str, frozenset[str]] = {}
        for name, values in zone.required_tags.items():
            steps = ("requiredTags", name)
            if not self._is_of_tenants(name):
                message = f"no project can have the tag '{name}'"
                self.report.error(identity, "unknown-tag", message, self._declare(name), steps, key=True)
                found[name] = frozenset()
                continue
            definition = self.definitions.get(name)
            if definition is None and self.manifest.declared(("TagDefinition", name)):
                continue
            for i, value in enumerate(values):
                for fault in _never(definition, value):
                    message = f"requiredTags.{name}: {fault.message}"
                    self.report.error(identity, fault.code, message, fault.advice, (*steps, i))
            found[name] = frozenset(single_text(value) for value in values if not _never(definition, value))
        return found

    def _admitted(
        self,
        project: Project,
        platform: str,
        zone: str,
        steps: Steps,
        asked: Mapping[tuple[str, str], Mapping[str, frozenset[str]]],
    ) -> None:
        givers = [*given_by(self.manifest, project)]
        tags = tag_texts(effective_tags(self.manifest, project))
        for name, values in asked[platform, zone].items():
            if (
                not values
                or _says(tags.get(name), values)
                or any(self._is_doubtful(id_of(giver), name) for giver in givers)
            ):
                continue
            giver = next((one for one in reversed(givers) if name in one.tags), None)
            has = tags.get(name)
            said = f"'{has}'" if isinstance(has, str) else f"[{', '.join(has)}]" if has else "none"
            whose = f", from its {_WORDS[type(giver).__name__]}" if giver not in (None, project) else ""
            one_of = _either([f"'{value}'" for value in sorted(values)], "or")
            message = (
                f"landing zone '{zone}' is only for projects whose tag '{name}' is {one_of}, "
                f"and {project.workspace}/{project.name} has {said}{whose}"
            )
            fitting = sorted(
                other
                for on, other in self.manifest.landing_zones
                if on == platform
                and all(_says(tags.get(n), v) for n, v in asked.get((on, other), {}).items())
            )
            use = f"use landing zone {_either(fitting, 'or')}" if fitting else "no other landing zone fits"
            advice = f"{use}, or change the tag if that is what the project is"
            if not fitting:
                advice = f"change the tag if that is what the project is; {use}"
            self.report.error(id_of(project), "restricted-landing-zone", message, advice, steps)

    def _mapping(self, platform: Platform) -> None:
        """Tags that a platform gives a meaning and that no project has."""
        for steps, name in _mapped(platform):
            if not self._is_of_tenants(name):
                message = f"no project can have the tag '{name}', so this does nothing"
                self.report.warning(id_of(platform), "unknown-tag", message, self._declare(name), steps)

    def _declare(self, name: str) -> str:
        """What to do about a tag that no project can have."""
        if name in self.manifest.tag_definitions:
            return f"take it out, or add Project to the 'kinds' of TagDefinition {name}"
        guess = self.report.guess("tag of tenants", name, self._of_tenants)
        declare = f"take it out, or declare a TagDefinition '{name}' with 'kinds: [Project]'"
        return f"did you mean '{guess}'?" if guess else declare

    @cached_property
    def _of_tenants(self) -> dict[str, TagDefinition]:
        """The tags that are defined for what a tenant has its tags from."""
        return {
            name: one for kind in TENANT_KINDS for name, one in self.manifest.tags_of.get(kind, {}).items()
        }

    def _is_of_tenants(self, name: str) -> bool:
        """Whether a tenant can have that tag, as far as one can know."""
        manifest = self.manifest
        if name in self._of_tenants:
            return True
        if name in manifest.tag_definitions:
            return False
        if not self._of_tenants or manifest.declared(("TagDefinition", name)):
            return True
        # A kind without definitions takes any tag. Which of them somebody wrote is not asked: who adds or takes one
        # there would change what is said of landing zones.
        return any(kind not in manifest.tags_of for kind in TENANT_KINDS)


def _never(definition: Definition | None, value: SingleTagValue) -> Sequence[Fault]:
    """Why no project's tag can say this value; empty if one can."""
    if definition is not None:
        return definition.single_faults(value)
    return () if isinstance(value, str) else [no_text(value)]


def _says(has: str | tuple[str, ...] | None, values: Collection[str]) -> bool:
    """Whether a tag says one of some values."""
    return has is not None and any(one in values for one in ((has,) if isinstance(has, str) else has))


def _type_of(value: TagValue) -> str:
    if isinstance(value, tuple):
        return "multi-select"
    return "boolean" if isinstance(value, bool) else "number"


def _either(words: Collection[str], conjunction: str) -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _mapped(platform: Platform) -> Iterator[tuple[Steps, str]]:
    """The tags that a platform's block names, each with the way to its key."""
    for steps, mapping in marked(platform, "tag"):
        yield from (((*steps, name), name) for name in mapping)
