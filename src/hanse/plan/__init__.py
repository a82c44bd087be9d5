"""What is to be done: a pure function from desired and observed to steps, in order, with a reason each."""

from hanse.plan.fights import Fight, Fights
from hanse.plan.happened import happened
from hanse.plan.make import Rules, make, mark_of
from hanse.plan.plan import Plan

__all__ = ["Fight", "Fights", "Plan", "Rules", "happened", "make", "mark_of"]
