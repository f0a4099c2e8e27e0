# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which API server a task means, how it is reached, and as whom: one answer for all that this collection does.

`resolve` reads what kubernetes.core reads, in its order; docs/access.md compares it row by row with that and with
kubectl. What it returns renews its credentials by itself, in whatever thread or companion it is used.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import re
import ssl
import subprocess
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _proxy, _tls, _yaml
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = t.Dict[str, t.Any]
Result = t.TypeVar("Result")
Pairs = t.Tuple[t.Tuple[str, str], ...]

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
#: What is secret in a kubeconfig; `value` is a variable's of a credential plugin.
SECRET_KEYS = frozenset(
    ["token", "password", "client-key-data", "value", "id-token", "refresh-token", "access-token", "client-secret"]
)
MARGIN = 10.0  #: seconds before credentials expire at which new ones are asked for, if they last ten times as long
READ_AGAIN = 60.0  #: seconds after which a file with a token is read again, as client-go does
PLUGIN_TIMEOUT = 60.0  #: seconds that a credential plugin may take
TRIES = 3  #: how often credentials are asked for where there were some before
PAUSE = 1.0  #: seconds between two of these, and between two renewals before credentials have expired

#: How a task says which API server it means, as kubernetes.core names it.
ARGUMENTS: dict[str, t.Any] = {
    "kubeconfig": {"type": "raw"},
    "context": {"type": "str"},
    "host": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "impersonate_user": {"type": "str"},
    "impersonate_groups": {"type": "list", "elements": "str"},
    "proxy": {"type": "str"},
    "no_proxy": {"type": "str"},
    "proxy_headers": {
        "type": "dict",
        "options": {
            "proxy_basic_auth": {"type": "str", "no_log": True},
            "basic_auth": {"type": "str", "no_log": True},
            "user_agent": {"type": "str"},
        },
    },
    "persist_config": {"type": "bool"},
    "validate_certs": {"type": "bool", "aliases": ["verify_ssl"]},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"]},
    "client_cert": {"type": "path", "aliases": ["cert_file"]},
    "client_key": {"type": "path", "aliases": ["key_file"], "no_log": False},
}


@dataclass(frozen=True)
class Credential:
    """What shows an API server who asks, until it is renewed."""

    authorization: str | None = None  #: the value of that header
    cert_file: str | None = None
    key_file: str | None = None
    cert_data: str | None = None
    key_data: str | None = None
    expires: float | None = None  #: seconds since 1970
    due: float | None = None  #: seconds since 1970 from when on new ones are asked for, while these still hold
    read_again: float | None = None  #: seconds of time.monotonic from when on the file is read again

    @property
    def certificate(self) -> tuple[str | None, ...]:
        """What tells its client certificate from others."""
        return (self.cert_file, self.key_file, self.cert_data, self.key_data)

    def shows(self, other: Credential) -> bool:
        """Whether it shows the API server the same as another one."""
        return (self.authorization, self.certificate) == (other.authorization, other.certificate)


