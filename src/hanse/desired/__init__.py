"""Desired state: documents of one commit become a manifest, and a manifest intents. Receives bytes, opens nothing."""
