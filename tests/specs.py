"""Write what the argument specs of several roles have in common into each of them.

Ansible knows no fragments there. A test sees that the specs are as this writes them.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(__file__).with_name("shared_options.yml")


def shared() -> dict[str, str]:
    """Each shared option by its name without the role's prefix, as YAML that begins at the left."""
    blocks = re.findall(r"^(\w+):\n((?:  .*\n)+)", SHARED.read_text(), re.MULTILINE)
    return {name: textwrap.dedent(body) for name, body in blocks}


def specs() -> list[Path]:
    """The argument specs of all roles that roll an application out."""
    return sorted(path for path in ROOT.glob("roles/*/meta/argument_specs.yml") if path.parts[-3] != "cluster")


def written(text: str, role: str) -> str:
    """An argument spec with the shared options as they are now; of an entry only its own options are shared."""
    for name, body in shared().items():
        header, begins = rf"^      {role}_{name}:(?: &\w+)?\n", " " * 8
        if body.startswith("options:\n"):
            header = rf"{header}(?:        (?!options:).*\n)*"
        text = re.sub(
            rf"({header})((?:{begins}.*\n)+)",
            lambda found, body=body, begins=begins: found[1] + textwrap.indent(body, begins),
            text,
            flags=re.MULTILINE,
        )
    return text


def main() -> None:
    """Write all of them."""
    for path in specs():
        path.write_text(written(path.read_text(), path.parts[-3]))


if __name__ == "__main__":
    main()
