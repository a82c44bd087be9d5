"""Are tags what their definitions say? The definitions themselves, the tags of all documents, and what asks for tags.

Patterns are matched by an engine whose time is linear in the text, and of bounded size: a pattern comes from a commit,
and nobody's pattern may hold up the checks of everybody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import jsonschema_rs
import msgspec
from msgspec import Struct

from hanse.desired.findings import Steps
from hanse.desired.kinds import LandingZone, Platform, Project, SingleTagValue, TagDefinition, TagValue
from hanse.desired.manifest import Id, id_of
from hanse.desired.mistakes import meant, what
from hanse.desired.report import Report
from hanse.desired.tags import TENANT_KINDS, Tagged, effective_tags, given_by, single_text, tag_texts
from hanse.foundation.diagnostics import suggest

_PATTERN_BYTES = 1 << 20
"""How large a pattern may be when it is compiled."""
_EMAIL = re.compile(r"[^@\s,;<>]+@[\w-]+(\.[\w-]+)*")
_SELECT = ("select", "multi-select")
_EMPTY: tuple[TagValue | None, ...] = (None, "", ())
_EXPECTED = {
    "string": "text",
    "select": "text",
    "email": "text",
    "number": "a number",
    "boolean": "true or false",
    "multi-select": "a list",
}
_TRUTHS = {"true": "true", "yes": "true", "on": "true", "1": "true"}
_TRUTHS |= {"false": "false", "no": "false", "off": "false", "0": "false"}
_Matcher = jsonschema_rs.Draft202012Validator


def check_tags(report: Report) -> None:
    """Report what is wrong with any definition, any tag, any restriction of a landing zone, any platform's mapping."""
    _Checking(report).all()


class _Fault(NamedTuple):
    """Why a definition does not take a value."""

    code: str
    message: str
    advice: str
    steps: Steps = ()


class _Definition:
    """One sound definition, and what it takes."""

    def __init__(self, definition: TagDefinition, matcher: _Matcher | None) -> None:
        self.type = definition.type
        self.name = definition.name
        self.description = definition.description.strip().rstrip(".")
        self.values = definition.values
        self.pattern = definition.pattern or ""
        self.matcher = matcher
        self.is_wanted = definition.required
        self.default = definition.default
        self._seen: dict[str, _Fault | None] = {}
        """Texts that were looked at already, for many documents say the same."""

    def faults(self, value: TagValue) -> Sequence[_Fault]:
        """Why the value is none that may be said; empty if it is."""
        if not self._is_of_type(value):
            message = f"expected {_EXPECTED[self.type]}, got {what(value)}"
            return [_Fault("wrong-type", message, self._conversion(value))]
        if isinstance(value, str):
            fault = self._text_fault(value)
            return [fault] if fault else ()
        if isinstance(value, tuple):
            found = ((i, self._text_fault(text)) for i, text in enumerate(value))
            return [fault._replace(steps=(i,)) for i, fault in found if fault]
        return ()

    def single_faults(self, value: SingleTagValue) -> Sequence[_Fault]:
        """Why the value can be none of this tag's, be it alone or one of several."""
        if self.type != "multi-select":
            return self.faults(value)
        fault = self._text_fault(value) if isinstance(value, str) else _no_text(value)
        return [fault] if fault else ()

    @cached_property
    def allowed(self) -> str:
        """What may be said, for somebody who has said nothing yet."""
        of_type = {
            "string": f"text that matches {self.pattern}" if self.pattern else "text",
            "number": "a number",
            "boolean": "true or false",
            "email": "an e-mail address",
            "select": f"one of {_listed(self.values)}",
            "multi-select": f"a list of any of {_listed(self.values)}",
        }[self.type]
        return f"{of_type} ({self.description})" if self.description else of_type

    def _is_of_type(self, value: TagValue) -> bool:
        if self.type == "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        if self.type == "boolean":
            return isinstance(value, bool)
        if self.type == "multi-select":
            return isinstance(value, tuple)
        return isinstance(value, str)

    def _conversion(self, value: TagValue) -> str:
        """How to write a value of another type, where that is plain; else what may be written."""
        if isinstance(value, tuple):
            if len(value) == 1 and not self.faults(value[0]):
                return f"write {value[0]}"
            return f"write {self.allowed}"
        text = single_text(value)
        if self.type == "multi-select":
            quoted = value if isinstance(value, str) else f'"{text}"'
            return f"write [{quoted}]" if text in self.values else f"write {self.allowed}"
        if self.type == "number" and isinstance(value, str) and _is_number(value):
            return "take the quotes away"
        if self.type == "boolean" and text.lower() in _TRUTHS:
            return f"write {_TRUTHS[text.lower()]}"
        if self.type in ("string", "select") and self._text_fault(text) is None:
            return f'put it in quotes: "{text}"'
        return f"write {self.allowed}"

    def _text_fault(self, text: str) -> _Fault | None:
        if text not in self._seen:
            self._seen[text] = self._text_fault_anew(text)
        return self._seen[text]

    def _text_fault_anew(self, text: str) -> _Fault | None:
        if self.type in _SELECT:
            if text in self.values:
                return None
            likely = meant(suggest(text, self.values), self.values)
            return _Fault("not-allowed", f"'{text}' is not allowed", likely)
        if self.type == "email":
            if _EMAIL.fullmatch(text):
                return None
            return _Fault("not-allowed", f"{what(text)} is no e-mail address", "write one, such as name@example.org")
        if self.matcher is not None and not self.matcher.is_valid(text):
            advice = f"TagDefinition {self.name} says: {self.description}" if self.description else ""
            return _Fault("not-allowed", f"{what(text)} does not match {self.pattern}", advice)
        return None

