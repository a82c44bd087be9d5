"""Collects what the checks between documents find, in the words that all of them share."""

from __future__ import annotations

from collections.abc import Collection

from hanse.desired.findings import Finding, Spot, Steps
from hanse.desired.kinds import Project
from hanse.desired.manifest import Id, Manifest
from hanse.foundation.diagnostics import suggest

_SEARCHED = 2_000_000
"""Names that suggestions may look through in one load; beyond that nobody reads suggestions any more."""
_LISTED = 8
"""Up to so many names are listed where none resembles the unknown one."""
_DECLARE = "declare it, as a document of kind {}"
_OTHERS = {"User": "Group", "Group": "User"}
_WORDS = {"LandingZone": "landing zone", "PaymentMethod": "payment method"}


class Report:
    """Findings about one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        """Begin an empty report."""
        self.manifest = manifest
        self.findings: list[Finding] = []
        self.doubtful: dict[Id, set[str]] = {}
        """By document, the tags of which an error is told: what else comes of them only follows."""
        self._guesses: dict[tuple[str, str], str | None] = {}
        self._searched = 0
        self._names: dict[str, dict[str, dict[str, None]]] = {}

    def error(
        self, identity: Id, code: str, message: str, advice: str = "", steps: Steps = (), *, key: bool = False
    ) -> None:
        """Report an error at a field (or, with `key`, at its key) of a document."""
        self.at(self.manifest.spot(identity), code, message, advice, steps, key=key)

    def at(
        self, spot: Spot, code: str, message: str, advice: str, steps: Steps, *, key: bool = False
    ) -> None:
        """Report an error in a document that is not the one of its name."""
        self.findings.append(Finding("error", code, message, advice, spot, steps, key))

    def warning(self, identity: Id, code: str, message: str, advice: str, steps: Steps) -> None:
        """Report what is allowed and probably not meant."""
        self.findings.append(Finding("warning", code, message, advice, self.manifest.spot(identity), steps))

    def refer(self, identity: Id, steps: Steps, kind: str, *names: str) -> None:
        """Report a reference to a document if there is none of that kind and name."""
        if not self.manifest.declared((kind, *names)):
            self.dangling(identity, steps, kind, *names)

    def dangling(self, identity: Id, steps: Steps, kind: str, *names: str) -> None:
        """Report an unknown name, unless it is that of an unsound document."""
        if self.manifest.declared((kind, *names)):
            return
        message = f"unknown {_WORDS.get(kind, kind.lower())} '{'/'.join(names)}'"
        other = _OTHERS.get(kind, "")
        if other and names[-1] in self.known(other):
            advice = _of_other_kind(names[-1], other.lower(), identity, steps)
        else:
            advice = self._advice(kind, names)
        self.error(identity, "unknown-reference", message, advice, steps)

    def _advice(self, kind: str, names: tuple[str, ...]) -> str:
        manifest = self.manifest
        holder = manifest.names.holder(*names) if kind in ("Workspace", "Project") else None
        if holder is not None:
            home = f" of workspace '{holder.workspace}'" if isinstance(holder, Project) else ""
            return f"it is called '{holder.name}'{home} now"
        if kind == "Project":
            here = self.known("Project", names[0])
            return self.meant(f"Project {names[0]}", names[-1], here) or _DECLARE.format(kind)
        return self.meant(kind, names[-1], self.known(kind)) or _DECLARE.format(kind)

    def known(self, kind: str, within: str = "") -> Collection[str]:
        """The names of all documents of a kind, or of those in a workspace or on a platform."""
        if kind not in self._names:
            names = self._names[kind] = {}
            for name in self.manifest.known(kind):
                home, _, last = name.rpartition("/")
                names.setdefault(home, {})[last] = None
        return self._names[kind].get(within, {})

    def homes(self, project: str) -> list[str]:
        """The workspaces that have a project of that name."""
        self.known("Project")
        return sorted(home for home, names in self._names["Project"].items() if project in names)

    def meant(self, kind: str, word: str, known: Collection[str]) -> str:
        """What was probably meant by an unknown word; empty if nobody can tell."""
        guess = self.guess(kind, word, known)
        if guess is not None:
            return f"did you mean '{guess}'?"
        return f"known: {', '.join(sorted(known))}" if 0 < len(known) <= _LISTED else ""

    def guess(self, kind: str, word: str, known: Collection[str]) -> str | None:
        """Which of the known names of a kind was probably meant by an unknown word."""
        if (kind, word) not in self._guesses:
            self._searched += len(known)
            self._guesses[kind, word] = suggest(word, known) if self._searched <= _SEARCHED else None
        return self._guesses[kind, word]


def _of_other_kind(name: str, is_: str, identity: Id, steps: Steps) -> str:
    """What to do where a group stands for a person, or a person for a group."""
    *_, last = (step for step in steps if isinstance(step, str))
    if last == "members":
        return f"'{name}' is a group, and groups contain no groups: name its people, or grant to both groups"
    if last in ("users", "groups"):
        return f"'{name}' is a {is_}: name it in '{is_}s'"
    if "access" in steps or identity[0] in ("Grant", "Revocation"):
        return f"'{name}' is a {is_}: write '{is_}: {name}'"
    return f"'{name}' is a {is_}, and here stands a {'user' if is_ == 'group' else 'group'}"
