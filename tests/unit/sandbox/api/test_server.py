"""The API server over real HTTPS, without controllers."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from convoy_sandbox import certificates, resources
from convoy_sandbox.api.server import ApiServer
from convoy_sandbox.errors import bad_request
from convoy_sandbox.network.containers import LogLine
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Change, Object, Store
from yarl import URL

MADE = certificates.make()
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"


class Logs:
    """A container that has printed two lines and prints a third to those who follow."""

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> list[LogLine]:
        if previous:
            raise bad_request(f'previous terminated container "{container}" in pod "{pod}" not found')
        return [LogLine(0, 1.0, "one"), LogLine(1, 2.0, "two")]

    async def follow(self, namespace: str, pod: str, container: str, after: int) -> AsyncIterator[list[LogLine]]:
        yield [line for line in [LogLine(1, 2.0, "two"), LogLine(2, 3.0, "three")] if line.number > after]


class Client:
    """A client with the administrator's certificate, or with headers of its own."""

    def __init__(self, server: ApiServer, store: Store, *, certificate: bool = True) -> None:
        self.server = server
        self.store = store
        context = ssl.create_default_context(cadata=MADE.ca.decode())
        if certificate:
            with tempfile.NamedTemporaryFile() as pair:
                pair.write(MADE.client_cert + MADE.client_key)
                pair.flush()
                context.load_cert_chain(pair.name)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    async def ask(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, body (decoded where it is JSON) and headers of an answer."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            headers["Content-Type"] = content_type
        url = URL(self.server.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text, answer.headers


def use(test: Callable[[Client], Awaitable[None]], *, certificate: bool = True) -> None:
    """Run a test against a server of its own."""

    async def run() -> None:
        store = Store()
        registry = Registry(store)
        registry.create(resources.NAMESPACES, "", {"metadata": {"name": "default"}})
        server = ApiServer(store, registry, certificates=MADE, pod_logs=Logs(), dial=lambda ip, port: (ip, port))
        await server.start()
        client = Client(server, store, certificate=certificate)
        try:
            async with asyncio.timeout(300):
                await test(client)
        finally:
            await client.session.close()
            await server.close()

    asyncio.run(run())


def config_map(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "data": {"a": "b"}}


def deployment(name: str) -> Object:
    labels = {"app": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }


def pod(name: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", 403),
        ("Bearer wrong", 401),
        ("Bearer \u00e4", 401),
        pytest.param(f"Basic {MADE.token}", 403, id="another scheme"),
        pytest.param(f"Bearer {MADE.token}", 200, id="the token"),
    ],
)
def test_without_a_client_certificate_only_the_token_counts(authorization: str, code: int) -> None:
    async def test(client: Client) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        status, body, _ = await client.ask("GET", "/api/v1/namespaces", **headers)
        assert status == code
        if code == 401:
            assert (body["kind"], body["reason"], body["message"]) == ("Status", "Unauthorized", "Unauthorized")

    use(test, certificate=False)


def test_a_client_certificate_of_another_authority_is_no_credential() -> None:
    async def test(client: Client) -> None:
        other = certificates.make()
        context = ssl.create_default_context(cadata=MADE.ca.decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(other.client_cert + other.client_key)
            pair.flush()
            context.load_cert_chain(pair.name)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(client.server.url + "/version")

    use(test)


def test_documents() -> None:
    async def test(client: Client) -> None:
        assert (await client.ask("GET", "/readyz"))[:2] == (200, "ok")
        assert (await client.ask("GET", "/version"))[1]["gitVersion"] == "v1.36.2"
        for path, kind in (
            ("/api", "APIVersions"), ("/apis", "APIGroupList"), ("/apis/apps", "APIGroup"),
            ("/api/v1", "APIResourceList"), ("/apis/apps/v1", "APIResourceList"),
        ):  # fmt: skip
            assert (await client.ask("GET", path))[1]["kind"] == kind
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        _, body, headers = await client.ask("GET", "/apis", Accept=accept)
        assert body["kind"] == "APIGroupDiscoveryList"
        assert headers["Content-Type"].endswith("as=APIGroupDiscoveryList")
        assert "apis/apps/v1" in (await client.ask("GET", "/openapi/v3"))[1]["paths"]
        assert (await client.ask("GET", "/openapi/v3/apis/apps/v1?hash=X"))[1]["openapi"] == "3.0.0"
        for path in ("/openapi/v3/apis/nothing/v1", "/openapi/v2", "/apis/nothing/v1", "/api/v1/nothing"):
            status, body, _ = await client.ask("GET", path)
            assert (status, body) == (404, "404 page not found\n")

    use(test)


def test_an_object_from_its_creation_to_its_end() -> None:
    async def test(client: Client) -> None:
        status, created, _ = await client.ask("POST", CONFIG_MAPS, config_map("c"), User_Agent="tester/1")
        assert status == 201
        assert created["metadata"]["managedFields"][0]["manager"] == "tester"
        path = f"{CONFIG_MAPS}/c"
        assert (await client.ask("GET", path))[:2] == (200, created)
        changed = {**created, "data": {"a": "c"}}
        status, updated, _ = await client.ask("PUT", path, changed)
        assert (status, updated["data"]) == (200, {"a": "c"})
        status, body, _ = await client.ask("PUT", path, changed)
        assert (status, body["reason"]) == (409, "Conflict")
        merge = "application/merge-patch+json"
        status, patched, _ = await client.ask("PATCH", path, {"data": {"x": "y"}}, content_type=merge)
        assert (status, patched["data"]) == (200, {"a": "c", "x": "y"})
        status, gone, _ = await client.ask("DELETE", path)
        assert (status, gone["status"], gone["details"]["name"]) == (200, "Success", "c")
        status, body, _ = await client.ask("GET", path)
        assert (status, body["message"]) == (404, 'configmaps "c" not found')

    use(test)


def test_some_kinds_are_returned_when_they_are_deleted() -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", PODS, pod("p"))
        assert (await client.ask("DELETE", f"{PODS}/p"))[1]["kind"] == "Pod"
        await client.ask("POST", DEPLOYMENTS, deployment("d"))
        gone = (await client.ask("DELETE", f"{DEPLOYMENTS}/d"))[1]
        assert (gone["kind"], gone["details"]["group"], gone["details"]["kind"]) == ("Status", "apps", "deployments")

    use(test)


def test_a_deletion_that_waits_is_accepted() -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", DEPLOYMENTS, deployment("d"))
        status, body, _ = await client.ask("DELETE", f"{DEPLOYMENTS}/d", {"propagationPolicy": "Foreground"})
        assert status == 202
        assert body["metadata"]["finalizers"] == ["foregroundDeletion"]

    use(test)


def test_server_side_apply_over_yaml() -> None:
    async def test(client: Client) -> None:
        text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"
        path = f"{CONFIG_MAPS}/c?fieldManager=me"
        apply = "application/apply-patch+yaml"
        status, _, headers = await client.ask("PATCH", path, text, content_type=apply)
        assert status == 201
        assert "Warning" not in headers
        assert (await client.ask("PATCH", path, text, content_type=apply))[0] == 200
        for validation in ("Ignore", "Warn", "Strict"):
            strange = text + b"surprise: 1\n"
            status, body, _ = await client.ask(
                "PATCH", f"{path}&fieldValidation={validation}", strange, content_type=apply
            )
            assert status == 500
            assert body["message"].endswith("/v1, Kind=ConfigMap): .surprise: field not declared in schema")
        status, body, _ = await client.ask("PATCH", f"{CONFIG_MAPS}/c", text, content_type=apply)
        assert status == 422
        assert "fieldManager" in body["message"]

    use(test)


def test_a_dry_run_stores_nothing() -> None:
    async def test(client: Client) -> None:
        status, body, _ = await client.ask("POST", CONFIG_MAPS + "?dryRun=All", config_map("c"))
        assert (status, body["metadata"]["name"]) == (201, "c")
        assert (await client.ask("GET", f"{CONFIG_MAPS}/c"))[0] == 404
        await client.ask("POST", CONFIG_MAPS, config_map("c"))
        for path in (f"{CONFIG_MAPS}/c", CONFIG_MAPS):
            assert (await client.ask("DELETE", path, {"dryRun": ["All"]}))[0] == 200
            assert (await client.ask("GET", f"{CONFIG_MAPS}/c"))[0] == 200

    use(test)


def test_subresources() -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", DEPLOYMENTS, deployment("d"))
        path = f"{DEPLOYMENTS}/d"
        scale = (await client.ask("GET", f"{path}/scale"))[1]
        assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 1})
        merge = "application/merge-patch+json"
        await client.ask("PATCH", f"{path}/scale", {"spec": {"replicas": 3}}, content_type=merge)
        current = (await client.ask("GET", path))[1]
        assert current["spec"]["replicas"] == 3
        current["status"] = {"replicas": 3, "observedGeneration": 2}
        current["spec"]["replicas"] = 9
        _, updated, _ = await client.ask("PUT", f"{path}/status", current)
        assert (updated["spec"]["replicas"], updated["status"]["replicas"]) == (3, 3)
        assert (await client.ask("GET", f"{path}/nothing"))[0] == 404
        assert (await client.ask("DELETE", f"{path}/status"))[0] == 405
        assert (await client.ask("GET", path))[0] == 200

    use(test)


