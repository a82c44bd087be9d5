"""Converge owners to what is accepted of them: look, plan, carry out, look again; once, or for ever.

Nothing here knows where the accepted state came from.
"""

from hanse.reconcile.loop import CLAIM_SECONDS, KEEP_SECONDS, Force, Loop, until
from hanse.reconcile.passes import Converged, Pass
from hanse.reconcile.survey import Inherited, People, Survey, World, has_new_hour, survey

__all__ = [
    "CLAIM_SECONDS",
    "KEEP_SECONDS",
    "Converged",
    "Force",
    "Inherited",
    "Loop",
    "Pass",
    "People",
    "Survey",
    "World",
    "has_new_hour",
    "survey",
    "until",
]
