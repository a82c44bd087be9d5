"""Signing in to Keystone: clouds.yaml and OS_* variables as every OpenStack user knows them, and all auth types.

openstacksdk reads the configuration and keystoneauth1 gets the token; both are imported only once a cloud is
really connected to, since that takes almost a second. All calls, those for tokens included, go to the endpoint
that the server's own configuration binds: the catalogue is not asked for, and redirects are not followed.

Texts of those libraries can repeat what they were given, passwords included. None of it is passed on.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hanse.model import Secret
from hanse.ports.platform import Credential, PlatformUnavailable
from hanse.ports.transport import Call, NotAllowed, NotSent

if TYPE_CHECKING:
    from hanse.transport.http import Http, Tls

STALE_SECONDS = 60
"""A token that expires within this time is renewed before it is used."""
WHO_AM_I = "/v3/auth/tokens"
"""The only call that tells Keystone our token as its subject: Identity API v3, 'Validate and show information'."""
_VERSIONED = {"password": "v3password", "token": "v3token", "": "v3password"}
"""Auth types that would first ask Keystone where to sign in, and those that sign in at the bound endpoint."""
_TOKEN = "X-Auth-Token"  # noqa: S105

NO_FILES = [os.devnull]
"""Older releases of openstacksdk take an empty list for their default search path."""


def connect(credential: Credential) -> Http:
    """The transport for a bound credential; nothing is called yet.

    Its source is `env` (the OS_* variables), `clouds.yaml#NAME` (searched where openstacksdk does) or
    `PATH#NAME`. Options of the server's own configuration: `insecure`, `cacert`, `cert`, `key`; they go before
    those of clouds.yaml.

    Raises PlatformUnavailable, with advice, where the source does not fit or its endpoint is another one.
    """
    from hanse.transport.http import Http  # noqa: PLC0415 (slow to load; validate makes no connection)

    endpoint = _base(credential.endpoint)
    config, name = _configuration(credential)
    region = _region(credential, config, name, validate=False)
    given = _given(region)
    auth_url = str(given.get("auth_url") or given.get("endpoint") or "")
    if not auth_url:
        raise PlatformUnavailable(
            f"{_told(credential)} has no auth_url", "add it: it is the address of Keystone, with /v3"
        )
    if _origin(auth_url) != _origin(endpoint):
        raise PlatformUnavailable(
            f"{_told(credential)} signs in at {_shown(auth_url)}, but is bound to {_shown(endpoint)}",
            "bind the credential to the endpoint that its cloud has, in the server's own configuration",
        )
    plugin = _plugin(credential, config, name, region, f"{endpoint}/v3")
    tls, verify, cert = _tls(credential, region)
    return Http(endpoint, KeystoneAuth(plugin, endpoint, _told(credential), verify, cert), tls)


class KeystoneAuth:
    """Signs calls in with a token that is fetched when first needed and anew before it expires."""

    def __init__(self, plugin: Any, endpoint: str, source: str, verify: Any, cert: Any) -> None:
        """Use a keystoneauth1 plugin; `verify` and `cert` as the requests library takes them."""
        self._plugin = plugin
        self._endpoint = endpoint
        self._source = source
        self._verify = verify
        self._cert = cert
        self._session: Any = None
        self._headers: dict[str, Secret] | None = None
        self._signing_in = asyncio.Lock()

    async def headers(self, call: Call) -> dict[str, str]:
        """The token, as headers. Raises NotAllowed or NotSent."""
        async with self._signing_in:
            if self._headers is None or self._stale():
                self._headers = await asyncio.to_thread(self._sign_in)
            headers = {name: secret.reveal() for name, secret in self._headers.items()}
        if call.path == WHO_AM_I and _TOKEN in headers:
            headers["X-Subject-Token"] = headers[_TOKEN]
        return headers

    async def renew(self) -> None:
        """Forget the token: Keystone takes it no longer."""
        self._plugin.invalidate()
        self._headers = None

    def _stale(self) -> bool:
        access = getattr(self._plugin, "auth_ref", None)
        return access is not None and bool(access.will_expire_soon(STALE_SECONDS))

    def _sign_in(self) -> dict[str, Secret]:
        """Ask for a token, in a thread of its own, since keystoneauth1 waits for the answer."""
        from keystoneauth1 import exceptions, session  # noqa: PLC0415

        if self._session is None:
            self._session = session.Session(
                auth=self._plugin, verify=self._verify, cert=self._cert, redirect=False, timeout=60
            )
        try:
            headers = self._session.get_auth_headers() or {}
        except exceptions.Unauthorized:
            raise self._refused("the account or its password was not accepted") from None
        except exceptions.Forbidden:
            raise self._refused("the account may not sign in") from None
        except exceptions.NotFound:
            raise self._refused("no Identity API v3 answers there") from None
        except exceptions.SSLError:
            raise NotSent(f"{self._endpoint}: signing in: its certificate was not accepted") from None
        except (exceptions.ConnectionError, exceptions.HttpServerError, exceptions.RequestTimeout) as error:
            status = getattr(error, "http_status", None)
            told = f"Keystone answered {status}" if status else "no connection"
            raise NotSent(f"{self._endpoint}: signing in: {told}") from None
        except exceptions.ClientException as error:
            raise self._refused(type(error).__name__) from None
        except OSError as error:
            raise NotSent(f"{self._endpoint}: signing in: {type(error).__name__}") from None
        except Exception as error:
            # Plugins for identity providers raise what they like, and in the words of others.
            raise self._refused(type(error).__name__) from None
        return {name: Secret(value) for name, value in headers.items()}

    def _refused(self, what: str) -> NotAllowed:
        return NotAllowed(
            f"{self._endpoint}: signing in failed: {what}",
            f"check the account, its password, its domain and its scope in {self._source}",
        )


def _configuration(credential: Credential) -> tuple[Any, str]:
    """openstacksdk's configuration, and the name of the cloud in it."""
    try:
        from openstack.config.loader import OpenStackConfig  # noqa: PLC0415
    except ImportError:
        raise PlatformUnavailable(
            "openstacksdk is not installed", "install it with: pip install 'hanse[openstack]'"
        ) from None
    path, mark, name = credential.source.partition("#")
    if credential.source != "env" and not (mark and path and name):
        raise PlatformUnavailable(
            f"credential {credential.name} has an unknown source",
            "write `env`, `clouds.yaml#NAME` or `/path/to/clouds.yaml#NAME`",
        )
    if mark and path != "clouds.yaml" and not os.path.exists(os.path.expanduser(path)):  # noqa: PTH110, PTH111
        raise PlatformUnavailable(
            f"{_told(credential)}: there is no such file", "check the path in its source"
        )
    try:
        if credential.source == "env":
            config = OpenStackConfig(**_own_files())
            name = os.environ.get("OS_CLOUD") or config.envvar_key or "envvars"
        elif path == "clouds.yaml":
            config = OpenStackConfig(**_own_files())
        else:
            files = [os.path.expanduser(path)]  # noqa: PTH111
            config = OpenStackConfig(
                config_files=files, secure_files=NO_FILES, vendor_files=NO_FILES, load_envvars=False
            )
    except Exception:
        raise PlatformUnavailable(
            f"{_told(credential)} cannot be read", "check that it is well-formed YAML with a mapping `clouds`"
        ) from None
    known = {*config.get_cloud_names()} - {"defaults"}  # which is there where no file was found
    if name not in known:
        raise PlatformUnavailable(
            f"{_told(credential)}: there is no such cloud",
            "set the OS_* variables"
            if credential.source == "env"
            else f"known are: {', '.join(sorted(known))}"
            if known
            else "no well-formed clouds.yaml with a mapping `clouds` was found",
        )
    return config, name


