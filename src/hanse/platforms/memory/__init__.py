"""A platform in memory: the reference for whoever writes one, and a cloud for the tests of all above it."""

from hanse.platforms.memory.cloud import Cloud, CloudTransport
from hanse.platforms.memory.platform import VENDOR, MemoryPlatform

__all__ = ["VENDOR", "Cloud", "CloudTransport", "MemoryPlatform"]
