# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTPRoute and its kin of Gateway API, as the API's reference describes its standard channel."""

from __future__ import annotations

from .schemas import (
    CONTROLLER,
    DURATION,
    GROUP,
    HEADER,
    HOSTNAME,
    KIND,
    NAME,
    NAMESPACE,
    PORT,
    SECTION,
    Node,
    conditions,
    definition,
    integer,
    items,
    obj,
    one_of,
    text,
)

_GATEWAYS = "gateway.networking.k8s.io"
_PARENT = obj(
    "name",
    group={**GROUP, "default": _GATEWAYS},
    kind={**KIND, "default": "Gateway"},
    namespace=NAMESPACE,
    name=NAME,
    sectionName=SECTION,
    port=PORT,
)
_SAME_PARENT = (
    "p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && "
    "(has(p1.__namespace__) ? p1.__namespace__ : '') == (has(p2.__namespace__) ? p2.__namespace__ : '')"
)
_SECTION = "((!has({0}.sectionName) || {0}.sectionName == '') ? '' : {0}.sectionName)"
_PARENTS = items(
    _PARENT,
    32,
    rules=[
        (
            f"self.all(p1, self.all(p2, {_SAME_PARENT} ? "
            f"({_SECTION.format('p1')} == '') == ({_SECTION.format('p2')} == '') : true))",
            "sectionName must be specified when parentRefs includes 2 or more references to the same parent",
        ),
        (
            f"self.all(p1, self.exists_one(p2, {_SAME_PARENT} && {_SECTION.format('p1')} == {_SECTION.format('p2')}))",
            "sectionName must be unique when parentRefs includes 2 or more references to the same parent",
        ),
    ],
)
_PORT_OF_A_SERVICE = (
    "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",
    "Must have port for Service reference",
)
_REFERENCE = {
    "group": {**GROUP, "default": ""},
    "kind": {**KIND, "default": "Service"},
    "namespace": NAMESPACE,
    "name": NAME,
    "port": PORT,
}
_WEIGHT = integer(0, 1000000, default=1)


def _at_most_one(field: str, *, upper: bool = True) -> tuple[str, str]:
    what = field if upper else field.lower()
    return f"self.filter(f, f.type == '{what}').size() <= 1", f"{what} filter cannot be repeated"


def _goes_with(kind: str) -> list[tuple[str, str]]:
    field = kind[0].lower() + kind[1:]
    return [
        (
            f"!(has(self.{field}) && self.type != '{kind}')",
            f"filter.{field} must be nil if the filter.type is not {kind}",
        ),
        (f"!(!has(self.{field}) && self.type == '{kind}')", f"filter.{field} must be specified for {kind} filter.type"),
    ]


