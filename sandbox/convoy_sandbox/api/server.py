"""The API server: HTTPS, authentication, and each request handed to whoever decides about it."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from aiohttp import web

from .. import errors, patch, resources
from ..errors import ApiError
from ..registry import Registry, timestamp
from ..store import Object, Store
from . import discovery, lists, negotiation, openapi, paths, proxy, tables, watches

if TYPE_CHECKING:
    from ..certificates import Certificates

log = logging.getLogger(__name__)

_SUBRESOURCES = ("status", "scale")
#: Whose deletion answers with the object; all others answer with a Status.
_RETURNED_WHEN_DELETED = frozenset(
    {
        resources.PODS, resources.SERVICES, resources.RESOURCEQUOTAS, resources.SERVICEACCOUNTS,
        resources.NAMESPACES,
    }
)  # fmt: skip
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "authorization", "content-length", "content-encoding",
    }
)  # fmt: skip


class PodLogs(Protocol):
    """Where the text of containers' logs comes from."""

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        """All that a container has printed. Raises ApiError."""

    def follow(self, namespace: str, pod: str, container: str) -> AsyncIterator[str]:
        """All that it prints, as it comes, until it ends."""


class ApiServer:
    """Serves a registry over TLS on a loopback address."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        certificates: Certificates,
        pod_logs: PodLogs,
        dial: Callable[[str, int], tuple[str, int]],
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """`dial` maps a pod's address and port to where it really listens."""
        self._store = store
        self._registry = registry
        self._certificates = certificates
        self._pod_logs = pod_logs
        self._dial = dial
        self._host = host
        self.port = port
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self._tokens = {certificates.token}

    @property
    def url(self) -> str:
        """What the kubeconfig names."""
        return f"https://{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self._host, self.port, ssl_context=self._certificates.server_context(), backlog=512
        )
        await site.start()
        self.port = self._runner.addresses[0][1]
        # One connection a request: a proxied request must be balanced like any other.
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0, ssl=_no_verification()),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Stop listening and end every watch."""
        if self._client is not None:
            await self._client.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # -- every request ---------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            if not self._authenticated(request):
                raise ApiError(401, "Unauthorized", "Unauthorized")
            return await self._dispatch(request)
        except ApiError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
            return _json(error.status, error.code, headers)
        except (ConnectionResetError, aiohttp.ClientConnectionResetError):
            raise
        except Exception as error:
            log.exception("%s %s", request.method, request.path_qs)
            return _json(ApiError(500, "InternalError", f"Internal error occurred: {error}").status, 500)

    def _authenticated(self, request: web.Request) -> bool:
        transport = request.transport
        if transport is not None and transport.get_extra_info("peercert"):
            return True
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and any(hmac.compare_digest(token, known) for known in self._tokens)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        document = self._document(request, path)
        if document is not None:
            return document
        target = paths.parse(request.rel_url.raw_path if "/proxy" in path else path)
        if target is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        if target.subresource == "proxy":
            return await self._proxy(request, target)
        if target.subresource == "log":
            return await self._log(request, target)
        if target.resource == resources.PODS and target.subresource in ("exec", "attach", "portforward"):
            self._registry.get(target.resource, target.namespace, target.name)
            raise errors.bad_request("Upgrade request required")
        return await self._resource(request, target)

    def _document(self, request: web.Request, path: str) -> web.Response | None:
        """The answers that do not depend on the store."""
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        if path == "/version":
            return _json(discovery.VERSION)
        if path == "/openapi/v3":
            return _json(openapi.index())
        if path.startswith("/openapi/v3/"):
            text = openapi.document(path.removeprefix("/openapi/v3/"))
            return None if text is None else web.Response(body=text, content_type="application/json")
        if path in ("/api", "/apis"):
            form = negotiation.accepted(request.headers.get("Accept", ""))
            if form.as_ == "APIGroupDiscoveryList" and form.parameters.get("v") == "v2":
                return web.Response(
                    body=_bytes(discovery.aggregated(core=path == "/api")),
                    headers={
                        "Content-Type": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
                    },
                )
            return _json(discovery.api_versions(request.host) if path == "/api" else discovery.api_groups())
        parts = path.split("/")
        found = None
        if path == "/api/v1":
            found = discovery.api_resources("", "v1")
        elif parts[1] == "apis" and len(parts) == 3:
            found = discovery.api_group(parts[2])
        elif parts[1] == "apis" and len(parts) == 4:
            found = discovery.api_resources(parts[2], parts[3])
        return None if found is None else _json(found)

    # -- resources -------------------------------------------------------------------------------

    async def _resource(self, request: web.Request, target: paths.Target) -> web.StreamResponse:
        form = negotiation.accepted(request.headers.get("Accept", ""))
        method = request.method
        if method in ("GET", "HEAD"):
            return await self._read(request, target, form)
        if method == "POST" and target.subresource == "eviction":
            return await self._evict(request, target)
        if method == "POST" and not target.name:
            if target.resource.plural == "selfsubjectaccessreviews":
                return _json(_allowed(await _body(request)), 201)
            return self._shown(target, await self._create(request, target), form, 201)
        if target.subresource and target.subresource not in _SUBRESOURCES:
            raise _method_not_allowed()
        if method == "PUT" and target.name:
            new = self._registry.update(
                target.resource, target.namespace, target.name, await _body(request) or {},
                subresource=target.subresource, **_options(request),
            )  # fmt: skip
            return self._shown(target, new, form)
        if method == "PATCH" and target.name:
            return await self._patch(request, target, form)
        if method == "DELETE":
            options = await _body(request) or {}
            if target.name:
                return self._delete(request, target, options)
            return self._delete_collection(request, target, options)
        raise _method_not_allowed()

    async def _read(
        self, request: web.Request, target: paths.Target, form: negotiation.Form
    ) -> web.StreamResponse:
        if "list" not in target.resource.verbs and not target.name:
            raise _method_not_allowed()
        if request.query.get("watch") in ("true", "1"):
            return await self._watch(request, target, form)
        if target.name:
            if target.subresource == "scale":
                return _json(self._registry.get_scale(target.resource, target.namespace, target.name))
            found = self._registry.get(target.resource, target.namespace, target.name)
            return self._shown(target, found, form, include=request.query.get("includeObject", "Metadata"))
        items, meta = lists.page(self._store, target.resource, target.namespace, request.query)
        if form.as_ == "Table":
            include = request.query.get("includeObject", "Metadata")
            return _json(tables.table(target.resource, items, meta, include=include))
        if form.as_.startswith("PartialObjectMetadata"):
            return _json(
                {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": meta,
                    "items": [tables.partial(obj) for obj in items],
                }
            )
        return _json(
            {
                "kind": f"{target.resource.kind}List",
                "apiVersion": target.resource.api_version,
                "metadata": meta,
                # Elements of a typed list carry no kind of their own.
                "items": [{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")} for obj in items],
            }
        )

    async def _watch(
        self, request: web.Request, target: paths.Target, form: negotiation.Form
    ) -> web.StreamResponse:
        frames = watches.stream(
            self._store, target.resource, target.namespace, target.name, request.query, form
        )
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        # Selectors are checked before the status line is sent: anext would wait for the first event.
        lists.predicate(target.resource, request.query)
        await response.prepare(request)
        async with contextlib.aclosing(frames):
            async for frame in frames:
                await response.write(frame)
        await response.write_eof()
        return response

    async def _create(self, request: web.Request, target: paths.Target) -> Object:
        if target.resource.verbs and "list" not in target.resource.verbs:
            raise _method_not_allowed()
        body = await _body(request)
        if body is None:
            raise errors.bad_request("the body of the request is empty")
        return self._registry.create(target.resource, target.namespace, body, **_options(request))

    async def _patch(
        self, request: web.Request, target: paths.Target, form: negotiation.Form
    ) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        if content_type == patch.APPLY and not request.query.get("fieldManager"):
            raise errors.bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch")
        stored, created = self._registry.patch(
            target.resource, target.namespace, target.name, content_type, await _body(request),
            subresource=target.subresource, force=request.query.get("force") == "true", **_options(request),
        )  # fmt: skip
        return self._shown(target, stored, form, 201 if created else 200)

    def _delete(self, request: web.Request, target: paths.Target, options: Object) -> web.Response:
        query = request.query
        grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        propagation = options.get("propagationPolicy") or query.get("propagationPolicy")
        if propagation is None and options.get("orphanDependents") is True:
            propagation = "Orphan"
        obj, gone = self._registry.delete(
            target.resource,
            target.namespace,
            target.name,
            propagation=propagation,
            grace_period_seconds=None if grace is None else int(grace),
            preconditions=options.get("preconditions"),
            dry_run=_dry_run(request) or bool(options.get("dryRun")),
        )
        if not gone or target.resource in _RETURNED_WHEN_DELETED:
            waits = not gone and propagation in ("Foreground", "Orphan")
            return _json(obj, 202 if waits else 200)
        details: Object = {"name": target.name}
        if target.resource.group:
            details["group"] = target.resource.group
        details |= {"kind": target.resource.plural, "uid": obj["metadata"]["uid"]}
        return _json(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def _delete_collection(self, request: web.Request, target: paths.Target, options: Object) -> web.Response:
        if "deletecollection" not in target.resource.verbs:
            raise _method_not_allowed()
        items, meta = lists.page(self._store, target.resource, target.namespace, request.query)
        for obj in items:
            self._registry.delete(
                target.resource,
                obj["metadata"].get("namespace", ""),
                obj["metadata"]["name"],
                propagation=options.get("propagationPolicy"),
                grace_period_seconds=options.get("gracePeriodSeconds"),
                dry_run=_dry_run(request),
            )
        return _json(
            {
                "kind": f"{target.resource.kind}List",
                "apiVersion": target.resource.api_version,
                "metadata": meta,
                "items": items,
            }
        )

    async def _evict(self, request: web.Request, target: paths.Target) -> web.Response:
        """Delete a pod unless a PodDisruptionBudget forbids it."""
        pod = self._registry.get(resources.PODS, target.namespace, target.name)
        body = await _body(request) or {}
        for budget in self._store.list(resources.PODDISRUPTIONBUDGETS, target.namespace):
            if lists.selectors.matches(budget["spec"].get("selector"), lists.selectors.labels_of(pod)):
                if budget["status"].get("disruptionsAllowed", 0) < 1:
                    raise ApiError(
                        429,
                        "TooManyRequests",
                        "Cannot evict pod as it would violate the pod's disruption budget.",
                        retry_after=10,
                    )
        grace = (body.get("deleteOptions") or {}).get("gracePeriodSeconds")
        self._registry.delete(resources.PODS, target.namespace, target.name, grace_period_seconds=grace)
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)

    def _shown(
        self,
        target: paths.Target,
        obj: Object,
        form: negotiation.Form,
        code: int = 200,
        *,
        include: str = "Metadata",
    ) -> web.Response:
        if form.as_ == "Table" and obj.get("kind") == target.resource.kind:
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return _json(tables.table(target.resource, [obj], meta, include=include), code)
        if form.as_ == "PartialObjectMetadata":
            return _json(tables.partial(obj), code)
        return _json(obj, code)

    # -- what lies behind pods and Services ------------------------------------------------------

    async def _log(self, request: web.Request, target: paths.Target) -> web.StreamResponse:
        pod = self._registry.get(resources.PODS, target.namespace, target.name)
        container = _log_container(pod, request.query.get("container", ""))
        if request.query.get("follow") in ("true", "1"):
            self._pod_logs.read(target.namespace, target.name, container, previous=False)
            response = web.StreamResponse(headers={"Content-Type": "text/plain"})
            await response.prepare(request)
            async for piece in self._pod_logs.follow(target.namespace, target.name, container):
                await response.write(piece.encode())
            await response.write_eof()
            return response
        text = self._pod_logs.read(
            target.namespace, target.name, container, previous=request.query.get("previous") in ("true", "1")
        )
        tail = request.query.get("tailLines")
        if tail is not None:
            lines = text.splitlines(keepends=True)
            text = "".join(lines[max(0, len(lines) - int(tail)) :])
        limit = request.query.get("limitBytes")
        if limit is not None:
            text = text.encode()[: int(limit)].decode(errors="ignore")
        if request.query.get("timestamps") in ("true", "1"):
            stamp = timestamp()
            text = "".join(f"{stamp} {line}" for line in text.splitlines(keepends=True))
        return web.Response(text=text, content_type="text/plain")

    async def _proxy(self, request: web.Request, target: paths.Target) -> web.StreamResponse:
        find = proxy.service_backend if target.resource == resources.SERVICES else proxy.pod_backend
        backend = find(self._store, target.namespace, target.name)
        host, port = self._dial(backend.ip, backend.port)
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        url = f"{backend.scheme}://{host}:{port}/{target.tail}{query}"
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers["Host"] = f"{backend.ip}:{backend.port}"
        assert self._client is not None  # noqa: S101 - start() made it before the first request
        try:
            async with self._client.request(
                request.method, aiohttp.client.URL(url, encoded=True), headers=headers,
                data=await request.read(), allow_redirects=False, timeout=aiohttp.ClientTimeout(total=60),
            ) as answer:  # fmt: skip
                kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP]
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except aiohttp.ClientOSError as error:
            raise proxy.unreachable(error) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(503, "ServiceUnavailable", f"error trying to reach service: {error}") from None


def _no_verification() -> ssl.SSLContext:
    """As the real proxy: a Service's own certificate says nothing about who it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _bytes(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _json(document: Any, code: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=_bytes(document), status=code, content_type="application/json", headers=headers)


