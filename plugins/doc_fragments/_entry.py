# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """How a task says where users come in."""

    DOCUMENTATION = r"""
options:
  entry:
    description:
      - Where users come in, as in the roles' C(application_entry). Its values take precedence over the options of
        M(convoy.rollout.version_distribution) with the same names.
    type: dict
    version_added: 0.2.0
    suboptions:
      service:
        description: The name of the Service.
        type: str
      url:
        description: The URL to ask, where users do not come in by a Service of this cluster.
        type: str
      port:
        description: >-
          The Service's port, by its number or its name. By default the one that users come in by, as what it is called
          and its C(appProtocol) say. One for metrics or administration is asked only where there is no other.
        type: str
      scheme:
        description: The protocol there. By default what the port says.
        type: str
        choices: [http, https]
      path:
        description: The path of the requests. By default C(/version).
        type: str
      via:
        description: >-
          V(url) asks the Service's own address, V(proxy) through the API server; V(auto) the address where there is
          one.
        type: str
        choices: [auto, url, proxy]
      validate_certs:
        description: Whether the certificate must be one that this machine trusts.
        type: bool
      ca_cert:
        description: The path of the CA that issued the certificate, where this machine does not trust it already.
        type: path
      headers:
        description: >-
          Headers of each request, such as C(Host) for an application that answers only under its own names, or
          C(Authorization). Their values are not shown anywhere.
        type: dict
      server_name:
        description: >-
          The server name of TLS (SNI), which the certificate must be valid for, where that is not the host that is
          asked. Has no meaning through the proxy.
        type: str
      source:
        description:
          - What is judged. V(traffic), the default, makes requests.
          - V(endpoints) counts the ready endpoints of the Service, and V(pods) the ready pods, by the versions of their
            images, for what does not speak HTTP/1.1. It proves where Kubernetes sends users, and not what answer they
            get, and the verdict says so.
        type: str
        choices: [traffic, endpoints, pods]
      max_p99:
        description: Seconds that 99 of 100 answers may take at most.
        type: float
      rate_limit:
        description: >-
          How many requests a second are made there at most, those of a watch included. Fewer than the usual 200 for an
          application that does not let in as many, more for one that is to be verified sooner. V(0) sets no limit.
          Through the API server's proxy they are never more than 200.
        type: float
      version_from:
        description: Where an answer says its version. By default in C(version) of a JSON body.
        type: dict
        suboptions:
          json_pointer:
            description: A JSON pointer into the body.
            type: str
          header:
            description: A header of the answer.
            type: str
          regex:
            description: A regular expression that finds it in the body.
            type: str
"""
