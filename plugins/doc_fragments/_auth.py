# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """How a module says which API server it means."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The path of a kubeconfig, several of them as in E(KUBECONFIG), or a kubeconfig as a dictionary.
      - Without it, and without O(context), the service account of the pod that this runs in counts, if it is
        a pod, else E(KUBECONFIG), else C(~/.kube/config).
      - Credential plugins (C(exec)), C(as) with its groups, C(proxy-url) and C(tls-server-name) work as they do for
        kubectl. Credentials are renewed before they expire, and once where the API server does not accept them.
      - Can also be given by E(K8S_AUTH_KUBECONFIG). As for C(kubernetes.core.k8s), all of these variables are those of
        the task, so that C(environment) of a play, a block or a task counts as well.
    type: raw
  context:
    description: The context of the kubeconfig, by default its current one. Can also be given by
      E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - The URL of the API server. With credentials (O(api_key), O(username) and O(password), or O(client_cert) and
        O(client_key)) it takes the place of a kubeconfig, without them it overrides the kubeconfig's.
      - Can also be given by E(K8S_AUTH_HOST).
    type: str
  api_key:
    description: A bearer token. Can also be given by E(K8S_AUTH_API_KEY).
    type: str
  username:
    description: The name for HTTP Basic authentication. Can also be given by E(K8S_AUTH_USERNAME).
    type: str
  password:
    description: Its password. Can also be given by E(K8S_AUTH_PASSWORD).
    type: str
  impersonate_user:
    description:
      - The user to act as. Its rights count then, and the user whose credentials these are needs the right to
        C(impersonate) it.
      - It replaces all that the kubeconfig says about it (C(as), C(as-groups), C(as-uid), C(as-user-extra)).
      - Can also be given by E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description:
      - The groups to act as a member of. They go with O(impersonate_user), or with C(as) of the kubeconfig.
      - Can also be given by E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas.
    type: list
    elements: str
  proxy:
    description:
      - The URL of an HTTP proxy that leads to the API server, such as V(http://proxy.example.com:3128). A name and a
        password in it are sent to the proxy.
      - By default the kubeconfig's C(proxy-url), else what E(HTTPS_PROXY) and E(NO_PROXY) say, as for kubectl.
      - M(convoy.rollout.version_distribution) needs Python 3.11 where it samples through one.
      - Can also be given by E(K8S_AUTH_PROXY).
    type: str
  no_proxy:
    description:
      - Names, addresses and networks, separated by commas, that are reached without any proxy, also without the
        kubeconfig's and without O(proxy).
      - Can also be given by E(K8S_AUTH_NO_PROXY).
    type: str
  proxy_headers:
    description: Headers for the proxy.
    type: dict
    suboptions:
      proxy_basic_auth:
        description: A name and a password, separated by a colon, for the proxy itself. Can also be given by
          E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description: A name and a password, separated by a colon, as a header C(Authorization). Can also be given by
          E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description: A header C(User-Agent). Can also be given by E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
  persist_config:
    description:
      - Accepted because C(kubernetes.core.k8s) has it. Renewed credentials are never written back into the kubeconfig.
      - Can also be given by E(K8S_AUTH_PERSIST_CONFIG).
    type: bool
  validate_certs:
    description:
      - Whether the API server's certificate must be one that is trusted, by default as the kubeconfig says.
      - Can also be given by E(K8S_AUTH_VERIFY_SSL) or E(K8S_AUTH_VALIDATE_CERTS).
    type: bool
    aliases: [verify_ssl]
  ca_cert:
    description: The path of the CA that issued the API server's certificate. Can also be given by
      E(K8S_AUTH_SSL_CA_CERT) or E(K8S_AUTH_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  client_cert:
    description: The path of a client certificate. Can also be given by E(K8S_AUTH_CERT_FILE) or
      E(K8S_AUTH_CLIENT_CERT).
    type: path
    aliases: [cert_file]
  client_key:
    description: The path of its key. Can also be given by E(K8S_AUTH_KEY_FILE) or E(K8S_AUTH_CLIENT_KEY).
    type: path
    aliases: [key_file]
requirements:
  - PyYAML, to read a kubeconfig
"""
