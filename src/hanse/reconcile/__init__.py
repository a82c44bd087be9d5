"""Converge owners to what is accepted of them: look, plan, carry out, look again; once, or for ever.

Nothing here knows where the accepted state came from.
"""

from hanse.reconcile.loop import Force, Loop, until
from hanse.reconcile.passes import Converged, Pass
from hanse.reconcile.survey import Inherited, People, Survey, World, has_new_hour, survey

__all__ = [
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
