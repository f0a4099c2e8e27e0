"""Drives a cluster as a recording was driven, and holds each answer against the recorded one."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yarl
from conformance.comparison import Names, differences, generated_names, normalised
from conformance.recordings import Exchange

#: How long an answer may take to become the recorded one: the cluster works while the client asks again.
PATIENCE_SECONDS = 20.0
#: The same where it is known that it does not.
_BRIEF_SECONDS = 0.2
#: The cluster IP of the Service `kubernetes` as recorded.
_API_SERVICE = "10.96.0.1"
_ASK_AGAIN_SECONDS = 0.05
#: A moment, which passes only once all that is on its way has come.
_MOMENT = 0.005
#: By how much the times of requests and of events may differ in a recording.
_CLOCKS_SECONDS = 0.1
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#: What changes by itself between two requests: every state that it has had since the last write counts.
_MOVING = (
    "/apis/apps/v1/namespaces/{}/deployments", "/apis/apps/v1/namespaces/{}/statefulsets",
    "/apis/apps/v1/namespaces/{}/daemonsets", "/apis/batch/v1/namespaces/{}/jobs", "/api/v1/namespaces/{}/pods",
    "/apis/policy/v1/namespaces/{}/poddisruptionbudgets", "/api/v1/namespaces/{}/resourcequotas", "/api/v1/namespaces",
    "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
)  # fmt: skip
#: How long the object of a request may take to be in the state in which it was when the request was recorded.
_STATE_SECONDS = 6.0


@dataclass
class Result:
    """What one exchange came to: `differences` is empty where it agrees."""

    index: int
    title: str
    differences: list[str]


@dataclass
class Answer:
    """A status code, a content type and a decoded body."""

    status: int
    content_type: str
    body: Any


@dataclass
class Watching:
    """A watch that runs beside the other exchanges."""

    status: int
    events: list[Any] = field(default_factory=list)


class Replay:
    """One recording against one cluster. `send` asks the cluster; `open_watch` starts a watch."""

    def __init__(
        self,
        send: Callable[[str, str, dict[str, str], bytes | None], Awaitable[Answer]],
        open_watch: Callable[[str, dict[str, str]], Awaitable[Watching]],
        before: Callable[[Exchange], Awaitable[None]],
    ) -> None:
        """`before` is told of each exchange before its request is sent."""
        self._send = send
        self._open_watch = open_watch
        self._before = before
        self._written = ""  # the method of the last write
        self._uids: dict[str, str] = {}  # recorded uid to the cluster's
        self._names = Names()
        self._versions: dict[str, str] = {}  # recorded resourceVersion to the cluster's
        self._tokens: dict[str, str] = {}  # recorded `continue` token to the cluster's
        self._pods: dict[str, str] = {}  # recorded pod name to a pod of the same template here
        self._bodies: dict[str, Any] = {}  # what a path was last recorded to answer
        self._watches: dict[int, Watching] = {}
        self._since: list[int] = []  # where in each history the present state may begin
        self._expected: tuple[Any, Any] = (None, None)  # what was last held against answers, and the same normalised

    async def run(
        self, exchanges: list[Exchange], namespace: str, times: dict[str, float], known: set[int], *, paced: bool
    ) -> list[Result]:
        """The results, in the order of the recording.

        `times` says when the recorded cluster had which resourceVersion: what a watch showed before a
        request was sent must have been shown here as well before it is sent. What is `known` to differ
        is not waited for. Where it is `paced`, no exchange is begun earlier after the one before than it was recorded:
        where a scenario slept, the cluster has its time here as well.
        """
        loop = asyncio.get_running_loop()
        began = 0.0
        results = []
        ended: dict[int, list[str]] = {}
        self._histories = [
            await self._open_watch(f"{path}?watch=true", {})
            for path in (*(path.format(namespace) for path in _MOVING), _DEFINITIONS)
        ]
        self._since = [0 for _ in self._histories]
        for index, exchange in enumerate(exchanges):
            # A watch stands in the recording where it ended; it is opened when it began.
            for later in range(index, len(exchanges)):
                if (
                    "watch" in exchanges[later]
                    and later not in self._watches
                    and exchanges[later]["t"] <= exchange["t"]
                    and (later == index or self._begins_at_a_known_version(exchanges[later]))
                ):
                    self._watches[later] = await self._open(exchanges[later])
            for open_, watching in self._watches.items():
                if open_ not in ended and _last_seen(exchanges[open_], times) < exchange["t"] - _CLOCKS_SECONDS:
                    patience = _BRIEF_SECONDS if open_ in known else PATIENCE_SECONDS
                    ended[open_] = await self._end_watch(exchanges[open_], watching, patience)
            title = f"{exchange['method']} {exchange['path']}"
            patience = _BRIEF_SECONDS if index in known else PATIENCE_SECONDS
            due = began + exchange["t"] if paced else 0.0
            await asyncio.sleep(max(_MOMENT, due - loop.time()))
            if exchange["method"] in ("PATCH", "PUT", "DELETE"):
                await self._await_state(exchange, _BRIEF_SECONDS if index in known else _STATE_SECONDS)
            began += max(0.0, loop.time() - due)  # what came late does not hurry what follows
            await self._before(exchange)
            if "watch" not in exchange:
                found = await self._exchange(exchange, patience)
            elif index in ended:
                found = ended[index]
            else:
                found = ended[index] = await self._end_watch(exchange, self._watches[index], patience)
            results.append(Result(index, title, found))
        return results

    # -- one exchange ----------------------------------------------------------------------------

    async def _exchange(self, exchange: Exchange, patience: float) -> list[str]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        # Definitions take their steps without anybody's writes, a refused write changes nothing, and of creations or
        # deletions in a row a later one takes nothing back that came of the first.
        since = list(self._since)
        writes = exchange["method"] != "GET" and exchange["status"] < 400 and "dryRun=" not in exchange["path"]
        if writes and not (exchange["method"] == self._written and self._written in ("DELETE", "POST")):
            self._since[:-1] = [len(history.events) for history in self._histories[:-1]]
        if writes:
            self._written = exchange["method"]
        while True:
            answer = await self._ask(exchange)
            found = self._compare(exchange, answer)
            if found:
                answer = self._a_moment_ago(exchange, answer, since) or answer
                found = self._compare(exchange, answer)
            if not found:
                self._learn(exchange, answer)
                return []
            if _has_no_room(exchange, answer) and loop.time() < deadline:
                await asyncio.sleep(_ASK_AGAIN_SECONDS)  # what was to make room is still on its way out
                continue
            if exchange["method"] != "GET" or loop.time() > deadline or _never_changes(exchange):
                self._learn(exchange, answer)
                return found
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def _await_state(self, exchange: Exchange, patience: float) -> None:
        """Wait until the object that is written to has the status that it had when the request was recorded."""
        recorded = self._recorded(exchange)
        status = recorded.get("status") if isinstance(recorded, dict) else None
        path = exchange["path"].partition("?")[0]
        if not isinstance(status, dict) or path.endswith(("/scale", "/status")):
            return
        if recorded["kind"] in ("Status", "Namespace"):  # whose status is what the request has made of it
            return
        if self._has_been(recorded):
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while loop.time() < deadline:
            answer = await self._send("GET", self._path(path), {}, None)
            if answer.status != 200:
                return
            if not differences(
                normalised(status, "status"), normalised(answer.body.get("status"), "status"), self._names
            ):
                return
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    def _has_been(self, recorded: Any) -> bool:
        """Whether an object has been in a recorded state already."""
        name = recorded.get("metadata", {}).get("name")
        status = normalised(recorded["status"], "status")
        return any(
            event["object"].get("kind") == recorded.get("kind")
            and event["object"]["metadata"].get("name") == self._pods.get(name, name)
            and not differences(status, normalised(event["object"].get("status"), "status"), self._names)
            for history in self._histories
            for event in list(history.events)
            if "metadata" in event["object"]
        )

    def _a_moment_ago(self, exchange: Exchange, answer: Answer, before: list[int]) -> Answer | None:
        """The recorded answer, where the cluster would have given it to a client that asked sooner.

        A state that lasts milliseconds cannot be asked for in time. Deployments and definitions are watched
        from the start, so every state since the last write is known as the API server told it. `before` is where
        the states of the write before this one began: an answer to a write has the status of the moment.
        """
        recorded = self._recorded(exchange)
        if exchange["status"] != 200 or not isinstance(recorded, dict):
            return None
        if exchange["method"] != "GET":
            return self._written_sooner(exchange, recorded, answer, before)
        for number, history in enumerate(self._histories):
            since = self._since[number]
            latest = {_name(event): event for event in history.events[:since] if "object" in event}
            for index, event in enumerate([*latest.values(), *history.events[since:]], since - len(latest)):
                past = _answer_of(recorded, answer, event["object"])
                if past is not None and not self._compare(exchange, past):
                    self._since[number] = max(index, since)
                    return past
        return None

    def _written_sooner(self, exchange: Exchange, recorded: Any, answer: Answer, before: list[int]) -> Answer | None:
        """The answer to a write with a status that its object had since the write before."""
        if not isinstance(answer.body, dict) or "status" not in recorded or recorded.get("kind") == "Status":
            return None
        meta = answer.body.get("metadata") or {}
        for history, since in zip(self._histories, before, strict=True):
            states = [event["object"] for event in history.events if "object" in event]
            same = [state for state in states if (state.get("metadata") or {}).get("uid") == meta.get("uid")]
            begun = {id(event.get("object")) for event in history.events[since:]}
            older = [state for state in same if id(state) not in begun][-1:]
            for state in [*older, *(state for state in same if id(state) in begun)]:
                past = Answer(answer.status, answer.content_type, {**answer.body, "status": state.get("status")})
                if not self._compare(exchange, past):
                    return past
        return None

    async def _ask(self, exchange: Exchange) -> Answer:
        body: bytes | None = None
        if "body_base64" in exchange:
            body = base64.b64decode(exchange["body_base64"])
        elif "body" in exchange and exchange["body"] is not None:
            body = json.dumps(await self._translated(exchange["body"])).encode()
        elif exchange.get("body_text"):
            body = exchange["body_text"].encode()
        return await self._send(exchange["method"], self._path(exchange["path"]), exchange["headers"], body)

    def _path(self, path: str) -> str:
        for deployment, hash_, suffix in generated_names(path):
            if suffix:
                name = f"{deployment}-{hash_}-{suffix}"
                path = path.replace(name, self._pods.get(name, name))
        for recorded, ours in self._tokens.items():
            path = path.replace(f"continue={recorded}", f"continue={ours}")
        return re.sub(r"resourceVersion=(\d+)", lambda m: f"resourceVersion={self._versions.get(m[1], m[1])}", path)

    async def _translated(self, body: Any, key: str = "") -> Any:
        """A recorded body with the recorded cluster's own names replaced by this one's."""
        if isinstance(body, dict):
            if body.get("path") == "/metadata/resourceVersion":
                return {**body, "value": self._versions.get(body["value"], body["value"])}
            return {name: await self._translated(item, name) for name, item in body.items()}
        if isinstance(body, list):
            return [await self._translated(item) for item in body]
        if key == "resourceVersion":
            return self._versions.get(body, body)
        if key == "uid":
            return self._uids.get(body, body)
        if key == "clusterIP" and body == _API_SERVICE:
            answer = await self._send("GET", "/api/v1/namespaces/default/services/kubernetes", {}, None)
            return answer.body["spec"][key]
        if key == "pod-template-hash":
            return self._names.forward.get(body, body)
        return body

    def _recorded(self, exchange: Exchange) -> Any:
        if exchange.get("response_same_as_before"):
            return self._bodies.get(exchange["path"])
        return exchange.get("response")

    def _compare(self, exchange: Exchange, answer: Answer) -> list[str]:
        if answer.status != exchange["status"]:
            said = answer.body.get("message", "") if isinstance(answer.body, dict) else ""
            return [f"status code is {answer.status} ({said}), recorded {exchange['status']}"]
        if exchange.get("response_omitted"):
            return [] if answer.content_type == "application/json" else ["the document is not JSON"]
        if "response_text" in exchange and exchange["headers"].get("accept", "").startswith(
            "application/vnd.kubernetes.protobuf"
        ):
            # Recorded in protobuf, which the sandbox answers in JSON, as the Accept header allows.
            return []
        if "response_text" in exchange:
            same = isinstance(answer.body, str) == isinstance(exchange["response_text"], str)
            return [] if same else [f"the text is {answer.body!r}"]
        recorded = self._recorded(exchange)
        ours = without(answer.body, set(exchange.get("response_without") or ()))
        if self._expected[0] is not recorded:
            self._expected = recorded, normalised(recorded)
        return differences(self._expected[1], normalised(ours), self._names)

    def _learn(self, exchange: Exchange, answer: Answer) -> None:
        """Remember what this cluster calls the things that the recording names."""
        recorded = self._recorded(exchange)
        if exchange.get("response") is not None:
            self._bodies[exchange["path"]] = exchange["response"]
        self._learn_versions(recorded, answer.body)
        ours: dict[str, list[str]] = {}
        for _, hash_, name in _pods_of(answer.body):
            ours.setdefault(hash_, []).append(name)
        for _, hash_, name in _pods_of(recorded):
            same = ours.get(self._names.forward.get(hash_, ""))
            if same:
                self._pods[name] = same[0]

    def _learn_versions(self, recorded: Any, ours: Any) -> None:
        if not isinstance(recorded, dict) or not isinstance(ours, dict):
            return
        a, b = ((value.get("metadata") or {}).get("resourceVersion") for value in (recorded, ours))
        if a and b:
            self._versions[a] = b
        a, b = ((value.get("metadata") or {}).get("uid") for value in (recorded, ours))
        if a and b:
            self._uids[a] = b
        a, b = ((value.get("metadata") or {}).get("continue") for value in (recorded, ours))
        if a and b:
            self._tokens[urllib.parse.quote(a, safe="")] = urllib.parse.quote(b, safe="")
            self._tokens[a] = b
        if len(recorded.get("items") or ()) == len(ours.get("items") or ()):
            for pair in zip(recorded.get("items") or (), ours.get("items") or (), strict=True):
                self._learn_versions(*pair)

    def _begins_at_a_known_version(self, exchange: Exchange) -> bool:
        """Whether the list that a watch goes on from has been answered here."""
        found = re.search(r"resourceVersion=(\d+)", exchange["path"])
        return found is None or found[1] in ("0", *self._versions)

    # -- watches ---------------------------------------------------------------------------------

    async def _open(self, exchange: Exchange) -> Watching:
        return await self._open_watch(self._path(exchange["path"]), exchange["headers"])

    async def _end_watch(self, exchange: Exchange, watching: Watching, patience: float) -> list[str]:
        """The states between depend on which pod is ready first; the last one must come."""
        if watching.status != exchange["status"]:
            return [f"status code is {watching.status}, recorded {exchange['status']}"]
        if not exchange["watch"]:
            return []
        last = exchange["watch"][-1]
        deadline = asyncio.get_running_loop().time() + patience
        found: list[str] = ["no event came"]
        seen = 0
        while True:
            for event in watching.events[seen:]:
                seen += 1
                event = without(event, set(exchange.get("response_without") or ()))
                found = differences(normalised(last), normalised(event), self._names)
                if not found:
                    self._learn_versions(last.get("object"), event.get("object"))
                    return []
            if asyncio.get_running_loop().time() >= deadline:
                return found
            await asyncio.sleep(_ASK_AGAIN_SECONDS)


def _name(event: Any) -> str:
    """Whose state an event is."""
    meta = event["object"].get("metadata") or {}
    return f"{meta.get('namespace', '')}/{meta.get('name', '')}"


def _answer_of(recorded: Any, answer: Answer, state: Any) -> Answer | None:
    """What the cluster would have answered while an object was in a state; None where another kind was asked for."""
    kind = recorded.get("kind", "")
    if kind == "Scale" and state["kind"] in ("Deployment", "StatefulSet") and isinstance(answer.body, dict):
        replicas = state["spec"].get("replicas", 0)
        status = {**(answer.body.get("status") or {}), "replicas": (state.get("status") or {}).get("replicas", 0)}
        spec = {"replicas": replicas} if replicas else {}
        return Answer(200, "application/json", {**answer.body, "spec": spec, "status": status})
    if kind == state["kind"]:
        return Answer(200, "application/json", state)
    if kind != f"{state['kind']}List" or len(recorded["items"]) != 1 or not isinstance(answer.body, dict):
        return None
    item = {key: value for key, value in state.items() if key not in ("kind", "apiVersion")}
    about = {key: answer.body[key] for key in ("kind", "apiVersion") if key in answer.body}
    body = {**about, "items": [item], "metadata": {"resourceVersion": state["metadata"]["resourceVersion"]}}
    return Answer(200, "application/json", body)


def without(value: Any, names: set[str]) -> Any:
    """A value without the fields of some names, wherever they are: what was taken out of a recording."""
    if not names:
        return value
    if isinstance(value, dict):
        return {key: without(item, names) for key, item in value.items() if key not in names}
    return [without(item, names) for item in value] if isinstance(value, list) else value


def _pods_of(body: Any) -> list[tuple[str, str, str]]:
    """The pods of a list or a table: (namespace, template hash, name)."""
    if not isinstance(body, dict):
        return []
    items = body.get("items") or [row.get("object") or {} for row in body.get("rows") or ()]
    metas = [item.get("metadata") or {} for item in items]
    return [
        (meta.get("namespace", ""), meta["labels"]["pod-template-hash"], meta["name"])
        for meta in metas
        if "generateName" in meta and "pod-template-hash" in (meta.get("labels") or {})
    ]


def _last_seen(exchange: Exchange, times: dict[str, float]) -> float:
    """When a recorded watch had shown all it would show, in seconds; infinite where that is not known."""
    if not exchange["watch"]:
        return exchange["t"]
    version = (exchange["watch"][-1]["object"].get("metadata") or {}).get("resourceVersion", "")  # an ERROR has none
    return times.get(version, float("inf"))


def _has_no_room(exchange: Exchange, answer: Answer) -> bool:
    """Whether a creation that was recorded as done is refused by a quota, which pods that end still count for."""
    refused = answer.status == 403 and "exceeded quota" in str(answer.body)
    return exchange["method"] == "POST" and exchange["status"] == 201 and refused


def _never_changes(exchange: Exchange) -> bool:
    """Whether asking again is of no use: documents."""
    return urllib.parse.urlsplit(exchange["path"]).path.startswith(("/openapi", "/version", "/api/v1/nodes"))


class HttpCluster:
    """A cluster behind its URL, for `Replay`, as `administrator` and as others; to be closed."""

    def __init__(self, server: str, administrator: ssl.SSLContext, texts: Sequence[tuple[str, str]] = ()) -> None:
        """`texts` are what a recording says, and what stands for it here."""
        self._server = server
        self._texts = texts
        self._administrator, self._anonymous = _session(administrator), _session(False)
        self._tokens: dict[str, str] = {}
        self._reading: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End every watch and every connection."""
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        await self._administrator.close()
        await self._anonymous.close()

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Ask once, as the user that the headers name."""
        session = self._administrator
        if "authorization" in headers:
            session = self._anonymous
            headers = {**headers, "authorization": await self._credentials(headers["authorization"])}
        for recorded, ours in self._texts if body else ():
            body = (body or b"").replace(recorded.encode(), ours.encode())
        url = yarl.URL(self._server + path, encoded=True)
        async with session.request(method, url, headers=headers, data=body, allow_redirects=False) as response:
            text = (await response.read()).decode(errors="replace")
        content_type = response.headers.get("Content-Type", "").partition(";")[0]
        for recorded, ours in self._texts:
            text = text.replace(ours, recorded)
        body_ = json.loads(text) if content_type == "application/json" and text else text
        return Answer(response.status, content_type, body_)

    async def _credentials(self, recorded: str) -> str:
        """`Bearer <token of SUBJECT>` with a token of this cluster."""
        subject = re.fullmatch(r"Bearer <token of system:serviceaccount:([^:]+):([^>]+)>", recorded)
        if subject is None:
            return recorded
        if recorded not in self._tokens:
            path = "/api/v1/namespaces/{}/serviceaccounts/{}/token".format(*subject.groups())
            body = b'{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{}}'
            answer = await self.send("POST", path, {"content-type": "application/json"}, body)
            if answer.status != 201:
                return recorded
            self._tokens[recorded] = answer.body["status"]["token"]
        return f"Bearer {self._tokens[recorded]}"

    async def open_watch(self, path: str, headers: dict[str, str]) -> Watching:
        """Start to watch in a task, which ends with the watch."""
        url = yarl.URL(self._server + path, encoded=True)
        response = await self._administrator.get(url, headers=headers)
        watching = Watching(response.status)

        async def read() -> None:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                watching.events += [json.loads(line) for line in lines if line]

        self._reading.add(asyncio.create_task(read()))
        return watching


def _session(trusted: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    )
