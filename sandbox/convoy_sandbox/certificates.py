# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sandbox's own certificate authority, its server certificate and its administrator's credentials."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_NAME = "convoy-sandbox-ca"
_VALID = datetime.timedelta(days=365)
_SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Certificates:
    """PEM texts, and the bearer token that is worth as much as the client certificate."""

    ca: bytes
    server_cert: bytes
    server_key: bytes
    client_cert: bytes
    client_key: bytes
    token: str
    ca_key: ec.EllipticCurvePrivateKey

    def client(self, user: str, groups: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """A certificate by which somebody is a user of these groups, and its key, as PEM texts."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(user, *groups), key.public_key(), self.ca_key)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return _pem(builder.add_extension(usage, critical=False).sign(self.ca_key, hashes.SHA256())), _key_pem(key)

    def server_context(self) -> ssl.SSLContext:
        """TLS for the API server: client certificates are checked where they are given."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=self.ca.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.num_tickets = 0  # no client here resumes a session, and tickets are a quarter of what a handshake takes
        with tempfile.TemporaryDirectory() as directory:  # the ssl module reads keys from files only
            cert, key = Path(directory, "cert"), Path(directory, "key")
            key.touch(mode=0o600)
            cert.write_bytes(self.server_cert)
            key.write_bytes(self.server_key)
            context.load_cert_chain(cert, key)
        return context


def _name(common: str, *organizations: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, ca_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """A certificate of the authority's, but for what it is good for."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_name(_CA_NAME))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make() -> Certificates:
    """A new authority with one server and one client certificate, valid for a year."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = (
        _builder(_name(_CA_NAME), ca_key.public_key(), ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(ca_key, hashes.SHA256())
    )
    server_key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        *(x509.DNSName(name) for name in _SERVER_NAMES),
    ]
    server = (
        _builder(_name("kube-apiserver"), server_key.public_key(), ca_key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    client_key = ec.generate_private_key(ec.SECP256R1())
    client = (
        _builder(_name("kubernetes-admin", "system:masters"), client_key.public_key(), ca_key)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return Certificates(
        _pem(ca), _pem(server), _key_pem(server_key), _pem(client), _key_pem(client_key),
        secrets.token_urlsafe(32), ca_key,
    )  # fmt: skip
