"""playbooks/bluegreen.yml: forward, again, back, and everything that must not harm users."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from integration.history import History
from integration.playbooks import Lab, Traffic, description, faulty
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


def test_forward_again_and_back_once_lose_no_request(lab: Lab) -> None:
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

        dry = lab.play("bluegreen", "--check", "--diff", rollback=True)
        assert (dry.code, dry.changed) == (0, 2), dry.output
        assert lab.spec_versions() == after_forward

        back = lab.play("bluegreen", rollback=True)
        assert (back.code, back.changed) == (0, 2), back.output  # the switch, and once it is verified that it is over
        assert lab.versions() == {"1.0.0": 20}
        after_back = lab.spec_versions()
        assert {name for name in after_back if after_back[name] != after_forward[name]} == {"Service hello"}

        once = lab.play("bluegreen", rollback=True)
        assert (once.code, once.changed) == (2, 0), once.output
        assert (
            "the last switch was rolled back already. hello 1.0.0 (Deployment hello) keeps all traffic" in once.output
        )
        assert lab.spec_versions() == after_back
    assert traffic.lost == []
    assert traffic.versions == ["1.0.0", "2.0.0"]
    assert len(traffic.answers) > 20

    in_order(history, "1.0.0", "2.0.0", "1.0.0")  # pinned, there and back
    preview = [(before.ready("hello-preview"), after) for before, after in history.moves("hello")]
    assert len(preview[1][0]) == 3  # ready where they are tried, before they get users
    assert all(state.deployments["hello"].ready == 3 for state in history.states)  # the old colour runs on


def test_what_points_at_the_colour_that_loses_the_traffic_goes_with_it_and_the_idle_one_is_made_anew(lab: Lab) -> None:
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

    back = lab.play("bluegreen", rollback="true")
    assert back.code == 0, back.output
    assert (scaled(), lab.selector("public")["version"]) == ("hello", "1.0.0")

    # The idle colour becomes what is described by now.
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
    applications = faulty()
    applications["hello"] |= {"version": "slow"}  # 1 s an answer
    assert empty.play("app_deploy", applications=applications).code == 0
    ask, answers = empty.asker(), set()
    with History(empty) as history, ThreadPoolExecutor(8) as pool:
        run = empty.start("bluegreen", version="2.0.0", bluegreen_keep_previous=False, bluegreen_previous_delay=0)

        def keep_asking(_number: int) -> None:
            over = False
            while not over:  # and once more when it is
                over = run.poll() is not None
                answer = ask()
                answers.add((answer.status, answer.version))

        asking = pool.map(keep_asking, range(8))  # so eight of them are under way at any moment
        said, _ = run.communicate()
        list(asking)
    assert run.returncode == 0, said
    assert answers == {(200, "slow"), (200, "2.0.0")}
    assert history.states[-1].deployments["hello"].wanted == 0


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
