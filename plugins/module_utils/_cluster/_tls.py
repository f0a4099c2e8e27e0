# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which certificates are accepted, the same under every Python, and what to do about one that is not."""

from __future__ import annotations

import ssl

#: OpenSSL's codes of what is wrong with a certificate (X509_V_ERR_...).
_UNKNOWN_ISSUER = frozenset([2, 7, 18, 19, 20, 21, 30])
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = frozenset([62, 64])


def client_context(ca_file: str | None = None, ca_data: str | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """The TLS settings of a client, the same under every Python. Raises OSError and ssl.SSLError.

    Without a CA, the system's are trusted. From Python 3.13 on, the standard library refuses certificates that lack key
    identifiers or a CA's key usage by default. Managed clusters (such as EKS) have such certificates, and kubectl, curl
    and browsers accept them. An intermediate CA that is given is trusted by itself, as by kubectl and Python 3.13.
    """
    if not verify and not ca_file and not ca_data:
        # Reading the system's CAs takes longer than a request, and nothing would be held against them.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.create_default_context(cafile=ca_file, cadata=ca_data)  # noqa: TID251 - the one place
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0)  # Python 3.9 does not know it
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def remedy(error: ssl.SSLCertVerificationError, *, ca_given: bool) -> str:
    """What to do about the certificate of an API server that was refused."""
    code = error.verify_code
    if code in _UNKNOWN_ISSUER and ca_given:
        return "the CA that was given did not sign it: set the cluster's own CA with ca_cert, or in the kubeconfig"
    if code in _UNKNOWN_ISSUER:
        return "set the CA that signed it with ca_cert, or in the kubeconfig"
    if code in _OTHER_NAME:
        return "use an address that it is valid for, or set tls-server-name in the kubeconfig"
    if code == _EXPIRED:
        return "renew it and its CA, and check this machine's clock"
    if code == _NOT_YET_VALID:
        return "check this machine's clock"
    return "have the cluster's certificate reissued; validate_certs=false connects without verifying it"
