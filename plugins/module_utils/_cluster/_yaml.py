# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading YAML, with libyaml where PyYAML has it: every task reads a kubeconfig, and that is ten times as fast."""

from __future__ import annotations

import typing as t


def documents(text: str | bytes | t.IO[str]) -> list[t.Any]:
    """The documents of a text or of a stream. Raises ImportError without PyYAML, and yaml.YAMLError."""
    import yaml

    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def document(text: str | bytes | t.IO[str]) -> t.Any:
    """The only document of a text or of a stream, None where that is empty. Raises as `documents` does."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