def _region(credential: Credential, config: Any, name: str, **options: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what the library itself will drop, such as InfluxDB
            return config.get_one(cloud=name, **options)
    except Exception as error:
        raise PlatformUnavailable(
            f"{_told(credential)} cannot be used: {_what(error)}",
            "compare it with an openstack command line that works, such as `openstack token issue`",
        ) from None


def _what(error: Exception) -> str:
    """Why a plugin does not take its options: which one is missing, but never a value."""
    from keystoneauth1 import exceptions  # noqa: PLC0415

    if isinstance(error, exceptions.MissingRequiredOptions):
        return "it lacks " + ", ".join(sorted(option.dest for option in error.options))
    if isinstance(error, exceptions.OptionError):
        return str(error).rstrip(".")  # fixed sentences (read in the source)
    if isinstance(error, exceptions.NoMatchingPlugin):
        return f"there is no auth type {error.name}"
    return type(error).__name__


def _given(region: Any) -> dict[str, Any]:
    """What the cloud says about signing in, whether inside `auth` (clouds.yaml) or not (OS_*)."""
    return {**region.config, **(region.config.get("auth") or {})}


def _plugin(credential: Credential, config: Any, name: str, region: Any, auth_url: str) -> Any:
    """The auth plugin, signing in at the bound endpoint itself."""
    kind = str(region.config.get("auth_type") or "")
    auth = _given(region)
    changed: dict[str, Any] = {"endpoint" if "auth_url" not in auth else "auth_url": auth_url}
    for whose in ("user", "project"):
        if kind in _VERSIONED and not (auth.get(f"{whose}_domain_id") or auth.get(f"{whose}_domain_name")):
            for part in ("id", "name"):
                if default := auth.get(f"default_domain_{part}"):
                    changed[f"{whose}_domain_{part}"] = default
    kind = _VERSIONED.get(kind, kind)
    # Both inside `auth` and beside it, since either may win.
    region = _region(credential, config, name, auth_type=kind, auth=changed, **changed)
    return region.get_auth()


def _tls(credential: Credential, region: Any) -> tuple[Tls, Any, Any]:
    """How certificates are checked: for our own calls, and as the requests library takes it."""
    from hanse.transport.http import Tls  # noqa: PLC0415 (as in connect)

    verify, cert = region.get_requests_verify_args()
    options = credential.options
    cacert = options.get("cacert") or (verify if isinstance(verify, str) else None)
    insecure = options.get("insecure", verify is False)
    own, key = cert if isinstance(cert, tuple) else (cert, None)
    own, key = options.get("cert", own), options.get("key", key)
    verify = False if insecure else cacert or True
    return Tls(not insecure, cacert, own, key), verify, (own, key) if own and key else own


def _own_files() -> dict[str, Any]:
    """openstacksdk's search paths without the working directory: that may be the manifest's, and so git's."""
    from openstack.config import loader  # noqa: PLC0415

    here = os.path.realpath(os.getcwd())  # noqa: PTH109

    def own(files: list[str]) -> list[str]:
        return [file for file in files if os.path.realpath(os.path.dirname(file)) != here]  # noqa: PTH120

    return {
        "config_files": own(loader.CONFIG_FILES),
        "secure_files": own(loader.SECURE_FILES),
        "vendor_files": own(loader.VENDOR_FILES),
    }


def _base(endpoint: str) -> str:
    """The endpoint below which `/v3` lies, also where it was given with it. Raises PlatformUnavailable."""
    try:
        parts = urlsplit(endpoint)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        fits = fits and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        fits = False
    if not fits:
        raise PlatformUnavailable(
            "the bound endpoint is no address", "write it as https://keystone.example.org:5000"
        )
    return endpoint.rstrip("/").removesuffix("/v3")


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises nothing: what is no address has no origin."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return "", "", 0
    return parts.scheme, parts.hostname or "", port


def _shown(url: str) -> str:
    scheme, host, port = _origin(url)
    return f"{scheme}://{host}:{port}"


def _told(credential: Credential) -> str:
    return f"credential {credential.name} ({credential.source})"
