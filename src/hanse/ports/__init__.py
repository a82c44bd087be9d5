"""What the core asks of the world, as protocols. Effects implement them; nothing here does anything."""
