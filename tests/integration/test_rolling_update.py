"""playbooks/rolling_update.yml and rollback.yml: forward, held part way, and back, with live traffic."""

from __future__ import annotations

import re
from typing import Any

import pytest
from integration.playbooks import Lab, Traffic, description


def annotations(lab: Lab) -> dict[str, str]:
    """The annotations of Deployment hello."""
    return dict(lab.apps.read_namespaced_deployment("hello", lab.namespace).metadata.annotations)


def test_forward_again_and_back(lab: Lab) -> None:
    with Traffic(lab) as traffic:
        surge = {"rolling_update_max_surge": 1, "rolling_update_max_unavailable": 0}
        # However long a cluster may settle, its verdicts are never asked to be certain.
        run = lab.play("rolling_update", version="2.0.0", rolling_update_settle=300, **surge)
    assert (run.code, run.changed) == (0, 1), run.output
    assert "hello 2.0.0 runs in all 3 pods" in run.output
    assert re.search(
        r"watched: \d+ requests, 0 lost; 1\.0\.0 until [\d:.]+, 2\.0\.0 from", " ".join(run.output.split())
    )
    assert lab.versions() == {"2.0.0": 20}
    assert set(traffic.versions) <= {"1.0.0", "2.0.0"}
    noted = annotations(lab)
    assert noted["kubernetes.io/change-cause"] == "Rolling update to 2.0.0"

    again = lab.play("rolling_update", version="2.0.0", **surge)
    assert (again.code, again.changed) == (0, 0), again.output

    for changed in (1, 0):
        back = lab.play("rollback", revision=1)
        assert (back.code, back.changed) == (0, changed), back.output
        assert "Rolling update to 2.0.0" in back.output
        watched = re.search(r"watched: \d+ requests, 0 lost", back.output)
        assert bool(watched) == bool(changed), back.output  # what changes nothing need not be watched
        assert lab.versions() == {"1.0.0": 20}


def test_held_part_way_until_a_second_run(lab: Lab) -> None:
    held: dict[str, Any] = {
        "version": "2.0.0",
        "rolling_update_pause_at": "50%",
        "rolling_update_resume": "next_run",
    }
    first = lab.play("rolling_update", **held)
    assert first.code == 0, first.output
    assert "paused with 2 of 3 pods new" in first.output
    assert set(lab.versions(60)) == {"1.0.0", "2.0.0"}
    assert annotations(lab)["convoy.rollout/paused-at"] == "50%"

    kept = lab.play("rolling_update", **held | {"rolling_update_resume": "never"})
    assert (kept.code, kept.changed) == (0, 0), kept.output

    second = lab.play("rolling_update", **held)
    assert (second.code, second.changed) == (0, 1), second.output
    assert lab.versions() == {"2.0.0": 20}
    # What has served stays noted, for the way back; nothing else does.
    assert [key for key in annotations(lab) if key.startswith("convoy.rollout/")] == ["convoy.rollout/served"]


def test_what_fails_verification_is_rolled_back(lab: Lab) -> None:
    broken = description()
    broken["hello"]["image"] = "sandbox/hello"
    run = lab.play("rolling_update", version="broken", applications=broken)
    assert run.code != 0
    assert "hello broken failed verification and was rolled back to 1.0.0, which runs in every pod again" in " ".join(
        run.output.split()
    )
    assert lab.versions() == {"1.0.0": 20}

    refused = lab.play("rollback")  # the failed revision is the only other one
    assert refused.code != 0
    assert "each earlier revision of Deployment hello in namespace" in " ".join(refused.output.split()), refused.output

    # One that never becomes ready takes no traffic, and nobody notices; held part way it is undone too.
    with Traffic(lab) as traffic:
        run = lab.play("rolling_update", version="nope", rolling_update_pause_at="50%")
    assert run.code != 0
    assert "was rolled back to 1.0.0" in " ".join(run.output.split()), run.output
    assert (traffic.lost, traffic.versions) == ([], ["1.0.0"])
    spec = lab.apps.read_namespaced_deployment("hello", lab.namespace).spec
    assert (spec.paused, spec.min_ready_seconds, spec.progress_deadline_seconds) == (None, None, 600)


def test_check_mode_tells_and_changes_nothing(bad_lab: Lab) -> None:
    before = bad_lab.spec_versions()
    dry = bad_lab.play("rolling_update", "--check", "--diff", version="2.0.0")
    assert (dry.code, dry.changed) == (0, 1), dry.output
    assert "kelseyhightower/hello:2.0.0" in dry.output
    assert bad_lab.spec_versions() == before


@pytest.mark.parametrize(
    ("playbook", "extra_vars", "sentence"),
    [
        ("rolling_update", {"version": 2.0}, "in quotes"),
        ("rolling_update", {"version": "2.0.0", "application": "goodbye"}, "There is no Deployment goodbye"),
        ("rolling_update", {"version": "2.0.0", "application_entry": {"service": "gone"}}, "There is no Service gone"),
        ("rolling_update", {"version": "2.0.0", "application_namespace": "nowhere"}, "There is no namespace nowhere"),
        ("rollback", {"revision": 77}, "Revision 77 is not in the history of Deployment hello"),
        ("rollback", {}, "no earlier revision in its history"),
    ],
)
def test_what_cannot_be_is_refused_and_touches_nothing(
    bad_lab: Lab, playbook: str, extra_vars: dict[str, Any], sentence: str
) -> None:
    before = bad_lab.spec_versions()
    run = bad_lab.play(playbook, **extra_vars)
    assert run.code != 0, run.output
    assert sentence in " ".join(run.output.split()), run.output
    assert bad_lab.spec_versions() == before


def test_one_that_somebody_else_paused_is_refused(lab: Lab) -> None:
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, {"spec": {"paused": True}})
    before = lab.spec_versions()
    for playbook in ("rolling_update", "rollback"):
        run = lab.play(playbook, version="2.0.0")
        assert run.code != 0
        assert "Deployment hello is paused" in " ".join(run.output.split()), run.output
    assert lab.spec_versions() == before