def test_lists_and_tables_and_deleting_a_selection() -> None:
    async def test(client: Client) -> None:
        for name in ("a", "b", "c"):
            await client.ask("POST", CONFIG_MAPS, config_map(name, odd=str(name != "b").lower()))
        _, found, _ = await client.ask("GET", CONFIG_MAPS + "?limit=2")
        assert found["kind"] == "ConfigMapList"
        assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b"]
        assert found["metadata"]["remainingItemCount"] == 1
        _, rest, _ = await client.ask("GET", f"{CONFIG_MAPS}?limit=2&continue={found['metadata']['continue']}")
        assert [item["metadata"]["name"] for item in rest["items"]] == ["c"]
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        _, table, _ = await client.ask("GET", CONFIG_MAPS, Accept=accept)
        assert [row["cells"][:2] for row in table["rows"]] == [["a", 1], ["b", 1], ["c", 1]]
        accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
        _, partial, _ = await client.ask("GET", CONFIG_MAPS, Accept=accept)
        assert partial["kind"] == "PartialObjectMetadataList"
        assert set(partial["items"][0]) == {"kind", "apiVersion", "metadata"}
        _, gone, _ = await client.ask("DELETE", CONFIG_MAPS + "?labelSelector=odd%3Dtrue")
        assert len(gone["items"]) == 2
        _, left, _ = await client.ask("GET", CONFIG_MAPS)
        assert [item["metadata"]["name"] for item in left["items"]] == ["b"]

    use(test)