class _Checking:
    """The tags of one manifest."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.manifest = report.manifest
        self.definitions: dict[str, _Definition] = {}
        """The sound ones."""
        self.wrong: set[tuple[Id, str]] = set()
        """Documents and names of tags of theirs that were found wrong: nothing else is said of these."""

    def all(self) -> None:
        """Look at everything that has to do with tags."""
        for definition in self.manifest.tag_definitions.values():
            self._definition(definition)
        manifest = self.manifest
        collections: tuple[Mapping[Any, Tagged], ...] = (
            manifest.locations,
            manifest.platforms,
            manifest.landing_zones,
            manifest.workspaces,
            manifest.users,
            manifest.groups,
            manifest.projects,
            manifest.payment_methods,
        )
        for documents in collections:
            self._documents(documents.values())
        self._restrictions()
        if manifest.tag_definitions:
            for platform in manifest.platforms.values():
                self._mapping(platform)

    # Definitions

    def _definition(self, definition: TagDefinition) -> None:
        identity = id_of(definition)
        before = len(self.report.findings)
        self._choices(definition, identity)
        matcher = self._matcher(definition, identity)
        self._setters(definition, identity)
        if len(self.report.findings) > before:
            return
        checked = _Definition(definition, matcher)
        faults = checked.faults(definition.default) if definition.default is not None else ()
        for fault in faults:
            message = f"default: {fault.message}"
            self.report.error(identity, fault.code, message, fault.advice, ("default", *fault.steps))
        if not faults:
            self.definitions[definition.name] = checked

    def _choices(self, definition: TagDefinition, identity: Id) -> None:
        if definition.type not in _SELECT:
            if definition.values:
                message = f"'values' means nothing for a tag of type {definition.type}"
                advice = "write 'type: select' or 'type: multi-select', or take 'values' out"
                self._wrong(identity, message, advice, ("values",), key=True)
            return
        if not definition.values:
            message = f"a tag of type {definition.type} needs 'values' to choose from"
            self._wrong(identity, message, "add 'values: […]'", ("type",))
        for i, value in enumerate(definition.values):
            if value in definition.values[:i]:
                self._wrong(identity, f"'{value}' stands twice in 'values'", "take one out", ("values", i))

    def _matcher(self, definition: TagDefinition, identity: Id) -> _Matcher | None:
        """What matches the pattern, where there is one and it is sound."""
        pattern = definition.pattern
        if pattern is None:
            return None
        if definition.type != "string":
            message = f"'pattern' means nothing for a tag of type {definition.type}"
            advice = "write 'type: string', or take 'pattern' out"
            self._wrong(identity, message, advice, ("pattern",), key=True)
            return None
        # By itself too, since what is unsound alone may be sound within other signs: 'a)|(b'.
        if _compiled(pattern) is not None and (whole := _compiled(f"^(?:{pattern})$")) is not None:
            return whole
        message = f"{what(pattern)} is no regular expression that can be used here"
        advice = "see that brackets are closed, and use no lookaround, no backreference and no huge repetition"
        self._wrong(identity, message, advice, ("pattern",))
        return None

    def _setters(self, definition: TagDefinition, identity: Id) -> None:
        who = definition.set_by
        if who is None:
            return
        if not (who.users or who.groups or who.machines):
            message = "nobody may set this tag"
            self._wrong(identity, message, "name users, groups or machines, or take 'setBy' out", ("setBy",))
        for i, user in enumerate(who.users):
            self.report.refer(identity, ("setBy", "users", i), "User", user)
        for i, group in enumerate(who.groups):
            self.report.refer(identity, ("setBy", "groups", i), "Group", group)

    def _wrong(self, identity: Id, message: str, advice: str, steps: Steps, *, key: bool = False) -> None:
        self.report.error(identity, "tag-definition", message, advice, steps, key=key)

    # Tags of documents

    def _documents(self, documents: Collection[Tagged]) -> None:
        first = next(iter(documents), None)
        if first is None:
            return
        kind = type(first).__name__
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
            for one in wanted:
                if document.tags.get(one.name, one.default) in _EMPTY:
                    self._missing(document, one, defined)

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
            self.wrong.add((id_of(document), name))
        elif defined:
            advice = self.report.meant(f"tag of {kind}", name, defined)
            declare = f"take it out, or declare a TagDefinition '{name}' with 'kinds: [{kind}]'"
            advice = advice if advice.startswith("did") else f"{declare}; {advice}" if advice else declare
            self._tell(document, name, "unknown-tag", f"unknown tag '{name}'", advice, steps, key=True)
        elif not isinstance(value, str):
            message = f"tags.{name}: expected text, got {what(value)}"
            written = f'put it in quotes: "{single_text(value)}"' if not isinstance(value, tuple) else "write text"
            of_type = _type_of(value)
            advice = f"{written}, or declare a TagDefinition '{name}' with 'type: {of_type}' and 'kinds: [{kind}]'"
            self._tell(document, name, "wrong-type", message, advice, steps)

    def _fault(self, document: Tagged, name: str, fault: _Fault) -> None:
        message = f"tags.{name}: {fault.message}"
        self._tell(document, name, fault.code, message, fault.advice, ("tags", name, *fault.steps))

    def _missing(self, document: Tagged, definition: _Definition, defined: Mapping[str, Any]) -> None:
        name, kind = definition.name, type(document).__name__
        if (id_of(document), name) in self.wrong:
            return
        if name in document.tags:
            message, steps = f"tags.{name}: this tag must not be empty", ("tags", name)
            self._tell(document, name, "missing-tag", message, f"write {definition.allowed}", steps)
        elif any(
            self.report.guess(f"tag of {kind}", written, defined) == name
            for written in document.tags
            if written not in defined and written not in self.manifest.tag_definitions
        ):
            self.wrong.add((id_of(document), name))  # a misspelt tag and the missing one are one mistake
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
        self.wrong.add((identity, name))
        self.report.error(identity, code, message, advice, steps, key=key)

    # What asks for tags

    def _restrictions(self) -> None:
        """What landing zones ask for, and whether the projects on them have it."""
        asked = {
            names: zone.required_tags for names, zone in self.manifest.landing_zones.items() if zone.required_tags
        }
        if not asked:
            return
        sound = {names: self._sound(self.manifest.landing_zones[names]) for names in asked}
        for project in self.manifest.projects.values():
            for i, row in enumerate(project.tenants):
                wanted = sound.get((row.platform, row.landing_zone))
                if wanted:
                    self._admitted(project, row.platform, row.landing_zone, ("tenants", i, "landingZone"), sound)

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
            if not values or _says(tags.get(name), values) or any((id_of(giver), name) in self.wrong for giver in givers):
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
                if on == platform and all(_says(tags.get(n), v) for n, v in asked.get((on, other), {}).items())
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
        free: list[Iterable[Tagged]] = [
            documents.values()
            for kind, documents in zip(
                TENANT_KINDS, (manifest.workspaces, manifest.payment_methods, manifest.projects), strict=True
            )
            if kind not in manifest.tags_of
        ]
        return any(name in document.tags for documents in free for document in documents)


_WORDS = {"Workspace": "workspace", "PaymentMethod": "payment method"}


def _no_text(value: SingleTagValue) -> _Fault:
    advice = f'put it in quotes: "{single_text(value)}"'
    return _Fault("wrong-type", f"expected text, got {what(value)}", advice)


def _never(definition: _Definition | None, value: SingleTagValue) -> Sequence[_Fault]:
    """Why no project's tag can say this value; empty if one can."""
    if definition is not None:
        return definition.single_faults(value)
    return () if isinstance(value, str) else [_no_text(value)]


