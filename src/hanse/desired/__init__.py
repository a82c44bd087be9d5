"""Desired state: documents of one commit become a manifest, a manifest becomes intents. Receives bytes, opens nothing."""
