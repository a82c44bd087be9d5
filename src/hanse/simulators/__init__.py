"""Clouds that live in a thread of ours, for tests and the demo where no real one is at hand.

What a simulator answers is trusted only because one suite of tests passes on it and on the real thing.
"""
