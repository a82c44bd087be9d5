"""Builds the programs of counterparts/kubernetes, once for each version: `make counterparts`.

They go into the user's cache folder, where hanse.demo.kubernetes finds them. Go fetches the sources, as its own
settings say (GOPROXY), and checks them against go.sum.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from hanse.demo import kubernetes as starter

MODULE = Path(__file__).with_name("kubernetes")
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")


def main() -> int:
    """Build what is not there; 1 with a word of advice where that cannot be."""
    if given := starter.installed():
        tell(f"this machine has them already: {given.kube_apiserver.parent}")
        return 0
    built = starter.cache() / f"kubernetes-{version()}-{digest()}"
    built.parent.mkdir(parents=True, exist_ok=True)
    with (built.parent / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists() and (why := build(built)):
            tell(why)
            return 1
        os.utime(built)  # the starter takes what was asked for last
    tell(f"ready: {built}")
    return 0


def build(target: Path) -> str:
    """Make the folder with the programs, whole or not at all; says what went wrong, if anything did."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if why := unfit(go):
        return why
    tell(f"building Kubernetes {version()} and etcd from source: minutes the first time")
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    started = time.monotonic()
    command = [str(go), "build", *flags(), "-o", f"{draft}/", *(f"./{name}" for name in PROGRAMS)]
    done = subprocess.run(command, cwd=MODULE, env=environment(), check=False)  # noqa: S603
    if done.returncode:
        return "go could not build the programs; what it said stands above"
    draft.rename(target)
    tell(f"built in {time.monotonic() - started:.0f} s")
    return ""


def unfit(go: str | None) -> str:
    """Why this Go will not do; nothing where it will. An older one may fetch the right one itself (GOTOOLCHAIN)."""
    wanted = named(r"^go (\S+)$")
    advice = (
        f"install Go {wanted} or newer (https://go.dev/doc/install), or put {', '.join(PROGRAMS)} on the PATH"
    )
    if go is None:
        return f"Building the Kubernetes counterparts needs Go, which is not on the PATH: {advice}."
    asked = subprocess.run(  # noqa: S603
        [go, "env", "GOVERSION"], cwd=MODULE, env=environment(), check=False, capture_output=True, text=True
    )
    has = asked.stdout.strip().removeprefix("go")
    if asked.returncode or numbers(has) < numbers(wanted):
        return f"Building the Kubernetes counterparts needs a newer Go than {go} ({has or asked.stderr}): {advice}."
    return ""


def flags() -> list[str]:
    """How Go builds them: alike on every machine, without symbols, and knowing their version as released ones do."""
    major, minor, _ = version().split(".", 2)
    variables = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor}
    named = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in variables.items()]
    return ["-buildvcs=false", "-mod=readonly", "-trimpath", f"-ldflags=-s -w {' '.join(named)}"]


def environment() -> dict[str, str]:
    """Without a C compiler, and without a workspace around this folder."""
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def version() -> str:
    """Of Kubernetes, such as 1.36.3."""
    return named(r"^\s*k8s\.io/kubernetes v(\S+)$")


def digest() -> str:
    """Names exactly what is built, and how."""
    whole = hashlib.sha256("\n".join(flags()).encode())
    for path in sorted([MODULE / "go.mod", MODULE / "go.sum", *MODULE.glob("*/main.go")]):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def named(pattern: str) -> str:
    """What go.mod says there."""
    found = re.search(pattern, (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found is not None, f"{MODULE / 'go.mod'} has no line {pattern}"
    return found[1]


def numbers(dotted: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", dotted)[:3])


def tell(what: str) -> None:
    """To whoever called make."""
    sys.stdout.write(f"counterparts: {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
