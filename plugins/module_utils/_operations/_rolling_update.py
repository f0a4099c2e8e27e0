# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin rolling_update do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _pause, _update
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _images,
    _place,
    _reachable,
    _rollout,
    _subject,
    _workloads,
)

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "image": {"type": "str"},
    "container": {"type": "str"},
    "max_surge": {"type": "str"},
    "max_unavailable": {"type": "str"},
    "change_cause": {"type": "str"},
    "pause_at": {"type": "str"},
    "service": {"type": "str"},
    "version_of": _images.RULE_OPTION,
}

OPTIONS = ("version", "image", "container", "max_surge", "max_unavailable", "change_cause", "pause_at")


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Start a Deployment's rollout of another version, and say where it comes from. Raises Failure."""
    place = _place.Place("Deployment", options["namespace"], options["name"])
    wish = _update.Wish(**{name: options[name] or "" for name in OPTIONS}, rule=_images.rule(options["version_of"]))
    _update.check(wish)
    api = _api.api(options, task.environ)
    try:
        deployment = _place.found(api, place)
        remembered, _pods = _place.around(api, place, deployment)
        _update.check_deployment(deployment, wish)
        there = api.items(_api.path_of("services", place.namespace))
        named = options["service"]
        if named and named not in [item["metadata"]["name"] for item in there]:
            raise Failure(f"There is no Service {named} in namespace {place.namespace}; run app_deploy.yml first.")
        services = _update.services(deployment, wish, there)
        leading = [item for item in there if item["metadata"]["name"] in services]
        uneven = [_reachable.uneven(item, [], entry=entry) for item in leading for entry in (True, False)]
        template = deployment["spec"]["template"]

        def plan(workload: _api.Object) -> list[_api.Object]:
            # It may also be this task's own change, of which the answer was lost.
            if workload["spec"]["template"] != template and _update.template_patch(workload, wish):
                raise Failure(f"{place} was changed by somebody else meanwhile; look at it and run again.")
            _update.check_deployment(workload, wish)
            return _update.patch(workload, wish)

        after = _place.changed(api, place, deployment, plan, dry_run=task.check_mode)
    finally:
        api.close()
    back = _way_back(deployment, remembered, wish)
    phase = _phase(deployment, wish)
    image = _update.container(after, wish)["image"]
    answered = wish.rule.answer(wish.version)
    return {
        **_place.difference(deployment, after),
        "phase": phase,
        "before": answered if phase == "done" else back.version if back else "",
        "after": answered,
        "way_back": back.revision if back else 0,
        "image": image,
        "paused_at": _workloads.annotations_of(deployment).get(_pause.PAUSED_AT, ""),
        "services": services,
        "uneven": next(filter(None, uneven), ""),
        "message": f"{place} {'has' if phase == 'done' else 'goes to'} version {wish.version} ({image}).",
    }


def _phase(deployment: _api.Object, wish: _update.Wish) -> str:
    """Where the rolling update begins: update, going, held or done."""
    if _update.template_patch(deployment, wish):
        return "update"
    if _pause.is_ours(deployment) and deployment["spec"].get("paused"):
        return "held"
    return "done" if _rollout.progress(deployment) is None else "going"


def _way_back(
    deployment: _api.Object, remembered: t.Sequence[_api.Object], wish: _update.Wish
) -> _subject.WayBack | None:
    """The revision that is gone back to where the new version fails: the one that served last."""
    leaving = bool(_update.template_patch(deployment, wish))
    asked = str(_update.container(deployment, wish)["name"])
    for still in (leaving, True):
        back = _subject.way_back(deployment, remembered, container=asked, rule=wish.rule, leaving=still)
        if back:
            return back
    return None
