"""What of a commit becomes accepted: guards, held removals, leaving owners, revocations. Pure decisions."""

from hanse.accept.acceptance import Acceptance, Removal, Trip
from hanse.accept.identity import check_identity
from hanse.accept.judge import deletion_subject, judge
from hanse.accept.revocations import subtract

__all__ = ["Acceptance", "Removal", "Trip", "check_identity", "deletion_subject", "judge", "subtract"]
