"""What all tests may stand on. Nothing starts before a test asks for it."""

import os
from collections.abc import Iterator

import pytest

from hanse.demo import keystone as starter


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[starter.Keystone]:
    """A real Keystone, shared by the tests of one module: each makes a domain of its own to work in.

    It takes two seconds to start, and a sweep looks at everybody in it: one for all modules would get crowded.
    """
    with starter.start(tmp_path_factory.mktemp("keystone")) as running:
        yield running


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a class of tests does not name in `always`, but where the whole is asked for."""
    if os.environ.get("HANSE_CONFORMANCE") == "whole":
        return
    kept = [item for item in items if _is_always(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _is_always(item)])
    items[:] = kept


def _is_always(item: pytest.Item) -> bool:
    always = getattr(getattr(item, "cls", None), "always", None)
    return always is None or item.name in always
