# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin self_signed do."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task

ARGUMENTS: dict[str, t.Any] = {
    "certificates": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "common_name": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "days": {"type": "int", "default": 365},
        },
    },
}


def run(options: t.Mapping[str, t.Any], _task: Task) -> dict[str, t.Any]:
    """Make each certificate with a key of its own. Raises Failure."""
    return {
        "changed": False,
        "certificates": [{"name": each["name"], **_pair(each)} for each in options["certificates"]],
    }


def _pair(described: t.Mapping[str, t.Any]) -> dict[str, str]:
    """A certificate and its key, PEM. Raises Failure."""
    try:
        # Where they are needed: they take longer than all else, and most runs make no certificate.
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise Failure("The Python package cryptography is needed to make a certificate.") from error
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(timezone.utc)
    names = [described["common_name"], *described["names"]]
    try:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, described["common_name"])])
        alternatives = [x509.DNSName(name.encode("idna").decode()) for name in dict.fromkeys(names)]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=described["days"]))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
    except (ValueError, OverflowError) as error:
        raise Failure(
            f"Certificate {described['name']} cannot be made: {error}. Check its common_name, names and days."
        ) from error
    pem = serialization.Encoding.PEM
    unencrypted = serialization.NoEncryption()
    return {
        "certificate": certificate.public_bytes(pem).decode(),
        "private_key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted).decode(),
    }