def test_a_watch_shows_what_happens_and_ends_with_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: Client) -> None:
        subscribe, ended = client.store.subscribe, asyncio.Event()

        def subscribed(callback: Callable[[Change], None]) -> Callable[[], None]:
            unsubscribe = subscribe(callback)
            return lambda: (unsubscribe(), ended.set())[0]

        monkeypatch.setattr(client.store, "subscribe", subscribed)
        url = f"{client.server.url}{CONFIG_MAPS}?watch=true&labelSelector=app"
        async with client.session.get(url) as answer:
            assert answer.status == 200
            await client.ask("POST", CONFIG_MAPS, config_map("c", app="x"))
            event = json.loads(await answer.content.readline())
            assert (event["type"], event["object"]["kind"]) == ("ADDED", "ConfigMap")
            assert not ended.is_set()
        await ended.wait()

    use(test)


def test_a_server_that_closes_ends_its_watches() -> None:
    async def test(client: Client) -> None:
        async with client.session.get(f"{client.server.url}{CONFIG_MAPS}?watch=true") as answer:
            await client.server.close()
            with contextlib.suppress(aiohttp.ClientPayloadError):
                assert await answer.content.read() == b""

    use(test)


def test_a_watch_of_too_long_ago_is_told_to_start_again() -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", CONFIG_MAPS, config_map("c"))
        client.store.forget(client.store.revision)
        status, event, _ = await client.ask("GET", CONFIG_MAPS + "?watch=1&resourceVersion=1")
        assert (status, event["type"], event["object"]["code"]) == (200, "ERROR", 410)
        assert (await client.ask("GET", CONFIG_MAPS + "?watch=1&resourceVersion=x"))[0] == 400

    use(test)


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "code"),
    [
        ("POST", CONFIG_MAPS, None, "application/json", 400),
        ("POST", CONFIG_MAPS, b"{", "application/json", 400),
        ("POST", CONFIG_MAPS, b"hello", "text/plain", 415),
        ("POST", CONFIG_MAPS, [], "application/json", 400),
        ("POST", CONFIG_MAPS, {"metadata": {"name": "Not_Good"}}, "application/json", 422),
        ("POST", CONFIG_MAPS + "?dryRun=Some", {"metadata": {"name": "x"}}, "application/json", 422),
        ("POST", "/api/v1/configmaps", {"metadata": {"name": "x"}}, "application/json", 405),
        ("POST", "/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "x"}}, "application/json", 404),
        ("PUT", CONFIG_MAPS, {}, "application/json", 405),
        ("PUT", CONFIG_MAPS + "/c", {"metadata": {"name": "other"}}, "application/json", 400),
        ("PATCH", CONFIG_MAPS + "/c", {"a": 1}, "application/json", 415),
        ("PATCH", CONFIG_MAPS + "/c", [{"op": "remove", "path": "/nothing"}], "application/json-patch+json", 422),
        ("PATCH", CONFIG_MAPS + "/c", {}, "application/json-patch+json", 400),
        ("PATCH", CONFIG_MAPS + "/c", [], "application/merge-patch+json", 400),
        ("PATCH", CONFIG_MAPS + "/c", [], "application/strategic-merge-patch+json", 400),
        ("PATCH", CONFIG_MAPS + "/c?force=true", {}, "application/merge-patch+json", 422),
        ("DELETE", "/api/v1/configmaps", None, "application/json", 405),
        ("DELETE", CONFIG_MAPS + "/c?gracePeriodSeconds=x", None, "application/json", 400),
        ("DELETE", "/api/v1/namespaces", None, "application/json", 405),
        ("GET", CONFIG_MAPS + "?limit=x", None, "application/json", 400),
        ("TRACE", CONFIG_MAPS, None, "application/json", 405),
    ],
)
def test_bad_requests_are_answered_with_a_status(
    method: str, path: str, body: Any, content_type: str, code: int
) -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", CONFIG_MAPS, config_map("c"))
        status, answer, _ = await client.ask(method, path, body, content_type=content_type)
        assert status == code, answer
        assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Failure", code)

    use(test)


