"""Reads hosts whose variables stay what they are, whatever they look like to YAML or to a template engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import trust_as_template

DOCUMENTATION = r"""
name: cases
short_description: hosts from a JSON file
description: Each host has C(variables), which Ansible is not to evaluate, and C(templates), which it may.
options: {}
"""


class InventoryModule(BaseInventoryPlugin):
    """A plugin's own text is not trusted, so Ansible evaluates none of it."""

    NAME = "cases"

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the hosts of the file."""
        super().parse(inventory, loader, path, cache)
        for host, given in json.loads(Path(path).read_text()).items():
            inventory.add_host(host)
            for name, value in given["variables"].items():
                inventory.set_variable(host, name, value)
            for name, text in given["templates"].items():
                inventory.set_variable(host, name, trust_as_template(text))
