# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module kubernetes.core.k8s in the process of a task.

As a program of its own it costs more than a second of CPU on each cluster, nearly all of it to be packed and to import
the Python client of Kubernetes. Ansible loads an action plugin in its own process before it starts the processes of a
task, one for each host, so what is imported here is imported once in a run, and only where something is applied.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import typing as t

from ansible.module_utils import basic

#: What client and module import where they find it, as the sandbox brings it: a fifth of their time, for nothing here.
UNUSED = "kubernetes_validate"


@contextlib.contextmanager
def _without(name: str) -> t.Iterator[None]:
    """Nobody finds a module, unless it is imported already."""
    kept = name in sys.modules
    if not kept:
        sys.modules[name] = t.cast("t.Any", None)  # which is how Python is told that there is none
    try:
        yield
    finally:
        if not kept:
            del sys.modules[name]


try:
    with _without(UNUSED):
        # What the module imports when it is called.
        import kubernetes.dynamic  # noqa: F401  # pylint: disable=unused-import
        import urllib3.util.ssl_
        from ansible_collections.kubernetes.core.plugins.modules import k8s
except ImportError:
    k8s = None

#: Whether this Python has what the module needs. Else it is called as any other, by the host's interpreter.
POSSIBLE = k8s is not None


class _Module(basic.AnsibleModule):
    """A module that keeps its warnings, which else were shown at once, though they may quote a Secret."""

    told: t.ClassVar[list[str]] = []

    def warn(self, warning: str, **_more: t.Any) -> None:
        self.told.append(str(warning))

    def deprecate(self, msg: str, *_more: t.Any, **_named: t.Any) -> None:
        """Leave out what only its developers can change."""


def called(arguments: t.Mapping[str, t.Any], *, check_mode: bool, diff: bool) -> dict[str, t.Any]:
    """What the module returns; one that breaks down returns `failed` and the error as `msg`.

    It changes the state of this process as a module may, so this is for a process that does nothing else afterwards.
    Nothing is written to the system's log.
    """
    told = {"_ansible_check_mode": check_mode, "_ansible_diff": diff, "_ansible_no_log": True}
    # As ansible.module_utils.testing.patch_module_args does it, which tests of modules use.
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **told}}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    k8s.AnsibleModule = _Module
    # From Python 3.13 on it would refuse certificates that all else of the run accepts (_tls.client_context).
    t.cast("t.Any", urllib3.util.ssl_).VERIFY_X509_STRICT = 0
    _Module.told.clear()
    printed = io.StringIO()
    broke: BaseException | None = None
    with _without(UNUSED), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        try:
            k8s.main()
        except SystemExit:
            pass
        except Exception as error:
            broke = error
    try:
        result = json.loads(printed.getvalue())
    except ValueError:
        said = {"msg": f"{type(broke).__name__}: {broke}"} if broke else {}
        return {"failed": True, **said}
    return {**result, **({"warnings": list(_Module.told)} if _Module.told else {})}
