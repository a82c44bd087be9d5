"""Starts a real OpenStack Keystone on this machine: for the demo, for tests, for benchmarks.

    venv = install(progress=tell)            # once per machine: Keystone 30.0.0 from PyPI, 130 MB
    with start(folder, venv=venv) as cloud:  # about two seconds; everything of it lies in the folder
        cloud.url, cloud.admin, cloud.clouds_yaml("demo")

Keystone lives in a virtual environment and a process of its own: its hundred pinned packages never meet
Hanse's, and oslo.config allows one Keystone per process. It listens on 127.0.0.1 only, and ends when the
process that started it does, however that ends, unless it was started detached.

Needs a POSIX system (fcntl) and, for `install`, the Python package index.
"""

import base64
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from hanse.demo import processes

RELEASE = "30.0.0"

_REQUIREMENTS = Path(__file__).with_name("keystone-requirements.txt")
_SERVER = Path(__file__).with_name("keystone_server.py")

Progress = Callable[[str], None]
Estate = Mapping[str, Sequence[object]]


class KeystoneError(RuntimeError):
    """Keystone could not be installed, prepared, seeded or started: what failed, and its last output."""


def _quiet(_: str) -> None:
    pass


# ---- what is made once per machine


def install(cache: Path | None = None, progress: Progress = _quiet) -> Path:
    """The virtual environment with Keystone in it, made on the first call.

    Its name under the cache (default: `hanse` in $XDG_CACHE_HOME or ~/.cache) tells the exact packages and
    the Python, so that nothing in it ever changes. Several processes may call at once: one installs, the
    others wait. Uses uv where there is one (seconds), else pip (about half a minute).

    Raises:
        KeystoneError: the environment could not be made, or a package not be fetched.
    """
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes() + sys.implementation.cache_tag.encode()).hexdigest()[
        :12
    ]
    venv = (cache or _cache()) / f"keystone-{RELEASE}-{digest}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    # It knows its own place, so it can't be made elsewhere and renamed: a marker tells that it is whole.
    complete = venv / "complete"
    with _alone(venv.with_name(f"{venv.name}.lock")):
        if not (complete.exists() and _python(venv).exists()):
            progress(f"installing Keystone {RELEASE} into {venv}")
            shutil.rmtree(venv, ignore_errors=True)
            for what, command in _installation(venv):
                _run(what, command, cwd=venv.parent)
            complete.touch()
    return venv


def prepare(venv: Path, progress: Progress = _quiet) -> Path:
    """An SQLite database with tables, default domain, roles and administrator, made on the first call.

    `create` copies it, which spares every later Keystone the making. All of them thus have the same ids of
    roles, administrator and its project; keys and passwords they do not share.

    Raises:
        KeystoneError: Keystone could not make it.
    """
    made_by = hashlib.sha256(_SERVER.read_bytes() + _CONFIGURATION.encode()).hexdigest()[:12]
    template = venv / f"template-{made_by}.db"
    with _alone(venv / "template.lock"):
        if not template.exists():
            progress("preparing Keystone's database")
            draft = venv / "template.draft"
            shutil.rmtree(draft, ignore_errors=True)
            _configure(draft, None)
            _run("preparing Keystone's database", _server(venv, "prepare", draft))
            # The write-ahead log lets requests read while one writes. The mode stays with the file.
            with contextlib.closing(sqlite3.connect(draft / "keystone.db")) as database:
                database.execute("PRAGMA journal_mode = WAL")
            (draft / "keystone.db").rename(template)
            shutil.rmtree(draft)
    return template


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hanse"


def _python(venv: Path) -> Path:
    return venv / "bin" / "python"


def _installation(venv: Path) -> list[tuple[str, list[str]]]:
    python = str(_python(venv))
    packages = ["--require-hashes", "--quiet", "--requirement", str(_REQUIREMENTS)]
    make, fill = "making a virtual environment for Keystone", "installing Keystone's packages"
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else [shutil.which("uv") or ""]
    if all(uv):
        return [
            (make, [*uv, "venv", "--quiet", "--python", sys.executable, str(venv)]),
            (fill, [*uv, "pip", "install", "--compile-bytecode", "--python", python, *packages]),
        ]
    return [
        (make, [sys.executable, "-m", "venv", str(venv)]),
        (fill, [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *packages]),
    ]


# ---- one Keystone, in one folder


@dataclass(frozen=True)
class Admin:
    """Who may do everything: role `admin` on its project, in its domain and on the system."""

    password: str = field(repr=False)
    username: str = "admin"
    project: str = "admin"
    domain: str = "default"  # the id; its name is Default


