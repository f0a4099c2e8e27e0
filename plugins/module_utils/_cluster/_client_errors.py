# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a task of kubernetes.core says when it fails: whether that passes, and what the server said. Pure functions."""

from __future__ import annotations

import re
import typing as t

#: As a Status has its code, and as the Python client prints one.
CODE = re.compile(r'"code\\*": ?(\d{3})|^\(?(\d{3})\)')
PASSING = frozenset(["409", "429", "500", "502", "503", "504"])
#: What urllib3 and http.client say of a connection that broke; of one whose certificate is not trusted, too.
BROKEN = re.compile(
    r"Connection (aborted|broken|reset|refused)|Remote end closed|Max retries exceeded|IncompleteRead|EOF occurred"
    r"|[Rr]ead timed out|BadStatusLine|too many 5\d\d error responses"
)
#: What an API server, or what it asks itself, answers without a code: with 429 or 503, as plain text.
BUSY = re.compile(
    r"Too many requests, please try again later|apiserver (not ready|is shutting down)|service unavailable"
    r"|error trying to reach service"
)
LASTING = re.compile(r"certificate|CERTIFICATE|Name or service not known|Temporary failure in name resolution")


def is_transient(result: t.Mapping[str, t.Any]) -> bool:
    """Whether the result of a task is a failure that passes."""
    if result.get("failed") and "msg" not in result:
        # kubernetes.core raises what its client raises before the first request is answered: the connection broke.
        return True
    said = str(result.get("msg") or "")
    codes = {code for found in CODE.finditer(said) for code in found.groups() if code}
    if codes:
        return bool(codes & PASSING)
    return bool(BUSY.search(said) or (BROKEN.search(said) and not LASTING.search(said)))


def namespace_is_missing(said: str, namespace: str) -> bool:
    """Whether objects were refused as there is no place for them."""
    return re.search(rf'namespaces \\*"{re.escape(namespace)}\\*" not found', said) is not None


SECRETLESS = "The API server refused a Secret of the application; its reason is not shown, as it may quote the Secret."


def refusal(said: str, namespace: str) -> str:
    """Why objects were refused, in the API server's own words, unless those may quote a Secret."""
    if namespace_is_missing(said, namespace):
        return f"There is no namespace {namespace}; create it with kubectl create namespace {namespace}."
    if re.search(r'Secret "|Secret in version|Kind=Secret|"kind": ?"secrets"', said):
        return SECRETLESS
    found = re.findall(r'"message": ?"(.*?)", ?"', said)
    words = re.sub(r'\\+"', '"', found[0] if found else said)
    out = way_out(words)
    return f"{words.rstrip('.')}. {out}" if out else words


#: What Kubernetes lets nobody change, by what it says of it, and what helps.
FIXED = (
    (
        r"spec\.selector: .*field is immutable",
        "A selector is immutable: keep the one that the cluster has, with selector in the description, as selector: "
        "{{app: {name}}} (kubectl get {kind} {name} -o jsonpath={{.spec.selector}} shows it), or "
        "delete {what} and deploy it again.",
    ),
    (
        r"clusterIPs?(\[\d+\])?: .*(field is immutable|may not change once set)",
        "The address of a Service is immutable: leave clusterIP out of the description, or delete "
        "{what} and deploy it again.",
    ),
    (
        r"field is immutable when `immutable` is set",
        "{what} is marked as immutable: give the changed one another name, or delete {what} and deploy it again.",
    ),
    (
        r"updates to statefulset spec for fields other than",
        "Only the fields named there can be changed in a StatefulSet: delete {what} with --cascade=orphan, which "
        "keeps its pods, and deploy it again.",
    ),
    (
        r"spec\.template: .*field is immutable|spec: Forbidden: spec is immutable after creation|field is immutable",
        "This field is immutable: keep it as it is in the cluster, or delete {what} and deploy it again.",
    ),
)


def way_out(words: str) -> str:
    """What helps where an object was refused because of a field that cannot change; empty where that is not why."""
    named = re.match(r'(?:\S+: )*(\w+)(?:\.\S+)? "([^"]+)" is invalid', words) or re.search(
        r'(\w+)(?:\.[\w.]+)? "([^"]+)" is invalid', words
    )
    kind, name = (named[1], named[2]) if named else ("", "")
    what = f"{kind} {name}".strip() or "the object"
    for pattern, remedy in FIXED:
        if re.search(pattern, words, re.DOTALL):
            return remedy.format(what=what, kind=kind.lower() or "deployment", name=name or "NAME")
    return ""
