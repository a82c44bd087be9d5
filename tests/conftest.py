"""What all tests may stand on. Nothing starts before a test asks for it."""

from collections.abc import Iterator

import pytest

from hanse.demo import keystone as starter


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[starter.Keystone]:
    """A real Keystone, shared by all tests of this process: each makes a domain of its own to work in."""
    with starter.start(tmp_path_factory.mktemp("keystone")) as running:
        yield running