@dataclass(frozen=True)
class Keystone:
    """A running Keystone. Leaving its `with` block stops it."""

    folder: Path
    url: str  # http://127.0.0.1:PORT/v3
    pid: int
    admin: Admin
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """The Keystone that was started detached in this folder, perhaps by another process.

        Raises:
            KeystoneError: none is running there.
        """
        url, pid = folder / "keystone.url", processes.pid_in(_pid_file(folder))
        if not processes.alive(_pid_file(folder)) or not url.exists() or pid is None:
            raise KeystoneError(f"no Keystone is running in {folder}")
        return cls(folder, url.read_text(), pid, Admin((folder / "admin.password").read_text()))

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return (
            processes.alive(_pid_file(self.folder)) and processes.pid_in(_pid_file(self.folder)) == self.pid
        )

    def stop(self, grace: float = 5.0) -> None:
        """End the process, by force after `grace` seconds, unless it has ended already; its folder stays."""
        if self.running:
            processes.end(_pid_file(self.folder), grace)
        if self._process is not None:
            processes.reap(self._process)

    def clouds_yaml(self, name: str) -> str:
        """A whole clouds.yaml that knows this Keystone under this name, the password included."""
        cloud = {
            "auth_type": "password",
            "auth": {
                "auth_url": self.url,
                "username": self.admin.username,
                "password": self.admin.password,
                "project_name": self.admin.project,
                "user_domain_id": self.admin.domain,
                "project_domain_id": self.admin.domain,
            },
            "identity_api_version": "3",
            "region_name": "RegionOne",
        }
        return json.dumps({"clouds": {name: cloud}}, indent=2) + "\n"  # JSON is YAML

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def create(folder: Path, venv: Path, database: str | None = None, progress: Progress = _quiet) -> None:
    """Fill a new folder with all that a Keystone needs, without starting it.

    The password of its administrator is random. Database is an SQLAlchemy URL, such as
    `postgresql+psycopg2://user@/name?host=/run/pg`, of an empty database; None is a file in the folder.

    Raises:
        KeystoneError: the folder has a Keystone already, or the database could not be prepared.
    """
    if (folder / "keystone.conf").exists():
        raise KeystoneError(f"{folder} has a Keystone already")
    if database is None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(prepare(venv, progress), folder / "keystone.db")
        _configure(folder, None)  # last, as its keystone.conf says that all is there
        return
    progress("preparing Keystone's database")
    _configure(folder, database)
    try:
        _run("preparing Keystone's database", _server(venv, "prepare", folder))
    except KeystoneError:
        (folder / "keystone.conf").unlink()
        raise


def seed(folder: Path, venv: Path, estate: Estate) -> None:
    """Put an estate into a created Keystone that is not running: by SQL, thousands of rows a second.

    Lists of rows, each list optional. Ids are the caller's: 32 hex digits, as Keystone makes them. What has a
    value here may be left out; `extra` are attributes that Keystone keeps and shows unread.

        domains      {id, name, description="", enabled=True, extra={}}
        roles        {id, name, description=None, extra={}}
        projects     {id, name, domain="default", parent=None, description="", enabled=True, tags=[],
                      extra={}}                         parent: None is the domain itself
        groups       {id, name, domain="default", description="", extra={}}
        users        {id, name, domain="default", enabled=True, extra={}}
                                                        they have no password, so they can't sign in
        memberships  [user id, group id]
        assignments  {type, actor, target="system", role, inherited=False}
                                                        role: an id, or the name of a global role; type:
                                                        UserProject, GroupProject, UserDomain, GroupDomain,
                                                        UserSystem, GroupSystem

    Raises:
        KeystoneError: a row is wrong; then none is in.
    """
    if processes.alive(_pid_file(folder)):
        raise KeystoneError(f"the Keystone in {folder} is running, and would not see the rows for its cache")
    _run("seeding Keystone", _server(venv, "seed", folder), given=json.dumps(estate))


