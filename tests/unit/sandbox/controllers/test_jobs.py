"""Jobs run to their end, and CronJobs make them."""

from __future__ import annotations

import datetime
from typing import Any

import leaping
import pytest
from convoy_sandbox import resources
from convoy_sandbox.controllers import job as jobs
from unit.sandbox.controllers.support import World, empty_world

Object = dict[str, Any]


def create(
    it: World, image: str = "hello:1", *, policy: str = "Never", pod: dict[str, Any] | None = None, **spec: Any
) -> Object:
    containers = [{"name": "main", "image": image}]
    template = {"spec": {"containers": containers, "restartPolicy": policy, **(pod or {})}}
    return it.registry.create(
        resources.JOBS, "lab", {"metadata": {"name": "migrate"}, "spec": {"template": template, **spec}}
    )


def status(it: World) -> Object:
    return it.get(resources.JOBS, "migrate").get("status") or {}


def types(it: World) -> list[str]:
    return [each["type"] for each in status(it).get("conditions") or ()]


def test_a_job_is_complete_when_enough_pods_have_succeeded() -> None:
    async def check() -> None:
        async with empty_world() as it:
            it.runtime.ending["hello:1"] = 0
            create(it, completions=2)
            await it.until(lambda: "Complete" in types(it))
            assert types(it) == ["SuccessCriteriaMet", "Complete"]
            assert status(it)["succeeded"] == 2
            assert "active" not in status(it)
            assert [pod["metadata"].get("finalizers") for pod in it.pods()] == [None, None]
            assert it.events("Completed") == ["Job completed"]

    leaping.run(check())


def test_a_job_fails_when_its_pods_have_failed_too_often() -> None:
    async def check() -> None:
        async with empty_world() as it:
            it.runtime.ending["hello:1"] = 3
            create(it, backoffLimit=1)
            await it.until(lambda: "Failed" in types(it))
            assert types(it) == ["FailureTarget", "Failed"]
            assert status(it)["failed"] == 2
            assert status(it)["conditions"][-1]["reason"] == "BackoffLimitExceeded"
            assert len(it.pods()) == 2

    leaping.run(check())


def test_a_job_that_takes_too_long_is_ended() -> None:
    async def check() -> None:
        async with empty_world() as it:
            create(it, activeDeadlineSeconds=1)
            await it.until(lambda: "Failed" in types(it))
            assert status(it)["conditions"][-1]["reason"] == "DeadlineExceeded"
            await it.until(lambda: not [pod for pod in it.pods() if not jobs.is_over(pod)])

    leaping.run(check())


def test_a_pod_that_never_had_a_node_goes_when_its_job_takes_too_long() -> None:
    async def check() -> None:
        async with empty_world() as it:
            create(it, pod={"nodeSelector": {"disk": "none-has-it"}}, activeDeadlineSeconds=1)
            await it.until(lambda: "Failed" in types(it))
            await it.until(lambda: not it.pods())

    leaping.run(check())


def test_pods_run_side_by_side_and_none_while_suspended() -> None:
    async def check() -> None:
        async with empty_world() as it:
            create(it, completions=3, parallelism=2)
            await it.until(lambda: status(it).get("ready") == 2)
            it.registry.modify(resources.JOBS, "lab", "migrate", lambda obj: obj["spec"].update(suspend=True))
            await it.until(lambda: types(it) == ["Suspended"] and not it.pods())

    leaping.run(check())


def test_the_pods_of_a_job_go_with_it() -> None:
    async def check() -> None:
        async with empty_world() as it:
            create(it)
            await it.until(lambda: status(it).get("ready") == 1)
            it.registry.delete(resources.JOBS, "lab", "migrate", propagation="Background")
            await it.until(lambda: not it.pods())

    leaping.run(check())


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "2026-03-02T10:30"),
        ("0 * * * *", "2026-03-02T10:00"),
        ("@hourly", "2026-03-02T10:00"),
        ("31 * * * *", None),
        ("*/7 * * * *", "2026-03-02T10:28"),
        ("0 10 * * mon", "2026-03-02T10:00"),  # a Monday
        ("0 10 * * tue", None),
        ("0 10 3 * mon", "2026-03-02T10:00"),  # the third, or a Monday
    ],
)
def test_the_last_time_that_is_due(schedule: str, expected: str | None) -> None:
    found = jobs.due(schedule, moment("2026-03-02T09:45"), moment("2026-03-02T10:30:20"))
    assert found == (moment(expected) if expected else None)


def test_a_cron_job_makes_a_job_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with empty_world() as it:
            it.runtime.ending["hello:1"] = 0
            monkeypatch.setattr(jobs, "due", lambda text, after, until: until.replace(second=0, microsecond=0))
            template = {"spec": {"containers": [{"name": "main", "image": "hello:1"}], "restartPolicy": "Never"}}
            spec = {
                "schedule": "@hourly",
                "concurrencyPolicy": "Forbid",
                "jobTemplate": {"spec": {"template": template}},
            }
            it.registry.create(resources.CRONJOBS, "lab", {"metadata": {"name": "nightly"}, "spec": spec})
            await it.until(lambda: it.store.list(resources.JOBS, "lab"))
            monkeypatch.setattr(jobs, "due", lambda text, after, until: None)
            made = it.store.list(resources.JOBS, "lab")[0]
            assert made["metadata"]["name"].startswith("nightly-")
            cron = lambda: it.get(resources.CRONJOBS, "nightly")["status"]  # noqa: E731
            await it.until(lambda: cron().get("lastSuccessfulTime"))
            assert cron()["lastScheduleTime"]

    leaping.run(check())