class Credentials:
    """The credentials of a run, renewed before they expire and after a 401. Safe to use in several threads."""

    def __init__(self, first: Credential | None = None, read: t.Callable[[], Credential] | None = None) -> None:
        """`first` are shown until they are due; `read`, if there is a way, gets new ones. It may raise Failure."""
        self._now = first or Credential()
        self._read = read
        self._lock = threading.Lock()
        self._looked = time.monotonic()

    @property
    def latest(self) -> Credential:
        """What was got last, whether it is due or not."""
        return self._now

    @property
    def due(self) -> bool:
        """Whether they should be renewed now."""
        now = self._now
        if self._read is None:
            return False
        if now.read_again is not None and time.monotonic() >= now.read_again:
            return True
        return now.due is not None and time.time() >= now.due and time.monotonic() >= self._looked + PAUSE

    @property
    def expired(self) -> bool:
        """Whether the API server takes them no more, as far as they say so themselves."""
        return self._now.expires is not None and time.time() >= self._now.expires

    def current(self) -> Credential:
        """What to show in a request that is made now, renewed if it is time. Raises Failure.

        Where that fails before they have expired, they are shown as they are.
        """
        if self.due:
            with self._lock:
                if self.due:
                    try:
                        self._renew(TRIES if self.expired else 1)
                    except Failure:
                        if self.expired:
                            raise
        return self._now

    def renewed(self, refused: Credential) -> bool:
        """Whether there are others than those that the API server did not accept; asks for them. Raises Failure."""
        with self._lock:
            if self._read is not None and self._now.shows(refused):
                self._renew(TRIES)
            return not self._now.shows(refused)

    def _renew(self, tries: int) -> None:
        for attempt in range(1, tries + 1):
            try:
                self._now = self._read() if self._read else self._now
                return
            except Failure:
                if attempt == tries:
                    raise
            finally:
                self._looked = time.monotonic()
            time.sleep(PAUSE * attempt)


@dataclass(frozen=True)
class Access:
    """How the API server is reached, and as whom: what a task's options, its environment and a kubeconfig come to."""

    server: str  #: its URL
    context: str = ""  #: its name in the kubeconfig
    namespace: str = "default"  #: the one that is meant where none is named
    verify: bool = True
    ca_file: str | None = None
    ca_data: str | None = None
    server_name: str | None = None  #: whom its certificate is for, where that is not the URL's host
    proxy: _proxy.Proxy | None = None
    impersonation: Pairs = ()  #: headers that say as whom to act
    credentials: Credentials = field(default_factory=Credentials)
    _contexts: dict[tuple[str | None, ...], ssl.SSLContext] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def headers(self, credential: Credential) -> Pairs:
        """Who asks, as headers; one name may come several times."""
        shown = (("Authorization", credential.authorization),) if credential.authorization else ()
        return (*shown, *self.impersonation)

    def ssl_context(self, credential: Credential | None = None) -> ssl.SSLContext | None:
        """The TLS settings of a connection, None where the server speaks plain HTTP. Raises Failure."""
        if not self.server.startswith("https:"):
            return None
        credential = credential or self.credentials.current()
        known = self._contexts.get(credential.certificate)
        if known is None:
            known = self._contexts[credential.certificate] = self._made(credential)
        return known

    def _made(self, credential: Credential) -> ssl.SSLContext:
        try:
            context = _tls.client_context(self.ca_file, self.ca_data, verify=self.verify)
            if credential.cert_data and credential.key_data:
                with file_of(f"{credential.cert_data}\n{credential.key_data}\n") as pair:
                    context.load_cert_chain(pair)
            elif credential.cert_file:
                context.load_cert_chain(credential.cert_file, credential.key_file)
        except (OSError, ssl.SSLError) as error:
            named = (self.ca_file, credential.cert_file, credential.key_file)
            absent = next((f"{path}: " for path in named if path and not os.path.exists(path)), "")
            raise Failure(
                f"The certificates for {self.server} cannot be used: {absent}{error.strerror or error}."
            ) from error
        return context


@contextlib.contextmanager
def file_of(text: str) -> t.Iterator[str]:
    """The path of a file of a text that only this user may read, also from a process that this one starts.

    Where the system can, the file is in memory, so that nothing of a key is left when the process is killed.
    """
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("convoy"), "w", encoding="utf-8") as memory:
            memory.write(text)
            memory.flush()
            yield f"/proc/{os.getpid()}/fd/{memory.fileno()}"
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield file.name


# -- what is asked for -------------------------------------------------------------------------------------------------


