"""What reaches a terminal: lines that fit into it, and colours only there."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hanse.cli.terminal import fold

LONG = """\
apiVersion: hanse/v1
kind: Organization
name: example
a-key-that-nobody-knows-and-that-is-so-long-that-its-message-has-to-go-on-in-another-line: 1
"""


def test_a_text_is_broken_between_words() -> None:
    assert fold("one two three", 10, 0, 2) == "one two\n  three"
    assert fold("one two three", 10, 4, 2) == "one\n  two\n  three"
    assert fold("one two three", 0, 4, 2) == "one two three"


def test_a_word_that_fits_nowhere_and_a_command_stay_whole() -> None:
    assert fold("a unbreakable-word b", 8, 0, 2) == "a\n  unbreakable-word\n  b"
    assert fold("sign it: `git commit --amend` soon", 20, 0, 2) == "sign it:\n  `git commit --amend`\n  soon"


@given(st.text(), st.integers(0, 40), st.integers(0, 60), st.integers(0, 10))
def test_nothing_of_a_text_is_lost(text: str, width: int, start: int, indent: int) -> None:
    assert fold(text, width, start, indent).split() == text.split()


def at_terminal(folder: Path, columns: int, **more: str) -> str:
    """What `hanse validate` writes to a terminal of so many columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "hanse", "validate", "--worktree", "."]
    homes = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "TERM": "xterm"}
    with subprocess.Popen(
        command, cwd=folder, stdout=follower, stderr=follower, env=os.environ | homes | more
    ) as process:
        os.close(follower)
        written = b""
        try:
            while data := os.read(leader, 65536):
                written += data
        except OSError:  # nobody has the other end any more
            pass
        process.wait()
    os.close(leader)
    return written.decode()


def test_findings_fit_into_the_terminal_and_have_colours_only_there(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "organization.yaml").write_text(LONG)
    lines = at_terminal(tmp_path, 60, NO_COLOR="1").splitlines()
    assert "\x1b" not in "".join(lines)
    assert lines[0] == "organization.yaml:4:1: error: unknown key"
    assert lines[1].startswith("  'a-key-that-nobody-knows")
    assert "\x1b[" in at_terminal(tmp_path, 200, NO_COLOR="")
    assert "unknown key 'a-key-that" in at_terminal(tmp_path, 200)
    command = [sys.executable, "-m", "hanse", "validate", "--worktree", "."]
    piped = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "unknown key 'a-key-that" in piped
    assert "\x1b" not in piped
