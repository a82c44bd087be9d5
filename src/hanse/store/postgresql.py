"""The store on a PostgreSQL server, for as many processes as there are.

What is appended to the journal goes through one connection, in transactions that share a commit and that no two
processes have at once; the hold is a lock of that connection's session, so that whoever lost it appends nothing. All
other writes and reads have connections of their own. A connection that is lost is opened again, and what was under way
on it is done again; of an append whose commit had no answer it is looked first whether it is there.

Everything happens in a thread with an event loop of its own: connections belong to one, and commands have several.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from hanse.ports.store import StoreError
from hanse.store import database
from hanse.store.database import Job, Row, Write
from hanse.store.sql_store import SqlStore

try:
    import asyncpg  # type: ignore[import-untyped]
except ImportError as missing:
    raise StoreError(
        "a store on PostgreSQL needs a driver, which is not installed",
        "install Hanse with it: pip install 'hanse[postgresql]'",
    ) from missing

T = TypeVar("T")

OLDEST = 15
"""The oldest PostgreSQL whose makers still mend it."""
CONNECTIONS = 4
"""At most, beside the one that appends."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
"""How long the server works on some rows at most."""
BUSY_SECONDS = 10.0
"""How long a write waits for another process."""
STOPPED_SECONDS = 5.0
"""After how long the server gives up a transaction whose process says nothing, so that others can go on."""
ENDED_SECONDS = 0.5
"""How long the server may take to see that a process has ended."""
PATIENCE_SECONDS = 10.0
"""How long a server that is away is waited for: a restart takes less."""
TRIES = 3
"""Of a transaction that others got in the way of."""
_GROUP = 256
"""Appends that share a commit at most, so that the first of them does not wait for ever more."""
_ROWS = 1000
"""Rows that one statement is run for at once."""
_CHANNEL = "hanse"

