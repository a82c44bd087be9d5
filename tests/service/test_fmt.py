"""`hanse fmt` writes just the files of the manifest, each whole and with its mode, or says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import hanse, repository
from hanse.service.estate import Trouble
from hanse.service.fmt import look, write

UNTIDY = "apiVersion:   hanse/v1\nkind: Group # one\nname:  makers\nmembers:\n- u-1\n"
TIDY = "apiVersion: hanse/v1\nkind: Group  # one\nname: makers\nmembers:\n  - u-1\n"
FILES = {
    "organization.yaml": 'apiVersion: hanse/v1\nkind: Organization\nname: example\nignore: ["charts/**"]\n',
    "groups/makers.yaml": UNTIDY,
    "charts/values.yaml": "a:   1\n",
    ".forge/pipeline.yaml": "a:   1\n",
    "notes.txt": "a:   1\n",
    "zones/production.yaml": (
        "apiVersion: hanse/v1\nkind: LandingZone\nname: production\nplatform: north\n"
        "kubernetes: {manifests: objects}\n"
    ),
    "objects/quota.yaml": "apiVersion:   v1\nkind: ConfigMap\n",
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A repository with one file that is not tidy, and others that are not Hanse's."""
    return repository(tmp_path / "org", FILES)


def held(folder: Path) -> dict[str, str]:
    return {path: (folder / path).read_text() for path in FILES}


def test_just_hanses_own_files_are_laid_out(manifest: Path) -> None:
    result = hanse("fmt", manifest)
    assert result.exit_code == 0, result.output
    assert "groups/makers.yaml" in result.output
    assert "1 file laid out anew, 2 as they should be" in result.output
    assert held(manifest) == {**FILES, "groups/makers.yaml": TIDY}
    assert "0 files laid out anew, 3 as they should be" in hanse("fmt", manifest).output


def test_check_and_diff_change_nothing(manifest: Path) -> None:
    result = hanse("fmt", manifest, "--check")
    assert result.exit_code == 1
    assert "1 file would be laid out anew" in result.output
    result = hanse("fmt", manifest, "--diff")
    assert result.exit_code == 0
    assert "-name:  makers\n" in result.output
    assert "+name: makers\n" in result.output
    assert hanse("fmt", manifest, "--diff", "--check").exit_code == 1
    assert held(manifest) == FILES
    hanse("fmt", manifest)
    assert hanse("fmt", manifest, "--check").exit_code == 0


def test_a_folder_means_what_lies_in_it(manifest: Path) -> None:
    assert "0 files laid out anew, 1 as they should be" in hanse("fmt", manifest / "zones").output
    assert "1 file laid out anew, 0 as they should be" in hanse("fmt", manifest / "groups").output


def test_a_file_that_is_named_is_laid_out_wherever_it_lies(manifest: Path, tmp_path: Path) -> None:
    other = tmp_path / "server.yaml"
    other.write_text("approvers:\n- ops\n")
    assert hanse("fmt", other, manifest / "charts/values.yaml").exit_code == 0
    assert other.read_text() == "approvers:\n  - ops\n"
    assert (manifest / "charts/values.yaml").read_text() == "a: 1\n"


def test_links_are_never_followed(manifest: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(UNTIDY)
    (manifest / "link.yaml").symlink_to(outside)
    (manifest / "folder").symlink_to(tmp_path)
    assert hanse("fmt", manifest).exit_code == 0
    result = hanse("fmt", manifest / "link.yaml")
    assert result.exit_code == 1
    assert "is no file but a link" in result.output
    assert outside.read_text() == UNTIDY
    assert (manifest / "link.yaml").is_symlink()


def test_a_file_keeps_its_mode_and_nothing_is_left_beside_it(manifest: Path) -> None:
    path = manifest / "groups/makers.yaml"
    path.chmod(0o640)
    hanse("fmt", manifest)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [other.name for other in path.parent.iterdir()] == ["makers.yaml"]


def test_what_is_no_sound_yaml_is_left_alone_and_named_while_the_rest_is_laid_out(manifest: Path) -> None:
    (manifest / "broken.yaml").write_text("a: 1\na:   2\n")
    result = hanse("fmt", manifest)
    assert result.exit_code == 1
    assert (
        "broken.yaml:2:1: left as it is: the key 'a' stands in this mapping already, on line 1"
        in result.output
    )
    assert "1 file laid out anew, 2 as they should be, 1 left alone" in result.output
    assert (manifest / "broken.yaml").read_text() == "a: 1\na:   2\n"


def test_a_file_that_changes_meanwhile_is_not_overwritten(manifest: Path) -> None:
    path = manifest / "groups/makers.yaml"
    looked = look(path, path.read_bytes())
    path.write_text(UNTIDY + "# saved by an editor\n")
    with pytest.raises(Trouble, match="was changed meanwhile"):
        write(looked)
    assert path.read_text() == UNTIDY + "# saved by an editor\n"
    assert [other.name for other in path.parent.iterdir()] == ["makers.yaml"]


def test_a_folder_outside_any_repository_is_told(tmp_path: Path) -> None:
    result = hanse("fmt", tmp_path)
    assert result.exit_code == 1
    assert "is no git repository" in result.output


def filtered(text: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hanse", "fmt", "-", *options]
    return subprocess.run(
        command, input=text, capture_output=True, check=False, env={"PATH": os.environ["PATH"]}
    )


def test_standard_input_is_laid_out_on_standard_output(tmp_path: Path) -> None:
    told = filtered(UNTIDY.encode())
    assert (told.returncode, told.stdout, told.stderr) == (0, TIDY.encode(), b"")
    told = filtered(UNTIDY.replace("\n", "\r\n").encode())
    assert told.stdout == TIDY.replace("\n", "\r\n").encode()
    assert filtered(b"").stdout == b""
    assert (
        filtered(TIDY.encode(), "--check").returncode,
        filtered(UNTIDY.encode(), "--check").returncode,
    ) == (0, 1)
    assert filtered(UNTIDY.encode(), "--check").stdout == b""
    assert b"+name: makers\n" in filtered(UNTIDY.encode(), "--diff").stdout


def test_what_is_no_sound_yaml_on_standard_input_leaves_standard_output_empty() -> None:
    told = filtered(b"a: 1\na:   2\n")
    assert (told.returncode, told.stdout) == (1, b"")
    assert b"standard input:2:1: left as it is: the key 'a' stands in this mapping already" in told.stderr


def test_standard_input_stands_alone(manifest: Path) -> None:
    for more in (str(manifest), "--json"):
        result = hanse("fmt", "-", more)
        assert result.exit_code == 1
        assert "- stands alone" in result.output
    assert held(manifest) == FILES


def test_json_says_what_came_of_each_file(manifest: Path) -> None:
    (manifest / "broken.yaml").write_text("a: 1\na:   2\n")
    for options, written in ((("--check",), False), (("--diff",), False), ((), True)):
        result = hanse("fmt", manifest, "--json", *options)
        assert result.exit_code == 1
        told = json.loads(result.stdout)
        assert told["written"] is written
        by_name = {Path(one["path"]).name: one for one in told["files"]}
        assert {name: one["result"] for name, one in by_name.items()} == {
            "broken.yaml": "left alone",
            "makers.yaml": "laid out",
            "organization.yaml": "as it should be",
            "production.yaml": "as it should be",
        }
        assert (by_name["broken.yaml"]["line"], by_name["broken.yaml"]["column"]) == (2, 1)
        assert "stands in this mapping already" in by_name["broken.yaml"]["why"]
    assert held(manifest)["groups/makers.yaml"] == TIDY