def test_a_client_that_reads_only_protobuf_is_refused() -> None:
    async def test(client: Client) -> None:
        assert (await client.ask("GET", CONFIG_MAPS, Accept="application/vnd.kubernetes.protobuf"))[0] == 406

    use(test)


def test_what_cannot_be_read_is_told_in_go_s_words() -> None:
    async def test(client: Client) -> None:
        status, answer, _ = await client.ask("POST", PODS, b'{"kind":"Pod",', content_type="application/json")
        assert (status, answer["message"]) == (
            400,
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            'unexpected end of JSON input ({"kind":"Pod",)',
        )
        await client.ask("POST", PODS, pod("p"))
        merge = "application/merge-patch+json"
        status, answer, _ = await client.ask("PATCH", f"{PODS}/p", b"no json", content_type=merge)
        why = "error decoding patch: invalid character 'o' in literal null (expecting 'u')"
        assert (status, answer["message"]) == (400, why)

    use(test)


def test_an_eviction_asks_the_disruption_budgets() -> None:
    async def test(client: Client) -> None:
        body = pod("p")
        body["metadata"]["labels"] = {"app": "x"}
        await client.ask("POST", PODS, body)
        budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}
        await client.ask("POST", budgets, budget)
        eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "p"}}
        status, answer, headers = await client.ask("POST", f"{PODS}/p/eviction", eviction)
        assert (status, answer["reason"], headers["Retry-After"]) == (429, "TooManyRequests", "10")
        await client.ask("DELETE", f"{budgets}/b")
        dry = {**eviction, "deleteOptions": {"dryRun": ["All"]}}
        assert (await client.ask("POST", f"{PODS}/p/eviction", dry))[0] == 201
        before = (await client.ask("GET", f"{PODS}/p"))[1]
        assert "conditions" not in before["status"]
        # A finalizer keeps it there, so that what it says can be read.
        await client.ask("PUT", f"{PODS}/p", {**before, "metadata": {**before["metadata"], "finalizers": ["a.b/c"]}})
        assert (await client.ask("POST", f"{PODS}/p/eviction", eviction))[0] == 201
        (condition,) = (await client.ask("GET", f"{PODS}/p"))[1]["status"]["conditions"]
        assert (condition["type"], condition["reason"]) == ("DisruptionTarget", "EvictionByEvictionAPI")

    use(test)