_HEADERS = items(obj("name", "value", name=HEADER, value=text(4096)), 16, keys=("name",))
_MODIFIER = obj(set=_HEADERS, add=_HEADERS, remove=items(text(), 16, kind="set"))
_MIRROR = obj(
    "backendRef",
    backendRef=obj("name", rules=[_PORT_OF_A_SERVICE], **_REFERENCE),
    percent=integer(0, 100),
    fraction=obj(
        "numerator",
        numerator={"type": "integer", "format": "int32", "minimum": 0},
        denominator={"type": "integer", "format": "int32", "minimum": 1, "default": 100},
        rules=[("self.numerator <= self.denominator", "numerator must be less than or equal to denominator")],
    ),
    rules=[
        ("!(has(self.percent) && has(self.fraction))", "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter")
    ],
)  # fmt: skip
_EXTENSION = obj("group", "kind", "name", group=GROUP, kind=KIND, name=NAME)
_PATH_MODIFIER = obj(
    "type",
    type=one_of("ReplaceFullPath", "ReplacePrefixMatch"),
    replaceFullPath=text(1024, least=0),
    replacePrefixMatch=text(1024, least=0),
    rules=[
        ("self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) : true", "replaceFullPath must be specified when type is set to 'ReplaceFullPath'"),
        ("has(self.replaceFullPath) ? self.type == 'ReplaceFullPath' : true", "type must be 'ReplaceFullPath' when replaceFullPath is set"),
        ("self.type == 'ReplacePrefixMatch' ? has(self.replacePrefixMatch) : true", "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'"),
        ("has(self.replacePrefixMatch) ? self.type == 'ReplacePrefixMatch' : true", "type must be 'ReplacePrefixMatch' when replacePrefixMatch is set"),
    ],
)  # fmt: skip
_STRICT_HOSTNAME = text(253, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_REDIRECT = obj(
    scheme=one_of("http", "https"),
    hostname=_STRICT_HOSTNAME,
    path=_PATH_MODIFIER,
    port=PORT,
    statusCode={"type": "integer", "enum": [301, 302, 303, 307, 308], "default": 302},
)
_REWRITE = obj(hostname=_STRICT_HOSTNAME, path=_PATH_MODIFIER)
_FILTERS = {
    "RequestHeaderModifier": _MODIFIER,
    "ResponseHeaderModifier": _MODIFIER,
    "RequestMirror": _MIRROR,
    "RequestRedirect": _REDIRECT,
    "URLRewrite": _REWRITE,
    "ExtensionRef": _EXTENSION,
}


def _filter(*kinds: str) -> Node:
    fields = {("urlRewrite" if kind == "URLRewrite" else kind[0].lower() + kind[1:]): _FILTERS[kind] for kind in kinds}
    rules = [
        (rule.replace("uRLRewrite", "urlRewrite"), message.replace("uRLRewrite", "urlRewrite"))
        for kind in kinds
        for rule, message in _goes_with(kind)
    ]
    return obj("type", type=one_of(*kinds), rules=rules, **fields)


_HTTP_FILTERS = items(
    _filter(*_FILTERS),
    16,
    rules=[
        ("!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))", "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both"),
        *(_at_most_one(kind) for kind in ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")),
    ],
)  # fmt: skip
_PATH_TYPES = ("Exact", "PathPrefix", "RegularExpression")
_PATH = obj(
    type=one_of(*_PATH_TYPES, default="PathPrefix"),
    value=text(1024, least=0, default="/"),
    default={"type": "PathPrefix", "value": "/"},
    rules=[
        ("(self.type in ['Exact','PathPrefix']) ? self.value.startsWith('/') : true", "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"),
        *(
            (f"(self.type in ['Exact','PathPrefix']) ? !self.value.contains('{part}') : true", f"must not contain '{part}' when type one of ['Exact', 'PathPrefix']")
            for part in ("//", "/./", "/../", "%2f", "%2F", "#")
        ),
        *(
            (f"(self.type in ['Exact','PathPrefix']) ? !self.value.endsWith('{part}') : true", f"must not end with '{part}' when type one of ['Exact', 'PathPrefix']")
            for part in ("/..", "/.")
        ),
        ("self.type in ['Exact','PathPrefix'] || self.type == 'RegularExpression'", "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']"),
        (r"""(self.type in ['Exact','PathPrefix']) ? self.value.matches(r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$") : true""", "must only contain valid characters (matching ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) for types ['Exact', 'PathPrefix']"),
    ],
)  # fmt: skip
_NAMED = {"type": one_of("Exact", "RegularExpression", default="Exact"), "name": HEADER, "value": text(4096)}
_QUERY = {**_NAMED, "value": text(1024)}
_MATCH = obj(
    path=_PATH,
    headers=items(obj("name", "value", **_NAMED), 16, keys=("name",)),
    queryParams=items(obj("name", "value", **_QUERY), 16, keys=("name",)),
    method=one_of("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),
)
_ANY_PATH = [{"path": {"type": "PathPrefix", "value": "/"}}]
_HTTP_BACKEND = obj("name", weight=_WEIGHT, filters=_HTTP_FILTERS, rules=[_PORT_OF_A_SERVICE], **_REFERENCE)
_PREFIX_ONLY = "(has(self.matches) && size(self.matches) == 1 && has(self.matches[0].path) && self.matches[0].path.type == 'PathPrefix')"  # fmt: skip
_HTTP_RULE = obj(
    name=SECTION,
    matches=items(_MATCH, 64, default=_ANY_PATH),
    filters=_HTTP_FILTERS,
    backendRefs=items(_HTTP_BACKEND, 16),
    timeouts=obj(
        request=DURATION,
        backendRequest=DURATION,
        rules=[
            ("!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && duration(self.backendRequest) > duration(self.request))", "backendRequest timeout cannot be longer than request timeout")
        ],
    ),
    rules=[
        ("(has(self.backendRefs) && size(self.backendRefs) > 0) ? (!has(self.filters) || self.filters.all(f, !has(f.requestRedirect))): true", "RequestRedirect filter must not be used together with backendRefs"),
        *(
            (
                f"(has(self.filters) && self.filters.exists_one(f, has(f.{field}) && has(f.{field}.path) && f.{field}.path.type == 'ReplacePrefixMatch' && has(f.{field}.path.replacePrefixMatch))) ? {_PREFIX_ONLY} : true",
                f"When using {kind} filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified",
            )
            for kind, field in (("RequestRedirect", "requestRedirect"), ("URLRewrite", "urlRewrite"))
        ),
        *(
            (
                f"(has(self.backendRefs) && self.backendRefs.exists_one(b, has(b.filters) && b.filters.exists_one(f, has(f.{field}) && has(f.{field}.path) && f.{field}.path.type == 'ReplacePrefixMatch' && has(f.{field}.path.replacePrefixMatch)))) ? {_PREFIX_ONLY} : true",
                f"Within backendRefs, When using {kind} filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified",
            )
            for kind, field in (("RequestRedirect", "requestRedirect"), ("URLRewrite", "urlRewrite"))
        ),
    ],
)  # fmt: skip
_TOTAL = (
    " + ".join(f"(self.size() > {at} && has(self[{at}].matches) ? self[{at}].matches.size() : 0)" for at in range(16))
    + " <= 128",
    "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must "
    "be less than 128",
)
_HOSTNAMES = items(HOSTNAME, 16)
_ROUTE_STATUS = obj(
    "parents",
    parents=items(
        obj(
            "conditions", "controllerName", "parentRef",
            parentRef=_PARENT, controllerName=CONTROLLER, conditions=conditions(least=1),
        ),
        32,
    ),
)  # fmt: skip
_HOST_COLUMN = ("Hostnames", ".spec.hostnames")


def http() -> Node:
    """HTTPRoute."""
    spec = obj(
        parentRefs=_PARENTS,
        hostnames=_HOSTNAMES,
        rules_=items(
            _HTTP_RULE, 16, least=1, default=[{"matches": _ANY_PATH}],
            rules=[_TOTAL],
        ),
    )  # fmt: skip
    return definition(
        "HTTPRoute", "httproutes", spec, _ROUTE_STATUS, columns=(_HOST_COLUMN,), versions=("v1", "v1beta1")
    )


def grpc() -> Node:
    """GRPCRoute."""
    filters = items(
        _filter("ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"),
        16,
        rules=[_at_most_one("RequestHeaderModifier"), _at_most_one("ResponseHeaderModifier")],
    )
    method = obj(
        type=one_of("Exact", "RegularExpression", default="Exact"),
        service=text(1024, least=0),
        method=text(1024, least=0),
        rules=[
            ("has(self.type) ? has(self.service) || has(self.method) : true", "One or both of 'service' or 'method' must be specified"),
        ],
    )  # fmt: skip
    match = obj(method=method, headers=items(obj("name", "value", **_NAMED), 16, keys=("name",)))
    backend = obj("name", weight=_WEIGHT, filters=filters, rules=[_PORT_OF_A_SERVICE], **_REFERENCE)
    rule = obj(name=SECTION, matches=items(match, 64), filters=filters, backendRefs=items(backend, 16))
    spec = obj(parentRefs=_PARENTS, hostnames=_HOSTNAMES, rules_=items(rule, 16, rules=[_TOTAL]))
    return definition("GRPCRoute", "grpcroutes", spec, _ROUTE_STATUS, columns=(_HOST_COLUMN,))


def tls() -> Node:
    """TLSRoute."""
    backend = obj("name", weight=_WEIGHT, rules=[_PORT_OF_A_SERVICE], **_REFERENCE)
    rule = obj("backendRefs", name=SECTION, backendRefs=items(backend, 16, least=1))
    spec = obj(
        "rules", "hostnames",
        parentRefs=_PARENTS, hostnames=items(HOSTNAME, 16, least=1), rules_=items(rule, 1, least=1),
    )  # fmt: skip
    return definition("TLSRoute", "tlsroutes", spec, _ROUTE_STATUS)
