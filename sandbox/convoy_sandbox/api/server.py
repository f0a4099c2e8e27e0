# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API server: HTTPS, authentication, and each request handed to whoever decides about it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import aiohttp
from aiohttp import web

from .. import authorization, errors, faults, patch, resources, selectors, times, writes
from ..admission import context
from ..admission import webhooks as admission_webhooks
from ..admission.answers import Answers
from ..admission.webhooks import Unanswered
from ..authorization import Authorizer
from ..controllers import conditions
from ..errors import ApiError
from ..kinds import kind_of
from ..kinds.custom import as_version
from ..network.containers import LogLine
from ..registry import Registry, unknown_fields
from ..resources import RESOURCES, Resource
from ..store import Object, Store
from ..users import User
from . import (
    discovery,
    lists,
    logs,
    negotiation,
    openapi,
    options,
    paths,
    proxy,
    reviews,
    tables,
    troubles,
    users,
    watches,
    webhooks,
)

if TYPE_CHECKING:
    from ..certificates import Certificates

log = logging.getLogger(__name__)
T = TypeVar("T")

#: The one path that no Kubernetes has: the faults of this sandbox, as JSON.
FAULTS_PATH = "/sandbox/faults"

_SUBRESOURCES = ("status", "scale")
#: Whose deletion answers with the object; all others answer with a Status.
_RETURNED_WHEN_DELETED = frozenset(
    {
        resources.PODS, resources.SERVICES, resources.RESOURCEQUOTAS, resources.SERVICEACCOUNTS,
        resources.NAMESPACES,
    }
)  # fmt: skip
#: What a cluster says to whoever uses them.
_DEPRECATED = {
    resources.ENDPOINTS: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    RESOURCES["", "v1", "componentstatuses"]: "v1 ComponentStatus is deprecated in v1.19+",
}
_NO_STREAMS = (
    "the sandbox has no {what}: read a container's log instead, and send requests through the API server's proxy or "
    "to the pod's own address"
)
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "authorization", "content-length",
    }
)  # fmt: skip


