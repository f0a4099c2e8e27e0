"""Which port of a Service is asked, and how."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _target


def service(*ports: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {"metadata": {"name": "shop"}, "spec": {"ports": list(ports)}}


def port(number: int, name: str = "", app: str = "", **more: t.Any) -> dict[str, t.Any]:
    named = {"name": name} if name else {}
    return {"port": number, **named, **({"appProtocol": app} if app else {}), **more}


@pytest.mark.parametrize(
    ("ports", "chosen"),
    [
        ([port(9090, "metrics"), port(80, "http")], 80),
        ([port(9090, "http-metrics"), port(8080, "api")], 8080),
        ([port(9901, "admin", "http"), port(10000, "ingress")], 10000),
        ([port(443, "https"), port(80, "http")], 80),
        ([port(9999, "grpc"), port(9898, "http")], 9898),
        ([port(5432, "tcp-postgresql"), port(443, "ui")], 443),
        ([port(6000, "backend", "kubernetes.io/h2c"), port(7000, "front", "http")], 7000),
        ([port(8081, "main"), port(80, "other")], 80),
        ([port(9090, "metrics"), port(7070, "grpc")], 7070),  # what users use, though it cannot be asked
        ([port(53, "dns", protocol="UDP"), port(8053, "web")], 8053),
        ([port(9090, "metrics")], 9090),  # it has no other
        ([port(15021, "status-port"), port(8443, "https-main")], 8443),
    ],
)
def test_a_port_is_chosen_by_what_it_is_and_not_by_its_place(ports: list[dict[str, t.Any]], chosen: int) -> None:
    assert _target.port_of(service(*ports), None)["port"] == chosen
    assert _target.port_of(service(*reversed(ports)), None)["port"] == chosen


@pytest.mark.parametrize(("asked", "chosen"), [("admin", 9901), (9901, 9901), ("9901", 9901), ("", 80), (None, 80)])
def test_a_port_is_given_by_number_or_by_name(asked: str | int | None, chosen: int) -> None:
    assert _target.port_of(service(port(80, "http"), port(9901, "admin")), asked)["port"] == chosen


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(Failure) as failure:
        _target.port_of(service(port(80, "http"), port(9901)), "htpp")
    assert failure.value.message == "Service shop has no port htpp; its ports: http (80), 9901."


@pytest.mark.parametrize(
    ("item", "scheme"),
    [
        (port(80, "http"), "http"),
        (port(443, "web"), "https"),
        (port(443, "x", "http"), "http"),
        (port(8443, "https-web"), "https"),
        (port(8443, "x", "https"), "https"),
        (port(8080, "grpc"), "http"),
    ],
)
def test_what_is_spoken_at_a_port(item: dict[str, t.Any], scheme: str) -> None:
    assert _target.scheme_of(item, None) == scheme
    assert _target.scheme_of(item, "https") == "https"


def test_a_service_for_metrics_is_the_last_one_that_users_come_in_by() -> None:
    services = [service(port(9090, "metrics")), service(port(7070, "grpc")), service(port(80, "http"))]
    assert sorted(services, key=_target.suits) == services[::-1]
    assert _target.suits({"metadata": {"name": "external"}, "spec": {}}) > _target.suits(services[0])


def test_tls_is_spoken_under_the_name_that_is_given() -> None:
    options = {"headers": {"Host": "shop.example.com"}, "target_ca_cert": None, "target_validate_certs": False}
    target = _target.by_url("https://192.0.2.1/version", {**options, "server_name": "shop.example.com"})
    assert (target.host, target.server_name) == ("192.0.2.1", "shop.example.com")
    assert b"Host: shop.example.com\r\n" in target.request()
