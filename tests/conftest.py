"""What all tests may stand on. Nothing starts before a test asks for it."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import kubernetes_server
import npm
from hanse.demo import keystone as starter

GIT = {"core.fsync": "none", "gc.auto": "0", "maintenance.auto": "false"}
"""For all git of the tests: what is written for one test waits for no disk and is never tidied up."""
for number, (name, value) in enumerate(GIT.items()):
    os.environ |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
os.environ["GIT_CONFIG_COUNT"] = str(len(GIT))

settings.register_profile("any-load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(
    "any-load"
)  # how fast examples come says how busy the machine is, and nothing of a promise


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[starter.Keystone]:
    """A real Keystone, shared by the tests of one module: each makes a domain of its own to work in.

    It takes two seconds to start, and a sweep looks at everybody in it: one for all modules would get crowded.
    """
    with starter.start(tmp_path_factory.mktemp("keystone")) as running:
        yield running


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubernetes_server.KubernetesServer]:
    """A Kubernetes API server, shared by the tests of one module: each makes namespaces of its own to work in.

    The real one with HANSE_KUBERNETES=real, which takes four seconds to start; else the simulator.
    """
    with kubernetes_server.start(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not asked for: it is neither run nor skipped."""
    config.hook.pytest_deselected(items=[item for item in items if not _is_asked_for(item)])
    items[:] = [item for item in items if _is_asked_for(item)]


def _is_asked_for(item: pytest.Item) -> bool:
    """Whether the whole is asked for, or a class names the test in `always`, or names nothing there.

    A module that says `real_kubernetes` is about the real one, and says nothing of the simulator; one that says
    `from_npm` asks a program that npm brings.
    """
    module = getattr(item, "module", None)
    if getattr(module, "from_npm", False) and not npm.is_asked_for():
        return False
    if getattr(module, "real_kubernetes", False) and not kubernetes_server.REAL:
        return False
    always = getattr(getattr(item, "cls", None), "always", None)
    whole = os.environ.get("HANSE_CONFORMANCE") == "whole"
    return whole or always is None or item.name in always
