"""A person with admin rights on a Kubernetes API server, who works in the namespaces of one test world."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from hanse.conformance import Item
from hanse.model import Key, Tenant
from hanse.ports.transport import Call, Reply, Transport

ROLES = {"admin": "admin", "user": "edit", "reader": "view"}
CHOICE = "suite-auditor"
"""The ClusterRole that the hand gives of its own accord."""
RBAC = "rbac.authorization.k8s.io"
LIMIT_SECONDS = 60.0
Row = dict[str, Any]


class KubernetesHand:
    """Uses the API as kubectl does. All its namespaces are named after the organization, which no other world has."""

    def __init__(self, transport: Transport, organization: str) -> None:
        self.transport = transport
        self.organization = organization

    async def furnish(self) -> None:
        """The role of its choice, and a foreign namespace with somebody in it."""
        role = {
            "metadata": {"name": CHOICE},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        }
        await self.call("POST", f"/apis/{RBAC}/v1/clusterroles", role, fine=(201, 409))
        elsewhere = f"{self.organization}-elsewhere"
        await self.call("POST", "/api/v1/namespaces", {"metadata": {"name": elsewhere}})
        await self.bind(elsewhere, "somebody", "edit", {"kind": "User", "name": "ann@example.org"})

    async def clear(self) -> None:
        """Begin to delete everything of this world."""
        for row in await self.namespaces():
            await self.call("DELETE", f"/api/v1/namespaces/{row['metadata']['name']}", fine=(200, 404, 409))
        await self.call(
            "DELETE", f"/apis/{RBAC}/v1/clusterrolebindings/{self.organization}-above", fine=(200, 404)
        )

    # As the suite asks

    async def add_user(self, name: str, *, service: bool = False) -> None:
        """The API server keeps no people; accounts of programs are in namespaces."""
        if service:
            home = f"{self.organization}-elsewhere"
            await self.call(
                "POST", f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": {"name": name}}
            )

    async def give(self, owner: Tenant, role: str, user: str) -> None:
        subject = {"kind": "User", "name": user}
        await self.bind(await self.marked(owner), f"by-hand-{role}", ROLES[role], subject)

    async def take(self, owner: Tenant, role: str, user: str) -> None:
        namespace = await self.marked(owner)
        for row in await self.bindings(namespace):
            names = {subject["name"] for subject in row.get("subjects", ())}
            if row["roleRef"]["name"] == ROLES[role] and user in names:
                await self.call("DELETE", self.binding(namespace, row["metadata"]["name"]))

    async def grant(self, owner: Tenant, user: str) -> None:
        subject: Row = {"kind": "User", "name": user}
        if user == "robot":
            subject = {"kind": "ServiceAccount", "name": user, "namespace": f"{self.organization}-elsewhere"}
        await self.bind(await self.marked(owner), "by-choice", CHOICE, subject)

    async def grant_above(self, user: str) -> None:
        body = {
            "metadata": {"name": f"{self.organization}-above"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": CHOICE},
            "subjects": [{"kind": "User", "name": user, "apiGroup": RBAC}],
        }
        await self.call("POST", f"/apis/{RBAC}/v1/clusterrolebindings", body)

    async def change(self, owner: Tenant, attribute: str, value: Any) -> None:
        namespace = await self.marked(owner)
        if attribute == "tag":
            await self.annotate(namespace, {}, {"example.org/a": value})
            return
        assert attribute == "description", "a namespace has no other of these"
        await self.annotate(namespace, {"hanse/description": value})

    async def delete_group(self, owner: Tenant, role: str) -> None:
        raise AssertionError("there are no groups")

    async def delete_container(self, owner: Tenant) -> None:
        """Delete the namespace, and wait until it is gone."""
        path = f"/api/v1/namespaces/{await self.marked(owner)}"
        await self.call("DELETE", path)
        async with asyncio.timeout(LIMIT_SECONDS):
            while (await self.call("GET", path, fine=(200, 404))).status != 404:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def make_container(self, owner: Tenant, name: str) -> str:
        if not name.startswith(self.organization):
            name = f"{self.organization}-{name}"
        await self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    async def mark(self, owner: Tenant, native_id: str, *, on: bool) -> None:
        key = self.key(owner)
        label = {"hanse/stamp": key.stamp if on else None}
        await self.annotate(native_id, {"hanse/key": str(key) if on else None}, label)

    async def census(self) -> Sequence[Item]:
        items: list[Item] = []
        for row in await self.namespaces():
            if row["metadata"].get("deletionTimestamp") is None:
                name = row["metadata"]["name"]
                items.append(self.namespace(row))
                items += [item for one in await self.bindings(name) for item in self.links(name, one)]
                for path in (
                    "/api/v1/namespaces/{}/resourcequotas",
                    "/api/v1/namespaces/{}/limitranges",
                    "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
                ):
                    for thing in await self.rows(path.format(name)):
                        kind = path.rpartition("/")[2]
                        at = f"{kind} {name}/{thing['metadata']['name']}"
                        items.append(Item(at, kind, "", str(thing.get("spec")), (name,)))
        return sorted(items, key=lambda item: (item.kind, item.id))

    # Small steps

    def namespace(self, row: Row) -> Item:
        """Without what differs from world to world; of ours without the name, which stays when a project is renamed."""
        meta = row["metadata"]
        mark = meta.get("annotations", {}).get("hanse/key", "")
        ours = mark.removeprefix(f"{self.organization}/") if mark.startswith(f"{self.organization}/") else ""
        labels = {k: v for k, v in meta.get("labels", {}).items() if k not in ("hanse/stamp", NAME_LABEL)}
        notes = {k: v for k, v in meta.get("annotations", {}).items() if k != "hanse/key"}
        state = f"{sorted(labels.items())} {sorted(notes.items())} {'' if ours else meta['name']}"
        return Item(meta["name"], "namespace", ours, state.replace(self.organization, "ORG"))

    def links(self, namespace: str, row: Row) -> Iterable[Item]:
        """One for each subject."""
        role = f"{row['roleRef']['kind']}/{row['roleRef']['name']}"
        for subject in row.get("subjects", ()):
            who = f"{subject['kind']} {subject['name']}"
            at = f"{namespace}/{row['metadata']['name']}/{who}"
            yield Item(at, "binding", "", "", (namespace, role, who))

    def key(self, owner: Tenant) -> Key:
        return Key(self.organization, owner.workspace, owner.project, "namespace")

    async def namespaces(self) -> list[Row]:
        rows = await self.rows("/api/v1/namespaces")
        return [row for row in rows if row["metadata"]["name"].startswith(f"{self.organization}-")]

    async def marked(self, owner: Tenant) -> str:
        mark = str(self.key(owner))
        rows = [row["metadata"] for row in await self.namespaces()]
        return next(
            str(meta["name"]) for meta in rows if meta.get("annotations", {}).get("hanse/key") == mark
        )

    async def bindings(self, namespace: str) -> list[Row]:
        return await self.rows(f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings")

    def binding(self, namespace: str, name: str) -> str:
        return f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings/{name}"

    async def bind(self, namespace: str, name: str, role: str, subject: Mapping[str, str]) -> None:
        body = {
            "metadata": {"generateName": f"{name}-"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [dict(subject)],
        }
        await self.call("POST", f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings", body)

    async def annotate(self, name: str, notes: Row, labels: Row | None = None) -> None:
        body = {"metadata": {"annotations": notes, "labels": labels or {}}}
        path = f"/api/v1/namespaces/{name}"
        await self.call("PATCH", path, body, content_type="application/merge-patch+json")

    async def rows(self, path: str) -> list[Row]:
        return list(msgspec.json.decode((await self.call("GET", path)).body)["items"] or ())

    async def call(
        self,
        method: str,
        path: str,
        body: Row | None = None,
        fine: Sequence[int] = (200, 201),
        content_type: str = "application/json",
    ) -> Reply:
        query = () if method == "GET" else (("fieldManager", "by-hand"),)
        reply = await self.transport.send(
            Call(
                method, path, query if method != "DELETE" else (), body, "by hand", content_type=content_type
            )
        )
        assert reply.status in fine, f"{method} {path}: {reply.status} {reply.body!r}"
        return reply


NAME_LABEL = "kubernetes.io/metadata.name"