async def _body(request: web.Request) -> Any:
    return negotiation.decoded(request.headers.get("Content-Type", ""), await request.read())


def _dry_run(request: web.Request) -> bool:
    value = request.query.get("dryRun")
    if value not in (None, "", "All"):
        raise ApiError(422, "Invalid", f'dryRun: Unsupported value: "{value}": supported values: "All"')
    return value == "All"


def _options(request: web.Request) -> dict[str, Any]:
    """What every write takes from the query."""
    manager = negotiation.field_manager(
        request.query.get("fieldManager", ""), request.headers.get("User-Agent", "")
    )
    return {
        "manager": manager,
        "validation": request.query.get("fieldValidation", "Warn"),
        "dry_run": _dry_run(request),
    }


def _method_not_allowed() -> ApiError:
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
    )


def _allowed(review: Object | None) -> Object:
    """A SelfSubjectAccessReview's answer: the sandbox's one user is the administrator."""
    return {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {"creationTimestamp": None},
        "spec": (review or {}).get("spec", {}),
        "status": {"allowed": True},
    }


def _log_container(pod: Object, asked: str) -> str:
    """Whose log is meant. Raises ApiError 400 where it is not clear."""
    spec = pod["spec"]
    names = [container["name"] for container in spec.get("containers") or ()]
    initial = [container["name"] for container in spec.get("initContainers") or ()]
    if asked:
        if asked not in names + initial:
            raise errors.bad_request(f"container {asked} is not valid for pod {pod['metadata']['name']}")
        return asked
    if len(names) == 1:
        return str(names[0])
    listed = f"[{' '.join(names)}]"
    if initial:
        listed += f" or one of the init containers: [{' '.join(initial)}]"
    raise errors.bad_request(
        f"a container name must be specified for pod {pod['metadata']['name']}, choose one of: {listed}"
    )
