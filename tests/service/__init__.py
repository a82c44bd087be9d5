"""The use cases end to end: a real git repository, the real store, clouds in memory."""
