# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do where requests get no good answer, by the category of the error. Pure functions."""

from __future__ import annotations

import re

from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _answers

CA_REMEDY = "set its CA with target_ca_cert, in an entry with ca_cert"
NAME_REMEDY = (
    "set a url or a server_name that it is valid for, or target_validate_certs=false, in an entry validate_certs"
)
NOT_HTTP1 = "name with port another port that speaks HTTP/1.1, or judge by source=endpoints"

#: Where the ready endpoints of a Service are as expected, and the answers of what stands before it are not.
KEPT = (
    "the ready endpoints of Service {name} are as expected, so either a proxy in front of it keeps its connections to "
    "other pods (make it open one for each request; nginx keeps them from 1.29.7 on, unless its upstream block says "
    "keepalive 0), or pods answer with another version than their image has"
)

#: By the beginning of the error; the first one that fits counts.
REMEDIES = {
    "connection refused": "check that something listens there",
    "no connection": "check that the name is right and the network leads there, or use via=proxy",
    "timeout": "check that the network leads there, use via=proxy, or set a longer request_timeout",
    "connection lost": "check the log of what answers there; if it is not an HTTP server, judge by source=endpoints",
    "not HTTP": f"check that scheme and port are right; {NOT_HTTP1}",
    "HTTP/2 only": NOT_HTTP1,
    "TLS failed (a client's certificate": (
        "it requires a client certificate, and an entry has none: set port to one that requires none, or judge by "
        "source=endpoints"
    ),
    "TLS failed": "check that scheme and port are right, and that no client certificate is required",
    # What OpenSSL says of it; the first three are of certificates whose CA is not known.
    "certificate not trusted (unable to": CA_REMEDY,
    "certificate not trusted (self": CA_REMEDY,
    "certificate not trusted (certificate signature": CA_REMEDY,
    "certificate not trusted (Hostname mismatch": NAME_REMEDY,
    "certificate not trusted (IP address mismatch": NAME_REMEDY,
    "certificate not trusted (certificate has expired": "renew it and its CA, and check this machine's clock",
    "certificate not trusted (certificate is not yet valid": "check this machine's clock",
    "certificate not trusted": "have it reissued, or set target_validate_certs=false, in an entry validate_certs",
    "refused by the proxy": "make the proxy of the kubeconfig let them through",
    "no version in the answer": "set version_from to where an answer names it",
    "HTTP 101": NOT_HTTP1,
    "HTTP 3": "check that path is right",
    "HTTP 400": "set the header Host that it answers to, with headers; check that scheme and path are right",
    "HTTP 401": "set headers that are let in, such as Authorization",
    "HTTP 403 (the API server's proxy)": "allow this user to get services/proxy",
    "HTTP 403": "set headers that are let in, such as Authorization or Host",
    "HTTP 404": "check that path is right, and the header Host, which headers can set",
    "HTTP 405": "check that path is right: it is requested with GET",
    "HTTP 421": "set the header Host, with headers, and the server_name that it answers to",
    "HTTP 426": NOT_HTTP1,
    "HTTP 429": "it limits the rate of requests: set a lower rate_limit, or headers that it lets in",
    "HTTP 4": "check that path is right, and set headers that are let in",
    "HTTP 503 (no ready endpoint)": "check that the Service's selector and target port lead to ready pods",
    "HTTP 503 (no such port)": "check that port is one of the Service's",
    "HTTP 503 (connection refused)": "check that something listens on the Service's target port, or name another port",
    "HTTP 503 (not HTTP/1.1)": NOT_HTTP1,
    "HTTP 503 (connection lost)": f"check the log of what answers there; if it is not an HTTP server, {NOT_HTTP1}",
    "HTTP 503 (no TLS)": "give scheme=http",
    "HTTP 503 (TLS failed)": "check that scheme and port are right",
    "HTTP 5": "check the log of what answers there",
}


def remedy(error: str) -> str:
    """What to do about a category of errors."""
    if error.startswith("HTTP 3") and error.endswith(f" to {_answers.SAME_PLACE}"):
        return (
            "it wants another scheme or host: set the url that users use, or the headers for it, such as Host and "
            "X-Forwarded-Proto"
        )
    leads = re.fullmatch(r"HTTP 3\d\d to (.+)", error)
    if leads and "://" in leads[1]:
        return f"it redirects there: set url={leads[1]}, in an entry as its url"
    if leads:
        return f"it redirects there: set path={leads[1]}, in an entry as its path"
    return next((said for begun, said in REMEDIES.items() if error.startswith(begun)), "check that path is right")
