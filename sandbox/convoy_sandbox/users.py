# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    credential: str = ""  #: what tells the certificate or token that it came with

    @property
    def extra(self) -> dict[str, list[str]]:
        """What else is known of it."""
        return {"authentication.kubernetes.io/credential-id": [self.credential]} if self.credential else {}

    @property
    def service_account(self) -> tuple[str, str] | None:
        """Namespace and name where the user is a ServiceAccount."""
        parts = self.name.split(":")
        return (parts[2], parts[3]) if parts[:2] == ["system", "serviceaccount"] and len(parts) == 4 else None
