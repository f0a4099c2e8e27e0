"""Self-signed certificates: what a client makes of them, and what cannot be one."""

from __future__ import annotations

import datetime
import ssl
import typing as t
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _self_signed
from cryptography import x509
from unit.plugins.authorities import handshake

DAY = datetime.timedelta(days=1)


def made(*described: dict[str, t.Any], check_mode: bool = False) -> list[dict[str, str]]:
    """What the operation returns for certificates."""
    certificates = [{"name": "certs", "names": [], "days": 365, **each} for each in described]
    result = _self_signed.run({"certificates": certificates}, Task(check_mode=check_mode))
    assert result["changed"] is False
    return t.cast("list[dict[str, str]]", result["certificates"])


def served(folder: Path, pair: dict[str, str]) -> ssl.SSLContext:
    """The settings of a server that has a certificate and its key."""
    (folder / "pair.pem").write_text(pair["private_key"] + pair["certificate"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    return context


@pytest.mark.parametrize("name", ["hello.test", "www.hello.test", "a.shop.test", "xn--bcher-kva.test"])
def test_who_trusts_it_reaches_the_server_by_each_of_its_names_and_no_other(tmp_path: Path, name: str) -> None:
    names = ["www.hello.test", "*.shop.test", "bücher.test", "hello.test"]
    (pair,) = made({"common_name": "hello.test", "names": names})
    client = ssl.create_default_context(cadata=pair["certificate"])
    handshake(client, served(tmp_path, pair), name)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(client, served(tmp_path, pair), "other.test")


def test_it_is_valid_from_now_on_for_as_many_days_as_are_asked_for() -> None:
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    (pair,) = made({"common_name": "hello.test", "days": 2})
    after = datetime.datetime.now(datetime.UTC)
    certificate = x509.load_pem_x509_certificate(pair["certificate"].encode())
    assert before <= certificate.not_valid_before_utc <= after
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == 2 * DAY


def test_each_has_its_own_key_and_number_in_any_mode() -> None:
    one, other = made({"name": "one", "common_name": "one.test"}, {"name": "other", "common_name": "one.test"})
    again, _other = made({"common_name": "one.test"}, {"common_name": "one.test"}, check_mode=True)
    assert [one["name"], other["name"]] == ["one", "other"]
    assert len({pair["private_key"] for pair in (one, other, again)}) == 3
    numbers = {
        x509.load_pem_x509_certificate(pair["certificate"].encode()).serial_number for pair in (one, other, again)
    }
    assert len(numbers) == 3


@pytest.mark.parametrize(
    "described",
    [
        {"common_name": ""},
        {"common_name": "x" * 65},
        {"common_name": "hello.test", "names": ["a..test"]},
        {"common_name": "hello.test", "names": ["x" * 64 + ".test"]},
        {"common_name": "hello.test", "names": ["\ud800"]},
        {"common_name": "hello.test", "days": 2**31 - 1},
        {"common_name": "hello.test", "days": -1},
    ],
)
def test_what_cannot_be_one_is_refused_by_its_name(described: dict[str, t.Any]) -> None:
    with pytest.raises(Failure, match=r"^Certificate certs cannot be made: .*Check its common_name, names and days\.$"):
        made(described)
