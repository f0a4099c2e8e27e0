"""A cluster for the session, and for each test the lab's application in a namespace of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import textwrap
import uuid
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from ansible.module_utils.testing import patch_module_args
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task, attempt
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _cluster_info
from ansible_collections.convoy.rollout.plugins.modules import version_distribution
from integration import warm
from integration.playbooks import CATALOG, ELSEWHERE, GIVEN, PLAIN, Lab, copied, namespace_gone
from kubernetes import client, config

THERE = "on the given cluster"  #: a property of a test
#: Namespaces that tests make, so that what a run left that was killed can be found.
LABEL = {"app.kubernetes.io/managed-by": "convoy-tests"}


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """CONVOY_TEST_KUBECONFIG's cluster, else a sandbox that lives as long as the tests.

    CONVOY_TEST_DATA_PLANE says how late users of that sandbox are led to other pods, by default as on a real node.
    """
    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
    if GIVEN:
        yield GIVEN
        return
    from convoy_sandbox.network.images import Image
    from convoy_sandbox.settings import DATA_PLANE
    from convoy_sandbox.testing import sandbox

    plane = os.environ.get("CONVOY_TEST_DATA_PLANE", DATA_PLANE)
    # So slow that no good version on a busy machine is.
    images = {f"{CATALOG}:slowest": Image("hello", delay=3.0)}
    with sandbox(name=f"test-{uuid.uuid4().hex[:8]}", data_plane=plane, images=images) as cluster:
        yield str(cluster.kubeconfig)


def pytest_configure(config: pytest.Config) -> None:
    """End with one sentence, and not with each test, where the given cluster cannot be used."""
    if GIVEN and not hasattr(config, "workerinput"):
        refusal = unusable(GIVEN)
        if refusal:
            raise pytest.UsageError(f"CONVOY_TEST_KUBECONFIG is {GIVEN}. {refusal}")


def unusable(kubeconfig: str) -> str:
    """Why no test can run on the cluster of a kubeconfig, in a sentence; empty where they can."""
    try:
        options = {"kubeconfig": kubeconfig, "namespace": "default", "strategies": ["app_deploy"]}
        told = attempt(_cluster_info.run, options, Task(environ=warm.environment()))
    except Failure as failure:
        return failure.message
    if told["missing"]:
        return "Its user is no administrator, and the tests make namespaces of their own; give an administrator's."
    return "" if told["supported"] and told["ready"] else str(told["message"])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note of each test whether it is about the given cluster."""
    item.user_properties.append((THERE, "kubeconfig" in getattr(item, "fixturenames", ())))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On a cluster that is not the tests' own: what was skipped there, and why."""
    skipped = [(report.longrepr, report.nodeid) for report in terminalreporter.stats.get("skipped", ())]
    passed = terminalreporter.stats.get("passed", ())
    if not ELSEWHERE or not (skipped or passed):
        return
    there = sum(bool(dict(report.user_properties).get(THERE)) for report in passed)
    terminalreporter.section(f"{there} tests passed on the cluster of CONVOY_TEST_KUBECONFIG, {len(skipped)} skipped")
    if len(passed) > there:
        terminalreporter.write_line(f"{len(passed) - there} more passed on sandboxes of their own, or without one.")
    for line in skips(skipped):
        terminalreporter.write_line(line)


def skips(skipped: Iterable[tuple[Any, str]]) -> Iterator[str]:
    """A table of tests that were skipped, of each its place and why, and its id: the most frequent reason first."""
    files: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (_path, _line, reason), node in skipped:
        files[reason.removeprefix("Skipped: ")][Path(node.partition("::")[0]).name] += 1
    if files:
        yield "SKIPPED  WHY, AND IN WHICH FILES"
    for reason, counts in sorted(files.items(), key=lambda item: (-item[1].total(), item[0])):
        yield f"{counts.total():7}  {reason}"
        yield from textwrap.wrap(
            ", ".join(file if len(counts) == 1 else f"{file} ({count})" for file, count in sorted(counts.items())),
            width=110,
            initial_indent=" " * 11,
            subsequent_indent=" " * 11,
        )


@contextlib.contextmanager
def namespace(kubeconfig: str) -> Iterator[Lab]:
    """A namespace with nothing in it, for as long as it is used."""
    core = client.CoreV1Api(config.new_client_from_config(kubeconfig))
    name = f"convoy-test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name, "labels": LABEL}})
    try:
        yield Lab(kubeconfig, name)
    finally:
        namespace_gone(core, name)


@pytest.fixture(scope="session")
def guarded_cluster() -> Iterator[Any]:
    """A sandbox of one's own, for whoever makes users."""
    from convoy_sandbox.testing import sandbox

    with sandbox(name=f"users-{uuid.uuid4().hex[:8]}", data_plane="instant") as cluster:
        yield cluster


@pytest.fixture
def guarded(guarded_cluster: Any) -> Iterator[tuple[Any, Lab]]:
    """A cluster whose users a test makes, and a namespace in it with nothing in it."""
    with namespace(str(guarded_cluster.kubeconfig)) as lab:
        yield guarded_cluster, lab


@pytest.fixture
def empty(kubeconfig: str) -> Iterator[Lab]:
    """A namespace with nothing in it."""
    with namespace(kubeconfig) as lab:
        yield lab


def printed(module: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What a module prints, run in this process."""
    said = io.StringIO()
    with patch_module_args(options), contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        module.main()
    return dict(json.loads(said.getvalue()))


def judged(lab: Lab, **options: Any) -> dict[str, Any]:
    """What the module prints that asks the frontend for hello's versions."""
    where = {"kubeconfig": lab.kubeconfig, "namespace": lab.namespace}
    entry = {"name": PLAIN["service"], "port": PLAIN["port"], "application_service": "hello"}
    return printed(version_distribution, {**where, **entry, **options})


@pytest.fixture(scope="session")
def bad_lab(kubeconfig: str) -> Iterator[Lab]:
    """The lab's application, deployed once for all runs that are to touch nothing."""
    with namespace(kubeconfig) as lab:
        run = lab.play("app_deploy")
        assert run.code == 0, run.output
        yield lab


@pytest.fixture
def lab(bad_lab: Lab, empty: Lab) -> Lab:
    """The lab's application: hello 1.0.0 behind the frontend."""
    return copied(bad_lab, empty)
