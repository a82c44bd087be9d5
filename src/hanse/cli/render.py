"""Plans, remarks and outcomes as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from hanse.cli.terminal import plain as plain
from hanse.model import (
    Done,
    Find,
    Key,
    Native,
    NotYet,
    Outcome,
    Owner,
    Provenance,
    Ref,
    Refused,
    Remark,
    Step,
    Unsure,
    Value,
)
from hanse.plan import Plan

SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "adopt": ("»", "cyan")}
CAUSES = {
    "declared": "declared",
    "local-change": "changed by hand",
    "expired": "its time is over or has come",
    "directory": "the people of a group changed",
    "appeared": "known there now",
    "revoked": "revoked",
    "left": "taken out of the manifest",
}
WIDE = 200
"""Columns where nobody's terminal limits them, such as in a file."""
SHORT = 8
"""Hex digits of a commit or digest that a person needs to see."""


def quoted(text: object) -> str:
    """Text from elsewhere, to be put into a string with markup."""
    return escape(plain(text))


LONGEST = 80
"""Characters of a value; what is longer is read where it is declared."""


class Names:
    """What to call things: names instead of keys and ids."""

    def __init__(self, plans: Iterable[Plan], seen: Mapping[Key, str], subjects: Mapping[str, str]) -> None:
        """`seen` names what the platforms hold; `subjects` says for kinds of links whom they give access."""
        self._names = dict(seen)
        self._subjects = subjects
        for plan in plans:
            for step in plan.steps:
                name = step.after.get("name")
                if isinstance(name, str) and step.action in ("create", "adopt"):
                    self._names[step.key] = name

    def value(self, value: Value) -> str:
        """A value in words."""
        return plain(self._words(value))

    def _words(self, value: Value) -> str:
        match value:
            case Ref(key):
                return self._names.get(key, key.part)
            case Native(_, id, name):
                return str(name or id)
            case Find():
                return str(value)
            case tuple():
                return ", ".join(value) or "none"
            case str():
                return f'"{value}"' if len(value) <= LONGEST else f'"{value[:LONGEST]}…"'
            case None:
                return "none"
            case _:
                return str(value).lower() if isinstance(value, bool) else str(value)

    def _says_more(self, ref: Ref) -> bool:
        """Whether a thing of ours has a name of its own, beside that of its owner, who is named anyway."""
        return ref.key in self._names or "/" in ref.key.part

    def step(self, step: Step) -> str:
        """A step in one line, without its sign."""
        return plain(self._sentence(step))

    def _sentence(self, step: Step) -> str:
        attributes = step.after if step.action in ("create", "adopt") else step.before
        if step.action == "update":
            changes = "; ".join(
                f"{name} {self._change(step.before.get(name), value)}" for name, value in step.after.items()
            )
            return f"{self._thing(step, self._names.get(step.key, ''))}: {changes}"
        name = attributes.get("name")
        if isinstance(name, str):
            lost = f" ({step.loses} lose access by it)" if step.loses else ""
            taken = f" (takes over {step.native_id})" if step.action == "adopt" else ""
            return f"{self._thing(step, name)}{taken}{lost}"
        return f"{step.kind} {self._link(step.kind, attributes)}"

    def _change(self, before: Value, after: Value) -> str:
        """From what to what; of a list only that which differs."""
        if isinstance(before, tuple) and isinstance(after, tuple) and before and after:
            gone = tuple(item for item in before if item not in after)
            new = tuple(item for item in after if item not in before)
            if gone and new:
                return f"{self.value(gone)} → {self.value(new)}"
            if gone or new:
                return f"+ {self.value(new)}" if new else f"- {self.value(gone)}"
        return f"{self.value(before)} → {self.value(after)}"

    def _thing(self, step: Step, name: str) -> str:
        """Its kind, the sort of it where the key tells one, and its name."""
        kind, part = step.kind, step.key.part
        if not name:
            return f"{kind} {part}"
        sort = part.removeprefix(f"{kind}/").rpartition("/")[0]
        return f"{kind} {sort}/{name}" if sort else f"{kind} {name}"

    def _link(self, kind: str, attributes: Mapping[str, Value]) -> str:
        """Who, then what they get: `ben@example.org → group shop-prod-admin`."""
        ends = {
            n: self.value(v)
            for n, v in attributes.items()
            if isinstance(v, Native | Find) or (isinstance(v, Ref) and self._says_more(v))
        }
        subject = next((name for name in (self._subjects.get(kind, ""), "user", "group") if name in ends), "")
        rest = ", ".join(f"{name} {value}" for name, value in ends.items() if name != subject)
        return f"{ends[subject]} → {rest}" if subject else rest


