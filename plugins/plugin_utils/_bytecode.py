# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""This collection's own modules, imported as Python imports any other: from the bytecode that it keeps of them.

Ansible's importer of collections compiles each file anew, in every run. For what is below module_utils that takes a
fifth of a second of CPU, as much as half a dozen tasks. Whatever imports from there imports this module first.
"""

from __future__ import annotations

import sys
import typing as t
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader

WITHIN = "ansible_collections.convoy.rollout.plugins.module_utils."


class Finder(MetaPathFinder):
    """Finds the modules and packages of `WITHIN`, and leaves all else to those that come after it."""

    def find_spec(self, fullname: str, path: t.Sequence[str] | None, target: t.Any = None) -> ModuleSpec | None:
        """How a module is loaded; None where it is none of ours, or there is no such file."""
        if not fullname.startswith(WITHIN):
            return None
        for folder in path or ():
            found = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname)
            if found is not None and found.loader is not None:  # none for a folder that is no package
                return found
        return None


if not any(isinstance(finder, Finder) for finder in sys.meta_path):
    # Right before Ansible's own: what stands before that, such as what ansible-test looks with, is to stay first.
    ansibles = [type(finder).__name__ == "_AnsibleCollectionFinder" for finder in sys.meta_path]
    sys.meta_path.insert(ansibles.index(True) if True in ansibles else 0, Finder())
