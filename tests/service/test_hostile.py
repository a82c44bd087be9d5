"""`hanse validate` on files that somebody made to hurt: a clear error, within bounds of time and memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hanse.foundation.yaml import MAX_BYTES
from hanse.ports.source import MAX_FILES

SECONDS = 30
"""Of a processor, for each process."""
MEMORY = 1 << 30
"""Bytes of address space, for each process."""
ORGANIZATION = b"apiVersion: hanse/v1\nkind: Organization\nname: example\n"
USER = b"apiVersion: hanse/v1\nkind: User\nname: u-1\n"


def bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def validate(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, with no more time and memory than it may take."""
    command = [str(Path(sys.executable).with_name("hanse")), "validate", str(folder), *options]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache")}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, preexec_fn=bounded
    )


def findings(folder: Path, *options: str) -> list[tuple[str, str, int]]:
    """Code, file and line of each."""
    answer = validate(folder, "--json", *options)
    assert answer.returncode == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)["diagnostics"]
    assert all(len(row["message"]) + len(row["advice"]) < 1000 for row in found)
    places = [row.get("place") or {"path": "", "line": 0} for row in found]
    return [(row["code"], place["path"], place["line"]) for row, place in zip(found, places, strict=True)]


def committed(folder: Path, files: Iterable[tuple[str, bytes]], mode: str = "100644") -> Path:
    """A bare repository with one commit of these files, beside an organisation."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder)], check=True)
    with subprocess.Popen(
        ["git", "-C", str(folder), "fast-import", "--quiet"], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"commit refs/heads/main\ncommitter T <t@example.org> 1790000000 +0000\ndata 0\n")
        process.stdin.write(
            b"M 100644 inline organization.yaml\ndata %d\n%s\n" % (len(ORGANIZATION), ORGANIZATION)
        )
        for path, content in files:
            process.stdin.write(b"M %s inline %s\ndata %d\n" % (mode.encode(), path.encode(), len(content)))
            process.stdin.write(content + b"\n")
        process.stdin.close()
        assert process.wait() == 0
    return folder


def a_million(folder: Path, ending: str) -> Path:
    """The same with a million files more, of one content, in a thousand folders that are one tree to git."""
    committed(folder, [])
    git = ("git", "-C", str(folder))

    def made(*arguments: str, given: bytes = b"") -> str:
        answer = subprocess.run([*git, *arguments], input=given, capture_output=True, check=True)
        return answer.stdout.decode().strip()

    blob = made("hash-object", "-w", "--stdin", given=USER)
    files = "".join(f"100644 blob {blob}\t{n}{ending}\n" for n in range(1000))
    tree = made("mktree", given=files.encode())
    folders = "".join(f"040000 tree {tree}\t{n}\n" for n in range(1000))
    root = made("mktree", given=f"{made('ls-tree', 'main')}\n{folders}".encode())
    person = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    made("update-ref", "refs/heads/main", made(*person, "commit-tree", "-m", "a million", root))
    return folder


def lying(folder: Path, files: dict[str, bytes]) -> Path:
    """A working tree with these files, none of them committed."""
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / "organization.yaml").write_bytes(ORGANIZATION)
    for path, content in files.items():
        (folder / path).write_bytes(content)
    return folder


def bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    return "\n".join(lines).encode()


HOSTILE = {
    "an alias bomb": (bomb(), "alias-too-large", None),
    "an alias within itself": (b"a: &a [*a]\n", "alias-to-itself", 1),
    "a document of 100 MB": (USER + b"displayName: '" + b"x" * 100_000_000 + b"'\n", "file-too-large", 1),
    "flow nesting": (USER + b"x: " + b"[" * 1_000_000, "invalid-yaml", 4),
    "mappings in flow": (USER + b"x: " + b"{a: " * 1_000_000, "invalid-yaml", 4),
    "block nesting": (USER + b"x:\n" + b"".join(b" " * n + b"-\n" for n in range(1, 3000)), "too-deep", None),
    "sequences in one line": (USER + b"x:\n  " + b"- " * 1_000_000 + b"\n", "too-deep", 5),
    "what is not UTF-8": (USER + b"displayName: \xff\xfe\n", "not-utf8", 4),
    "a NUL": (USER + b"displayName: a\0b\n", "control-character", 4),
    "a NUL that is written": (USER + b'displayName: "a\\0b"\n', "control-character", 4),
    "one very long line": (USER + b"displayName: " + b"x" * 9_000_000 + b": y\n", "invalid-yaml", None),
    "a long key": (USER + b"x" * 5_000_000 + b": y\n", "invalid-yaml", None),
    "a million empty documents": (USER + b"---\n" * 1_000_000 + b"x: [\n", "invalid-yaml", 1_000_004),
    "a number without an end": (USER + b"displayName: " + b"9" * 1_000_000 + b"\n", "", None),
    "a megabyte of text for a name": (
        b"apiVersion: hanse/v1\nkind: User\nname: " + b"a-" * 500_000 + b"\n", "", 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("sort", HOSTILE)
def test_a_hostile_file_is_one_clear_error_in_bounded_time_and_memory(sort: str, tmp_path: Path) -> None:
    content, code, line = HOSTILE[sort]
    found = findings(lying(tmp_path / "tree", {"bad.yaml": content}), "--worktree")
    assert {path for _, path, _ in found} == {"bad.yaml"}
    assert code in ("", found[0][0])
    assert line in (None, found[0][2])
    shown = validate(committed(tmp_path / "bare", [("bad.yaml", content)]))
    assert (shown.returncode, shown.stderr) == (1, "")
    assert len(shown.stdout) < 10_000
    assert f"bad.yaml:{found[0][2]}:" in shown.stdout


def test_links_out_of_the_repository_are_errors_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.yaml").write_bytes(USER)
    links = {
        "file.yaml": f"{outside}/secret.yaml",
        "folder": str(outside),
        "up": "../outside",
        "a/b": "../../outside",
    }
    bare = committed(
        tmp_path / "bare", ((path, target.encode()) for path, target in links.items()), mode="120000"
    )
    expected = [("not-a-file", path, 1) for path in sorted(links)]
    assert findings(bare) == expected
    tree = lying(tmp_path / "tree", {})
    (tree / "a").mkdir()
    for path, target in links.items():
        (tree / path).symlink_to(target)
    assert findings(tree, "--worktree") == expected
    subprocess.run(["git", "-C", str(tree), "add", "."], check=True)
    assert findings(tree, "--worktree") == expected


def test_a_link_within_the_repository_that_is_no_manifest_is_nobodys_concern(tmp_path: Path) -> None:
    folder = committed(tmp_path / "bare", [("docs/README", b"../organization.yaml")], mode="120000")
    assert validate(folder).returncode == 0


def test_a_million_small_files_of_the_manifest_are_refused_before_any_is_read(tmp_path: Path) -> None:
    answer = validate(a_million(tmp_path / "bare", ".yaml"))
    assert answer.returncode == 1
    assert "1,000,001 files" in answer.stderr
    assert f"{MAX_FILES:,}" in answer.stderr
    assert len(answer.stderr.splitlines()) == 2


def test_a_million_files_of_another_sort_are_no_hindrance(tmp_path: Path) -> None:
    assert validate(a_million(tmp_path / "bare", ".txt")).returncode == 0


def test_of_ten_thousand_findings_a_terminal_gets_the_first_and_json_all(tmp_path: Path) -> None:
    grants = ((f"g-{n}.yaml", b"apiVersion: hanse/v1\nkind: Grant\nname: g-%d\nuser: gone-%d\nrole: none\n" % (n, n))
              for n in range(5_000))  # fmt: skip
    folder = committed(tmp_path / "bare", grants)
    assert len(findings(folder)) == 10_000
    shown = validate(folder).stdout
    assert "and 9800 more findings" in shown
    assert "10000 errors" in shown
    assert len(shown.splitlines()) < 500


def test_ten_thousand_findings_in_one_file_are_found_in_bounded_time(tmp_path: Path) -> None:
    grants = b"---\n".join(
        b"apiVersion: hanse/v1\nkind: Grant\nname: g-%d\nuser: gone\nrole: none\n" % n for n in range(5_000)
    )
    assert len(grants) < MAX_BYTES
    assert len(findings(committed(tmp_path / "bare", [("all.yaml", grants)]))) == 10_000
