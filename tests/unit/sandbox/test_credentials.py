"""The sandbox's certificates and the kubeconfig that hands them out."""

from __future__ import annotations

import base64
import ssl
import stat
from pathlib import Path

import pytest
import yaml
from convoy_sandbox import certificates, kubeconfig
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

MADE = certificates.make()


def _load(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


@pytest.mark.parametrize("name", ["localhost", "kubernetes.default.svc"])
def test_the_server_is_who_the_authority_says(name: str) -> None:
    roots = Store([_load(MADE.ca)])
    verifier = PolicyBuilder().store(roots).build_server_verifier(x509.DNSName(name))
    verifier.verify(_load(MADE.server_cert), [])
    stranger = PolicyBuilder().store(Store([_load(certificates.make().ca)])).build_server_verifier(x509.DNSName(name))
    with pytest.raises(VerificationError):
        stranger.verify(_load(MADE.server_cert), [])


def test_the_client_is_an_administrator() -> None:
    subject = _load(MADE.client_cert).subject.rfc4514_string()
    assert subject == "CN=kubernetes-admin,O=system:masters"


def test_client_certificates_are_checked_where_they_are_given() -> None:
    assert MADE.server_context().verify_mode == ssl.CERT_OPTIONAL


def test_a_kubeconfig_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("something older")
    path.chmod(0o644)
    kubeconfig.write(path, "two", "https://127.0.0.1:6443", MADE.ca, "two-admin", kubeconfig.administrator(MADE))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["kubeconfig"]
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "two"
    assert config["contexts"][0]["context"] == {"cluster": "two", "user": "two-admin"}
    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == "https://127.0.0.1:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == MADE.ca
    assert base64.b64decode(config["users"][0]["user"]["client-key-data"]) == MADE.client_key
