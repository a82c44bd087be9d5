"""How calls travel: HTTP, and what is put around it. Knows no vendor; all implement `ports.transport`.

A platform's transport is made from the inside out: `Http`, then `Metered`, then `RateBudget`. In tests
`Faulty` and `Recorded` stand at any place of that chain. `Http` is imported from its own module, and only where a
connection is made: its library is slow to load.
"""

from hanse.transport.budget import RateBudget
from hanse.transport.faults import Fault, Faulty
from hanse.transport.metrics import Counters, Metered
from hanse.transport.recording import Recorded

__all__ = ["Counters", "Fault", "Faulty", "Metered", "RateBudget", "Recorded"]
