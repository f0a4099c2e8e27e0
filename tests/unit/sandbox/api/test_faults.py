"""Faults of the API server as clients meet them over real HTTPS, and writes that are held."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import aiohttp
import kubernetes
import pytest
from convoy_sandbox import cli, resources
from convoy_sandbox.authorization import Action
from convoy_sandbox.faults import Fault, FaultError, Faults, from_mapping, from_text
from convoy_sandbox.testing import Sandbox, sandbox
from unit.sandbox.api.test_server import CONFIG_MAPS, Client, use

GET = Action("get", "apps", "deployments", namespace="default", name="hello")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500", Fault("500")),
        (
            "429:share=0.25,verbs=get+list,resources=deployments/scale,seconds=3,limit=2",
            Fault("429", 0.25, ("get", "list"), ("deployments/scale",), 3.0, 2),
        ),
    ],
)
def test_faults_are_read_from_the_command_line(text: str, expected: Fault) -> None:
    assert from_text(text) == expected


@pytest.mark.parametrize(
    "text", ["", "418", "500:share=2", "500:share=x", "500:often", "500:odds=1", "delay:seconds=-1"]
)
def test_faults_that_make_no_sense(text: str) -> None:
    with pytest.raises(FaultError):
        from_text(text)


def test_a_mapping_needs_a_kind() -> None:
    with pytest.raises(FaultError, match="it has no kind"):
        from_mapping({"share": 1})


def test_the_same_seed_gives_the_same_faults() -> None:
    def met(seed: int) -> list[bool]:
        faults = Faults([Fault("500", share=0.5)], seed)
        return [bool(faults.draw(GET)) for _ in range(64)]

    assert met(1) == met(1) != met(2)
    assert 16 < sum(met(1)) < 48


def test_faults_keep_to_their_requests_and_limits() -> None:
    faults = Faults(
        [
            Fault("409"),
            Fault("503", verbs=("list",)),
            Fault("delay", resources=("deployments",), seconds=2, limit=1),
            Fault("500", limit=1),
            Fault("429"),
        ]
    )
    assert [[fault.kind for fault in faults.draw(GET)] for _ in range(3)] == [["delay", "500"], ["429"], ["429"]]
    assert faults.draw(Action("update", "", "pods"))[0].kind == "409"
    assert [entry["count"] for entry in faults.described()["faults"]] == [1, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (Fault("500"), 500, "etcdserver: request timed out"),
        (Fault("503"), 503, "the server is currently unable to handle the request"),
        (
            Fault("409"),
            409,
            'Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your '
            "changes to the latest version and try again",
        ),
    ],
)
def test_a_request_is_refused_and_nothing_is_done(fault: Fault, code: int, message: str) -> None:
    async def test(client: Client) -> None:
        await client.ask("POST", CONFIG_MAPS, {"metadata": {"name": "one"}})
        before = client.store.revision
        client.server.faults.set([fault])
        body = {"metadata": {"name": "one"}, "data": {"a": "b"}}
        status, answer, _ = await client.ask("PUT", f"{CONFIG_MAPS}/one", body)
        assert (status, answer["message"], client.store.revision) == (code, message, before)

    use(test)


def test_too_many_requests_say_when_to_come_again() -> None:
    async def test(client: Client) -> None:
        client.server.faults.set([Fault("429", seconds=7)])
        status, text, headers = await client.ask("GET", CONFIG_MAPS)
        assert (status, headers["Retry-After"]) == (429, "7")
        assert text == "Too many requests, please try again later.\n"

    use(test)


@pytest.mark.parametrize(("kind", "done"), [("drop", False), ("drop-after", True)])
def test_a_connection_breaks_before_or_after_the_work(kind: str, done: bool) -> None:
    async def test(client: Client) -> None:
        client.server.faults.set([Fault(kind, verbs=("create",))])
        with pytest.raises(aiohttp.ClientError):
            await client.ask("POST", CONFIG_MAPS, {"metadata": {"name": "one"}})
        assert (client.store.get(resources.CONFIGMAPS, "default", "one") is not None) is done

    use(test)


def test_a_watch_breaks_in_the_middle() -> None:
    async def test(client: Client) -> None:
        client.server.faults.set([Fault("drop-watch", seconds=0.05)])
        with pytest.raises(aiohttp.ClientError):
            await client.ask("GET", f"{CONFIG_MAPS}?watch=true")

    use(test)


def test_resource_versions_expire() -> None:
    async def test(client: Client) -> None:
        for name in ("one", "two"):
            await client.ask("POST", CONFIG_MAPS, {"metadata": {"name": name}})
        _, body, _ = await client.ask("GET", f"{CONFIG_MAPS}?limit=1")
        token, version = body["metadata"]["continue"], body["metadata"]["resourceVersion"]
        client.server.faults.set([Fault("410")])
        status, body, _ = await client.ask("GET", f"{CONFIG_MAPS}?limit=1&continue={token}")
        assert (status, body["reason"]) == (410, "Expired")
        status, body, _ = await client.ask("GET", f"{CONFIG_MAPS}?watch=true&resourceVersion={version}")
        assert (status, body["type"], body["object"]["code"]) == (200, "ERROR", 410)
        assert (await client.ask("GET", CONFIG_MAPS))[0] == 200  # a new list is always good

    use(test)


def test_faults_change_while_the_server_runs() -> None:
    async def test(client: Client) -> None:
        path = "/sandbox/faults"
        wanted = {"seed": 3, "faults": [{"kind": "500", "resources": ["configmaps"], "limit": 1}]}
        assert (await client.ask("PUT", path, wanted))[0] == 200
        assert [(await client.ask("GET", CONFIG_MAPS))[0] for _ in range(2)] == [500, 200]
        _, body, _ = await client.ask("GET", path)
        assert (body["seed"], body["faults"][0]["count"]) == (3, 1)
        status, body, _ = await client.ask("PUT", path, {"faults": [{"kind": "nothing"}]})
        assert (status, "there is no fault" in body["message"]) == (400, True)
        assert (await client.ask("DELETE", path))[1]["faults"] == []

    use(test)


def test_only_the_administrator_makes_faults() -> None:
    async def test(client: Client) -> None:
        assert (await client.ask("PUT", "/sandbox/faults", {}))[0] == 403

    use(test, certificate=False)


@pytest.mark.parametrize(("when", "done"), [("before", False), ("after", True)])
def test_a_client_that_goes_while_its_write_is_held(when: Any, done: bool) -> None:
    async def test(client: Client) -> None:
        hold = client.server.writes.hold(2, when)
        assert (await client.ask("POST", f"{CONFIG_MAPS}?dryRun=All", {"metadata": {"name": "zero"}}))[0] == 201
        assert (await client.ask("POST", CONFIG_MAPS, {"metadata": {"name": "one"}}))[0] == 201
        asking = asyncio.create_task(client.ask("POST", CONFIG_MAPS, {"metadata": {"name": "two"}}))
        write = await asyncio.to_thread(hold.wait, 10)
        assert str(write) == "2 create configmaps default"
        hold.abandon()
        with pytest.raises(aiohttp.ClientError):
            await asking
        assert (await client.ask("GET", f"{CONFIG_MAPS}/two"))[0] == (200 if done else 404)

    use(test)


@pytest.fixture(scope="module")
def cluster() -> Any:
    with sandbox(nodes=1, load_balancer=False) as running:
        yield running


def test_tests_hold_writes_and_make_faults(cluster: Sandbox) -> None:
    client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
    core = kubernetes.client.CoreV1Api(client)
    answers: list[Any] = []

    def create() -> None:
        answers.append(core.create_namespaced_config_map("default", {"metadata": {"name": "held"}}))

    with cluster.hold(1) as held:
        thread = threading.Thread(target=create)
        thread.start()
        write = held.wait(300)
        assert write is not None
        assert write.action.verb == "create"
        assert not answers
    thread.join(300)
    assert answers
    assert write in cluster.writes()
    cluster.set_faults(Fault("503", limit=1))
    with pytest.raises(kubernetes.client.ApiException, match="503"):
        core.list_namespaced_config_map("default")
    assert core.list_namespaced_config_map("default").items


def test_the_command_line_names_a_fault_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    with pytest.raises(cli.UsageError, match="--fault: there is no fault '418'"):
        cli._run(["up", "--directory", str(tmp_path), "--fault", "418"], None)
