# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """How a module says which API server it means."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The path of a kubeconfig, several of them as in E(KUBECONFIG), or a kubeconfig as a dictionary.
      - Without it, O(context) and O(host), the service account of the pod that this runs in counts, if it is
        a pod, else E(KUBECONFIG), else C(~/.kube/config).
      - Credential plugins (C(exec)), C(proxy-url) and C(tls-server-name) work as they do for kubectl.
      - Can also be given by E(K8S_AUTH_KUBECONFIG).
    type: raw
  context:
    description: The context of the kubeconfig, by default its current one. Can also be given by
      E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - The URL of the API server. With credentials (O(api_key), O(username) or O(client_cert)) it takes the
        place of a kubeconfig, without them it overrides the kubeconfig's.
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
  proxy:
    description:
      - The URL of an HTTP proxy that leads to the API server, such as V(http://proxy.example.com:3128).
      - By default the kubeconfig's C(proxy-url), else what E(HTTPS_PROXY) and E(NO_PROXY) say, as for kubectl.
      - M(convoy.rollout.version_distribution) needs Python 3.11 where it samples through one.
      - Can also be given by E(K8S_AUTH_PROXY).
    type: str
  validate_certs:
    description:
      - Whether the API server's certificate must be one that is trusted, by default as the kubeconfig says.
      - Can also be given by E(K8S_AUTH_VERIFY_SSL).
    type: bool
    aliases: [verify_ssl]
  ca_cert:
    description: The path of the CA that the API server's certificate is from. Can also be given by
      E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  client_cert:
    description: The path of a client certificate. Can also be given by E(K8S_AUTH_CERT_FILE).
    type: path
    aliases: [cert_file]
  client_key:
    description: The path of its key. Can also be given by E(K8S_AUTH_KEY_FILE).
    type: path
    aliases: [key_file]
requirements:
  - PyYAML, to read a kubeconfig
"""