def asked(options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The options of `ARGUMENTS`: a task's own, else what K8S_AUTH_* of its environment say; None where nothing does.

    As in kubernetes.core, an option that is given as an empty text is not looked for in the environment.
    """
    found = {
        name: options[name] if options.get(name) is not None else _of_environment(name, spec, environ)
        for name, spec in ARGUMENTS.items()
    }
    # Absolute, as what renews credentials may do so in another working directory.
    paths = {
        name: os.path.join(_here(), found[name]) for name, spec in ARGUMENTS.items() if _is_path(spec, found[name])
    }
    return {**found, **paths}


def _is_path(spec: t.Mapping[str, t.Any], value: t.Any) -> bool:
    return spec["type"] == "path" and bool(value)


def _of_environment(name: str, spec: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> t.Any:
    if spec["type"] == "dict":
        parts = {key: environ.get(f"K8S_AUTH_{name}_{key}".upper()) for key in spec["options"]}
        return {key: value for key, value in parts.items() if value} or None
    names = [name, *spec.get("aliases", ())]
    value = next((found for each in names if (found := environ.get(f"K8S_AUTH_{each.upper()}"))), None)
    if value is None:
        return None
    if spec["type"] == "bool":
        return value.lower() not in ("0", "false", "no")
    if spec["type"] == "list":
        return [part for part in value.split(",") if part]
    return _home(value, environ) if spec["type"] == "path" else value


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return "/"


def _home(path: str, environ: t.Mapping[str, str]) -> str:
    """A path with the home directory of that environment in the place of `~`."""
    home = environ.get("HOME")
    return home + path[1:] if home and (path == "~" or path.startswith("~/")) else os.path.expanduser(path)


_KNOWN: dict[str, Access] = {}  #: what was resolved in this process, by what it was resolved from


def resolve(options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> Access:
    """What a task's options and its environment come down to, in the order of kubernetes.core.

    A host with credentials stands by itself. Else a kubeconfig or context that was asked for counts, else the pod
    that this runs in, else KUBECONFIG, else ~/.kube/config; single options then override what was found. The same
    is resolved once in a process, and its credentials are shared. Raises Failure where there is nothing to reach an
    API server with, or that cannot be used.
    """
    wanted = asked(options, environ)
    text = json.dumps([wanted, sorted(environ.items()), _here()], sort_keys=True, default=repr)
    key = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    if key not in _KNOWN:
        _KNOWN[key] = _resolved(wanted, environ)
    return _KNOWN[key]


def placed(options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The options of a task, with the context's namespace where they name none, as for kubectl; else `default`.

    No credentials are asked for, and nothing is raised: without a kubeconfig there is no namespace to take.
    """
    found = dict(options)
    if "namespace" in found and not found["namespace"]:
        found["namespace"] = "default"
        with contextlib.suppress(Failure, OSError):
            wanted = asked(options, environ)
            if not _complete(wanted):
                read = _reader(wanted, environ)
                found["namespace"] = read.namespace() if read else "default"
    return found


def _complete(wanted: t.Mapping[str, t.Any]) -> bool:
    """Whether the options name a server and whose credentials are shown there, so that nothing else is read."""
    pairs = (("username", "password"), ("client_cert", "client_key"))
    return bool(wanted["host"] and (wanted["api_key"] or any(wanted[one] and wanted[two] for one, two in pairs)))


def _reader(wanted: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> _Pod | _Reader | None:
    """What reads where the API server is and whose credentials these are; None where nothing says it."""
    if not (wanted["kubeconfig"] or wanted["context"]) and _in_pod(environ):
        return _Pod(environ)
    return _kubeconfig(wanted, environ)


def _resolved(wanted: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> Access:
    host = _text(wanted, "host")
    read = None if _complete(wanted) else _reader(wanted, environ)
    found = read() if read else None
    if found is None:
        if not host:
            raise Failure("There is no kubeconfig: set the option kubeconfig, or K8S_AUTH_KUBECONFIG.")
        found = _Found(Access(host), Credential())
    access = found.access
    if wanted["ca_cert"]:
        access = replace(access, ca_file=wanted["ca_cert"], ca_data=None)
    if wanted["validate_certs"] is not None:
        access = replace(access, verify=bool(wanted["validate_certs"]))
    credential = _overridden(found.credential, wanted)
    secure = bool(access.ca_file or access.ca_data or not access.verify or credential != Credential())
    server = _url((host or access.server).rstrip("/"), secure)
    first_server = found.access.server

    def again(read: t.Callable[[], _Found]) -> Credential:
        new = read()
        # The context may have been given to another cluster meanwhile: that one's credentials are not shown here.
        if new.access.server != first_server:
            return credential
        return _overridden(new.credential, wanted)

    return replace(
        access,
        server=server,
        proxy=_chosen_proxy(server, access.proxy, wanted, environ),
        impersonation=_impersonation(wanted, access.impersonation),
        credentials=Credentials(credential, functools.partial(again, read) if read else None),
    )


def _text(wanted: t.Mapping[str, t.Any], name: str) -> str:
    return str(wanted[name] or "")


def _url(server: str, secure: bool) -> str:
    """A server's URL; one without a scheme is taken as kubectl takes it."""
    if not server or "://" in server:
        return server
    return f"{'https' if secure else 'http'}://{server}"


def _overridden(found: Credential, wanted: t.Mapping[str, t.Any]) -> Credential:
    """A kubeconfig's credentials with the task's own in their place."""
    if wanted["api_key"]:
        found = replace(found, authorization=_bearer(wanted["api_key"], "api_key"))
    elif wanted["username"]:
        found = replace(found, authorization=_basic(wanted["username"], wanted["password"]))
    if wanted["client_cert"]:
        key = wanted["client_key"]
        found = replace(
            found,
            cert_file=wanted["client_cert"],
            key_file=key or None,
            cert_data=None,
            key_data=None,
        )
    return found


def _bearer(token: str, where: str) -> str:
    """The header of a token. Raises Failure where it cannot be one; the message does not show it."""
    token = str(token).strip()
    if not token.isprintable() or " " in token:
        raise Failure(f"The token of {where} is not valid: it contains white space or control characters.")
    return f"Bearer {token}"


def _basic(username: t.Any, password: t.Any) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password or ''}".encode()).decode()


def _impersonation(wanted: t.Mapping[str, t.Any], of_kubeconfig: Pairs) -> Pairs:
    """As whom to act: as the options say, else as the kubeconfig says. Raises Failure."""
    user, groups = _text(wanted, "impersonate_user"), wanted["impersonate_groups"]
    said = dict(of_kubeconfig)
    if user:
        of_kubeconfig = _acting(user, groups)
    elif groups and "Impersonate-User" in said:
        kept = tuple(pair for pair in of_kubeconfig if pair[0] != "Impersonate-Group")
        of_kubeconfig = kept + tuple(("Impersonate-Group", str(group)) for group in groups)
    elif groups:
        raise Failure("impersonate_groups is given without impersonate_user; name the user who is in these groups.")
    for name, value in of_kubeconfig:
        if not value.isprintable():
            raise Failure(f"{name} is {value!r}; a user or group to impersonate must not contain control characters.")
    return of_kubeconfig


def _acting(
    user: str, groups: t.Iterable[t.Any] | None, uid: str = "", extra: t.Mapping[str, t.Any] | None = None
) -> Pairs:
    """The headers of impersonation, as client-go sends them."""
    pairs = [("Impersonate-User", user)]
    if uid:
        pairs.append(("Impersonate-Uid", uid))
    pairs += [("Impersonate-Group", str(group)) for group in groups or ()]
    for key, values in (extra or {}).items():
        # Whatever may not be in the name of a header is percent-encoded, and capitals are not kept there.
        name = "Impersonate-Extra-" + quote(str(key).lower(), safe="!#$&'*+-.^_`|~")
        pairs += [(name, str(value)) for value in values]
    return tuple(pairs)


# -- the way there -----------------------------------------------------------------------------------------------------


def _chosen_proxy(
    server: str, of_kubeconfig: _proxy.Proxy | None, wanted: t.Mapping[str, t.Any], environ: t.Mapping[str, str]
) -> _proxy.Proxy | None:
    """The proxy that leads to a server: the option's, the kubeconfig's, or the environment's. Raises Failure."""
    no_proxy = wanted["no_proxy"]
    try:
        if no_proxy and _proxy.is_named(server, no_proxy):
            return None
        given = _text(wanted, "proxy")
        if given:
            found: _proxy.Proxy | None = _parsed_proxy(given)
        elif of_kubeconfig:
            found = of_kubeconfig
        else:
            url = _proxy.of_environment(server, environ)
            found = _parsed_proxy(url) if url else None
    except ValueError:
        return None  # whoever connects says what is wrong with the server's address
    if found is None:
        return None
    said = wanted["proxy_headers"] or {}
    headers = dict(found.headers)
    if said.get("proxy_basic_auth"):
        headers["Proxy-Authorization"] = _basic(*_halves(said["proxy_basic_auth"]))
    if said.get("basic_auth"):
        headers["Authorization"] = _basic(*_halves(said["basic_auth"]))
    if said.get("user_agent"):
        headers["User-Agent"] = str(said["user_agent"])
    if not all(value.isprintable() for value in headers.values()):
        raise Failure("proxy_headers must not contain control characters.")
    return found._replace(headers=tuple(headers.items()))


def _halves(text: str) -> tuple[str, str]:
    user, _colon, password = str(text).partition(":")
    return user, password


def _parsed_proxy(url: str) -> _proxy.Proxy:
    """A proxy by its URL. Raises Failure."""
    try:
        return _proxy.parsed(url)
    except ValueError as error:
        raise Failure(
            f"The proxy to the API server, {_proxy.without_password(url)}, must be an http URL; set another one, or "
            "add the server to NO_PROXY where the proxy comes from HTTPS_PROXY and is not needed."
        ) from error


# -- where it is found -------------------------------------------------------------------------------------------------


class _Found(t.NamedTuple):
    """What a kubeconfig or a pod says: the way there, and the credentials."""

    access: Access
    credential: Credential


def _in_pod(environ: t.Mapping[str, str]) -> bool:
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and os.path.exists(f"{SERVICE_ACCOUNT}/token")


class _Pod:
    """Reads the service account of the pod that this runs in."""

    def __init__(self, environ: t.Mapping[str, str]) -> None:
        host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT") or "443"
        self.server = f"https://{f'[{host}]' if ':' in host else host}:{port}"

    def __call__(self) -> _Found:
        credential = _of_file(f"{SERVICE_ACCOUNT}/token")
        access = Access(self.server, namespace=self.namespace(), ca_file=f"{SERVICE_ACCOUNT}/ca.crt")
        return _Found(access, credential)

    @staticmethod
    def namespace() -> str:
        """The pod's own."""
        try:
            with open(f"{SERVICE_ACCOUNT}/namespace", encoding="utf-8") as stream:
                return stream.read().strip() or "default"
        except (OSError, UnicodeDecodeError):
            return "default"


def _of_file(path: str) -> Credential:
    """The token of a file, which is read again after a while: it may be replaced there. Raises Failure."""
    try:
        with open(path, encoding="utf-8") as stream:
            token = stream.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
        raise Failure(f"The token file {path} cannot be read: {why}.") from error
    if not token:
        raise Failure(f"The token file {path} is empty.")
    return Credential(_bearer(token, path), read_again=time.monotonic() + READ_AGAIN)


def _kubeconfig(wanted: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> _Reader | None:
    """What reads the kubeconfig that is asked for, None where there is none. Raises Failure.

    Its paths are made absolute and its context stays the one of the first time: what renews the credentials may do so
    in another working directory, and after somebody has chosen another context.
    """
    given, context = wanted["kubeconfig"], wanted["context"]
    here = _here()
    if isinstance(given, dict):
        return _Reader(lambda: _Kubeconfig(given, here, "the kubeconfig"), context, environ)
    if given is not None and not isinstance(given, str):
        raise Failure("kubeconfig must be the path of a kubeconfig, or a kubeconfig as a dictionary.")
    paths = [
        os.path.join(here, _home(path, environ))
        for path in (given or environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)
        if path
    ]
    present = [path for path in paths if os.path.exists(path)]
    if not present:
        if given:
            raise Failure(f"The kubeconfig {given} does not exist; start the cluster, or fix this host's kubeconfig.")
        if environ.get("KUBECONFIG") and not wanted["host"]:
            raise Failure(f"The kubeconfig {environ['KUBECONFIG']}, which KUBECONFIG names, does not exist.")
        return None
    return _Reader(lambda: _merged(present), context, environ)


class _Kubeconfig(t.NamedTuple):
    """A kubeconfig as it was read."""

    document: Object
    folder: str  #: where its relative paths begin
    where: str  #: in words


def _merged(paths: t.Sequence[str]) -> _Kubeconfig:
    """Several kubeconfigs as one: of what has the same name the first counts. Raises Failure."""
    merged: Object = {}
    for path in paths:
        folder = os.path.dirname(path)
        for key, value in _read_yaml(path).items():
            if isinstance(value, list):
                kept = merged.setdefault(key, [])
                kept.extend(dict(item, _folder=folder) if isinstance(item, dict) else item for item in value)
            else:
                merged.setdefault(key, value)
    return _Kubeconfig(merged, os.path.dirname(paths[0]), os.pathsep.join(paths))


def _read_yaml(path: str) -> Object:
    try:
        import yaml
    except ImportError as error:
        raise Failure("PyYAML is needed to read a kubeconfig: pip install PyYAML.") from error
    try:
        with open(path, encoding="utf-8") as stream:
            document = _yaml.document(stream)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise Failure(f"The kubeconfig {path} cannot be read: {said}.") from error
    if not isinstance(document, dict):
        raise Failure(f"The kubeconfig {path} is not a YAML mapping.")
    return document


class _Reader:
    """Reads one context of a kubeconfig, again whenever its credentials are to be renewed."""

    def __init__(self, load: t.Callable[[], _Kubeconfig], context: t.Any, environ: t.Mapping[str, str]) -> None:
        self._load, self._context, self._environ = load, context, dict(environ)

    def __call__(self) -> _Found:
        return self._read(lambda found, context: _of_context(found, context, self._environ))

    def namespace(self) -> str:
        """The context's. Raises Failure."""
        return self._read(
            lambda found, context: str(
                _named(found.document, "context", context, found.where).get("namespace") or "default"
            )
        )

    def _read(self, what: t.Callable[[_Kubeconfig, str], Result]) -> Result:
        found = self._load()
        where = found.where
        try:
            chosen = self._context or found.document.get("current-context")
            if not chosen:
                raise Failure(f"{where} has no current-context; set the option context.")
            self._context = chosen
            return what(found, str(chosen))
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            # Not the value: it may be a secret.
            said = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else type(error).__name__
            raise Failure(f"The context {self._context or 'in use'} of {where} is not valid ({said}).") from error


def _named(document: Object, kind: str, name: str, where: str) -> Object:
    for item in document.get(f"{kind}s") or []:
        if item.get("name") == name:
            return dict(item.get(kind) or {}, _folder=item.get("_folder", ""))
    others = ", ".join(str(item.get("name")) for item in document.get(f"{kind}s") or []) or "none"
    raise Failure(f"There is no {kind} {name!r} in {where}; its {kind}s: {others}.")


def _of_context(kubeconfig: _Kubeconfig, name: str, environ: t.Mapping[str, str]) -> _Found:
    document, folder, where = kubeconfig
    context = _named(document, "context", name, where)
    cluster = _named(document, "cluster", context.get("cluster", ""), where)
    user = _named(document, "user", context["user"], where) if context.get("user") else {}

    def path(entry: Object, key: str) -> str | None:
        value = entry.get(key)
        return os.path.join(entry.get("_folder") or folder, _home(value, environ)) if value else None

    proxy = cluster.get("proxy-url")
    access = Access(
        server=str(cluster.get("server") or "").rstrip("/"),
        context=name,
        namespace=str(context.get("namespace") or "default"),
        verify=not cluster.get("insecure-skip-tls-verify"),
        ca_file=path(cluster, "certificate-authority"),
        ca_data=_decoded(cluster, "certificate-authority-data"),
        server_name=cluster.get("tls-server-name"),
        proxy=_parsed_proxy(str(proxy)) if proxy else None,
        impersonation=_of_user(user, where),
    )
    credential = Credential(
        cert_file=path(user, "client-certificate"),
        key_file=path(user, "client-key"),
        cert_data=_decoded(user, "client-certificate-data"),
        key_data=_decoded(user, "client-key-data"),
    )
    if "auth-provider" in user:
        credential = replace(credential, authorization=_by_client(document, name, where))
    elif user.get("token"):
        credential = replace(credential, authorization=_bearer(user["token"], where))
    elif user.get("tokenFile"):
        of_file = _of_file(t.cast(str, path(user, "tokenFile")))
        credential = replace(credential, authorization=of_file.authorization, read_again=of_file.read_again)
    elif user.get("exec"):
        credential = _of_plugin(_Plugin(user["exec"], user.get("_folder") or folder, where), cluster, access, environ)
    elif user.get("username"):
        credential = replace(credential, authorization=_basic(user["username"], user.get("password")))
    return _Found(access, credential)


def _of_user(user: Object, where: str) -> Pairs:
    """As whom a kubeconfig has its user act. Raises Failure."""
    acting, groups, uid, extra = (user.get(key) for key in ("as", "as-groups", "as-uid", "as-user-extra"))
    if acting:
        return _acting(str(acting), groups, str(uid or ""), extra)
    if groups or uid or extra:
        raise Failure(f"{where} has as-groups, as-uid or as-user-extra without as; name the user to act as.")
    return ()


def _decoded(entry: Object, key: str) -> str | None:
    return base64.b64decode(entry[key]).decode() if entry.get(key) else None


class _Plugin(t.NamedTuple):
    """A credential plugin as a kubeconfig names it."""

    said: Object
    folder: str  #: where a relative path begins
    where: str  #: the kubeconfig in words


def _of_plugin(plugin: _Plugin, cluster: Object, access: Access, environ: t.Mapping[str, str]) -> Credential:
    """What a credential plugin says, and until when it holds. Raises Failure."""
    status, failed = _exec_credential(plugin, cluster, access, environ)
    token, certificate, key = (status.get(name) for name in ("token", "clientCertificateData", "clientKeyData"))
    if not token and not (certificate and key):
        raise Failure(f"{failed} printed neither a token nor a client certificate with its key.")
    now = time.time()
    expires = _instant(status.get("expirationTimestamp"), failed)
    due = None if expires is None else expires - min(MARGIN, max(0.0, expires - now) / 10)
    return Credential(
        _bearer(token, f"the credential plugin of {plugin.where}") if token else None,
        cert_data=certificate,
        key_data=key,
        expires=expires,
        due=due,
    )


def _instant(text: t.Any, failed: str) -> float | None:
    """The seconds since 1970 of a time as Kubernetes writes it. Raises Failure."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", str(text))
    try:
        if not found:
            raise ValueError(text)
        when = datetime.strptime(found[1].upper(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        if found[2]:
            offset = timedelta(hours=int(found[3]), minutes=int(found[4]))
            when = when - offset if found[2] == "+" else when + offset
        return when.timestamp()
    except (ValueError, OverflowError) as error:
        raise Failure(f"{failed} printed {text!r} as expirationTimestamp, which is not a time.") from error


def _exec_credential(
    plugin: _Plugin, cluster: Object, access: Access, environ: t.Mapping[str, str]
) -> tuple[Object, str]:
    """What a credential plugin (client.authentication.k8s.io) prints as the status of its ExecCredential.

    With it, how a message about it begins. Raises Failure.
    """
    said = plugin.said
    program = str(said["command"])
    if os.path.dirname(program):  # a path is relative to the kubeconfig that names it
        program = os.path.join(plugin.folder, program)
    failed = f"The command {program} that {plugin.where} gets its credentials from"
    if said.get("interactiveMode") == "Always":
        raise Failure(
            f"{failed} needs an interactive prompt (interactiveMode: Always), and there is none in a run; configure "
            "one that asks nobody."
        )
    spec: Object = {"interactive": False}
    if said.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(cluster, access)
    version = said.get("apiVersion", "client.authentication.k8s.io/v1")
    told = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    env = {str(item["name"]): str(item["value"]) for item in said.get("env") or []}
    try:
        # run_command, which sanity tests ask for, belongs to a module; actions come here, too, and it has no timeout.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [program, *map(str, said.get("args") or [])],
            env={**environ, "KUBERNETES_EXEC_INFO": json.dumps(told), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PLUGIN_TIMEOUT,
            check=True,
        )
    except FileNotFoundError as error:
        hint = " ".join(str(said.get("installHint") or "install it").split())
        raise Failure(f"{failed} was not found: {hint}") from error
    except subprocess.CalledProcessError as error:
        last = " ".join(error.stderr.decode(errors="replace").split())[-300:]
        raise Failure(f"{failed} exited with code {error.returncode}: {last}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"{failed} failed: {error}.") from error
    try:
        status = json.loads(done.stdout)["status"]
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{failed} printed no ExecCredential with a status.") from error
    if not isinstance(status, dict):
        raise Failure(f"{failed} printed no ExecCredential with a status.")
    return status, failed


def _cluster_info(cluster: Object, access: Access) -> Object:
    """What a plugin is told of the cluster, with its CA whether that is in the kubeconfig or in a file of its own."""
    known = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    info = {key: cluster[key] for key in known if cluster.get(key)}
    if access.ca_file and not access.ca_data:
        with open(access.ca_file, "rb") as stream:
            info["certificate-authority-data"] = base64.b64encode(stream.read()).decode()
    for item in cluster.get("extensions") or []:
        if item.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = item.get("extension")
    return info


def _by_client(document: Object, context: str, where: str) -> str | None:
    """The header of an auth-provider's token, which the Python client of Kubernetes knows how to get."""
    try:
        from kubernetes import config
        from kubernetes.client import Configuration
    except ImportError as error:
        raise Failure(
            f"{where} needs the Python client of Kubernetes for its auth-provider: pip install kubernetes."
        ) from error
    settings = Configuration()
    config.load_kube_config_from_dict(document, context=context, client_configuration=settings, persist_config=False)
    keys: t.Mapping[str, str] = settings.api_key
    return keys.get("BearerToken") or keys.get("authorization")  # its name changed between versions


# -- what must not be shown --------------------------------------------------------------------------------------------


def secrets(options: t.Mapping[str, t.Any]) -> set[str]:
    """The values in a kubeconfig that was given as a dictionary, and in a proxy's URL, that must not be shown."""
    given = options.get("kubeconfig")
    found: set[str] = set()

    def look(value: t.Any, key: str = "") -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                look(item, str(name))
        elif isinstance(value, list):
            for item in value:
                look(item, key)
        # Ansible blots out every occurrence: a short value of a variable, such as 1, is no secret.
        elif key in SECRET_KEYS and isinstance(value, str) and len(value) >= (6 if key == "value" else 1):
            found.add(value)
        elif key == "proxy-url" and isinstance(value, str):
            found.update(_proxy.passwords(value))

    if isinstance(given, dict):
        look(given.get("users"))
        look(given.get("clusters"))
    return found | _proxy.passwords(_text({"proxy": options.get("proxy")}, "proxy"))
