"""Which endpoint a proxied request goes to."""

from __future__ import annotations

import errno

import pytest
from convoy_sandbox import resources
from convoy_sandbox.api import proxy
from convoy_sandbox.api.proxy import Backend
from convoy_sandbox.errors import ApiError
from convoy_sandbox.store import Store


def cluster(*, ready: bool = True, ports: int = 1) -> Store:
    store = Store()
    names = [("http", 80, 8080), ("admin", 81, 8081)][:ports]
    store.put(
        resources.SERVICES,
        {
            "metadata": {"name": "s", "namespace": "a"},
            "spec": {"ports": [{"name": name, "port": port} for name, port, _ in names]},
        },
    )
    store.put(
        resources.ENDPOINTSLICES,
        {
            "metadata": {"name": "s-1", "namespace": "a", "labels": {"kubernetes.io/service-name": "s"}},
            "ports": [{"name": name, "port": port} for name, _, port in names],
            "endpoints": [
                {"addresses": ["127.0.0.2"], "conditions": {"ready": ready}},
                {"addresses": ["127.0.0.3"], "conditions": {"ready": ready}},
                {"addresses": ["127.0.0.4"], "conditions": {"ready": False}},
            ],
        },
    )
    pod = {"containers": [{"ports": [{"name": "http", "containerPort": 8080}, {"name": "x", "containerPort": 9}]}]}
    store.put(
        resources.PODS, {"metadata": {"name": "p", "namespace": "a"}, "spec": pod, "status": {"podIP": "127.0.0.2"}}
    )
    store.put(resources.PODS, {"metadata": {"name": "q", "namespace": "a"}, "spec": pod, "status": {}})
    return store


@pytest.mark.parametrize(
    ("location", "led"),
    [
        ("/login?next=%2Fa", "/m/proxy/login?next=%2Fa"),
        ("/m/proxy/login", "/m/proxy/login"),
        ("http://10.0.0.1:8080/login/", "/m/proxy/login/"),
        ("https://api.example.com:6443/v", "https://api.example.com:6443/m/proxy/v"),
        ("https://shop.example.com/v", "https://shop.example.com/v"),
        ("login", "login"),
        ("https://[broken", "https://[broken"),
    ],
)
def test_a_redirect_leads_by_way_of_the_proxy_where_it_stays_with_the_host(location: str, led: str) -> None:
    assert proxy.led(location, "/m/proxy", "10.0.0.1:8080", "api.example.com:6443") == led


@pytest.mark.parametrize(
    ("name", "scheme", "port"),
    [
        ("s:80", "http", 8080),
        ("s:http", "http", 8080),
        ("s:admin", "http", 8081),
        ("https:s:81", "https", 8081),
        (":s:81", "http", 8081),
    ],
)
def test_ports_by_number_and_name(name: str, scheme: str, port: int) -> None:
    backend = proxy.service_backend(cluster(ports=2), "a", name)
    assert (backend.scheme, backend.port) == (scheme, port)


def test_every_ready_endpoint_gets_its_turn_and_no_other() -> None:
    store = cluster()
    chosen = {proxy.service_backend(store, "a", "s:80").ip for _ in range(100)}
    assert chosen == {"127.0.0.2", "127.0.0.3"}


@pytest.mark.parametrize(
    ("name", "ready", "code", "message"),
    [
        ("s:80", False, 503, 'no endpoints available for service "s"'),
        ("s:82", True, 503, 'no service port "82" found for service "s"'),
        ("t:80", True, 404, 'services "t" not found'),
        ("a:b:c:d", True, 400, 'invalid service request "a:b:c:d"'),
    ],
)
def test_services_that_cannot_be_reached(name: str, ready: bool, code: int, message: str) -> None:
    with pytest.raises(ApiError) as refusal:
        proxy.service_backend(cluster(ready=ready), "a", name)
    assert (refusal.value.code, refusal.value.message) == (code, message)


def test_pods_by_port_number_or_name_or_their_first_port() -> None:
    store = cluster()
    assert proxy.pod_backend(store, "a", "p") == Backend("http", "127.0.0.2", 8080)
    assert proxy.pod_backend(store, "a", "p:7") == Backend("http", "127.0.0.2", 7)
    assert proxy.pod_backend(store, "a", "https:p:x") == Backend("https", "127.0.0.2", 9)
    for name, code in (("q", 400), ("r", 404)):
        with pytest.raises(ApiError) as refusal:
            proxy.pod_backend(store, "a", name)
        assert refusal.value.code == code


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    backend = Backend("http", "127.0.0.2", 8080)
    refused = proxy.unreachable(backend, ConnectionRefusedError(errno.ECONNREFUSED, "no"))
    assert refused.code == 503
    assert refused.message == ("error trying to reach service: dial tcp 127.0.0.2:8080: connect: connection refused")
    assert proxy.unreachable(backend, TimeoutError()).message.endswith("TimeoutError")