def test_logs() -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", PODS, pod("nowhere"))
        assert (await client.ask("GET", f"{PODS}/nowhere/log"))[0] == 204  # there is no kubelet to ask
        body = pod("p")
        body["spec"]["nodeName"] = "node1"
        await client.ask("POST", PODS, body)
        path = f"{PODS}/p/log"
        assert (await client.ask("GET", path))[:2] == (200, "one\ntwo\n")
        assert (await client.ask("GET", path + "?tailLines=1"))[1] == "two\n"
        assert (await client.ask("GET", path + "?follow=true&tailLines=1"))[1] == "two\nthree\n"
        assert (await client.ask("GET", path + "?follow=true&limitBytes=10"))[1] == "one\ntwo\nth"
        status, body, _ = await client.ask("GET", path + "?previous=true")
        assert (status, body["message"]) == (400, 'previous terminated container "c" in pod "p" not found')
        assert (await client.ask("GET", path + "?container=x"))[0] == 400
        assert (await client.ask("GET", f"{PODS}/q/log"))[0] == 404

    use(test)


def test_answers_in_yaml() -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", PODS, pod("p"))
        status, text, headers = await client.ask("GET", f"{PODS}/p", Accept="application/yaml")
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, "application/yaml")
        assert yaml.safe_load(text)["metadata"]["name"] == "p"
        status, body, _ = await client.ask("GET", f"{PODS}/p", Accept="text/html")
        assert (status, body["message"].partition("\n")[0]) == (406, "406: Not Acceptable")

    use(test)


def test_there_is_no_shell_in_a_pod() -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", PODS, pod("p"))
        status, body, _ = await client.ask("GET", f"{PODS}/p/exec?command=ls")
        assert status == 400
        assert body["message"].startswith("the sandbox has no exec: read a container's log instead")
        assert (await client.ask("GET", f"{PODS}/q/exec"))[0] == 404

    use(test)


