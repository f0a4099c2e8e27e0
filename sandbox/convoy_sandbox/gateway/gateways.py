# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""GatewayClass, Gateway and what they need, as Gateway API's reference describes its standard channel."""

from __future__ import annotations

from .schemas import (
    CONTROLLER,
    GROUP,
    HOSTNAME,
    KIND,
    NAME,
    NAMESPACE,
    PORT,
    SECTION,
    SUBDOMAIN,
    Node,
    conditions,
    definition,
    items,
    obj,
    one_of,
    text,
)

_SCALED = {"type": "integer", "format": "int32"}
_ALL = ("v1", "v1beta1")
_SELECTOR: Node = {
    "type": "object",
    "x-kubernetes-map-type": "atomic",
    "properties": {
        "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        "matchExpressions": {
            "type": "array",
            "x-kubernetes-list-type": "atomic",
            "items": {
                "type": "object",
                "required": ["key", "operator"],
                "properties": {
                    "key": {"type": "string"},
                    "operator": {"type": "string"},
                    "values": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
                },
            },
        },
    },
}
_OPTIONS: Node = {
    "type": "object",
    "maxProperties": 16,
    "additionalProperties": {"type": "string", "minLength": 0, "maxLength": 4096},
}
_GROUP_KIND = obj("kind", group={**GROUP, "default": "gateway.networking.k8s.io"}, kind=KIND)


def gateway_class() -> Node:
    """GatewayClass."""
    parameters = obj("group", "kind", "name", group=GROUP, kind=KIND, name=NAME, namespace=NAMESPACE)
    controller = {
        **CONTROLLER,
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "Value is immutable"}],
    }
    spec = obj("controllerName", controllerName=controller, parametersRef=parameters, description=text(64, least=0))
    status = obj(
        conditions=conditions("Accepted"),
        supportedFeatures=items(obj("name", name={"type": "string"}), 64, keys=("name",)),
        default={"conditions": conditions("Accepted")["default"]},
    )
    columns = (
        ("Controller", ".spec.controllerName"),
        ("Accepted", '.status.conditions[?(@.type=="Accepted")].status'),
    )
    return definition(
        "GatewayClass", "gatewayclasses", spec, status,
        short=("gc",), columns=columns, versions=_ALL, namespaced=False,
    )  # fmt: skip


