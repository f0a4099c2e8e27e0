"""Which proxy the environment wants a server to be reached through."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._proxy import of_environment

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("server", "environment", "proxy"),
    [
        ("https://one.example.com", {}, None),
        ("https://one.example.com", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://one.example.com", {"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ("https://one.example.com", {"HTTP_PROXY": PROXY}, None),
        ("http://one.example.com", {"http_proxy": PROXY}, PROXY),
        ("https://127.90.0.1:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_a_proxy_of_the_environment(server: str, environment: dict[str, str], proxy: str | None) -> None:
    assert of_environment(server, environment) == proxy


@pytest.mark.parametrize(
    ("host", "rules", "direct"),
    [
        ("one.example.com", "*", True),
        ("one.example.com", "example.com", True),
        ("one.example.com", "two.example.com, .Example.com", True),
        ("one.example.com", "*.example.com", True),
        ("one.example.com", "one.example.com:443", True),
        ("one.example.com", "one.example.com:6443", False),
        ("one.example.com", "e.example.com,,10.0.0.0/8", False),
        ("example.com", ".example.com", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "10.1.2.4,example.com", False),
        ("10.1.2.3", "fd00::/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "[fd00::1]:443", True),
    ],
)
def test_what_no_proxy_names_is_reached_directly(host: str, rules: str, direct: bool) -> None:
    found = of_environment(f"https://{host}", {"HTTPS_PROXY": PROXY, "NO_PROXY": rules})
    assert found == (None if direct else PROXY)
