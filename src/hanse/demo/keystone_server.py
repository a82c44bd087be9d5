# mypy: ignore-errors
# ruff: noqa: PLC0415 (what is imported late is heavy, or may be imported only after a preparation)
"""The Keystone process that hanse.demo.keystone starts. Imports nothing of Hanse.

It runs by path, in the virtual environment that holds Keystone and not Hanse. It is what `keystone-manage`
and a WSGI server would be together, with one import of Keystone (a second or two) instead of five.

    keystone_server.py prepare FOLDER             tables, first domain, administrator, catalogue
    keystone_server.py seed FOLDER < estate.json  many rows at once, by SQL; Keystone must not be running
    keystone_server.py serve FOLDER               listen on 127.0.0.1 until killed, or until stdin ends

FOLDER holds keystone.conf, admin.password, fernet/ and credential/; serve adds keystone.pid (locked for as
long as it lives) and keystone.url (once it listens). The log goes to stderr.
"""

import argparse
import configparser
import fcntl
import io
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

# The URL that a prepared database carries until serve knows its port.
UNSERVED = "http://127.0.0.1:5000/v3"


def main():
    """Run one of the three commands."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["prepare", "seed", "serve"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--detach", action="store_true")
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.folder)
    elif options.command == "seed":
        seed(connection_of(options.folder), json.load(sys.stdin))
    else:
        serve(options.folder, options.port, options.threads, options.detach)


def application(folder):
    """Import Keystone, build its WSGI application and so load its back ends; the database is not touched."""
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = str(folder)
    sys.argv = ["keystone"]  # oslo.config would parse our arguments
    # Nobody signs in by SAML here, and to read its XML schemas would take nearly half of the start.
    sys.modules["saml2.xml.schema"] = SimpleNamespace(validate=None, XMLSchemaError=ValueError)
    from keystone.server import wsgi

    return wsgi.initialize_public_application()


def connection_of(folder):
    """The SQLAlchemy URL in keystone.conf, where oslo.config wants every dollar sign doubled."""
    conf = configparser.ConfigParser(interpolation=None)
    conf.read(folder / "keystone.conf")
    return conf["database"]["connection"].replace("$$", "$")


def prepare(folder):
    """Create the tables and bootstrap: what `keystone-manage db_sync` and `bootstrap` do, in one process."""
    application(folder)
    from keystone.cmd import bootstrap
    from keystone.common.sql import upgrades
    from keystone.server import backends

    upgrades.offline_sync_database_to_version()
    # A Bootstrapper loads the back ends itself, but they are loaded already and may be loaded only once.
    load, backends.load_backends = backends.load_backends, lambda: None
    try:
        bootstrapper = bootstrap.Bootstrapper()
    finally:
        backends.load_backends = load
    bootstrapper.admin_username = "admin"
    bootstrapper.admin_password = (folder / "admin.password").read_text()
    bootstrapper.project_name = "admin"
    bootstrapper.admin_role_name = "admin"
    bootstrapper.service_name = "keystone"
    bootstrapper.region_id = "RegionOne"
    bootstrapper.immutable_roles = True
    bootstrapper.public_url = bootstrapper.internal_url = bootstrapper.admin_url = UNSERVED
    bootstrapper.bootstrap()


def serve(folder, port, threads, detach):
    """Serve until killed, or, unless detached, until stdin ends: it shall not outlive whoever started it."""
    lock = hold(folder / "keystone.pid")
    pid = os.fork() if detach else os.getpid()
    if pid:
        lock.write(str(pid))
        lock.flush()
    if not detach:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    elif pid:
        os._exit(0)  # the child has inherited the lock
    else:
        os.setsid()

    from cheroot import wsgi

    server = wsgi.Server(("127.0.0.1", port), None, numthreads=threads, request_queue_size=128)
    server.prepare()  # a port that is taken should be told before the long import
    # cheroot omits it for a free port; a restart on the same port would fail while old connections linger.
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    url = f"http://127.0.0.1:{server.bind_addr[1]}/v3"
    app = application(folder)
    anchor = settle(url, (folder / "admin.password").read_text())
    server.wsgi_app = app if anchor is None else one_writer(app)
    announced = folder / "keystone.url.new"
    announced.write_text(url)
    announced.rename(folder / "keystone.url")
    server.serve()


def hold(path):
    """Open and lock the file until this process ends: one Keystone per folder, and a proof of life."""
    file = path.open("a+")
    for _ in range(20):  # whoever asks whether we live holds the lock for a moment
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            file.truncate(0)
            return file
    sys.exit(f"a Keystone is running in {path.parent}")


def end_with_stdin():
    """Wait for the end of stdin, a pipe that nobody writes to and that closes when the parent is gone."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def settle(url, password):
    """Make a prepared database this process's own: its URL in the catalogue, its administrator's password.

    By SQL, because Keystone's own way of changing a password revokes all tokens of that user up to the end of
    the same second, and so the first ones that a client gets. Returns what must be kept while serving SQLite.
    """
    from keystone.common import password_hashing, sql
    from sqlalchemy import text

    with sql.session_for_write() as session:
        session.execute(
            text(
                "UPDATE endpoint SET url = :url WHERE service_id IN"
                " (SELECT id FROM service WHERE type = 'identity')"
            ),
            {"url": url},
        )
        session.execute(
            text(
                "UPDATE password SET password_hash = :hash WHERE expires_at IS NULL AND local_user_id IN"
                " (SELECT id FROM local_user WHERE name = 'admin' AND domain_id = 'default')"
            ),
            {"hash": password_hashing.hash_password(password)},
        )
        engine = session.get_bind()
    if engine.dialect.name != "sqlite":
        return None
    # Each Keystone session opens a connection of its own. Whenever the last one closes, SQLite folds its log
    # back into the file and locks everybody out meanwhile; one that stays open spares that.
    anchor = engine.raw_connection()
    anchor.cursor().execute("SELECT count(*) FROM project").fetchone()
    return anchor


