"""How property tests look for cases."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long a machine takes over a case says nothing about the software.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
