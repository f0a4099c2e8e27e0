"""Secrets that hold tokens of ServiceAccounts."""

from __future__ import annotations

import asyncio
import base64

from convoy_sandbox import resources
from convoy_sandbox.api.tokens import TokenSecrets
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store


class Authenticator:
    """Gives out tokens that say whose they are."""

    def token(self, account: dict[str, dict[str, str]], seconds: int) -> tuple[str, int]:
        return f"token of {account['metadata']['name']}", seconds


def test_a_secret_of_an_account_is_filled_and_one_of_nobody_goes() -> None:
    async def check() -> None:
        store = Store()
        registry = Registry(store)
        tokens = TokenSecrets(store, registry, Authenticator(), b"the CA")  # type: ignore[arg-type]
        tokens.start()
        registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
        registry.create(resources.SERVICEACCOUNTS, "lab", {"metadata": {"name": "robot"}})
        for name in ("robot", "nobody"):
            annotations = {"kubernetes.io/service-account.name": name}
            meta = {"name": name, "annotations": annotations}
            registry.create(resources.SECRETS, "lab", {"metadata": meta, "type": "kubernetes.io/service-account-token"})
        changed = asyncio.Event()
        store.subscribe(lambda _: changed.set())
        async with asyncio.timeout(300):
            while len(store.list(resources.SECRETS)) > 1 or "data" not in store.list(resources.SECRETS)[0]:
                await changed.wait()
                changed.clear()
        tokens.close()
        data = store.list(resources.SECRETS)[0]["data"]
        assert {key: base64.b64decode(value).decode() for key, value in data.items()} == {
            "ca.crt": "the CA",
            "namespace": "lab",
            "token": "token of robot",
        }

    asyncio.run(check())
