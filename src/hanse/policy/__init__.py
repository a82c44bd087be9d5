"""Rules of the organisation's own: CEL expressions that a manifest must satisfy, asked when it is validated.

`rules` asks them; `subjects` says of whom and `variables` with what; `syntax`, `checking` and `cost` let nothing
through to the library, which only `engine` knows, that it could not answer in bounded time and memory.
"""

from hanse.policy.rules import BROKEN as BROKEN
from hanse.policy.rules import FAILED as FAILED
from hanse.policy.rules import MAX_TOLD as MAX_TOLD
from hanse.policy.rules import MISTAKEN as MISTAKEN
from hanse.policy.rules import MORE as MORE
from hanse.policy.rules import check_policies as check_policies
