# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin application_info do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _applications,
    _images,
    _namespace,
    _place,
    _subject,
)

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "names": {"type": "list", "elements": "str"},
    "application": {"type": "str"},
    "service": {"type": "str"},
    "container": {"type": "str"},
    "version_of": _images.RULE_OPTION,
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read the namespace once, and put together what belongs together. Raises Failure."""
    rule = _images.rule(options["version_of"])
    namespace, names, application = options["namespace"], options["names"], options["application"]
    if options["service"] and not application:
        raise Failure("service goes with application, the one that users reach by it; give application too.")
    api = _api.api(options, task.environ)
    try:
        there = _namespace.read(api, namespace) if application else _namespace.workloads(api, namespace)
        found = {item["metadata"]["name"]: item for item in there.deployments}
        missing = sorted(set(names or []) - set(found))
        if missing:
            raise Failure(
                f"There is no Deployment {', '.join(missing)} in namespace {namespace}; create it, or name another."
            )
        subject = None
        if application:
            if not found:
                _place.check_namespace(api, namespace)
            subject = _subject.subject(
                there,
                application,
                service=options["service"] or "",
                container=options["container"] or "",
                rule=rule,
            )
    finally:
        api.close()
    shown = sorted(found) if names is None else names
    if names is None and subject:
        shown = [item.name for item in ([subject.live] if subject.live else []) + [*subject.others]]
    return {
        "changed": False,
        "applications": [
            _applications.application(found[name], there, options["container"] or "", rule) for name in shown
        ],
        **({"subject": _applications.facts(subject)} if subject else {}),
    }