def start(  # noqa: PLR0913 (options, all with a default)
    folder: Path,
    *,
    venv: Path | None = None,
    database: str | None = None,
    estate: Estate | None = None,
    port: int = 0,
    threads: int = 8,
    detached: bool = False,
    patience: float = 60.0,
    progress: Progress = _quiet,
) -> Keystone:
    """A running Keystone in this folder, ready for requests. An old folder goes on with its data.

    Args:
        folder: all of it: keystone.conf, .db and .log, keys, admin.password; for the owner's eyes only.
        venv: from `install`, which is called if there is none.
        database: see `create`, which is called for a new folder; an old one knows its database.
        estate: see `seed`; put in before it starts.
        port: on 127.0.0.1; 0 takes a free one.
        threads: requests served at a time. Reads go side by side; on SQLite one write at a time, in turn,
            because SQLite answers a second writer with an error. One process serves them all, thus about one
            core: Keystone's cache (without it a token costs 7 to 100 times as much) lives in the process, and
            a second process would answer from what the first has changed since.
        detached: outlives the caller, until `Keystone.attach(folder).stop()`.
        patience: seconds until it must be ready.
        progress: is told what takes more than a moment.

    Raises:
        KeystoneError: it ended, or was not ready in time; the message ends with its log's last lines.
    """
    venv = venv or install(progress=progress)
    if processes.alive(_pid_file(folder)):
        raise KeystoneError(f"a Keystone is running in {folder}")
    if not (folder / "keystone.conf").exists():
        create(folder, venv, database, progress)
    if estate is not None:
        progress("seeding Keystone")
        seed(folder, venv, estate)
    url, log = folder / "keystone.url", folder / "keystone.log"
    url.unlink(missing_ok=True)
    _pid_file(folder).write_text("")  # not unlinked: two who start at once must meet at the same lock
    command = _server(venv, "serve", folder, f"--port={port}", f"--threads={threads}")
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            [*command, "--detach"] if detached else command,
            env=_environment(),
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # an interrupt from the keyboard is for the caller alone
        )
    if detached:
        process.wait()  # this one only launched the other, which has inherited the lock

    def ended() -> bool:
        return not processes.alive(_pid_file(folder)) if detached else process.poll() is not None

    try:
        processes.wait(lambda: url.exists() or ended(), patience)
        outcome = "ended" if ended() else f"was not ready after {patience:g} s"
    finally:
        if not url.exists():
            processes.end(_pid_file(folder), grace=0)
            processes.reap(process)
    if not url.exists():
        raise KeystoneError(
            f"Keystone {outcome}. The end of {log}:\n{processes.tail(log.read_text(errors='replace'))}"
        )
    started = replace(Keystone.attach(folder), _process=None if detached else process)
    _warm_up(started)
    return started


def _warm_up(cloud: Keystone) -> None:
    """Make the first calls alone: Keystone loads its policy with them, and parallel ones meet it half loaded.

    Seen on Keystone 30: 403 and 500 to the first lists, where several come at once.
    """
    user = {
        "name": cloud.admin.username,
        "domain": {"id": cloud.admin.domain},
        "password": cloud.admin.password,
    }
    scope = {"project": {"name": cloud.admin.project, "domain": {"id": cloud.admin.domain}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
    sign_in = urllib.request.Request(  # noqa: S310 (our own address)
        f"{cloud.url}/auth/tokens", body, {"Content-Type": "application/json"}
    )
    with contextlib.suppress(urllib.error.URLError):  # a test may have taken the administrator's rights away
        with urllib.request.urlopen(sign_in, timeout=30) as answer:  # noqa: S310
            token = answer.headers["X-Subject-Token"]
        for what in ("users?limit=1", "groups?limit=1", "projects?limit=1", "roles"):
            call = urllib.request.Request(f"{cloud.url}/{what}", headers={"X-Auth-Token": token})  # noqa: S310
            with urllib.request.urlopen(call, timeout=60):  # noqa: S310
                pass


_CONFIGURATION = """\
[DEFAULT]
use_stderr = true
[database]
connection = {database}
sqlite_synchronous = false
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = true
backend = oslo_cache.dict
[identity]
password_hash_rounds = 4
"""


def _configure(folder: Path, database: str | None) -> None:
    """Write configuration, keys and password. What is left out has Keystone's default, as in real clouds."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    folder = folder.resolve()
    for keys in ("fernet", "credential"):
        for name in ("0", "1"):  # the key to come, and the one in use
            (folder / keys).mkdir(mode=0o700, exist_ok=True)
            _write_secret(folder / keys / name, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    _write_secret(folder / "admin.password", secrets.token_urlsafe(18))
    url = (database or f"sqlite:///{folder}/keystone.db").replace("$", "$$")
    _write_secret(folder / "keystone.conf", _CONFIGURATION.format(folder=folder, database=url))


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


# ---- processes


def _server(venv: Path, command: str, folder: Path, *options: str) -> list[str]:
    # Without -I the program's own folder comes first on its path, and `import keystone` finds this very file.
    # Without -W the log begins with deprecations that are OpenStack's own to mend.
    return [str(_python(venv)), "-I", "-W", "ignore", str(_SERVER), command, str(folder.resolve()), *options]


def _environment() -> dict[str, str]:
    """Ours, without what would lead Keystone to another configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OS_")}


def _run(what: str, command: list[str], *, given: str = "", cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(  # noqa: S603
            command, input=given, env=_environment(), cwd=cwd, text=True, capture_output=True, check=False
        )
    except OSError as error:
        raise KeystoneError(f"{what} failed: {error}") from error
    if done.returncode != 0:
        raise KeystoneError(
            f"{what} failed ({' '.join(command)}):\n{processes.tail(done.stdout + done.stderr)}"
        )


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is in here with this lock file."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pid_file(folder: Path) -> Path:
    return folder / "keystone.pid"
