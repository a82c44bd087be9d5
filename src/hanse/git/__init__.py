"""The git command line: a repository as Hanse's Source, and commits that Hanse itself makes."""

from hanse.git.command import GitError
from hanse.git.repository import Repository
from hanse.git.writer import Writer
from hanse.git.writing import commit, init
from hanse.ports.writer import Person as Author

__all__ = ["Author", "GitError", "Repository", "Writer", "commit", "init"]
