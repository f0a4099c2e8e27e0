# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Admission webhooks: which are about a request, what they are sent, and what their answers come to.

Nothing here waits. A write that needs an answer it does not have yet raises Unanswered; whoever made the write has the
webhooks asked and makes it again.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import json
import re
import uuid
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from .. import documents, expressions, patch, resources
from ..errors import ApiError
from ..resources import RESOURCES, Resource
from ..store import Object, Store
from . import context, policies
from .answers import Answer, Answers, Call
from .policies import Attempt

_GROUP = "admissionregistration.k8s.io"
MUTATING = RESOURCES[_GROUP, "v1", "mutatingwebhookconfigurations"]
#: The name of the volume that admission gives a pod for its token: another one each time.
_RANDOM = re.compile(r"kube-api-access-[a-z0-9]{5}")
VALIDATING = RESOURCES[_GROUP, "v1", "validatingwebhookconfigurations"]


Client = Callable[[Call], Awaitable[Answer]]
_clients: weakref.WeakKeyDictionary[Store, Client] = weakref.WeakKeyDictionary()


def use(store: Store, client: Client) -> None:
    """Have the webhooks of a cluster asked by a client; without one they are not."""
    _clients[store] = client


class Unanswered(Exception):  # noqa: N818 - nothing is wrong
    """A write cannot go on before webhooks have been asked."""

    def __init__(self, calls: list[Call], answers: Answers, client: Client) -> None:
        super().__init__(f"{len(calls)} webhooks have to be asked")
        self._calls = calls
        self._answers = answers
        self._client = client

    async def ask(self) -> None:
        """Ask them, all at once; afterwards the write can be made again."""
        found = await asyncio.gather(*(self._client(call) for call in self._calls))
        for call, answer in zip(self._calls, found, strict=True):
            self._answers.add(call, answer)


def settle() -> None:
    """A write is done, or refused: the answers that it used are for no other."""
    answers = context.answers()
    if answers is not None:
        answers.settle()


def mutate(store: Store, attempt: Attempt) -> Object:
    """The new object as webhooks want it. Raises ApiError where one denies it, Unanswered where one has to be asked."""
    answers, client = _asking(store, attempt)
    if answers is None or client is None:
        return attempt.object
    new = attempt.object
    seen: dict[tuple[str, ...], Object] = {}
    for again in (False, True):
        for configuration, webhook in _webhooks(store, MUTATING):
            name = (configuration, webhook["name"])
            if again and (webhook.get("reinvocationPolicy") != "IfNeeded" or seen.get(name) in (None, new)):
                continue
            asked = dataclasses.replace(attempt, new=new) if attempt.new is not None else attempt
            if not _is_about(store, webhook, asked):
                continue
            call = _call(MUTATING, configuration, webhook, asked)
            answer = answers.find(call)
            if answer is None:
                raise Unanswered([call], answers, client)
            new = _mutated(asked, answer, webhook)
            seen[name] = new
    return new


def validate(store: Store, attempt: Attempt) -> None:
    """Raises ApiError where a webhook denies a request, Unanswered where some have to be asked."""
    answers, client = _asking(store, attempt)
    if answers is None or client is None:
        return
    about = [
        (_call(VALIDATING, configuration, webhook, attempt), webhook)
        for configuration, webhook in _webhooks(store, VALIDATING)
        if _is_about(store, webhook, attempt)
    ]
    missing = [call for call, _ in about if answers.find(call) is None]
    if missing:
        raise Unanswered(missing, answers, client)
    errors = []
    for call, webhook in about:
        answer = answers.find(call)
        try:
            _allowed(answer or Answer(), webhook)
        except ApiError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _asking(store: Store, attempt: Attempt) -> tuple[Answers | None, Client | None]:
    """Where answers about a request are kept, and who asks; None where webhooks are not asked about it."""
    if attempt.resource.group == _GROUP:
        return None, None  # or nobody could take a wrong webhook away
    if attempt.resource == resources.EVENTS and context.current() is None:
        return None, None  # a controller cannot tell the same thing again
    return context.answers(), _clients.get(store)


def _webhooks(store: Store, resource: Resource) -> Iterator[tuple[str, Object]]:
    for configuration in store.list(resource):
        for webhook in configuration.get("webhooks") or ():
            yield configuration["metadata"]["name"], webhook


