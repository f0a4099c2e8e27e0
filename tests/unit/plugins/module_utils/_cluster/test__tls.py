"""Certificates that kubectl and browsers accept are accepted by every Python; others are refused with a remedy."""

from __future__ import annotations

import ssl
import typing as t
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _tls
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Access, Api
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _remedies, _target
from unit.plugins.authorities import HOUR, handshake, without_identifiers


@pytest.fixture(autouse=True)
def as_from_python_3_13_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default of Python 3.13, whatever runs the tests."""
    default = ssl.create_default_context

    def strict(*args: t.Any, **kwargs: t.Any) -> ssl.SSLContext:
        context = default(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


def of_an_api_server(ca: str) -> ssl.SSLContext:
    """What an API server is reached with."""
    context = Access("https://127.0.0.1:1", ca_file=ca).ssl_context()
    assert context is not None
    return context


def of_an_api_server_with_its_ca_in_the_kubeconfig(ca: str) -> ssl.SSLContext:
    """What one is reached with whose CA is no file."""
    context = Access("https://127.0.0.1:1", ca_data=Path(ca).read_text()).ssl_context()
    assert context is not None
    return context


def of_an_entry(ca: str) -> ssl.SSLContext:
    """What requests are sent with as users send them."""
    options = {"target_ca_cert": ca, "target_validate_certs": True, "headers": {}}
    context = _target.by_url("https://127.0.0.1:1", options).ssl_context
    assert context is not None
    return context


CLIENTS = [of_an_api_server, of_an_api_server_with_its_ca_in_the_kubeconfig, of_an_entry]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_without_key_identifiers_is_accepted(
    client: t.Callable[[str], ssl.SSLContext], tmp_path: Path
) -> None:
    server, ca = without_identifiers(tmp_path, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)key identifier|key usage"):
        handshake(ssl.create_default_context(cafile=ca), server, "127.0.0.1")
    handshake(client(ca), server, "127.0.0.1")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_name_and_the_ca_of_a_certificate_are_verified_all_the_same(
    client: t.Callable[[str], ssl.SSLContext], tmp_path: Path
) -> None:
    server, ca = without_identifiers(tmp_path, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(client(ca), server, "127.0.0.2")
    (tmp_path / "other").mkdir()
    _server, other = without_identifiers(tmp_path / "other", "127.0.0.1", ca="another CA")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(client(other), server, "127.0.0.1")


def test_the_systems_cas_are_read_only_where_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _server, ca = without_identifiers(tmp_path, "127.0.0.1")
    read: list[str] = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self, purpose=None: read.append("all"))
    monkeypatch.setattr(ssl.SSLContext, "set_default_verify_paths", lambda self: read.append("paths"))
    for access in (Access("https://127.0.0.1:1", ca_file=ca), Access("https://127.0.0.1:1", verify=False)):
        Api(access).connect().close()
    assert read == []
    api = Api(Access("https://127.0.0.1:1"))
    once = list(read)
    for _connection in range(3):
        api.connect().close()
    assert once == read == ["all"]


def test_an_intermediate_ca_that_is_given_is_trusted_under_every_python() -> None:
    assert _tls.client_context().verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN


def refusal(tmp_path: Path, case: str) -> tuple[ssl.SSLCertVerificationError, str]:
    """What a client says of a certificate in which one thing is wrong, and the path of the CA that it was given."""
    begins = {"expired": -5 * HOUR, "early": HOUR}.get(case, -HOUR)
    server, ca = without_identifiers(tmp_path, "127.0.0.1", begins=begins)
    (tmp_path / "other").mkdir()
    _server, other = without_identifiers(tmp_path / "other", "127.0.0.1", ca="another CA")
    given = {"unknown": None, "other": other}.get(case, ca)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        handshake(_tls.client_context(given), server, "127.0.0.2" if case == "name" else "127.0.0.1")
    return refused.value, given or ""


@pytest.mark.parametrize(
    ("case", "at_the_server", "at_the_entry"),
    [
        ("unknown", "set the CA that signed it with ca_cert", "set its CA with target_ca_cert"),
        ("other", "the CA that was given did not sign it", "set its CA with target_ca_cert"),
        ("name", "set tls-server-name in the kubeconfig", "set a url or a server_name that it is valid for"),
        ("expired", "renew it and its CA", "renew it and its CA"),
        ("early", "check this machine's clock", "check this machine's clock"),
    ],
)
def test_what_is_refused_is_refused_with_a_remedy_that_helps(
    tmp_path: Path, case: str, at_the_server: str, at_the_entry: str
) -> None:
    error, given = refusal(tmp_path, case)
    said = Api(Access("https://127.0.0.1:1", ca_file=given or None))._unreachable(error).args[0]
    assert "The certificate of the API server https://127.0.0.1:1 is not trusted: " in said
    assert at_the_server in said
    reason = f"certificate not trusted ({error.verify_message})"
    assert at_the_entry in _remedies.remedy(reason)


def test_what_else_is_wrong_with_a_certificate_is_its_owners_to_fix() -> None:
    error = ssl.SSLCertVerificationError("weak")
    error.verify_code, error.verify_message = 66, "EE certificate key too weak"
    assert "reissued" in _tls.remedy(error, ca_given=True)
