"""What a rolling update or a rollback leaves as its outcome, whatever became of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import https
from integration.outcomes import Outcomes, refuses, said, watched_well
from integration.playbooks import ELSEWHERE, PATIENCE, Lab, Traffic, faulty
from kubernetes import client, utils

ROLE = "rolling_update"
TO_2: dict[str, Any] = {"rolling_update_version": "2.0.0"}
BACK: dict[str, Any] = {"tasks_from": "rollback"}
ENTRY = {"service": "frontend", "port": 443, "scheme": "https", "path": "/version"}


def special(version: str, **more: Any) -> dict[str, Any]:
    """An update to a version of hello that the sandbox makes fail."""
    return {"rolling_update_version": version, "rolling_update_applications": faulty(), **more}


#: An update to what is no version of hello: it listens on port 80 alone, and knows no /version.
NGINX: dict[str, Any] = {"rolling_update_version": "1.28.0", "rolling_update_image": "nginx"}


def given(lab: Lab, **fields: Any) -> None:
    """Give hello's container other fields, where that has to be for NGINX to run, and return when users are served."""
    container = {"name": "hello", "resources": {"limits": {"memory": "128Mi"}}, **fields}
    lab.apps.patch_namespaced_deployment(
        "hello", lab.namespace, {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    lab.settled()


def unready(lab: Lab) -> dict[str, Any]:
    """An update to a version that runs and never gets ready, as nothing listens on the port of its probe."""
    if ELSEWHERE:
        given(lab)
    return NGINX


def failing(lab: Lab, **more: Any) -> dict[str, Any]:
    """An update to a version that is ready and answers each request with an error."""
    if not ELSEWHERE:
        return special("broken", **more)
    given(lab, livenessProbe=None, readinessProbe={"httpGet": None, "tcpSocket": {"port": 80}, "periodSeconds": 1})
    return NGINX | more


def annotations(lab: Lab) -> dict[str, str]:
    """The annotations of Deployment hello."""
    return dict(lab.apps.read_namespaced_deployment("hello", lab.namespace).metadata.annotations)


def waited_for(running: subprocess.Popen[str], line: str) -> str:
    """The output of a play up to a line."""
    assert running.stdout is not None
    output = ""
    while line not in output:
        read = running.stdout.readline()
        assert read, output
        output += read
    return output


def test_success_again_refusals_and_the_way_back_in_one_play(lab: Lab, tmp_path: Path) -> None:
    surge = {"rolling_update_max_surge": 1, "rolling_update_max_unavailable": 0}
    # However long a cluster may settle, its verdicts are never asked to be certain.
    there = TO_2 | surge | {"rolling_update_settle": 300}
    to_1 = BACK | {"rolling_update_revision": 1}
    lab.quick = False
    with https.served(https.Handler) as (server, _ca), Traffic(lab) as traffic:
        # Nobody trusts its certificate, whether the cluster has a load balancer or is asked through its API server.
        misspelt = TO_2 | {"rolling_update_entry": {"url": f"https://127.0.0.1:{server.server_port}/version"}}
        runs = (BACK, misspelt, there, TO_2 | surge, {"rolling_update_version": "a b"}, to_1, to_1)
        outcomes, run = Outcomes(lab, tmp_path, ROLE, *runs).run()
    nowhere, untrusted, first, again, refused, back, still = outcomes
    assert run.changed == 3  # the file of the outcomes is one, too
    assert traffic.versions[:2] == ["1.0.0", "2.0.0"]
    assert lab.versions() == {"1.0.0": 20}

    assert said(nowhere) == ("refused", "fail", None, None, False, True)
    assert "no earlier revision in its history" in nowhere["reason"]
    assert nowhere["strategy"] == "rollback"

    assert said(untrusted) == ("refused", "fail", "1.0.0", "1.0.0", False, True)
    assert "certificate not trusted" in untrusted["reason"]
    assert untrusted["message"].endswith("Users get 1.0.0 as before.")

    assert said(first) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert first["evidence"][-1]["samples"] >= 450  # as many as show that 99.9% are answered
    assert (first["target"], first["way_back"]) == ("2.0.0", "rollback.yml -e revision=1")
    assert [each["what"] for each in first["evidence"]] == ["before", "pods", "traffic"]
    assert first["lines"][0] == first["message"] == "hello 2.0.0 runs in all 3 pods."
    watched_well(first, r"1\.0\.0 until [\d:.]+, 2\.0\.0 from")

    assert said(again) == ("success", "pass", "2.0.0", "2.0.0", False, False)
    assert (again["watched"], again["lost"]) == (None, 0)
    assert again["samples"] == again["evidence"][-1]["samples"]  # its own, not the first one's

    assert said(refused) == ("refused", "fail", None, None, False, True)
    assert refused["message"].startswith('rolling_update_version is "a b"; set the version to go to')
    assert refused["evidence"] == []

    assert said(back) == ("success", "pass", "2.0.0", "1.0.0", True, False)
    assert back["message"].startswith(
        "Deployment hello is back at revision 1, which is revision 3 now: hello 1.0.0 runs"
    )
    assert back["watched"]["lost"] == 0
    assert "Rolling update to 2.0.0" in run.output  # why each revision was made, from its annotation

    assert (said(still)[0], still["changed"], still["watched"]) == ("success", False, None)


def test_what_is_not_there_or_somebody_paused_is_refused(lab: Lab, tmp_path: Path) -> None:
    refuses(
        lab,
        tmp_path,
        ROLE,
        (TO_2 | {"rolling_update_application": "goodbye"}, "There is no Deployment goodbye"),
        (TO_2 | {"rolling_update_entry": {"service": "gone"}}, "There is no Service gone"),
        (TO_2 | {"rolling_update_namespace": "nowhere"}, "There is no namespace nowhere"),
        (BACK | {"rolling_update_revision": 77}, "Revision 77 is not in the history of Deployment hello"),
    )
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, {"spec": {"paused": True}})
    paused = "Deployment hello is paused"
    refuses(lab, tmp_path, ROLE, (TO_2, paused), (BACK, paused))


def test_what_never_gets_ready_is_rolled_back_and_nobody_notices(lab: Lab, tmp_path: Path) -> None:
    never: dict[str, Any] = {"rolling_update_version": "0.0.0-nowhere"}
    part: dict[str, Any] = {"rolling_update_version": "nope", "rolling_update_pause_at": "50%"}
    with Traffic(lab) as traffic:
        (waited, undone), _run = Outcomes(lab, tmp_path, ROLE, never, part).run()
    assert (traffic.lost, traffic.versions) == ([], ["1.0.0"])
    for outcome in (waited, undone):
        assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
        assert "Deployment hello did not complete its rollout" in outcome["reason"]
    assert "hello 0.0.0-nowhere failed verification and was rolled back to 1.0.0, which runs" in waited["message"]
    spec = lab.apps.read_namespaced_deployment("hello", lab.namespace).spec
    assert (spec.paused, spec.min_ready_seconds, spec.progress_deadline_seconds) == (None, None, 600)


def test_what_fails_requests_is_rolled_back_and_so_is_the_way_there(lab: Lab, tmp_path: Path) -> None:
    to_broken = BACK | {"rolling_update_revision": 2}
    (failed, nothing, undone), _run = Outcomes(lab, tmp_path, ROLE, special("broken"), BACK, to_broken).run()

    assert said(failed) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert "hello broken failed verification and was rolled back to 1.0.0, which runs in every pod" in failed["message"]
    assert "HTTP 500" in failed["reason"]
    assert failed["errors"]["HTTP 500"] > 0

    assert said(nothing) == ("refused", "fail", None, None, False, True)
    assert "each earlier revision of Deployment hello" in nothing["reason"]  # as the failed one is the only other one

    assert said(undone) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert (undone["strategy"], undone["target"]) == ("rollback", "broken")
    assert lab.versions() == {"1.0.0": 20}


def test_paused_it_says_what_users_get_and_a_second_run_goes_on(lab: Lab, tmp_path: Path) -> None:
    paused = TO_2 | {"rolling_update_pause_at": "50%", "rolling_update_resume": "next_run"}
    runs = (paused, paused | {"rolling_update_resume": "never"})
    (first, kept), _run = Outcomes(lab, tmp_path, ROLE, *runs).run()
    assert said(first)[0] == "success"
    assert first["verdict"] in ("pass", "inconclusive")
    assert (first["before"], first["after"]) == ("1.0.0", "1.0.0 and 2.0.0")
    assert "paused with 2 of 3 new pods" in first["message"]
    assert "Run the playbook again with the same version to go on." in first["message"]
    assert (kept["ending"], kept["changed"]) == ("success", False)
    assert set(lab.versions(60)) == {"1.0.0", "2.0.0"}
    assert annotations(lab)["convoy.rollout/paused-at"] == "50%"

    (second,), _run = Outcomes(lab, tmp_path, ROLE, paused).run()
    assert said(second) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert lab.versions() == {"2.0.0": 20}
    # What has served stays noted, for the way back; nothing else does.
    assert [key for key in annotations(lab) if key.startswith("convoy.rollout/")] == ["convoy.rollout/served"]


def test_where_no_answer_names_a_version_lost_requests_are_judged(lab: Lab, tmp_path: Path) -> None:
    entry = {"rolling_update_entry": ENTRY | {"validate_certs": False, "version_from": {"header": "x-no-version"}}}
    (good, bad), _run = Outcomes(lab, tmp_path, ROLE, TO_2 | entry, failing(lab, **entry)).run()
    assert said(good) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert "the answers name no version, so the pods' images say which one runs" in good["evidence"][-1]["message"]
    assert good["verified_by"] == "requests"
    assert said(bad) == ("rolled back", "fail", "2.0.0", "2.0.0", True, True)
    assert re.search("HTTP (500|404)", bad["reason"])


def test_where_nothing_can_be_asked_nothing_is_changed_unless_that_is_allowed(empty: Lab, tmp_path: Path) -> None:
    site = Path(__file__).with_name("manifests") / "site.yaml"
    utils.create_from_yaml(empty.api, str(site), namespace=empty.namespace)
    empty.complete()
    own: dict[str, Any] = {"rolling_update_application": "site", "rolling_update_version": "1.29.0"}
    allowed = own | {"rolling_update_unverified": True}
    by_pods = own | {"rolling_update_version": "1.28.0", "rolling_update_entry": {"source": "pods"}}
    (refused, unverified, counted), _run = Outcomes(empty, tmp_path, ROLE, own, allowed, by_pods).run()
    assert said(refused) == ("refused", "fail", "1.28.0", "1.28.0", False, True)
    assert "no Service leads to Deployment site, and no entry says where users come in" in refused["reason"]

    assert said(unverified) == ("unverified", "unverified", "1.28.0", "1.29.0", True, False)
    assert (unverified["verified_by"], unverified["samples"], unverified["lost"]) == ("nothing", 0, 0)
    assert any(line.startswith("unverified: what users get was not verified, as") for line in unverified["lines"])

    assert said(counted) == ("success", "pass", "1.29.0", "1.28.0", True, False)
    assert counted["verified_by"] == "pods"
    assert "observed: 1.28.0 2 of 2 ready pods by their images; no requests were made" in counted["lines"]


def test_check_mode_proves_nothing(bad_lab: Lab, tmp_path: Path) -> None:
    before = bad_lab.spec_versions()
    paused = TO_2 | {"rolling_update_pause_at": "50%"}
    outcomes, run = Outcomes(bad_lab, tmp_path, ROLE, TO_2, paused).run("--check", "--diff")
    assert re.search(r"^\+ .*kelseyhightower/hello:2\.0\.0", run.output, re.MULTILINE), run.output
    for outcome in outcomes:
        assert said(outcome) == ("check mode", "unverified", "1.0.0", "1.0.0", False, False)
        assert outcome["message"] == "Deployment hello would go to version 2.0.0 (kelseyhightower/hello:2.0.0)."
    assert run.changed == 3  # the file of the outcomes is one, too
    assert bad_lab.spec_versions() == before


def test_a_run_whose_lock_is_taken_over_changes_nothing_more(lab: Lab, tmp_path: Path) -> None:
    outcomes = Outcomes(lab, tmp_path, ROLE, unready(lab))
    with outcomes.start() as running:
        output = waited_for(running, "hello: 1 of ")
        leases = client.CoordinationV1Api(lab.api)
        # A patch, as the run renews it meanwhile.
        taken = {"spec": {"holderIdentity": "somebody@elsewhere (1-00000000)"}}
        leases.patch_namespaced_lease("convoy-hello", lab.namespace, taken)
        # Another run, which has the lock, goes to a version that can be; the first one's wait comes to an end.
        image = {"name": "hello", "image": "kelseyhightower/hello:2.0.0"}
        patch = {"spec": {"template": {"spec": {"containers": [image]}}}}
        lab.apps.patch_namespaced_deployment("hello", lab.namespace, patch)
        output += running.communicate(timeout=PATIENCE)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("taken over", "fail", "1.0.0", None, True, True), output
    assert "was taken over by somebody@elsewhere" in outcome["reason"]
    lab.settled()
    assert lab.versions() == {"2.0.0": 20}
    leases.delete_namespaced_lease("convoy-hello", lab.namespace)


def test_an_image_that_somebody_else_puts_in_is_named_with_its_field_and_left_alone(lab: Lab, tmp_path: Path) -> None:
    outcomes = Outcomes(lab, tmp_path, ROLE, unready(lab))
    with outcomes.start() as running:
        output = waited_for(running, "hello: 1 of ")
        image = {"name": "hello", "image": "kelseyhightower/hello:2.0.0"}
        patch = {"spec": {"template": {"spec": {"containers": [image]}}}}
        lab.apps.patch_namespaced_deployment("hello", lab.namespace, patch, field_manager="colleague")
        output += running.communicate(timeout=PATIENCE)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("failed", "fail", "1.0.0", None, True, True), output
    field = "spec.template.spec.containers[name=hello].image of Deployment hello was changed"
    changed = f"{field} from nginx:1.28.0 to kelseyhightower/hello:2.0.0 by colleague"
    assert changed in outcome["reason"]
    assert "was not rolled back, as somebody else has changed Deployment hello since" in outcome["message"]
    lab.settled()
    assert lab.versions() == {"2.0.0": 20}


def test_the_way_back_is_kept_until_the_outcome_is_known_where_no_history_is(lab: Lab, tmp_path: Path) -> None:
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, {"spec": {"revisionHistoryLimit": 0}})
    # It becomes complete, after which Kubernetes would clean up, and then answers every request with an error.
    (failed, good), _run = Outcomes(lab, tmp_path, ROLE, failing(lab), TO_2).run()

    assert said(failed) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert "which runs in every pod again" in failed["message"]

    assert said(good) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert good["way_back"] == "rolling_update.yml -e version=1.0.0"
    assert any("Deployment hello has revisionHistoryLimit 0" in warning for warning in good["warnings"])

    hello = lab.apps.read_namespaced_deployment("hello", lab.namespace)
    assert hello.spec.revision_history_limit == 0
    assert "convoy.rollout/history-limit" not in hello.metadata.annotations


def test_a_rollback_to_what_cannot_run_any_more_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    def given(source: Any) -> None:
        container = {"name": "hello", "envFrom": source}
        spec = {"spec": {"template": {"spec": {"containers": [container]}}}}
        lab.apps.patch_namespaced_deployment("hello", lab.namespace, spec)

    lab.core.create_namespaced_config_map(lab.namespace, {"metadata": {"name": "hello-7hk2m9"}, "data": {"A": "1"}})
    given([{"configMapRef": {"name": "hello-7hk2m9"}}])
    assert lab.play("rolling_update", version="2.0.0").code == 0
    hello = lab.apps.read_namespaced_deployment("hello", lab.namespace)
    revision = int(hello.metadata.annotations["deployment.kubernetes.io/revision"])
    given(None)
    lab.core.delete_namespaced_config_map("hello-7hk2m9", lab.namespace)

    (back,), _run = Outcomes(lab, tmp_path, ROLE, BACK | {"rolling_update_revision": revision}).run()
    assert said(back)[0] == "refused"
    assert f"Revision {revision} of Deployment hello can no longer run: ConfigMap hello-7hk2m9" in back["reason"]
    assert not back["changed"]
