"""Whoever changes something by hand is heard: the owner concerned is named at once, and nothing is lost in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from hanse.conformance.drifting import DRIFTS, Drifting
from hanse.conformance.loop import Loop
from hanse.model import Owner
from hanse.ports.platform import Hints
from hanse.transport import Fault

PATIENCE_SECONDS = 30.0
"""Longer than a platform waits before it listens again for the first times."""
QUIET_SECONDS = 0.3
"""How long to listen for what must not come."""

Hint = frozenset[Owner] | None


class Ears:
    """Notes what a platform says."""

    def __init__(self, hints: AsyncIterator[Hint]) -> None:
        self._hints = hints
        self._news = asyncio.Event()
        self.heard: list[Hint] = []

    async def listen(self) -> None:
        """For as long as it speaks."""
        async for hint in self._hints:
            self.heard.append(hint)
            self._news.set()

    async def until(self, enough: Callable[[list[Hint]], bool], otherwise: str) -> None:
        """Wait until enough was heard."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not enough(self.heard):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"{otherwise}; heard was {self.heard}")

    async def nothing_more(self) -> None:
        """Listen for a while, so that what came before is heard."""
        await asyncio.sleep(QUIET_SECONDS)


class Hinting(Drifting):
    """Changes behind our back that need not be looked for."""

    @asynccontextmanager
    async def ears(self, loop: Loop) -> AsyncIterator[Ears]:
        """Listening, after the platform said that it is heard."""
        platform = loop.platform.inner
        assert isinstance(platform, Hints), "a platform without hints says so in `lacks`"
        async with aclosing(platform.hints()) as hints:  # type: ignore[type-var]
            ears = Ears(hints)
            listening = asyncio.ensure_future(ears.listen())
            try:
                await ears.until(bool, "nothing was said at the beginning")
                yield ears
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def label(self, loop: Loop) -> str:
        """What the platform calls its stream of changes."""
        async with self.ears(loop):
            return loop.transport.streams[-1].label

    @pytest.mark.parametrize("drift", DRIFTS)
    async def test_a_change_by_hand_wakes_just_the_owner_concerned(self, loop: Loop, drift: str) -> None:
        self.need("hints")
        self.need(DRIFTS[drift])
        await loop.want(*self.wanted(loop))
        await loop.settle()
        owner: Owner = loop.sample.tenant("shop/prod")
        async with self.ears(loop) as ears:
            await ears.nothing_more()
            ears.heard.clear()
            async with loop.by_hand() as hand:
                await self.meddle(loop, hand, drift)
            await ears.until(lambda heard: any(hint and owner in hint for hint in heard), "nobody was told")
            await ears.nothing_more()
            assert None not in ears.heard
            assert {one for hint in ears.heard if hint for one in hint} == {owner}
        await loop.settle()

    async def test_looking_wakes_nobody(self, loop: Loop) -> None:
        self.need("hints")
        await loop.want(*self.wanted(loop))
        await loop.settle()
        async with self.ears(loop) as ears:
            await ears.nothing_more()
            ears.heard.clear()
            await loop.check_converged()
            await ears.nothing_more()
            assert None not in ears.heard
            assert not any(ears.heard), "who looks would look for ever"

    @pytest.mark.parametrize("kind", ["lost-after", "lost-before", "cut", "error-500", "throttled-429"])
    async def test_nothing_is_lost_when_the_stream_breaks_and_is_not_to_be_had_again_at_once(
        self, loop: Loop, kind: str
    ) -> None:
        self.need("hints")
        await loop.want(*self.wanted(loop))
        await loop.settle()
        owner: Owner = loop.sample.tenant("shop/prod")
        label = await self.label(loop)
        broken = Fault("lost-after", label)
        loop.fail(broken, Fault(kind, label, nth=2))  # type: ignore[arg-type]
        async with self.ears(loop) as ears:
            for drift in ("extra access", "described", "missing access", "extra direct grant"):
                ears.heard.clear()
                async with loop.by_hand() as hand:
                    await self.meddle(loop, hand, drift)
                await ears.until(
                    lambda heard: any(hint is None or owner in hint for hint in heard),
                    f"{drift} was lost when the stream broke",
                )
        assert broken in {fault for fault, _ in loop.faulty.struck}
        loop.fail()
        await loop.settle()
