"""playbooks/bluegreen.yml: forward, again, back, and everything that must not harm users."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from integration.history import History
from integration.playbooks import Lab, Traffic, description
from kubernetes import client


def in_order(history: History, *versions: str) -> None:
    """The traffic moved to these versions, each of them whole and ready before it did, and was always served."""
    assert history.always_served("hello", 3)
    moves = history.moves("hello")
    assert [after.selectors["hello"]["version"] for _before, after in moves] == list(versions)
    for before, after in moves:
        (chosen,) = before.of(f"kelseyhightower/hello:{after.selectors['hello']['version']}")
        assert chosen.complete, before
        assert chosen.wanted == 3


def test_forward_again_and_back_lose_no_request(lab: Lab) -> None:
    with History(lab) as history, Traffic(lab) as traffic:
        forward = lab.play("bluegreen", version="2.0.0")
        assert forward.code == 0, forward.output
        assert lab.selector()["version"] == "2.0.0"
        assert lab.versions() == {"2.0.0": 20}
        assert lab.replicas("hello") == lab.replicas("hello-green") == 3
        after_forward = lab.spec_versions()

        again = lab.play("bluegreen", version="2.0.0")
        assert (again.code, again.changed) == (0, 0), again.output
        assert lab.spec_versions() == after_forward

        back = lab.play("bluegreen", version="1.0.0")
        assert back.code == 0, back.output
        assert back.changed == 1, back.output
        assert lab.versions() == {"1.0.0": 20}
        moved = {name for name, seen in lab.spec_versions().items() if seen != after_forward[name]}
        assert moved == {"Service hello"}
    assert traffic.lost == []
    assert traffic.versions == ["1.0.0", "2.0.0"]
    assert len(traffic.answers) > 20

    in_order(history, "1.0.0", "2.0.0", "1.0.0")  # pinned, there and back
    preview = [(before.ready("hello-preview"), after) for before, after in history.moves("hello")]
    assert len(preview[1][0]) == 3  # ready where they are tried, before they get users
    assert all(state.deployments["hello"].ready == 3 for state in history.states)  # the old colour runs on


def test_rollback_is_only_the_switch_and_happens_once(lab: Lab) -> None:
    assert lab.play("bluegreen", version="2.0.0").code == 0
    before = lab.spec_versions()
    back = lab.play("bluegreen", rollback=True)
    assert (back.code, back.changed) == (0, 2), back.output  # the switch, and once that is verified that it is over
    assert lab.versions() == {"1.0.0": 20}
    after = lab.spec_versions()
    assert {name for name in after if after[name] != before[name]} == {"Service hello"}

    again = lab.play("bluegreen", rollback=True)
    assert (again.code, again.changed) == (2, 0), again.output
    assert "the last switch was rolled back already. hello 1.0.0 (Deployment hello) keeps all traffic" in again.output
    assert lab.spec_versions() == after


def test_what_points_at_the_colour_that_loses_the_traffic_goes_with_it(lab: Lab) -> None:
    scaling = client.AutoscalingV2Api(lab.api)
    ports = [{"port": 80, "targetPort": 80}]
    lab.core.create_namespaced_service(
        lab.namespace, {"metadata": {"name": "public"}, "spec": {"selector": {"app": "hello"}, "ports": ports}}
    )
    aims = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    scaling.create_namespaced_horizontal_pod_autoscaler(
        lab.namespace,
        {"metadata": {"name": "hello"}, "spec": {"scaleTargetRef": aims, "minReplicas": 3, "maxReplicas": 4}},
    )

    def scaled() -> str:
        found = scaling.read_namespaced_horizontal_pod_autoscaler("hello", lab.namespace)
        return str(found.spec.scale_target_ref.name)

    with History(lab) as history:
        forward = lab.play("bluegreen", version="2.0.0")
    assert forward.code == 0, forward.output
    assert (scaled(), lab.selector("public")["version"]) == ("hello-green", "2.0.0")
    # No Service ever led to both colours: each was pinned before the other came up.
    assert all("version" in state.selectors["public"] for state in history.states if "hello-green" in state.deployments)

    canary = lab.play("canary", version="3.0.0")
    assert "Deployment hello-green 2.0.0 has the traffic of hello, and Deployment hello has none" in canary.output
    assert canary.code == 2

    back = lab.play("bluegreen", rollback=True)
    assert back.code == 0, back.output
    assert (scaled(), lab.selector("public")["version"]) == ("hello", "1.0.0")


def test_what_would_stay_with_the_colour_that_loses_the_traffic_is_named_before(lab: Lab) -> None:
    selector = {"matchLabels": {"app": "hello", "version": "1.0.0"}}
    client.PolicyV1Api(lab.api).create_namespaced_pod_disruption_budget(
        lab.namespace, {"metadata": {"name": "hello"}, "spec": {"minAvailable": 2, "selector": selector}}
    )
    before = lab.spec_versions()
    run = lab.play("bluegreen", version="2.0.0")
    assert run.code == 2
    assert (
        "PodDisruptionBudget hello selects app=hello,version=1.0.0, which the pods of Deployment hello-green"
        in run.output
    )
    assert lab.spec_versions() == before


def test_a_third_version_takes_the_idle_colour(lab: Lab) -> None:
    assert lab.play("bluegreen", version="2.0.0").code == 0
    assert lab.play("bluegreen", rollback="true").code == 0
    applications = description()
    applications["hello"]["container"]["env"] = [{"name": "GREETING", "value": "again"}]
    with Traffic(lab) as traffic:
        forward = lab.play("bluegreen", version="2.0.0", applications=applications)
        assert forward.code == 0, forward.output
    assert traffic.lost == []
    assert lab.deployments() == {"auth", "frontend", "hello", "hello-green"}
    green = lab.apps.read_namespaced_deployment("hello-green", lab.namespace)
    assert green.spec.template.spec.containers[0].env[0].value == "again"


def test_previous_is_scaled_away_and_comes_back_for_a_rollback(lab: Lab) -> None:
    with History(lab) as history, Traffic(lab) as traffic:
        forward = lab.play("bluegreen", version="2.0.0", bluegreen_keep_previous=False, bluegreen_previous_delay=1)
        assert forward.code == 0, forward.output
        assert (lab.replicas("hello"), lab.replicas("hello-green")) == (0, 3)
        again = lab.play("bluegreen", version="2.0.0", bluegreen_keep_previous=False, bluegreen_previous_delay=1)
        assert (again.code, again.changed) == (0, 0), again.output

        back = lab.play("bluegreen", rollback=True)
        assert back.code == 0, back.output
        assert lab.replicas("hello") == 3
        assert lab.versions() == {"1.0.0": 20}
    assert traffic.lost == []
    assert traffic.versions == ["1.0.0", "2.0.0"]
    in_order(history, "1.0.0", "2.0.0", "1.0.0")
    shrunk = [
        (before, after)
        for before, after in history.steps()
        if after.deployments["hello"].wanted < before.deployments["hello"].wanted
    ]
    assert len(shrunk) == 1
    # By then every new connection goes to the new colour.
    assert all(pod.startswith("hello-green-") for pod in shrunk[0][0].ready("hello"))


def test_requests_that_are_under_way_at_the_switch_are_answered(empty: Lab) -> None:
    applications = description()
    applications["hello"] |= {"image": "sandbox/hello", "version": "slow"}  # 1 s an answer
    assert empty.play("app_deploy", applications=applications).code == 0
    ask, answers = empty.asker(), set()
    with History(empty) as history, ThreadPoolExecutor(8) as pool:
        run = empty.start("bluegreen", version="2.0.0", bluegreen_keep_previous=False, bluegreen_previous_delay=0)

        def keep_asking(_number: int) -> None:
            while run.poll() is None:
                answer = ask()
                answers.add((answer.status, answer.version))

        asking = pool.map(keep_asking, range(8))  # so eight of them are under way at any moment
        said, _ = run.communicate()
        list(asking)
    assert run.returncode == 0, said
    assert answers == {(200, "slow"), (200, "2.0.0")}
    assert history.states[-1].deployments["hello"].wanted == 0


def test_a_version_that_never_gets_ready_takes_no_traffic(lab: Lab) -> None:
    with Traffic(lab) as traffic:
        run = lab.play("bluegreen", version="0.0.0-nowhere")
    assert run.code != 0
    assert "hello-green-" in run.output, run.output
    assert "ErrImagePull" in run.output or "ImagePullBackOff" in run.output, run.output
    assert lab.selector() == {"app": "hello"}
    assert traffic.lost == []
    assert traffic.versions == ["1.0.0"]

    mended = lab.play("bluegreen", version="2.0.0")
    assert mended.code == 0, mended.output
    assert lab.versions() == {"2.0.0": 20}


def test_a_probe_that_never_passes_runs_out_of_time(lab: Lab) -> None:
    applications = description()
    applications["hello"]["container"]["readinessProbe"]["httpGet"]["path"] = "/nothing-here"
    run = lab.play("bluegreen", version="2.0.0", applications=applications, bluegreen_timeout=4)
    assert run.code != 0
    assert "hello-green" in run.output
    assert lab.selector() == {"app": "hello"}
    assert lab.versions() == {"1.0.0": 20}


def test_a_preview_that_answers_wrongly_is_not_switched_to(lab: Lab) -> None:
    applications = description()
    applications["hello"]["image"] = "kelseyhightower/auth"
    applications["hello"]["container"]["env"] = []
    before = lab.selector()
    with History(lab) as history:
        run = lab.play("bluegreen", version="1.0.0-wrong", applications=applications)
    assert run.code != 0
    assert lab.versions() == {"1.0.0": 20}
    assert history.always_served("hello", 3)
    assert "version" not in before
    assert [after.selectors["hello"].get("version") for _before, after in history.moves("hello")] == ["1.0.0", None]
    assert lab.selector() == before


def test_a_failed_verification_undoes_the_switch(lab: Lab) -> None:
    # Users are said to come in by a Service that never leads to hello: after the switch none of its
    # answers is hello's new version.
    with History(lab) as history, Traffic(lab) as traffic:
        run = lab.play(
            "bluegreen", version="2.0.0", application_entry={"service": "auth", "path": "/version"}, bluegreen_settle=2
        )
    assert run.code != 0
    assert "2.0.0" in run.output
    assert "switched back" in run.output, run.output
    assert lab.selector()["version"] == "1.0.0"
    assert lab.versions() == {"1.0.0": 20}
    assert traffic.lost == []
    in_order(history, "1.0.0", "2.0.0", "1.0.0")


def test_no_room_creates_nothing(lab: Lab) -> None:
    applications = description()
    applications["hello"]["container"]["resources"]["limits"]["cpu"] = "500"
    before = lab.spec_versions()
    run = lab.play("bluegreen", version="2.0.0", applications=applications)
    assert run.code != 0
    assert "needs 3 x 500 cpu" in run.output, run.output
    assert lab.spec_versions() == before


def test_a_bad_variable_touches_nothing(bad_lab: Lab) -> None:
    before = bad_lab.spec_versions()
    run = bad_lab.play("bluegreen", version=2.0)
    assert run.code != 0, run.output
    assert "quote" in run.output, run.output
    assert bad_lab.spec_versions() == before


def test_check_mode_says_what_it_would_do(lab: Lab) -> None:
    before = lab.spec_versions()
    dry = lab.play("bluegreen", "--check", "--diff", version="2.0.0")
    assert dry.code == 0, dry.output
    assert dry.changed > 0
    assert "hello-green" in dry.output
    assert lab.spec_versions() == before
    assert lab.versions() == {"1.0.0": 20}


def test_check_mode_of_a_rollback(lab: Lab) -> None:
    assert lab.play("bluegreen", version="2.0.0").code == 0
    before = lab.spec_versions()
    dry = lab.play("bluegreen", "--check", "--diff", rollback=True)
    assert (dry.code, dry.changed) == (0, 2), dry.output
    assert lab.spec_versions() == before


def test_rolling_back_what_was_never_rolled_out(lab: Lab) -> None:
    run = lab.play("bluegreen", rollback=True)
    assert run.code != 0
    assert "nothing to roll back to" in run.output

    # What the cluster says is text: no template is evaluated, and no version is made of it.
    noted = {"convoy.rollout/previous-version": "{{ lookup('pipe', 'echo it-was-$((6*7))') }}"}
    lab.core.patch_namespaced_service("hello", lab.namespace, {"metadata": {"annotations": noted}})
    before = lab.spec_versions()
    run = lab.play("bluegreen", rollback=True)
    assert run.code != 0
    assert "nothing to roll back to" in run.output
    assert "it-was-42" not in run.output
    assert lab.spec_versions() == before
