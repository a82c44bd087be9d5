"""The git command line: a repository as Hanse's Source, and commits that Hanse itself makes."""

from hanse.git.command import GitError
from hanse.git.repository import Repository
from hanse.git.writing import Author, commit, init

__all__ = ["Author", "GitError", "Repository", "commit", "init"]