def test_reviews() -> None:
    async def test(client: Client) -> None:
        spec = {"resourceAttributes": {"verb": "create", "resource": "pods"}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        status, body, _ = await client.ask("POST", path, {"spec": spec})
        assert (status, body["spec"], body["status"]) == (201, spec, {"allowed": True})
        status, body, _ = await client.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert (status, body["status"]["userInfo"]["username"]) == (201, "kubernetes-admin")
        assert (await client.ask("POST", "/api/v1/namespaces/default/bindings", {}))[0] == 405
        assert (await client.ask("GET", path))[0] == 405

    use(test)


@contextlib.asynccontextmanager
async def backend() -> AsyncIterator[int]:
    """An HTTP server that answers with what it was asked; yields its port."""

    async def echo(request: web.Request) -> web.Response:
        if request.path == "/zipped":
            return web.Response(body=gzip.compress(b"zipped"), headers={"Content-Encoding": "gzip"})
        if request.path == "/moved":
            raise web.HTTPFound("/elsewhere")
        said = {
            "method": request.method,
            "path": request.raw_path,
            "headers": dict(request.headers),
            "body": (await request.read()).decode(),
        }
        return web.json_response(said, status=418, headers={"X-Own": "yes"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def expose(client: Client, port: int) -> str:
    """A Service in front of a port of 127.0.0.1; its proxy's path."""
    client.store.put(
        resources.SERVICES,
        {"metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": [{"name": "", "port": 80}]}},
    )
    client.store.put(
        resources.ENDPOINTSLICES,
        {
            "metadata": {"name": "s-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "s"}},
            "ports": [{"name": "", "port": port}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        },
    )
    return "/api/v1/namespaces/default/services/s:80/proxy"


def test_the_proxy_hands_on_the_whole_request_and_the_whole_answer() -> None:
    async def test(client: Client) -> None:
        async with backend() as port:
            path = expose(client, port)
            status, said, headers = await client.ask(
                "POST", f"{path}/a%20b?c=d%2Fe", b"hello", content_type="text/plain",
                Authorization="Bearer secret", X_Mine="1",
            )  # fmt: skip
            assert (status, headers["X-Own"]) == (418, "yes")
            assert (said["method"], said["path"], said["body"]) == ("POST", "/a%20b?c=d%2Fe", "hello")
            assert said["headers"]["X-Mine"] == "1"
            assert said["headers"]["Content-Type"] == "text/plain"
            assert "Authorization" not in said["headers"]
            _, said, _ = await client.ask("GET", path)
            assert said["path"] == "/"

    use(test)


def test_the_proxy_leaves_encodings_and_redirects_to_the_client_by_its_own_way() -> None:
    async def test(client: Client) -> None:
        async with backend() as port:
            path = expose(client, port)
            status, text, headers = await client.ask("GET", f"{path}/zipped")
            assert (status, text, headers["Content-Encoding"]) == (200, "zipped", "gzip")
            url = f"{client.server.url}{path}/moved"
            async with client.session.get(url, allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (302, f"{path}/elsewhere")

    use(test)


def test_a_service_that_does_not_answer_is_unavailable() -> None:
    async def test(client: Client) -> None:
        async with backend() as port:
            path = expose(client, port)
        status, body, _ = await client.ask("GET", path)
        assert (status, body["reason"]) == (503, "ServiceUnavailable")
        assert body["message"] == (
            f"error trying to reach service: dial tcp 127.0.0.1:{port}: connect: connection refused"
        )

    use(test)


def test_two_servers_cannot_share_a_port() -> None:
    async def test(client: Client) -> None:
        store = Store()
        second = ApiServer(
            store, Registry(store), certificates=MADE, pod_logs=Logs(), dial=lambda ip, port: (ip, port),
            port=client.server.port,
        )  # fmt: skip
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        await second.close()

    use(test)


def test_the_administrators_key_is_not_left_on_disk() -> None:
    before = set(Path(tempfile.gettempdir()).iterdir())
    MADE.server_context()
    assert {path for path in set(Path(tempfile.gettempdir()).iterdir()) - before if (path / "key").exists()} == set()
