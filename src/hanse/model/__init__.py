"""The nouns that every layer speaks: keys, resources, steps, outcomes. Values only, no behaviour with effects."""

from hanse.model.access import Access, Via
from hanse.model.approval import Approval, Rule
from hanse.model.key import Key, Owner, Tenant, WorkspaceOn, owner_of, parse_owner
from hanse.model.provenance import Provenance, Strength
from hanse.model.resource import Find, Foreign, KindSpec, Native, Personal, Ref, Resource, Secret, Value
from hanse.model.signature import Fault, Verdict
from hanse.model.step import Cause, Done, NotYet, Outcome, Reason, Refused, Remark, Step, Unsure

__all__ = [
    "Access",
    "Approval",
    "Cause",
    "Done",
    "Fault",
    "Find",
    "Foreign",
    "Key",
    "KindSpec",
    "Native",
    "NotYet",
    "Outcome",
    "Owner",
    "Personal",
    "Provenance",
    "Reason",
    "Ref",
    "Refused",
    "Remark",
    "Resource",
    "Rule",
    "Secret",
    "Step",
    "Strength",
    "Tenant",
    "Unsure",
    "Value",
    "Verdict",
    "Via",
    "WorkspaceOn",
    "owner_of",
    "parse_owner",
]
