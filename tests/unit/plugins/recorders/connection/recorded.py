"""Writes down that a module or a program was to be run, and does not run it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

from ansible.errors import AnsibleError
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = r"""
name: recorded
short_description: runs nothing and tells what was to be run
description:
  - Takes the place of P(ansible.builtin.local#connection), for this collection's actions too.
  - Each module that was to be run, each file that was to be copied is refused and written to a file, with its host.
options:
  host:
    description: Name of the host.
    vars:
      - name: inventory_hostname
"""


class Connection(ConnectionBase):
    """RECORDED_MODULES is the file."""

    transport = "local"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> NoReturn:
        """A module was to be run."""
        self._refuse(cmd)

    def put_file(self, in_path: str, out_path: str) -> NoReturn:
        """A file was to be written."""
        self._refuse(out_path)

    def fetch_file(self, in_path: str, out_path: str) -> NoReturn:
        """A file was to be read."""
        self._refuse(in_path)

    def close(self) -> None:
        """Nothing is open."""

    def _refuse(self, what: Any) -> NoReturn:
        host = self.get_option("host")
        with Path(os.environ["RECORDED_MODULES"]).open("a") as file:
            file.write(f"{host} {what.splitlines()[0]}\n")
        raise AnsibleError(f"Not run, as this is a test: {what}")
