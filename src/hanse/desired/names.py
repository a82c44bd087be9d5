"""Identity over renames: which name is the oldest, and whose every earlier name is.

`formerly` lists all earlier names, oldest first, and is only ever appended to. An entry without a workspace
lay in the same workspace as the name that followed it, so a later move need not touch the entries before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hanse.desired.kinds import Project, Workspace

ProjectName = tuple[str, str]
"""Workspace and project."""


def trail(project: Project) -> list[ProjectName]:
    """All names that a project had and has, oldest first, the present one last."""
    workspace = project.workspace
    names = [(workspace, project.name)]
    for entry in reversed(project.formerly):
        before, slash, name = entry.rpartition("/")
        workspace = before if slash else workspace
        names.append((workspace, name))
    return names[::-1]


class Names:
    """The oldest name of every workspace and project. Holds only those that were ever renamed."""

    def __init__(self, workspaces: Iterable[Workspace], projects: Iterable[Project]) -> None:
        """Read the documents' `formerly`; where two claim one name, the first keeps it (`clashes` tells)."""
        self._workspaces: dict[str, Workspace] = {}
        self._projects: dict[ProjectName, Project] = {}
        for workspace in workspaces:
            if workspace.formerly:
                for name in (*workspace.formerly, workspace.name):
                    self._workspaces.setdefault(name, workspace)
        for project in projects:
            if project.formerly:
                for ws, name in trail(project):
                    self._projects.setdefault((self.workspace(ws), name), project)

    def workspace(self, name: str) -> str:
        """The oldest name of the workspace that has or had this name."""
        renamed = self._workspaces.get(name)
        return renamed.formerly[0] if renamed else name

    def project(self, workspace: str, name: str) -> ProjectName:
        """The oldest names of the project that has or had this name in a workspace of this name."""
        home = self.workspace(workspace)
        renamed = self._projects.get((home, name))
        if renamed is None:
            return home, name
        first, oldest = trail(renamed)[0]
        return self.workspace(first), oldest

    def scope(self, workspace: str, project: str) -> str:
        """A scope of grants as sources name it, by oldest names; empty for the organisation."""
        if project:
            return "/".join(self.project(workspace, project))
        return self.workspace(workspace) if workspace else ""

    def holder(self, workspace: str, name: str = "") -> Workspace | Project | None:
        """The document to whose renames this name belongs, if it belongs to any."""
        if not name:
            return self._workspaces.get(workspace)
        return self._projects.get((self.workspace(workspace), name))

    def clashes(self, document: Workspace | Project) -> Iterator[tuple[int | None, Workspace | Project]]:
        """Names of a document that belong to another: the index in `formerly` (None: the present name)."""
        for index, name in self._indexed(document):
            holder = self.holder(*name)
            if holder is not None and holder is not document:
                yield index, holder

    @staticmethod
    def _indexed(document: Workspace | Project) -> Iterator[tuple[int | None, tuple[str, ...]]]:
        if isinstance(document, Workspace):
            yield None, (document.name,)
            yield from ((index, (name,)) for index, name in enumerate(document.formerly))
        else:
            yield None, (document.workspace, document.name)
            yield from enumerate(trail(document)[:-1])