# The locks, each for one store: the second number is that of its schema.
_MIGRATING, _APPENDING, _HOLDING = range(0x48414E00, 0x48414E03)
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_BEGIN_SNAPSHOT = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    " SET LOCAL idle_in_transaction_session_timeout = '1min'"  # it is in nobody's way, and a disk may be slow
)
_LOCK = "SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))"
_REACHED = "SELECT coalesce(max(number), 0) FROM journal WHERE writer = $1"
_TRY_HOLD = "SELECT pg_try_advisory_lock($1, hashtext(current_schema()))"
_TRY_SHARED = "SELECT pg_try_advisory_lock_shared($1, hashtext(current_schema()))"
_HOLDER = (
    "SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND classid = $1 AND objid::bigint = hashtext(current_schema())::bigint & 4294967295"
    " AND objsubid = 2 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

_PASSING = (
    OSError,  # also of a time that is over
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Errors after which it may be well again in some seconds."""
_IN_THE_WAY = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,  # a newer version has just changed a table
    asyncpg.ForeignKeyViolationError,  # what it hangs on was removed in this very moment
)
"""Errors of one transaction that others may have caused."""


class PostgresqlStore(SqlStore):
    """Implements `ports.store.Store` in a database that any number of processes may share."""

    engine: PostgresqlEngine

    @classmethod
    def open(cls, address: str) -> Self:
        """Open the store at an address as libpq has them, and make its tables where there are none.

        Raises StoreError where it cannot be reached or used, or was written by a newer Hanse.
        """
        engine = PostgresqlEngine(address)
        try:
            return cls(engine)
        except BaseException:
            engine.shut()
            raise


class _Sql:
    """Implements `database.Sql`."""

    def __init__(self, connection: asyncpg.Connection, writer: str) -> None:
        self._connection = connection
        self._writer = writer

    async def run(self, statement: str, *values: object) -> list[Row]:
        return list(map(tuple, await self._connection.fetch(statement, *values)))

    async def run_many(self, statement: str, rows: Collection[Sequence[object]]) -> None:
        every = list(rows)
        for start in range(0, len(every), _ROWS):
            await self._connection.executemany(statement, every[start : start + _ROWS])

    async def run_in(self, statement: str, values: Iterable[str]) -> list[Row]:
        return await self.run(f"{statement} = ANY ($1::text[])", list(dict.fromkeys(values)))

    unlocked = "FOR UPDATE OF work SKIP LOCKED"

    async def now(self) -> int:
        at: int = await self._connection.fetchval(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        )
        return at

    async def tell(self, topic: str = "") -> None:
        await self._connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, f"{self._writer} {topic}")


@dataclass
class _Append:
    write: Write[Any]
    entries: Sequence[Any]
    held: bool
    future: Future[Any] = field(default_factory=Future)


class PostgresqlEngine:
    """Implements `database.Engine`."""

    distributed = True

    def __init__(self, address: str) -> None:
        """Connect, and bring the tables up to date. Raises StoreError."""
        self._address = address
        self._where = shown(address)
        self.writer = secrets.token_hex(8)
        self._closed = False
        self._idle: list[asyncpg.Connection] = []
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._appends: deque[_Append] = deque()
        self._appending = asyncio.Lock()
        self._lane: asyncpg.Connection | None = None
        self._hearers: list[Callable[[str], None]] = []
        self._heard = 0
        """How often another process told something, or may have."""
        self._holds: asyncpg.Connection | None = None
        """The connection whose session has the hold."""
        self._shares = False
        """Whether others may have it, too."""
        self._held_by = 0
        """The server's process of the session that had it last."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store", daemon=True)
        self._thread.start()
        try:
            self._ask(self._migrate).result()
        except BaseException:
            self.shut()
            raise

    # What may be asked from anywhere

    def submit(self, job: Job[T]) -> Future[T]:
        """Run a job in a transaction; done once that is durable."""
        return self._ask(lambda: self._again(partial(self._transact, job)))

    async def write(self, job: Job[T]) -> T:
        """Like `submit`, awaited."""
        return await asyncio.wrap_future(self.submit(job))

    async def append(self, write: Write[T], entries: Sequence[Any] = (), *, held: bool = False) -> T:
        """Write entries, one after another whoever appends. What waits shares the next commit."""
        self._check_open()
        one = _Append(write, entries, held)
        self._appends.append(one)
        self._ask(self._append_some)
        result: T = await asyncio.wrap_future(one.future)
        return result

    async def read(self, job: Job[T]) -> T:
        """Run a reading job; it sees every write whose await has returned."""
        return await asyncio.wrap_future(self._ask(lambda: self._again(partial(self._look, job))))

    async def snapshot(self, job: Job[T]) -> T:
        """Run a reading job that sees one state throughout; where its connection is lost, from the beginning again."""
        return await asyncio.wrap_future(
            self._ask(lambda: self._again(partial(self._transact, job, _BEGIN_SNAPSHOT)))
        )

    async def hold(self, *, shared: bool = False) -> None:
        """Be the one that holds, or one of several, until `close`."""
        await asyncio.wrap_future(self._ask(lambda: self._hold(shared)))

    async def written_elsewhere(self) -> int:
        """How often others told something, which they do with their acceptances, approvals and revocations."""
        return await asyncio.wrap_future(self._ask(self._listen))

    def hear(self, heard: Callable[[str], None]) -> None:
        """Call this, in the store's own thread, with what other processes tell."""
        self._hearers.append(heard)

    async def sharing(self) -> int:
        """How many processes have the hold."""
        return await asyncio.wrap_future(self._ask(lambda: self._again(self._sharing)))

    async def close(self) -> None:
        """Finish what is under way and let go of all connections. May be called twice."""
        await asyncio.to_thread(self.shut)

    def shut(self) -> None:
        """As `close`, at once."""
        if not self._closed:
            self._closed = True
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self._where} is closed already")

    def _ask(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Have it done in the store's own thread. Cancelled, it is dropped unless it has begun."""
        self._check_open()
        future: Future[T] = Future()

        def begin() -> None:
            if future.set_running_or_notify_cancel():
                task = self._loop.create_task(work())
                self._tasks.add(task)
                task.add_done_callback(ended)

        def ended(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            error = task.exception()
            if error is None:
                future.set_result(task.result())
            else:
                future.set_exception(self._told(error))

        self._loop.call_soon_threadsafe(begin)
        return future

    def _told(self, error: BaseException) -> BaseException:
        if not isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return error
        told = explained(error, self._where)
        told.__cause__ = error
        return told

    # What is done in the store's own thread

    async def _again(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it is done, as long as nothing is in the way but what passes by itself."""
        until, pause, tries = self._loop.time() + PATIENCE_SECONDS, 0.0, 1
        while True:
            try:
                return await attempt()
            except _PASSING:
                if self._loop.time() + pause > until:
                    raise
            except _IN_THE_WAY:
                if tries == TRIES:
                    raise
                tries += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause + 0.05, 1.0)

    async def _transact(self, job: Job[T], begin: str = _BEGIN) -> T:
        async with self._connection() as connection:
            await connection.execute(begin)
            async with _rolled_back(connection):
                result = await job(_Sql(connection, self.writer))
            await connection.execute("COMMIT")
            return result

    async def _look(self, job: Job[T]) -> T:
        async with self._connection() as connection:
            return await job(_Sql(connection, self.writer))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._places:
            connection = None
            while self._idle and connection is None:
                kept = self._idle.pop()
                connection = None if kept.is_closed() else kept
            connection = connection or await self._connect()
            async with _lost(connection):
                try:
                    yield connection
                finally:
                    if not connection.is_closed():
                        if connection.is_in_transaction():
                            connection.terminate()
                        else:
                            self._idle.append(connection)

    async def _connect(self) -> asyncpg.Connection:
        milliseconds = {
            "statement_timeout": STATEMENT_SECONDS,
            "lock_timeout": BUSY_SECONDS,
            "idle_in_transaction_session_timeout": STOPPED_SECONDS,
        }
        settings = {name: str(int(seconds * 1000)) for name, seconds in milliseconds.items()}
        settings |= {
            "application_name": _name(),
            "synchronous_commit": "on",  # a commit that returned survives a loss of power
            "tcp_keepalives_idle": "5",  # a machine that is gone lets go of what it held
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
            "tcp_user_timeout": "11000",
        }
        try:
            connection = await asyncpg.connect(
                self._address,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS + CONNECT_SECONDS,
                server_settings=settings,
            )
        except TimeoutError:
            raise ConnectionError(f"nobody answered within {CONNECT_SECONDS:g} s") from None
        try:
            _check_server(connection, self._where)
        except BaseException:
            connection.terminate()
            raise
        return connection

    # Appending

    async def _append_some(self) -> None:
        """Append all that waits. Asked once for each, so that none is left; most find nothing to do."""
        async with self._appending:
            group = [self._appends.popleft() for _ in range(min(_GROUP, len(self._appends)))]
            await self._append(group_of(group))

    async def _append(self, group: list[_Append]) -> None:
        if not group:
            return
        try:
            results = await self._again(partial(self._commit, group))
        except Exception as error:
            if len(group) > 1 and not isinstance(error, _PASSING):  # one of them has a fault
                for one in group:
                    await self._append([one])
            else:
                for one in group:
                    one.future.set_exception(self._told(error))
        else:
            for one, result in zip(group, results, strict=True):
                one.future.set_result(result)

    async def _commit(self, group: list[_Append]) -> list[Any]:
        """One transaction with all of them."""
        connection = await self._lane_connection()
        async with _lost(connection):
            if any(one.held for one in group):
                await self._take_hold(connection)
            await connection.execute(_BEGIN)
            async with _rolled_back(connection):
                await connection.execute(_LOCK, _APPENDING)
                reached = await connection.fetchval(_REACHED, self.writer)
                results: list[Any] = []
                for write, some in groupby(group, key=attrgetter("write")):
                    ones = list(some)
                    entries = [entry for one in ones for entry in one.entries]
                    results += [await write(_Sql(connection, self.writer), entries)] * len(ones)
            try:
                async with _lost(connection):
                    await connection.execute("COMMIT")
            except _PASSING:
                count = sum(len(one.entries) for one in group)
                if not count or not await self._has_reached(reached + count):
                    raise
            return results

    async def _has_reached(self, number: int) -> bool:
        """Whether our entries up to that number are there, after a commit that nobody answered.

        Asked with the lock that the commit has until it is over. Without entries there is nothing to be done twice.
        """

        async def ask() -> int:
            connection = await self._lane_connection()
            async with _lost(connection):
                await connection.execute(_BEGIN)
                async with _rolled_back(connection):
                    await connection.execute(_LOCK, _APPENDING)
                    reached: int = await connection.fetchval(_REACHED, self.writer)
                await connection.execute("COMMIT")
                return reached

        try:
            return await self._again(ask) >= number
        except Exception as error:
            raise StoreError(
                f"the store {self._where} went away in the middle of a commit",
                "whether that was done is told by `hanse journal`, once it is back; the next run goes on from there",
            ) from error

    async def _lane_connection(self) -> asyncpg.Connection:
        """The connection that appends, and hears what others tell."""
        if self._lane is None or self._lane.is_closed():
            connection = await self._connect()
            async with _lost(connection):
                await connection.add_listener(_CHANNEL, self._hear)
            self._lane = connection
            self._heard += 1  # nobody knows what was told meanwhile
        return self._lane

    def _hear(self, connection: object, process: int, channel: str, said: object) -> None:
        who, _, topic = str(said).partition(" ")
        if who != self.writer:
            self._heard += not topic
            for heard in self._hearers:
                heard(topic)

    async def _sharing(self) -> int:
        async with self._connection() as connection:
            return len(await connection.fetch(_HOLDER, _HOLDING))

    async def _listen(self) -> int:
        async def ask() -> int:
            connection = await self._lane_connection()
            async with _lost(connection):
                if self._shares:  # whoever else shares it must go on seeing us
                    await self._take_hold(connection)
                await connection.execute("SELECT 1")  # is it there still?
            await asyncio.sleep(0)  # what came with the answer is heard
            return self._heard

        async with self._appending:
            return await self._again(ask)

    async def _hold(self, shared: bool) -> None:
        async def take() -> None:
            connection = await self._lane_connection()
            async with _lost(connection):
                await self._take_hold(connection)

        async with self._appending:
            if self._holds is None:
                self._shares = shared
            try:
                await self._again(take)
            finally:
                self._shares = self._shares and self._holds is not None

    async def _take_hold(self, connection: asyncpg.Connection) -> None:
        """Take the hold or keep it. Raises StoreError naming who has it."""
        if self._holds is connection:
            return
        until = self._loop.time() + ENDED_SECONDS
        while not await connection.fetchval(_TRY_SHARED if self._shares else _TRY_HOLD, _HOLDING):
            if self._loop.time() < until:
                await asyncio.sleep(0.05)
                continue
            holder = await connection.fetchrow(_HOLDER, _HOLDING)
            if holder is None:
                raise ConnectionError("it was let go of just now")
            if holder[0] == self._held_by and holder[1] == _name():
                # Our own session of before: the server does not know yet that its connection was lost.
                await connection.execute("SELECT pg_terminate_backend($1)", holder[0])
                raise ConnectionError("our own session is not over yet")
            found = re.fullmatch(r"hanse (\d+ on .*)", holder[1])
            raise StoreError(
                f"process {found[1] if found else f'{holder[0]} of PostgreSQL'} is applying with this store already",
                "wait until it is done, or stop it; where that is `hanse serve`, it applies each commit by itself",
            )
        self._holds, self._held_by = connection, connection.get_server_pid()

    # Beginning and end

    async def _migrate(self) -> None:
        """Run the migrations that the database has not seen, each in one transaction with the version it leads to."""
        known = database.migrations()
        connection = await self._lane_connection()
        while True:
            _, version = await self._version(connection)
            if version >= len(known):
                tables, _ = await self._version(connection)  # another process may just have made some
                return database.check(self._where, tables, version, known)
            await connection.execute(_BEGIN)
            async with _rolled_back(connection):
                await connection.execute(_LOCK, _MIGRATING)
                if (await self._version(connection))[1] == version:  # else another process was faster
                    await self._take_step(connection, version, known[version])
            await connection.execute("COMMIT")

    async def _take_step(self, connection: asyncpg.Connection, version: int, statements: list[str]) -> None:
        try:
            for statement in statements:
                await connection.execute(as_postgresql(statement))
            await connection.execute(database.SET_VERSION, str(version + 1))
        except asyncpg.InsufficientPrivilegeError:
            raise
        except asyncpg.SyntaxOrAccessError as error:
            raise database.not_migrated(self._where, version + 1, error) from error

    async def _version(self, connection: asyncpg.Connection) -> tuple[list[str], int]:
        schema, tables = await connection.fetchrow(
            "SELECT current_schema(),"
            " ARRAY (SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema())"
        )
        if schema is None:
            raise StoreError(
                f"the database {self._where} has no schema that this account may use",
                "give it one, such as by GRANT ALL ON SCHEMA public",
            )
        said = None
        if "meta" in tables:
            columns = await connection.fetchval(
                "SELECT count(*) FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'meta'"
                " AND column_name IN ('name', 'value')",
                schema,
            )
            said = await connection.fetchval(database.HAS_VERSION) if columns == 2 else None  # noqa: PLR2004
        return tables, database.version(self._where, tables, said)

    async def _end(self) -> None:
        while others := self._tasks - {asyncio.current_task()}:
            await asyncio.gather(*others, return_exceptions=True)
        for connection in [*self._idle, *([self._lane] if self._lane else [])]:
            with suppress(Exception):
                await connection.close(timeout=CONNECT_SECONDS)


def _name() -> str:
    """What others read of us in the server."""
    return f"hanse {os.getpid()} on {socket.gethostname()}"[:63]


def group_of(waiting: Iterable[_Append]) -> list[_Append]:
    """Those that nobody cancelled; from now on nobody can."""
    return [one for one in waiting if one.future.set_running_or_notify_cancel()]


@asynccontextmanager
async def _rolled_back(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Leave nothing of a transaction in which something fails."""
    try:
        yield
    except BaseException:
        try:
            await connection.execute("ROLLBACK")
        except Exception:
            connection.terminate()
        raise


@asynccontextmanager
async def _lost(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Tell of a connection that is lost as such, whatever the driver says; one that does not answer is given up."""
    try:
        yield
    except TimeoutError:
        connection.terminate()
        raise
    except asyncpg.InternalClientError as error:  # the server's last word came before our question
        connection.terminate()
        raise ConnectionResetError("the connection was lost") from error
    except asyncpg.InterfaceError as error:
        if not connection.is_closed():
            raise
        raise ConnectionResetError("the connection was lost") from error


def as_postgresql(statement: str) -> str:
    """A statement of a migration with PostgreSQL's names for the same types, and text in the order of its bytes."""
    types = {"integer": "bigint", "blob": "bytea", "text": 'text COLLATE "C"'}
    statement = re.sub(
        r"(?m)^(\s+|ALTER TABLE \w+ ADD COLUMN )(\w+) (integer|blob|text)\b",
        lambda found: f"{found[1]}{found[2]} {types[found[3]]}",
        statement,
    )
    statement = re.sub(r"\bx'([0-9a-f]*)'", r"'\\x\1'", statement)
    return re.sub(r"\) STRICT(, WITHOUT ROWID)?$", ")", statement.rstrip())


def shown(address: str) -> str:
    """An address as people may see it. Raises StoreError where it cannot be read, or holds a password."""
    unreadable = StoreError(
        "the address of the store cannot be read",
        "write it like postgresql://account@db.example.org:5432/hanse; it holds no password",
    )
    try:
        parts = urlsplit(address)
        query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        port = parts.port
    except ValueError:  # its text may hold what the address holds
        raise unreadable from None
    if "password" in query or "sslpassword" in query or parts.password is not None:
        raise StoreError(
            "the address of the store holds a password, which everybody can read there",
            "take it out; put it into ~/.pgpass with mode 600, or into the variable PGPASSWORD",
        )
    if not address.startswith(f"{parts.scheme}://") or "@" in parts.path or parts.fragment:
        raise unreadable
    host = parts.hostname or query.get("host", [""])[-1]
    account = parts.username or query.get("user", [""])[-1]
    database = parts.path.lstrip("/") or query.get("dbname", [""])[-1]
    schema = query.get("search_path", [""])[-1]
    return "".join(
        (
            "postgresql://",
            f"{account}@" if account else "",
            f"[{host}]" if ":" in host else host,
            f":{port}" if port else "",
            f"/{database}",
            f" ({schema})" if schema else "",
        )
    )


def _check_server(connection: asyncpg.Connection, where: str) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST:
        raise StoreError(
            f"the store {where} is on PostgreSQL {version.major}, and {OLDEST} is the oldest that Hanse works with",
            "upgrade the server",
        )
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StoreError(
            f"the database {where} keeps its text as {encoding}, which has no room for all that people write",
            "make one that keeps UTF-8: createdb --template=template0 --encoding=UTF8 hanse",
        )


def explained(error: Exception, where: str) -> StoreError:
    """The error in words for people, with what to do."""
    what = getattr(error, "message", None) or getattr(error, "strerror", None) or str(error)
    for kinds, message, advice in _EXPLAINED:
        if isinstance(error, kinds):
            return StoreError(message.format(where=where, what=what), advice)
    code = getattr(error, "sqlstate", None) or type(error).__name__
    return StoreError(f"the store {where} failed: {what} ({code})")


_EXPLAINED: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...] = (
    (
        asyncpg.InvalidPasswordError,
        "the store {where} does not take the password",
        "put the right one into ~/.pgpass with mode 600, or into the variable PGPASSWORD",
    ),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "the store {where} does not let this account in: {what}",
        "name another account in the address, or have it let in by pg_hba.conf",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "there is no such database as {where}",
        "make it, for the account that Hanse uses: createdb --encoding=UTF8 --owner=ACCOUNT NAME",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "the store {where} takes no more connections",
        f"raise max_connections; each process of Hanse has {CONNECTIONS + 1} at most",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "this account may not do what is needed in the store {where}: {what}",
        "make it the owner of its database",
    ),
    (
        asyncpg.ReadOnlySQLTransactionError,
        "the store {where} cannot be written: it is read-only",
        "name the primary server, and see that default_transaction_read_only is off there",
    ),
    (
        asyncpg.DiskFullError,
        "no space is left for the store {where}",
        "free some space on its disk, then go on",
    ),
    (
        (asyncpg.LockNotAvailableError, asyncpg.IdleInTransactionSessionTimeoutError),
        "the store {where} is being written by another process",
        "try again once that is done",
    ),
    (
        (asyncpg.QueryCanceledError, TimeoutError),
        "the store {where} took too long",
        "see what keeps the server busy, then try again",
    ),
    (
        _PASSING,
        "the store {where} cannot be reached: {what}",
        "see whether the server runs, and whether the address is right",
    ),
    (
        asyncpg.ClientConfigurationError,
        "the address of the store cannot be used: {what}",
        "write it like postgresql://account@db.example.org:5432/hanse",
    ),
)