def gateway() -> Node:
    """Gateway."""
    certificate = obj(
        "name", group={**GROUP, "default": ""}, kind={**KIND, "default": "Secret"}, name=NAME, namespace=NAMESPACE
    )
    tls = obj(
        mode=one_of("Terminate", "Passthrough", default="Terminate"),
        certificateRefs=items(certificate, 64),
        options=_OPTIONS,
        rules=[
            ("self.mode == 'Terminate' ? size(self.certificateRefs) > 0 || size(self.options) > 0 : true", "certificateRefs or options must be specified when mode is Terminate"),
        ],
    )  # fmt: skip
    listener = obj(
        "name", "port", "protocol",
        name=SECTION,
        hostname=HOSTNAME,
        port=PORT,
        protocol=text(255, r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$"),
        tls=tls,
        allowedRoutes=obj(
            namespaces=obj(
                from_=one_of("All", "Selector", "Same", default="Same"), selector=_SELECTOR, default={"from": "Same"}
            ),
            kinds=items(_GROUP_KIND, 8),
            default={"namespaces": {"from": "Same"}},
        ),
    )  # fmt: skip
    address = obj(
        type={**text(253, r"^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"), "default": "IPAddress"},
        value=text(253, least=0),
    )  # fmt: skip
    spec = obj(
        "gatewayClassName", "listeners",
        gatewayClassName=NAME,
        listeners=items(
            listener, 64, least=1, keys=("name",),
            rules=[
                ("self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)", "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']"),
                ("self.all(l, (l.protocol == 'HTTPS' && has(l.tls)) ? (l.tls.mode == '' || l.tls.mode == 'Terminate') : true)", "tls mode must be Terminate for protocol HTTPS"),
                ("self.all(l, (l.protocol == 'TLS' ? has(l.tls) && has(l.tls.mode) && l.tls.mode != '' : true))", "tls mode must be set for protocol TLS"),
                ("self.all(l, l.protocol in ['TCP', 'UDP'] ? (!has(l.hostname) || l.hostname == '') : true)", "hostname must not be specified for protocols ['TCP', 'UDP']"),
                ("self.all(l1, self.exists_one(l2, l1.name == l2.name))", "Listener name must be unique within the Gateway"),
                ("self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))", "Combination of port, protocol and hostname must be unique for each listener"),
            ],
        ),
        addresses=items(address, 16),
        infrastructure=obj(
            labels={**_OPTIONS, "maxProperties": 8},
            annotations={**_OPTIONS, "maxProperties": 8},
            parametersRef=obj("group", "kind", "name", group=GROUP, kind=KIND, name=NAME),
        ),
    )  # fmt: skip
    pending = conditions("Accepted", "Programmed")
    status = obj(
        addresses=items(
            obj("value", type={**address["properties"]["type"]}, value=text(253)), 16
        ),
        conditions=pending,
        listeners=items(
            obj(
                "attachedRoutes", "conditions", "name",
                name=SECTION, attachedRoutes=_SCALED, conditions=conditions(), supportedKinds=items(_GROUP_KIND, 8),
            ),
            64, keys=("name",),
        ),
        default={"conditions": pending["default"]},
    )  # fmt: skip
    columns = (
        ("Class", ".spec.gatewayClassName"),
        ("Address", ".status.addresses[*].value"),
        ("Programmed", '.status.conditions[?(@.type=="Programmed")].status'),
    )
    return definition("Gateway", "gateways", spec, status, short=("gtw",), columns=columns, versions=_ALL)


def reference_grant() -> Node:
    """ReferenceGrant."""
    spec = obj(
        "from", "to",
        from_=items(obj("group", "kind", "namespace", group=GROUP, kind=KIND, namespace=NAMESPACE), 16, least=1),
        to=items(obj("group", "kind", group=GROUP, kind=KIND, name=NAME), 16, least=1),
    )  # fmt: skip
    return definition(
        "ReferenceGrant", "referencegrants", spec, None, short=("refgrant",), versions=_ALL, stored="v1beta1"
    )


def backend_tls_policy() -> Node:
    """BackendTLSPolicy."""
    target = obj("group", "kind", "name", group=GROUP, kind=KIND, name=NAME, sectionName=SECTION)
    certificate = obj("group", "kind", "name", group=GROUP, kind=KIND, name=NAME)
    validation = obj(
        "hostname",
        hostname=text(253, SUBDOMAIN),
        caCertificateRefs=items(certificate, 8),
        wellKnownCACertificates=text(253, "^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$"),
        rules=[
            ("!(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 && has(self.wellKnownCACertificates) && self.wellKnownCACertificates != '')", "must not contain both CACertificateRefs and WellKnownCACertificates"),
            ("(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0) || (has(self.wellKnownCACertificates) && self.wellKnownCACertificates != '')", "must specify either CACertificateRefs or WellKnownCACertificates"),
        ],
    )  # fmt: skip
    spec = obj(
        "targetRefs", "validation", targetRefs=items(target, 16, least=1), validation=validation, options=_OPTIONS
    )
    ancestor = obj(
        "ancestorRef", "conditions", "controllerName",
        ancestorRef=obj("name", group=GROUP, kind=KIND, namespace=NAMESPACE, name=NAME, sectionName=SECTION, port=PORT),
        controllerName=CONTROLLER, conditions=conditions(least=1),
    )  # fmt: skip
    status = obj("ancestors", ancestors=items(ancestor, 16))
    return definition("BackendTLSPolicy", "backendtlspolicies", spec, status, short=("btlspolicy",))