def _says(has: str | tuple[str, ...] | None, values: Collection[str]) -> bool:
    """Whether a tag says one of some values."""
    return has is not None and any(one in values for one in ((has,) if isinstance(has, str) else has))


def _compiled(pattern: str) -> _Matcher | None:
    options = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES)
    try:
        return _Matcher({"pattern": pattern}, pattern_options=options)
    except jsonschema_rs.ValidationError:
        return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _type_of(value: TagValue) -> str:
    if isinstance(value, tuple):
        return "multi-select"
    return "boolean" if isinstance(value, bool) else "number"


def _listed(values: Collection[str]) -> str:
    return meant(None, values).removeprefix("allowed: ")


def _either(words: Collection[str], conjunction: str) -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _mapped(platform: Platform) -> Iterator[tuple[Steps, str]]:
    """The tags that a platform's block names, each with the way to its key; their type says which they are."""
    for steps, mapping in _mappings(platform, ()):
        yield from (((*steps, name), name) for name in mapping)


def _mappings(block: Struct, steps: Steps) -> Iterator[tuple[Steps, Mapping[str, Any]]]:
    for name, encoded in _ways(type(block)):
        value = getattr(block, name)
        if isinstance(value, Struct):
            yield from _mappings(value, (*steps, encoded))
        elif isinstance(value, dict):
            yield (*steps, encoded), value


@lru_cache(maxsize=256)
def _ways(kind: type[Struct]) -> tuple[tuple[str, str], ...]:
    """Fields that are blocks, or mappings whose keys are marked as tags of projects."""
    found = []
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        variants = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        for variant in variants:
            if isinstance(variant, msgspec.inspect.StructType) or (
                isinstance(variant, msgspec.inspect.DictType)
                and isinstance(variant.key_type, msgspec.inspect.Metadata)
                and bool((variant.key_type.extra or {}).get("tag"))
            ):
                found.append((field.name, field.encode_name))
    return tuple(found)
