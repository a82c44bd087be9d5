"""Tests that try what a committer must not be able to do."""