def _is_about(store: Store, webhook: Object, attempt: Attempt) -> bool:
    """Whether a webhook is to be asked. Raises ApiError where its conditions cannot be evaluated and it fails then."""
    if not policies.matches(store, {**webhook, "resourceRules": webhook.get("rules") or ()}, attempt):
        return False
    conditions = webhook.get("matchConditions") or ()
    if not conditions:
        return True
    variables = policies.variables(store, attempt, None)
    wrong = []
    for condition in conditions:
        try:
            if not expressions.evaluate(condition["expression"], variables):
                return False
        except expressions.ExpressionError as error:
            wrong.append(f'expression "{condition["expression"]}" resulted in error: {error}')
    if wrong and webhook.get("failurePolicy") != "Ignore":
        raise policies.denied(attempt, "Forbidden", ", ".join(wrong))
    return not wrong


def _call(kind: Resource, configuration: str, webhook: Object, attempt: Attempt) -> Call:
    body = {"new": _content(attempt.new), "old": _content(attempt.old)}
    text = _RANDOM.sub("kube-api-access", json.dumps(body, sort_keys=True, default=str))
    digest = hashlib.sha256(text.encode()).hexdigest()
    resource = attempt.resource
    where = (attempt.operation, str(attempt.dry_run), resource.plural, attempt.subresource, attempt.namespace, digest)
    return Call(
        (kind.plural, configuration, webhook["name"], *where),
        webhook["clientConfig"],
        webhook.get("timeoutSeconds", 10),
        _review(attempt),
    )


def _content(obj: Object | None) -> Any:
    """What makes a question another one: all but what a second try of the same write makes anew."""
    if obj is None:
        return None
    meta = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in ("uid", "creationTimestamp", "managedFields", "generation")
        and not (key == "name" and obj["metadata"].get("generateName"))
    }
    return {**obj, "metadata": meta}


def _review(attempt: Attempt) -> Object:
    request = policies.request(attempt)
    options = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions"}.get(attempt.operation, "DeleteOptions")
    body = {
        "uid": str(uuid.uuid4()),
        **{key: value for key, value in request.items() if value or key not in ("subResource", "requestSubResource")},
        "object": _shown(attempt.new),
        "oldObject": _shown(attempt.old),
        "dryRun": attempt.dry_run,
        "options": {"kind": options, "apiVersion": "meta.k8s.io/v1", **attempt.options},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": body}


def _shown(obj: Object | None) -> Object | None:
    return None if obj is None else {"kind": obj.get("kind"), "apiVersion": obj.get("apiVersion"), **obj}


def _allowed(answer: Answer, webhook: Object) -> bool:
    """Whether an answer counts. Raises ApiError where it denies, or where there is none and there has to be one."""
    if answer.error:
        if webhook.get("failurePolicy") == "Ignore":
            return False
        raise _internal(f'failed calling webhook "{webhook["name"]}": {answer.error}')
    for text in answer.response.get("warnings") or ():
        context.warn(text)
    if not answer.response.get("allowed"):
        raise _denied(webhook["name"], answer.response.get("status") or {})
    return True


def _internal(text: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {text}", {"causes": [{"message": text}]})


def _denied(name: str, status: Object) -> ApiError:
    why = status.get("message") or status.get("reason")
    text = f'admission webhook "{name}" denied the request' + (f": {why}" if why else " without explanation")
    code = status.get("code") or 0
    return ApiError(code if code >= 400 else 400, status.get("reason") or "", text, status.get("details"))


def _mutated(attempt: Attempt, answer: Answer, webhook: Object) -> Object:
    new = attempt.object
    if not _allowed(answer, webhook) or attempt.new is None or not answer.response.get("patch"):
        return new
    try:
        operations = json.loads(base64.b64decode(answer.response["patch"]))
    except ValueError as error:
        raise _internal(str(error)) from None
    for operation in _operations(operations):
        try:
            new = patch.json_patch(new, [operation])
        except ApiError:
            text = f"{operation.get('op')} operation does not apply: doc is missing path: {operation.get('path')}"
            raise _internal(f"{text}: missing value") from None
    return documents.copied(new)


def _operations(patched: Any) -> Iterable[Object]:
    if not isinstance(patched, list) or not all(isinstance(each, dict) for each in patched):
        raise _internal("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    return patched
