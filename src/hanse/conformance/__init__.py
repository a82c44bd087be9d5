"""The contract of a platform as tests: what a platform's own tests subclass, in a few lines.

    class TestExample(PlatformConformance):
        lacks = {"service accounts": "the example cloud knows only people"}

        async def world(self) -> World:
            ...

Needs pytest with pytest-asyncio in auto mode; nothing of Hanse itself imports it. The names of the tests are the
specification; `World` and `Hand` are what a platform has to give.
"""

from hanse.conformance.suite import PlatformConformance
from hanse.conformance.world import Hand, Item, World

__all__ = ["Hand", "Item", "PlatformConformance", "World"]
