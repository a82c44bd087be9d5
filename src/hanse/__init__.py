"""Organization as Code for many clouds."""
