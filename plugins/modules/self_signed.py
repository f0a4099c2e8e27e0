#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: self_signed
short_description: Make self-signed certificates and their keys, in memory
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Makes certificates for servers, each with a private key of its own, and returns them. Nothing is written anywhere.
  - Set C(no_log) for the task, as its result has the private keys.
options:
  certificates:
    description: What to make.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it is called in RV(certificates).
        type: str
        required: true
      common_name:
        description: The subject's name, and the first of those that the certificate is for.
        type: str
        required: true
      names:
        description: Further DNS names that the certificate is for.
        type: list
        elements: str
        default: []
      days:
        description: How long it is valid, in days.
        type: int
        default: 365
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Changes nothing, so that there is nothing to be shown.
    support: N/A
  action:
    description: Runs in the controller's own process, whatever the connection. C(ansible-core) brings the package
      C(cryptography) that it needs.
    support: full
  idempotent:
    description: Each certificate that it makes is another one.
    support: N/A
"""

EXAMPLES = r"""
---
- name: Make a certificate
  convoy.rollout.self_signed:
    certificates:
      - name: tls-certs
        common_name: shop.example
        names: [www.shop.example]
  register: made
  no_log: true
"""

RETURN = r"""
certificates:
  description: Each certificate, in the order of O(certificates).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name that was given.
      type: str
    certificate:
      description: The certificate, PEM.
      type: str
    private_key:
      description: Its private key, PEM (PKCS#8, not encrypted), on the curve P-256.
      type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _self_signed


def main() -> None:
    """Run the operation on this host."""
    run_operation(_self_signed.ARGUMENTS, _self_signed.run)


if __name__ == "__main__":
    main()