def reason(step: Step, provenance: Mapping[str, Provenance]) -> str:
    """Why, and by whom, as far as it is known."""
    if step.reason.cause == "local-change":
        return CAUSES["local-change"] + (": rolled back" if step.action != "create" else ": made again")
    known = [provenance[source] for source in step.reason.sources if source in provenance]
    if not known:
        return CAUSES[step.reason.cause]
    latest = max(known, key=lambda p: p.at)
    why = f', "{latest.reason}"' if latest.reason and str(latest.reason) else ""
    signed = f", signed by {latest.signer}" if latest.signer else ""
    cause = "" if step.reason.cause == "declared" else CAUSES[step.reason.cause] + " · "
    author, _, _ = str(latest.author).partition(" <")
    return f"{cause}{latest.commit[:SHORT]} {author}{signed}{why}"


def plan_tree(
    plans: Iterable[Plan],
    names: Names,
    provenance: Mapping[str, Provenance],
    display: Callable[[Owner], tuple[str, str]],
) -> Tree:
    """Plans by workspace, project and platform; owners with nothing to say are left out."""
    tree = Tree("", hide_root=True, guide_style="dim")
    workspaces: dict[str, Tree] = {}
    shown = [(display(plan.owner), plan) for plan in plans if plan.steps or plan.remarks]
    for (workspace, project), plan in sorted(shown, key=lambda item: (item[0], str(item[1].owner))):
        home = workspaces.get(workspace)
        if home is None:
            home = workspaces[workspace] = tree.add(f"[bold]{quoted(workspace)}[/bold]")
        branch = home.add(f"[bold]{quoted(project)}[/bold] on {quoted(plan.owner.platform)}")
        for step in plan.steps:
            sign, colour = SIGNS[step.action]
            line = Text(f"{sign} ", style=f"bold {colour}")
            line.append(names.step(step), style="not bold " + colour)
            line.append(f"   {plain(reason(step, provenance))}", style="not bold dim default")
            branch.add(line)
        for remark in plan.remarks:
            branch.add(remark_text(remark))
    return tree


def remark_text(remark: Remark) -> Text:
    """A remark in one or two lines."""
    line = Text("! " if remark.blocking else "· ", style="bold red" if remark.blocking else "bold blue")
    line.append(plain(remark.message), style="not bold default")
    if remark.advice:
        line.append(f"\n  {plain(remark.advice)}", style="not bold dim default")
    return line


def totals(plans: Collection[Plan], what_holds: str = "as declared") -> str:
    """`12 to create, 1 to change, 2 to remove, 1 remark`, or that there is nothing to do."""
    count = {"create": 0, "update": 0, "delete": 0, "adopt": 0}
    remarks = 0
    for plan in plans:
        remarks += len(plan.remarks)
        for step in plan.steps:
            count[step.action] += 1
    words = {"create": "to create", "adopt": "to adopt", "update": "to change", "delete": "to remove"}
    parts = [f"{count[action]} {word}" for action, word in words.items() if count[action]]
    if not parts:
        holds = not any(remark.blocking for plan in plans for remark in plan.remarks)
        parts = [f"Nothing to do: everything is {what_holds}" if holds else "Nothing that can be done now"]
    if remarks:
        parts.append(f"{remarks} remark{'s' if remarks > 1 else ''}")
    return ", ".join(parts)


def outcome_text(step: Step, outcome: Outcome, names: Names) -> Text | None:
    """What went wrong with a step; None where it is done."""
    match outcome:
        case Done():
            return None
        case NotYet(_, why):
            head, tail = "waits", why
        case Refused(why, advice):
            head, tail = "refused", f"{why}; {advice}" if advice else why
        case Unsure(why):
            head, tail = "unsure", why
    line = Text(f"{head}: ", style="bold red" if head == "refused" else "bold yellow")
    line.append(f"{step.action} {names.step(step)}", style="not bold default")
    line.append(f"\n  {plain(tail)}", style="not bold dim default")
    return line


def console(*, stderr: bool = False) -> Console:
    """The terminal; plain text where it is none."""
    found = Console(stderr=stderr, highlight=False)
    if not found.is_terminal:
        found.width = WIDE
    return found
