"""The whole contract."""

from __future__ import annotations

from hanse.conformance.converging import Converging
from hanse.conformance.drifting import Drifting
from hanse.conformance.failing import Failing
from hanse.conformance.hinting import Hinting
from hanse.conformance.leaving import Leaving
from hanse.conformance.observing import Observing


class PlatformConformance(Observing, Converging, Hinting, Drifting, Leaving, Failing):
    """Subclass it in a platform's tests, say what the `world` is, and name what the platform `lacks`."""
