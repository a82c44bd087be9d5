"""What is installed from the wheel is whole: the demo's example, the store's tables, the pinned Keystone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of everything in the wheel, built without fetching anything."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        "-m",
        "uv",
        "build",
        "--quiet",
        "--wheel",
        "--no-build-isolation",
        "--offline",
        "--out-dir",
        str(folder),
    ]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_the_wheel_holds_every_file_of_the_package(wheel: set[str]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "src/hanse"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    kept = {name.removeprefix("src/") for name in listed if name and (ROOT / name).is_file()}
    assert kept - wheel == set()


def test_the_wheel_holds_what_is_no_python(wheel: set[str]) -> None:
    endings = {Path(name).suffix for name in wheel if name.startswith("hanse/")}
    assert {".yaml", ".txt", ".sql", ".md", ".typed"} <= endings
