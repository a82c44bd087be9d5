"""What `hanse serve` answers over HTTP: webhooks of forges, health, readiness, metrics.

A face beside the command line. It is imported only where server.yaml says where to listen, and decides nothing: a
webhook wakes the look at the repository, all the rest is read only.
"""

from hanse.api.server import listening

__all__ = ["listening"]
