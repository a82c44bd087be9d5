"""What of a commit becomes accepted: guards, held removals, leaving owners, revocations. Pure decisions."""

from hanse.accept.acceptance import Acceptance, Removal, Trip
from hanse.accept.facts import Differences
from hanse.accept.identity import check_identity
from hanse.accept.judge import deletion_subject, judge
from hanse.accept.revocations import Subtraction

__all__ = [
    "Acceptance",
    "Differences",
    "Removal",
    "Subtraction",
    "Trip",
    "check_identity",
    "deletion_subject",
    "judge",
]
