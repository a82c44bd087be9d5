"""The organisation as a tree for a terminal, as a graph for Graphviz, and as one for Mermaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple

from rich.text import Text
from rich.tree import Tree

from hanse.cli.render import plain
from hanse.cli.session import count
from hanse.desired.graph import Access, Graph, PlatformNode, ProjectNode, WorkspaceNode

# --- a tree


def tree(graph: Graph) -> Tree:
    """For a terminal."""
    return _Tree(graph).made()


class _Tree:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._groups = {group.name: group for group in graph.groups}
        self._people = {person.name: person.display_name for person in graph.people}
        places = [place for home in graph.workspaces for project in home.projects for place in project.places]
        self._tenants = Counter(place.platform for place in places)

    def made(self) -> Tree:
        root = Tree(_title(self._graph.name, self._graph.display_name, "bold"), guide_style="dim")
        self._access(root, self._graph.access)
        if self._graph.platforms:
            home = root.add(Text("platforms", "bold magenta"))
            for platform in self._graph.platforms:
                home.add(self._platform(platform))
        for workspace in self._graph.workspaces:
            branch = root.add(_title(workspace.name, workspace.display_name, "bold cyan"))
            self._access(branch, workspace.access)
            for project in workspace.projects:
                self._project(branch, project)
        return root

    def _platform(self, platform: PlatformNode) -> Text:
        line = _title(platform.name, platform.display_name, "magenta")
        where = (
            f"{platform.location} ({platform.jurisdiction})" if platform.jurisdiction else platform.location
        )
        zones = f"{'landing zone' if len(platform.landing_zones) == 1 else 'landing zones'} "
        told = [
            platform.vendor,
            f"in {where}" if where else "",
            zones + ", ".join(platform.landing_zones) if platform.landing_zones else "no landing zone",
            count(self._tenants[platform.name], "tenant"),
        ]
        line.append(f"   {plain(' · '.join(part for part in told if part))}", "dim")
        return line

    def _project(self, branch: Tree, project: ProjectNode) -> None:
        home = branch.add(_title(project.name, project.display_name, "bold"))
        for place in project.places:
            line = Text("on ", "dim")
            line.append(plain(place.platform), "magenta not dim")
            home.add(line.append(f" · {plain(place.landing_zone)}", "dim"))
        self._access(home, project.access)

    def _access(self, branch: Tree, access: Iterable[Access]) -> None:
        for role, held in groupby(access, key=lambda one: one.role):
            line = Text(plain(role), "yellow")
            for number, one in enumerate(held):
                line.append(", " if number else "  ", "dim")
                line.append_text(self._subject(one))
            branch.add(line)

    def _subject(self, one: Access) -> Text:
        if one.kind == "group":
            line = Text(plain(one.subject), "green")
            group = self._groups.get(one.subject)
            line.append(f" ({len(group.members) if group else 0})", "dim")
        else:
            line = Text(plain(self._people.get(one.subject) or one.subject))
            line.append(f" ({plain(one.subject)})" if self._people.get(one.subject) else "", "dim")
        line.append(f" from {plain(one.since)}" if one.since else "", "dim")
        line.append(f" until {plain(one.until)}" if one.until else "", "dim")
        return line


def _title(name: str, display_name: str, style: str) -> Text:
    line = Text(plain(name) or "(no organisation)", style)
    if display_name and display_name != name:
        line.append(f"  {plain(display_name)}", "not bold default")
    return line


# --- nodes and edges


class Node(NamedTuple):
    """A thing in a drawing."""

    id: str
    sort: str
    lines: tuple[str, ...]


class Edge(NamedTuple):
    """A line between two things."""

    start: str
    end: str
    label: str


class Drawing(NamedTuple):
    """All that is drawn, in its order."""

    title: str
    subjects: list[Node]
    workspaces: list[tuple[Node, list[Node]]]
    platforms: list[tuple[str, list[Node]]]
    """By location."""
    edges: list[Edge]


def drawing(graph: Graph) -> Drawing:
    """Groups and people at one side, workspaces with their projects, platforms in their locations at the other."""
    edges: list[Edge] = []
    ids: dict[tuple[str, ...], str] = {}

    def node(sort: str, *name: str, lines: Iterable[str] = ()) -> Node:
        return Node(
            ids.setdefault((sort, *name), f"n{len(ids)}"), sort, tuple(line for line in lines if line)
        )

    members = {group.name: f"{count(len(group.members), 'member')}" for group in graph.groups}
    shown = {group.name: group.display_name for group in graph.groups}
    known = {person.name: person.display_name for person in graph.people}

    def subject(one: Access) -> Node:
        person = (known.get(one.subject, ""), one.subject)
        group = (one.subject, shown.get(one.subject, ""), members.get(one.subject, "0 members"))
        return node(one.kind, one.subject, lines=group if one.kind == "group" else person)

    subjects: dict[str, Node] = {}

    def granted(access: Iterable[Access], to: Node) -> None:
        roles: dict[str, list[str]] = {}
        for one in access:
            who = subject(one)
            subjects.setdefault(who.id, who)
            roles.setdefault(who.id, []).append(f"{one.role} until {one.until}" if one.until else one.role)
        edges.extend(Edge(who, to.id, ", ".join(told)) for who, told in roles.items())

    organization = node("organization", lines=(graph.name, graph.display_name))
    granted(graph.access, organization)
    places: dict[str, list[Node]] = {}
    for platform in graph.platforms:
        where = " · ".join(part for part in (platform.location, platform.jurisdiction) if part)
        lines = (platform.name, platform.display_name, platform.vendor)
        places.setdefault(where, []).append(node("platform", platform.name, lines=lines))
    workspaces: list[tuple[Node, list[Node]]] = [(organization, [])] if graph.access else []
    for workspace in graph.workspaces:
        home = node("workspace", workspace.name, lines=(workspace.name, workspace.display_name))
        granted(workspace.access, home)
        workspaces.append(
            (home, [_drawn(project, workspace, node, granted, edges) for project in workspace.projects])
        )
    title = graph.display_name or graph.name
    return Drawing(title, list(subjects.values()), workspaces, sorted(places.items()), edges)


def _drawn(
    project: ProjectNode,
    workspace: WorkspaceNode,
    node: Callable[..., Node],
    granted: Callable[[Iterable[Access], Node], None],
    edges: list[Edge],
) -> Node:
    made = node("project", workspace.name, project.name, lines=(project.name, project.display_name))
    granted(project.access, made)
    for place in project.places:
        edges.append(Edge(made.id, node("platform", place.platform).id, place.landing_zone))
    return made


# --- Graphviz

_DOT_SHAPES = {
    "group": 'shape=ellipse, style=filled, fillcolor="#e3f1dd"',
    "user": 'shape=ellipse, style=filled, fillcolor="#f4f4f4"',
    "organization": 'shape=box, style="filled,rounded", fillcolor="#fff3cd"',
    "workspace": 'shape=box, style="filled,rounded", fillcolor="#d6e9f8"',
    "project": "shape=box, style=filled, fillcolor=white",
    "platform": 'shape=component, style=filled, fillcolor="#f3dff0"',
}


def dot(graph: Graph) -> str:
    """For Graphviz: `hanse graph --format dot | dot -Tsvg`."""
    drawn = drawing(graph)
    lines = [
        f"digraph {_dot(drawn.title)} {{",
        "  rankdir=LR; compound=true; nodesep=0.15; ranksep=1.2",
        '  node [fontname="Helvetica", fontsize=10, margin="0.12,0.05"]',
        '  edge [fontname="Helvetica", fontsize=8, color="#888888", fontcolor="#555555", arrowsize=0.6]',
    ]
    lines += [f"  {_dot_node(node)}" for node in drawn.subjects]
    for home, projects in drawn.workspaces:
        lines += _dot_cluster(home.id, home.lines[0], "#7fb3dd", [home, *projects])
    for number, (where, platforms) in enumerate(drawn.platforms):
        lines += _dot_cluster(f"l{number}", where, "#c9a0c4", platforms)
    lines += [f"  {edge.start} -> {edge.end} [label={_dot(edge.label)}]" for edge in drawn.edges]
    return "\n".join([*lines, "}", ""])


def _dot_cluster(name: str, label: str, colour: str, nodes: Iterable[Node]) -> list[str]:
    head = f'    label={_dot(label)}; color="{colour}"; fontname="Helvetica"; fontsize=11'
    return [f"  subgraph cluster_{name} {{", head, *(f"    {_dot_node(node)}" for node in nodes), "  }"]


def _dot_node(node: Node) -> str:
    return f"{node.id} [label={_dot(*node.lines)}, {_DOT_SHAPES[node.sort]}]"


def _dot(*lines: str) -> str:
    """Lines of text as one quoted word; what could steer a terminal is shown instead, and no entity is one."""
    told = [plain(line).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in lines]
    return '"' + "\\n".join(told) + '"'


# --- Mermaid

_MERMAID_SHAPES = {
    "group": ("([", "])"),
    "user": ("([", "])"),
    "organization": ("[", "]"),
    "workspace": ("[", "]"),
    "project": ("[", "]"),
    "platform": ("[[", "]]"),
}


def mermaid(graph: Graph) -> str:
    """For Mermaid, which forges draw in Markdown."""
    drawn = drawing(graph)
    lines = ["flowchart LR"]
    lines += [f"  {_mermaid_node(node)}" for node in drawn.subjects]
    for home, projects in drawn.workspaces:
        lines.append(f"  subgraph s{home.id}[{_mermaid(home.lines[0])}]")
        lines += [f"    {_mermaid_node(node)}" for node in (home, *projects)]
        lines.append("  end")
    for number, (where, platforms) in enumerate(drawn.platforms):
        lines.append(f"  subgraph l{number}[{_mermaid(where or 'no location')}]")
        lines += [f"    {_mermaid_node(node)}" for node in platforms]
        lines.append("  end")
    lines += [f"  {edge.start} -->|{_mermaid(edge.label)}| {edge.end}" for edge in drawn.edges]
    return "\n".join([*lines, ""])


def _mermaid_node(node: Node) -> str:
    opening, closing = _MERMAID_SHAPES[node.sort]
    return f"{node.id}{opening}{_mermaid(*node.lines)}{closing}"


def _mermaid(*lines: str) -> str:
    """Lines of text as one quoted word, in which every sign that means something there is written as its number."""
    told = [
        "".join(c if c.isalnum() or c in " -_.,:/()@·+" else f"#{ord(c)};" for c in plain(line))
        for line in lines
    ]
    return '"' + "<br/>".join(told) + '"'
