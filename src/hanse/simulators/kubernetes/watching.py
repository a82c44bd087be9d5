"""Watches: which events somebody is told, and as what."""

from collections.abc import Callable, Iterable

from hanse.simulators.kubernetes import selectors
from hanse.simulators.kubernetes.objects import at_version, shown
from hanse.simulators.kubernetes.schema import Kind, Object
from hanse.simulators.kubernetes.storage import Collection, Event


class Watch:
    """An opened watch: `start` tells what there is to tell already and then each event as it happens."""

    def __init__(
        self,
        collection: Collection,
        kind: Kind,
        prefix: str,
        test: selectors.Test,
        first: Iterable[Object],
        *,
        bookmarks: bool,
        seconds: float | None,
    ) -> None:
        self.bookmarks, self.seconds = bookmarks, seconds
        self._collection, self._kind, self._prefix, self._test, self._first = (
            collection,
            kind,
            prefix,
            test,
            first,
        )
        self._send: Callable[[Object], None] = lambda _: None

    def start(self, send: Callable[[Object], None]) -> None:
        """Send what is known, and all that follows until `stop`."""
        for event in self._first:
            send(event)
        self._send = send
        self._collection.watchers.append(self._see)

    def stop(self) -> None:
        """Send no more."""
        if self._see in self._collection.watchers:
            self._collection.watchers.remove(self._see)

    def _see(self, event: Event) -> None:
        if (
            event.key.startswith(self._prefix)
            and (told := told_of(self._kind, event, self._test)) is not None
        ):
            self._send(told)

    def bookmark(self, version: int, annotations: Object | None = None) -> Object:
        """The event that says up to where everything was told."""
        return bookmark_of(self._kind, version, annotations)


def bookmark_of(kind: Kind, version: int, annotations: Object | None = None) -> Object:
    """A bookmark."""
    metadata = {"resourceVersion": str(version), **({"annotations": annotations} if annotations else {})}
    return {"type": "BOOKMARK", "object": shown(kind, {**kind.blank, "metadata": metadata})}


def told_of(kind: Kind, event: Event, test: selectors.Test) -> Object | None:
    """What a watcher with this selector is told of an event; what leaves the selector is deleted for it."""
    was = event.before is not None and test(event.before)
    if event.after is not None and test(event.after):
        return {"type": "MODIFIED" if was else "ADDED", "object": shown(kind, event.after)}
    if not was or event.before is None:
        return None
    return {"type": "DELETED", "object": shown(kind, at_version(event.before, event.version))}