def one_writer(app):
    """Let requests that may write through one at a time, because SQLite fails a second writer ("is locked").

    Readers are never held up: with the write-ahead log they see the state before the write.
    """
    lock = threading.Lock()

    def serve_one(environ, start_response):
        if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS"):
            return app(environ, start_response)
        # Before the lock, so that a client that sends slowly holds up only itself.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read())
        with lock:
            return app(environ, start_response)

    return serve_one


NO_DOMAIN = "<<null>>"  # of a role that is not a domain's own
ROOT_DOMAIN = "<<keystone.domain.root>>"  # the domain that domains are in
SYSTEM = ("UserSystem", "GroupSystem")


def seed(url, estate):
    """Insert an estate (hanse.demo.keystone.seed tells its form) in one transaction."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    known = sa.MetaData()
    known.reflect(engine, only=[*TABLES, "role"])
    with engine.begin() as connection:
        role = known.tables["role"]
        named = sa.select(role.c.name, role.c.id).where(role.c.domain_id == NO_DOMAIN)
        rows = rows_of(estate, dict(connection.execute(named).tuples().all()))
        for table in TABLES:
            if rows[table]:
                connection.execute(known.tables[table].insert(), rows[table])
    engine.dispose()


# In an order that satisfies the foreign keys.
TABLES = (
    "role",
    "project",
    "project_tag",
    "group",
    "user",
    "local_user",
    "user_group_membership",
    "assignment",
    "system_assignment",
)


def rows_of(estate, roles):
    """The rows of each table; `roles` are the ids, by name, of those that are there already."""
    if unknown := estate.keys() - {
        "domains",
        "roles",
        "projects",
        "groups",
        "users",
        "memberships",
        "assignments",
    }:
        sys.exit(f"an estate has no {', '.join(sorted(unknown))}")
    rows = {table: [] for table in TABLES}
    for given in estate.get("roles", ()):
        row = fields("role", given, "id", "name", description=None, extra={})
        roles[row["name"]] = row["id"]
        rows["role"].append(row | {"domain_id": NO_DOMAIN})
    for given in estate.get("domains", ()):
        row = fields("domain", given, "id", "name", description="", enabled=True, extra={})
        rows["project"].append(row | {"domain_id": ROOT_DOMAIN, "parent_id": None, "is_domain": True})
    for given in estate.get("projects", ()):
        row = fields(
            "project",
            given,
            "id",
            "name",
            domain="default",
            parent=None,
            description="",
            enabled=True,
            tags=(),
            extra={},
        )
        rows["project_tag"] += [{"project_id": row["id"], "name": tag} for tag in row.pop("tags")]
        domain, parent = row.pop("domain"), row.pop("parent")
        rows["project"].append(row | {"domain_id": domain, "parent_id": parent or domain, "is_domain": False})
    for given in estate.get("groups", ()):
        row = fields("group", given, "id", "name", domain="default", description="", extra={})
        domain = row.pop("domain")
        rows["group"].append(row | {"domain_id": domain})
    for given in estate.get("users", ()):
        row = fields("user", given, "id", "name", domain="default", enabled=True, extra={})
        domain, name = row.pop("domain"), row.pop("name")
        rows["user"].append(row | {"domain_id": domain})
        # Without this row a user has no name, and is not found by it.
        rows["local_user"].append({"user_id": row["id"], "domain_id": domain, "name": name})
    for user, group in estate.get("memberships", ()):
        rows["user_group_membership"].append({"user_id": user, "group_id": group})
    for given in estate.get("assignments", ()):
        row = fields("assignment", given, "type", "actor", "role", target="system", inherited=False)
        rows["system_assignment" if row["type"] in SYSTEM else "assignment"].append(
            {
                "type": row["type"],
                "actor_id": row["actor"],
                "target_id": row["target"],
                "role_id": roles.get(row["role"], row["role"]),
                "inherited": row["inherited"],
            }
        )
    return rows


def fields(kind, given, *required, **optional):
    """The row with its defaults filled in and its extra attributes as the JSON text that Keystone keeps."""
    if missing := set(required) - given.keys():
        sys.exit(f"{kind} {given} lacks {', '.join(sorted(missing))}")
    if unknown := given.keys() - optional.keys() - set(required):
        sys.exit(f"{kind} {given} has unknown fields: {', '.join(sorted(unknown))}")
    row = optional | given
    if "extra" in row:
        row["extra"] = json.dumps(row["extra"])
    return row


if __name__ == "__main__":
    main()
