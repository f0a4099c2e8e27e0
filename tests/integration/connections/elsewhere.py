"""This machine over a connection that is not called local, as another one is reached: modules run as programs there."""

from __future__ import annotations

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = r"""
name: elsewhere
short_description: this machine, as if it were another one
description: As P(ansible.builtin.local#connection), under another name.
extends_documentation_fragment: [connection_pipelining]
options:
  become_success_timeout:
    description: Seconds to wait until a privilege escalation has worked.
    type: int
    default: 10
  become_strip_preamble:
    description: Whether what comes before a privilege escalation is left out.
    type: bool
    default: true
"""


class Connection(Local):
    """Of one host."""

    transport = "elsewhere"