class PodLogs(Protocol):
    """Where the text of containers' logs comes from."""

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> list[LogLine]:
        """All that a container has printed. Raises ApiError."""

    def follow(self, namespace: str, pod: str, container: str, after: int) -> AsyncIterator[list[LogLine]]:
        """What it prints after the line of that number, as it comes, until it ends."""


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
        self.faults = faults.Faults()
        self.writes = writes.Writes()
        self.authenticator = users.Authenticator(store, certificates)
        self._authorizer = Authorizer(store)
        self._pod_logs = pod_logs
        self._dial = dial
        admission_webhooks.use(store, webhooks.Webhooks(store, dial).ask)
        self._host = host
        self.port = port
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self._streams: set[asyncio.Task[Any]] = set()
        self._discovered: dict[tuple[bool, int], bytes] = {}

    @property
    def url(self) -> str:
        """What the kubeconfig names."""
        return f"https://{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A client that goes away takes its watch with it.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
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
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def close(self) -> None:
        """Stop listening and end every watch."""
        for task in self._streams:
            task.cancel()
        if self._client is not None:
            await self._client.close()
        if self._runner is not None:
            served = self._runner.server.connections if self._runner.server is not None else []
            transports = [each.transport for each in served if each.transport is not None]
            await self._runner.cleanup()
            for transport in transports:  # else one would wait until its client has ended TLS, too
                transport.abort()
            await asyncio.sleep(0)  # that takes a turn of the event loop

    # -- every request ---------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            user = users.impersonated(request, self.authenticator.user(request), self._authorizer)
            response = await self._met(request, user)
            if (
                isinstance(response, web.Response)
                and response.content_type == "application/json"
                and isinstance(response.body, bytes)
                and negotiation.is_yaml(request.headers.get("Accept", ""))
            ):
                response.body = negotiation.as_yaml(response.body)
                response.content_type = negotiation.YAML
            return response
        except ApiError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
            refusal = _json(error.status, error.code, headers)
            for text in error.warnings:
                refusal.headers.add("Warning", negotiation.warning(text))
            return refusal
        except web.HTTPRequestEntityTooLarge as large:
            too_large = ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {large.text}")
            return _json(too_large.status, too_large.code)
        except ConnectionResetError:
            troubles.drop(request)
            return web.Response()  # which nobody gets
        except Exception as error:
            log.exception("%s %s", request.method, request.path_qs)
            return _json(ApiError(500, "InternalError", f"Internal error occurred: {error}").status, 500)

    async def _met(self, request: web.Request, user: User) -> web.StreamResponse:
        """A request, with the faults that it meets and the stops that tests make."""
        path = request.path.rstrip("/") or "/"
        target = paths.parse(request.rel_url.raw_path if "/proxy" in path else path, self._registry.catalog)
        action = paths.action(target, request.method, path, request.query)
        if path == FAULTS_PATH:
            self._authorizer.require(user, action)
            return await self._change_faults(request)
        met = self.faults.draw(action)
        for fault in met:
            if fault.kind == "delay":
                await asyncio.sleep(fault.seconds)
                continue
            trouble = troubles.before(fault, action, target, request)
            if trouble is not None:
                return trouble
        self._authorizer.require(user, action)
        write = None
        if target is not None and action.verb in writes.VERBS and troubles.changes(target, request.query):
            write = self.writes.note(action, request.headers.get("User-Agent", ""))
            await self.writes.at(write, "before")
        try:
            return await self._dispatch(request, user, target, path)
        finally:
            if any(fault.kind == "drop-after" for fault in met):
                troubles.drop(request)
            if write is not None:
                await self.writes.at(write, "after")

    async def _change_faults(self, request: web.Request) -> web.Response:
        """GET, PUT and DELETE of the sandbox's own resource for faults."""
        try:
            if request.method == "PUT":
                body = await _object(request, "Faults")
                self.faults.set([faults.from_mapping(one) for one in body.get("faults") or ()], body.get("seed", 0))
            elif request.method == "DELETE":
                self.faults.set(())
        except faults.FaultError as problem:
            raise errors.bad_request(str(problem)) from None
        return _json(self.faults.described())

    async def _dispatch(
        self, request: web.Request, user: User, target: paths.Target | None, path: str
    ) -> web.StreamResponse:
        if target is None:
            document = self._document(request, path)
            if document is None:
                return web.Response(text="404 page not found\n", status=404)
            return document
        if target.subresource == "proxy":
            return await self._proxy(request, target)
        if target.subresource == "log":
            return await self._log(request, target)
        if target.resource == resources.PODS and target.subresource in ("exec", "attach", "portforward"):
            self._registry.get(target.resource, target.namespace, target.name)
            raise errors.bad_request(_NO_STREAMS.format(what=target.subresource))
        return await self._resource(request, target, user)

    def _document(self, request: web.Request, path: str) -> web.Response | None:
        """The answers that do not depend on the store."""
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        if path == "/version":
            return _json(discovery.VERSION)
        if path == "/openapi/v3":
            return _json(openapi.index(self._registry.catalog))
        if path.startswith("/openapi/v3/"):
            text = openapi.document(path.removeprefix("/openapi/v3/"), self._registry.catalog)
            return None if text is None else web.Response(body=text, content_type="application/json")
        groups = self._registry.catalog.groups()
        if path in ("/api", "/apis"):
            form = negotiation.accepted(request.headers.get("Accept", ""))
            if form.as_ == "APIGroupDiscoveryList" and form.parameters.get("v") == "v2":
                return web.Response(
                    body=self._aggregated(core=path == "/api"),
                    headers={"Content-Type": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"},
                )
            return _json(discovery.api_versions(request.host) if path == "/api" else discovery.api_groups(groups))
        parts = path.split("/")
        found = None
        if path == "/api/v1":
            found = discovery.api_resources(groups, "", "v1")
        elif parts[1] == "apis" and len(parts) == 3:
            found = discovery.api_group(groups, parts[2])
        elif parts[1] == "apis" and len(parts) == 4:
            found = discovery.api_resources(groups, parts[2], parts[3])
        return None if found is None else _json(found)

    def _aggregated(self, *, core: bool) -> bytes:
        """Aggregated discovery as JSON text, kept until a definition changes it: clients ask for it often."""
        revision = self._registry.catalog.revision
        key = (core, revision)
        if key not in self._discovered:
            self._discovered = {kept: text for kept, text in self._discovered.items() if kept[1] == revision}
            self._discovered[key] = _bytes(discovery.aggregated(self._registry.catalog.groups(), core=core))
        return self._discovered[key]

    # -- resources -------------------------------------------------------------------------------

    async def _resource(self, request: web.Request, target: paths.Target, user: User) -> web.StreamResponse:
        response = await self._of_resource(request, target, user)
        deprecation = _DEPRECATED.get(target.resource)
        if target.resource.custom is not None:
            deprecation = target.resource.custom.deprecation
        if deprecation and not response.prepared:
            response.headers.add("Warning", negotiation.warning(deprecation))
        return response

    async def _of_resource(self, request: web.Request, target: paths.Target, user: User) -> web.StreamResponse:
        if target.subresource and not any(
            entry["subresource"] == target.subresource for entry in target.resource.subresources
        ):
            if target.resource.custom is not None:
                raise errors.not_found(target.resource, target.name)
            raise _no_such_path()
        form = negotiation.accepted(request.headers.get("Accept", ""))
        method = request.method
        if method in ("GET", "HEAD"):
            return await self._read(request, target, form)
        if method == "POST" and target.subresource == "eviction":
            return await self._evict(request, target, user)
        if method == "POST" and target.resource == resources.SERVICEACCOUNTS and target.subresource == "token":
            account = self._registry.get(target.resource, target.namespace, target.name)
            return _json(self.authenticator.token_request(account, await _body(request, "TokenRequest")), 201)
        if target.resource.namespaced and not target.namespace:
            raise _method_not_allowed()
        if method == "POST" and not target.name:
            return await self._create(request, target, form, user)
        if target.subresource and target.subresource not in _SUBRESOURCES:
            raise _method_not_allowed()
        if method == "PUT" and target.name:
            return await self._update(request, target, form, user)
        if method == "PATCH" and target.name:
            return await self._patch(request, target, form, user)
        if method == "DELETE" and not target.subresource:
            how = options.deletion(request.query, await _body(request, "DeleteOptions"))
            if target.name:
                return await self._delete(target, how, user)
            return await self._delete_collection(request, target, how, user)
        raise _method_not_allowed()

    async def _read(self, request: web.Request, target: paths.Target, form: negotiation.Form) -> web.StreamResponse:
        if "list" not in target.resource.verbs and not target.name:
            raise _method_not_allowed()
        if request.query.get("watch") in ("true", "1"):
            return await self._watch(request, target, form)
        if target.name:
            if target.subresource == "scale":
                scale = self._registry.get_scale(target.resource, target.namespace, target.name)
                return _json(tables.scale(scale) if form.as_ == "Table" else scale)
            if target.subresource not in ("", "status"):
                raise _method_not_allowed()
            found = self._registry.get(target.resource, target.namespace, target.name)
            return self._shown(target, found, form, include=request.query.get("includeObject", "Metadata"))
        items, meta = lists.page(self._store, target.resource, target.namespace, request.query)
        items = [as_version(target.resource, obj) for obj in items]
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
        return _json(lists.listed(target.resource, items, meta))

    async def _watch(self, request: web.Request, target: paths.Target, form: negotiation.Form) -> web.StreamResponse:
        frames = watches.stream(self._store, target.resource, target.namespace, target.name, request.query, form)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        with self._streaming():
            await response.prepare(request)
            # A client that has gone wants no more.
            with contextlib.suppress(ConnectionResetError):
                async with contextlib.aclosing(frames):
                    async for frame in frames:
                        await response.write(frame)
                await response.write_eof()
        return response

    @contextlib.contextmanager
    def _streaming(self) -> Iterator[None]:
        """An answer that goes on until the server closes, if need be."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is handled in a task
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)

    async def _create(
        self, request: web.Request, target: paths.Target, form: negotiation.Form, user: User
    ) -> web.StreamResponse:
        body = await _object(request, target.resource.kind)
        if "list" not in target.resource.verbs:
            answer = reviews.answer(target.resource, body, user, self._authorizer, self.authenticator)
            if answer is None:
                raise _method_not_allowed()
            return _json(answer, 201)
        how = _writing(request, "CreateOptions")
        self._check_escalation(
            target,
            user,
            lambda: self._registry.create(target.resource, target.namespace, body, **{**how, "dry_run": True}),
        )
        created, admitted = await self._written(
            user, lambda: self._registry.create(target.resource, target.namespace, body, **how)
        )
        warnings = _warnings(target, body, how) + admitted
        return self._shown(target, created, form, 201, warnings=warnings)

    async def _update(
        self, request: web.Request, target: paths.Target, form: negotiation.Form, user: User
    ) -> web.StreamResponse:
        body = await _object(request, target.resource.kind)
        how = _writing(request, "UpdateOptions")
        missing = self._store.get(target.resource, target.namespace, target.name) is None
        self._check_escalation(
            target,
            user,
            lambda: self._registry.update(
                target.resource, target.namespace, target.name, body, **{**how, "dry_run": True}
            ),
        )
        stored, admitted = await self._written(
            user,
            lambda: self._registry.update(
                target.resource, target.namespace, target.name, body, subresource=target.subresource, **how
            ),
        )
        warnings = _warnings(target, body, how) + admitted
        created = missing and kind_of(target.resource).created_by_update
        return self._shown(target, stored, form, 201 if created else 200, warnings=warnings)

    async def _patch(
        self, request: web.Request, target: paths.Target, form: negotiation.Form, user: User
    ) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        apply = content_type == patch.APPLY
        force = options.force(request.query, apply=apply)
        kind = target.resource.kind
        body = await _object(request, kind) if apply else await _body(request, kind)
        if body is None:
            raise errors.bad_request("the body of the request is empty")
        how = _writing(request, "PatchOptions")
        if apply and self._store.get(target.resource, target.namespace, target.name) is None:
            self._authorizer.require(user, paths.action(target, "POST", request.path, request.query))
        self._check_escalation(
            target,
            user,
            lambda: self._registry.patch(
                target.resource,
                target.namespace,
                target.name,
                content_type,
                body,
                force=force,
                **{**how, "dry_run": True},
            )[0],
        )
        (stored, created), admitted = await self._written(
            user,
            lambda: self._registry.patch(
                target.resource, target.namespace, target.name, content_type, body,
                subresource=target.subresource, force=force, **how,
            ),
        )  # fmt: skip
        warnings = (_warnings(target, body, how) if apply else []) + admitted
        return self._shown(target, stored, form, 201 if created else 200, warnings=warnings)

    async def _written(self, user: User, write: Callable[[], T]) -> tuple[T, list[str]]:
        """A user's write, once webhooks have been asked; besides, what admission warns of as Warning headers."""
        answers = Answers()
        while True:
            try:
                with context.request_of(user, answers) as admitted:
                    return write(), [negotiation.warning(text) for text in admitted.warnings]
            except Unanswered as missing:
                await missing.ask()
            except ApiError as error:
                error.warnings = admitted.warnings
                raise

    def _check_escalation(self, target: paths.Target, user: User, outcome: Callable[[], Object]) -> None:
        """Nobody may give rights away that he does not have; `outcome` says what a write would store."""
        if authorization.guarded(target.resource):
            self._authorizer.check_escalation(user, target.resource, outcome(), target.namespace)

    async def _delete(self, target: paths.Target, how: options.Deletion, user: User) -> web.Response:
        (obj, gone), warnings = await self._deleted(target.resource, target.namespace, target.name, how, user)
        response = _json(self._of_deletion(target, obj, gone=gone))
        if not gone and how.propagation == "Foreground":
            response.set_status(202)
        for warning in warnings:
            response.headers.add("Warning", warning)
        return response

    async def _deleted(
        self, resource: Resource, namespace: str, name: str, how: options.Deletion, user: User
    ) -> tuple[tuple[Object, bool], list[str]]:
        return await self._written(
            user,
            lambda: self._registry.delete(
                resource,
                namespace,
                name,
                propagation=how.propagation,
                grace_period_seconds=how.grace_period_seconds,
                preconditions=how.preconditions,
                dry_run=how.dry_run,
            ),
        )

    def _of_deletion(self, target: paths.Target, obj: Object, *, gone: bool) -> Object:
        """What a deletion is answered with."""
        if not gone or target.resource in _RETURNED_WHEN_DELETED:
            return obj
        details: Object = {"name": target.name}
        if target.resource.group:
            details["group"] = target.resource.group
        details |= {"kind": target.resource.plural, "uid": obj["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    async def _delete_collection(
        self, request: web.Request, target: paths.Target, how: options.Deletion, user: User
    ) -> web.Response:
        if "deletecollection" not in target.resource.verbs:
            raise _method_not_allowed()
        items, meta = lists.page(self._store, target.resource, target.namespace, request.query)
        for obj in items:
            named = obj["metadata"]
            await self._deleted(target.resource, named.get("namespace", ""), named["name"], how, user)
        return _json(lists.listed(target.resource, items, meta))

    async def _evict(self, request: web.Request, target: paths.Target, user: User) -> web.Response:
        """Delete a pod unless a PodDisruptionBudget forbids it."""
        pod = self._registry.get(resources.PODS, target.namespace, target.name)
        body = await _body(request, "Eviction") or {}
        if (body.get("metadata") or {}).get("name", target.name) != target.name:
            raise errors.bad_request("name in URL does not match name in Eviction object")
        how = options.deletion(request.query, body.get("deleteOptions"))
        if options.dry_run("CreateOptions", [value for value in request.query.getall("dryRun", []) if value]):
            how = dataclasses.replace(how, dry_run=True)
        if pod["status"].get("phase") not in ("Succeeded", "Failed"):
            self._within_budget(pod)
        if not how.dry_run:
            why = ("EvictionByEvictionAPI", "Eviction API: evicting")
            self._registry.modify(
                resources.PODS, target.namespace, target.name, lambda it: conditions.disrupt(it["status"], *why),
                subresource="status", manager="kube-apiserver",
            )  # fmt: skip
        await self._delete(target, how, user)
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)

    def _within_budget(self, pod: Object) -> None:
        """Raises ApiError 429 where a PodDisruptionBudget keeps a pod, 500 where two of them are about it."""
        budgets = [
            budget
            for budget in self._store.list(resources.PODDISRUPTIONBUDGETS, pod["metadata"]["namespace"])
            if selectors.matches(budget["spec"].get("selector"), selectors.labels_of(pod))
        ]
        if len(budgets) > 1:
            raise ApiError(
                500, "",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )  # fmt: skip
        for budget in budgets:
            status = budget.get("status") or {}
            if status.get("disruptionsAllowed", 0) < 1:
                wanted, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
                name = budget["metadata"]["name"]
                message = f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"
                raise ApiError(
                    429,
                    "TooManyRequests",
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                    {"causes": [{"reason": "DisruptionBudget", "message": message}]},
                    retry_after=10,
                )

    def _shown(
        self,
        target: paths.Target,
        obj: Object,
        form: negotiation.Form,
        code: int = 200,
        *,
        include: str = "Metadata",
        warnings: list[str] | None = None,
    ) -> web.Response:
        shown = obj = as_version(target.resource, obj) if obj.get("kind") == target.resource.kind else obj
        if form.as_ == "Table" and obj.get("kind") == target.resource.kind:
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            shown = tables.table(target.resource, [obj], meta, include=include)
        elif form.as_ == "PartialObjectMetadata":
            shown = tables.partial(obj)
        response = _json(shown, code)
        for warning in warnings or ():
            response.headers.add("Warning", warning)
        return response

    # -- what lies behind pods and Services ------------------------------------------------------

    async def _log(self, request: web.Request, target: paths.Target) -> web.StreamResponse:
        query = request.query
        pod = self._registry.get(resources.PODS, target.namespace, target.name)
        if not pod["spec"].get("nodeName"):  # there is no kubelet to ask
            return web.Response(status=204)
        container = logs.container(pod, query.get("container", ""))
        lines = self._pod_logs.read(
            target.namespace, target.name, container, previous=negotiation.flag(query, "previous")
        )
        found = logs.selected(lines, query, times.now().timestamp())
        shown = logs.limited(logs.text(found, query), query)
        if not negotiation.flag(query, "follow"):
            return web.Response(body=shown, content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        after = lines[-1].number if lines else -1
        with self._streaming():
            await response.prepare(request)
            await response.write(shown)
            sent = len(shown)
            async for more in self._pod_logs.follow(target.namespace, target.name, container, after):
                piece = logs.limited(logs.text(more, query), query, sent)
                if not piece:
                    break
                await response.write(piece)
                sent += len(piece)
            await response.write_eof()
        return response

    async def _proxy(self, request: web.Request, target: paths.Target) -> web.StreamResponse:
        find = proxy.service_backend if target.resource == resources.SERVICES else proxy.pod_backend
        backend = find(self._store, target.namespace, target.name)
        host, port = self._dial(backend.ip, backend.port)
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        url = f"{backend.scheme}://{host}:{port}/{target.tail}{query}"
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        assert self._client is not None  # noqa: S101 - start() made it before the first request
        try:
            async with self._client.request(
                request.method, aiohttp.client.URL(url, encoded=True), headers=headers,
                data=await request.read(), allow_redirects=False, timeout=aiohttp.ClientTimeout(total=60),
            ) as answer:  # fmt: skip
                kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP]
                mount = request.rel_url.raw_path.removesuffix(target.tail).rstrip("/")
                kept = [
                    (k, proxy.led(v, mount, f"{host}:{port}", request.host) if k.lower() == "location" else v)
                    for k, v in kept
                ]
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise proxy.unreachable(backend, error) from None


def _no_verification() -> ssl.SSLContext:
    """As the real proxy: a Service's own certificate says nothing about who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _bytes(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _json(document: Any, code: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=_bytes(document), status=code, content_type="application/json", headers=headers)


async def _body(request: web.Request, kind: str) -> Any:
    """What a request brings; of what `kind` it should be is said where that cannot be read."""
    try:
        return negotiation.decoded(request.headers.get("Content-Type", ""), await request.read())
    except negotiation.UnreadableError as error:
        if request.method == "PATCH":
            raise errors.bad_request(f"error decoding patch: {error}") from None
        why = f"couldn't get version/kind; json parse error: {error} ({error.summary})"
        raise errors.bad_request(f"the object provided is unrecognized (must be of type {kind}): {why}") from None


async def _object(request: web.Request, kind: str) -> Object:
    body = await _body(request, kind)
    if not isinstance(body, dict):
        raise errors.bad_request("the body of the request must be an object")
    return body


def _writing(request: web.Request, kind: str) -> dict[str, Any]:
    return options.writing(request.query, request.headers.get("User-Agent", ""), kind)


def _warnings(target: paths.Target, body: Any, how: dict[str, Any]) -> list[str]:
    """Fields that were left out because nobody knows them, as Warning headers."""
    if how["validation"] != "Warn" or target.subresource == "scale":
        return []
    return [negotiation.warning(f'unknown field "{name}"') for name in unknown_fields(target.resource, body)]


def _no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def _method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})
