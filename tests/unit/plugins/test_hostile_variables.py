"""Whatever the variables of a role say: one clear sentence before a cluster is touched, or text that stays text.

One play a role has all of its cases. That a whole run ends so, is what the integration tests have one example of a role
for; what is refused by what the cluster says is theirs, too.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import string
import typing as t
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._workload._description import (
    problems as application_problems,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from unit.plugins.plays import DESCRIPTION, ROOT, Ending, Request, Server, Template, endings, played, served

CASES = int(os.environ.get("CONVOY_CASES", "3"))  #: for each role
#: What makes each role's checks pass, beside the description.
GOOD: dict[tuple[str, str], dict[str, t.Any]] = {
    ("app_deploy", "main"): {},
    ("bluegreen", "main"): {"version": "2.0.0"},
    ("canary", "main"): {"version": "2.0.0"},
    ("cluster", "main"): {},
    ("fleet", "main"): {"version": "2.0.0"},
    ("rolling_update", "main"): {"version": "2.0.0"},
    ("rolling_update", "rollback"): {},
    ("scale", "main"): {"replicas": 5},
}
TO = {"version": "2.0.0"}
HELLO = DESCRIPTION["applications"]["hello"]
#: By role and its entry, each with what its refusal says.
REFUSED: dict[tuple[str, str], dict[str, tuple[dict[str, t.Any], str]]] = {
    ("app_deploy", "main"): {
        "a version that is a number": (
            {"applications": {"hello": HELLO | {"version": 2.0}}},
            "Application hello cannot be deployed",
        ),
    },
    ("bluegreen", "main"): {
        "no version": ({}, "bluegreen_version"),
        "an empty version": ({"version": ""}, "bluegreen_version"),
        "a version that is a number": ({"version": 2.0}, "quote"),
        "a version of two words": ({"version": "two words"}, "label"),
        "forward and back": (TO | {"rollback": True}, "not both"),
        "an application that is not described": (TO | {"application": "goodbye"}, "goodbye"),
        "samples that are no number": (TO | {"bluegreen_samples": "many"}, "bluegreen_samples"),
        "no samples": (TO | {"bluegreen_samples": 0}, "bluegreen_samples"),
        "fewer replicas than none": (TO | {"bluegreen_replicas": -1}, "bluegreen_replicas"),
        "a delay that is negative": (TO | {"bluegreen_previous_delay": -1}, "bluegreen_previous_delay"),
    },
    ("canary", "main"): {
        "no version": ({}, "canary_version"),
        "a version that is a number": ({"version": 2.0}, "quote"),
        "promoted and aborted": ({"promote": True, "abort": True}, "not both"),
        "a weight above all": (TO | {"canary_weight": 101}, "at most 100"),
        "a weight that falls": (TO | {"canary_steps": [{"weight": 50}, {"weight": 25}]}, "go from 50% to 25%"),
    },
    ("rolling_update", "main"): {
        "no version": ({}, "set the version to go to"),
        "a version that is a number": ({"version": 2.0}, "in quotes"),
        "a resume that there is not": (TO | {"rolling_update_resume": "later"}, "must be one of: auto, next_run"),
    },
    ("scale", "main"): {
        "no number": ({}, "Set the number of replicas or a step for hello"),
        "a word": ({"replicas": "many"}, "set a number such as 5"),
    },
    ("fleet", "main"): {
        "a soak that is negative": (TO | {"fleet_soak": -1}, "fleet_soak is -1; it must be at least 0."),
        "a wave that there is not": (TO | {"waves": ["moon"]}, "moon"),
    },
}
NO_LABELS = ["{{ lookup('pipe', 'echo 2.0.0') }}", "2.0.0\n", "2.0.0: x", "", ["2.0.0"], 2.0]
#: The roles whose versions are labels. One function checks them: that each role gives it what was given, two show.
LABELLED = {"bluegreen": NO_LABELS, "canary": NO_LABELS[:2], "rolling_update": NO_LABELS[:2]}
#: What -e gives to all hosts, for those whose version it is.
COMMAND_LINE = {"from_command_line": "{{ lookup('pipe', 'echo it has run') }}"}


def cases(number: int) -> t.Any:
    """So many cases, the same ones in every run."""
    return settings(
        max_examples=number,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
        phases=[Phase.generate],  # a failing case is short enough as it is
    )


#: Text that is more than text to a template engine, to YAML, to a shell or to a terminal.
HOSTILE = st.sampled_from(
    [
        "{{ lookup('pipe', 'echo injected') }}",
        "{% for _ in range(3) %}injected{% endfor %}",
        "{{ 7 * 191 }}",
        "2.0.0\n",
        "a: b\n  c: d",
        "x\n---\nkind: Secret",
        "'\"",
        "#",
        "!!python/object/apply:os.system [id]",
        "*anchor",
        "yes",
        "1e3",
        "2.0",
        "null",
        "\x1b[31m\x07",
        "\U0001f600 \u2028 \u0085 é",
        "$(id)`id`;|&",
        "../../etc/passwd",
        "-e",
        " ",
        "x" * 300,
    ]
)
TEXT = st.one_of(HOSTILE, st.text(string.printable, max_size=12), st.text(max_size=4))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 10**20), st.floats(), TEXT)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2)), max_leaves=4
)


def value(option: dict[str, t.Any]) -> st.SearchStrategy[t.Any]:
    """Something for an option, mostly of its kind."""
    kind = option.get("type", "str")
    if "options" in option and kind == "dict":
        # Ansible's own validation stumbles over what is no dictionary where it expects certain keys.
        return st.fixed_dictionaries({}, optional={key: value(inner) for key, inner in option["options"].items()})
    if "options" in option:
        inner = st.fixed_dictionaries({}, optional={key: value(inner) for key, inner in option["options"].items()})
        return st.lists(inner, max_size=3)
    of_kind: st.SearchStrategy[t.Any] = {
        "int": st.integers(-2, 10**12),
        "float": st.floats(),
        "bool": st.booleans(),
        "dict": st.dictionaries(TEXT, ANYTHING, max_size=2),
        "list": st.lists(TEXT, max_size=2),
    }.get(kind, TEXT)
    return st.one_of(of_kind, of_kind, ANYTHING)


def specification(role: str, entry: str) -> dict[str, t.Any]:
    """The options that a role documents."""
    text = (ROOT / f"roles/{role}/meta/argument_specs.yml").read_text()
    return t.cast("dict[str, t.Any]", yaml.safe_load(text)["argument_specs"][entry]["options"])


#: What Ansible says when a check itself broke down.
BROKEN = ("Traceback", "Unexpected failure", "Error rendering", "rror while", "has no attribute", "is undefined")


def clear(said: str) -> bool:
    """Whether it is one sentence of ours, or what Ansible's own validation of arguments says."""
    lines = said.removeprefix("Validation of arguments failed:\n").splitlines()
    return not any(words in said for words in BROKEN) and (len(lines) == 1 or lines != said.splitlines())


def generated(role: str, entry: str) -> list[dict[str, t.Any]]:
    """Sets of one or two of a role's options."""
    options, sets = specification(role, entry), []

    @cases(CASES)
    @given(
        st.lists(st.sampled_from(sorted(options)), min_size=1, max_size=2, unique=True).flatmap(
            lambda names: st.fixed_dictionaries({name: value(options[name]) for name in names})
        )
    )
    def keep(variables: dict[str, t.Any]) -> None:
        sets.append(variables)

    keep()
    return sets


@functools.cache
def hostile(role: str, entry: str) -> dict[str, dict[str, t.Any]]:
    """The cases of a role, by their names."""
    cases = {"good": {}} | {f"generated {number}": case for number, case in enumerate(generated(role, entry))}
    if role in LABELLED and entry == "main":
        cases |= {f"version {version!r}": {"version": version} for version in LABELLED[role]}
    if role == "bluegreen":
        cases["command line"] = {"version": Template("{{ from_command_line }}")}
    refused = {f"refused {name}": variables for name, (variables, _said) in REFUSED.get((role, entry), {}).items()}
    return {name: GOOD[role, entry] | case for name, case in cases.items()} | refused


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Mapping[str, Ending]]:
    """What became of each case of a role: one play for all of them."""

    @functools.cache
    def play(role: str, entry: str) -> Mapping[str, Ending]:
        folder = tmp_path_factory.mktemp(f"{role}-{entry}")
        return endings(folder, role, hostile(role, entry), entry, COMMAND_LINE)

    return play


@pytest.mark.parametrize(("role", "entry"), GOOD)
def test_variables(role: str, entry: str, ended: Callable[[str, str], Mapping[str, Ending]]) -> None:
    of_role = ended(role, entry)
    assert of_role["good"].touched
    for name, variables in hostile(role, entry).items():
        said = of_role[name].refusal
        assert not said or clear(said), (variables, said)
        assert not [message for message in of_role[name].messages if "injectedinjected" in message], variables


@pytest.mark.parametrize(
    ("role", "entry", "case"), [(*role, case) for role, refused in REFUSED.items() for case in refused]
)
def test_what_cannot_work_is_refused_in_words_that_name_it(
    role: str, entry: str, case: str, ended: Callable[[str, str], Mapping[str, Ending]]
) -> None:
    ending, (_variables, sentence) = ended(role, entry)[f"refused {case}"], REFUSED[role, entry][case]
    assert not ending.touched
    assert sentence in " ".join(ending.refusal.split())


def test_a_program_that_is_to_be_run_is_noticed(tmp_path: Path) -> None:
    """Otherwise a role that runs one before it refuses would look as if it had touched nothing."""
    kind = {"cluster_provider": "kind", "kubeconfig": str(tmp_path / "kubeconfig")}
    cases = {"runs": kind, "refuses": kind | {"cluster_nodes": 0}}
    run = endings(tmp_path, "cluster", cases)
    assert run["runs"].modules
    assert not run["refuses"].touched
    assert run["refuses"].refusal == "cluster_nodes is 0; a cluster has at least one node."


@pytest.mark.parametrize(("role", "version"), [(role, version) for role in LABELLED for version in LABELLED[role]])
def test_a_version_that_is_no_label(
    role: str, version: t.Any, ended: Callable[[str, str], Mapping[str, Ending]]
) -> None:
    ending = ended(role, "main")[f"version {version!r}"]
    assert not ending.touched
    assert ending.refusal.startswith(f"{role}_version is ")
    assert clear(ending.refusal)


def test_a_template_of_the_command_line_is_ansibles_to_evaluate(
    ended: Callable[[str, str], Mapping[str, Ending]],
) -> None:
    """What -e gives is trusted by Ansible, and evaluated wherever it is used: only what comes of it is the role's."""
    ending = ended("bluegreen", "main")["command line"]
    assert ending.refusal.startswith('bluegreen_version is "it has run"; set')


def mapped(kind: st.SearchStrategy[t.Any]) -> st.SearchStrategy[t.Any]:
    """A dictionary with keys of all sorts."""
    return st.dictionaries(TEXT, kind, max_size=2)


NAMED = st.sampled_from(["one", "two.conf"])
DESCRIBED: dict[str, st.SearchStrategy[t.Any]] = {
    "image": st.one_of(st.sampled_from(["kelseyhightower/hello", "127.0.0.1:5000/a_b"]), TEXT),
    "version": st.one_of(st.sampled_from(["1.0.0", "v2"]), TEXT),
    "replicas": st.integers(0, 5),
    "labels": mapped(TEXT),
    "selector": mapped(TEXT),
    "container": mapped(ANYTHING),
    "pod": mapped(ANYTHING),
    "deployment": mapped(ANYTHING),
    "service": mapped(ANYTHING),
    "service_session_affinity": st.sampled_from(["ClientIP", "None"]),
    "config_maps": st.dictionaries(NAMED, mapped(TEXT), max_size=2),
    "secrets": st.dictionaries(
        NAMED, st.fixed_dictionaries({"data": mapped(TEXT)}, optional={"type": TEXT}), max_size=2
    ),
}
PLAIN = {"image": "kelseyhightower/hello", "version": "1.0.0"}


def odd(fields: st.SearchStrategy[dict[str, t.Any]]) -> st.SearchStrategy[dict[str, t.Any]]:
    """Descriptions of which one field may be anything."""
    wrong = st.one_of(st.just({}), st.fixed_dictionaries({}, optional=dict.fromkeys(DESCRIBED, ANYTHING)))
    return st.builds(lambda fields, wrong: PLAIN | fields | wrong, fields, wrong)


@cases(250)
@given(mapped(st.one_of(odd(st.fixed_dictionaries({}, optional=DESCRIBED)), ANYTHING)))
def test_descriptions_are_refused_in_sentences(applications: dict[str, t.Any]) -> None:
    for sentence in application_problems(applications):
        assert sentence.startswith("Application ")
        assert sentence.endswith(".")
        assert clear(sentence)


class Accepting(Server):
    """An API server that takes whatever it is sent, and whose Deployments cannot be found when they are waited for."""

    GROUPS: t.ClassVar[dict[str, dict[str, str]]] = {
        "api/v1": {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service", "namespaces": "Namespace"},
        "apis/apps/v1": {"deployments": "Deployment"},
    }

    def __init__(self) -> None:
        super().__init__()
        self.leases: dict[str, dict[str, t.Any]] = {}

    def answer(self, request: Request) -> tuple[int, dict[str, t.Any]]:
        """The status and the object that a request is answered with."""
        path = urlsplit(request.path).path.strip("/")
        if "/leases" in f"/{path}":
            return self._lease(request, path)
        if request.method == "PATCH":
            return 200, request.body | {"metadata": {"resourceVersion": "1", "uid": "1"} | request.body["metadata"]}
        found = self._discovery(path)
        if found is not None:
            return 200, found
        if path == "api/v1/namespaces/default":
            return 200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "default"}}
        if any(path.rpartition("/")[2] in resources for resources in self.GROUPS.values()):
            return 200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
        return 404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": f"nothing at {path}"}

    def _discovery(self, path: str) -> dict[str, t.Any] | None:
        group = {"groupVersion": "apps/v1", "version": "v1"}
        known: dict[str, dict[str, t.Any]] = {
            "version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
            "api": {"kind": "APIVersions", "versions": ["v1"]},
            "apis": {
                "kind": "APIGroupList",
                "groups": [{"name": "apps", "versions": [group], "preferredVersion": group}],
            },
        }
        for name, resources in self.GROUPS.items():
            verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
            known[name] = {
                "kind": "APIResourceList",
                "groupVersion": name.partition("/")[2],
                "resources": [
                    {
                        "name": plural,
                        "singularName": "",
                        "namespaced": plural != "namespaces",
                        "kind": kind,
                        "verbs": verbs,
                    }
                    for plural, kind in resources.items()
                ],
            }
        return known.get(path)

    def _lease(self, request: Request, path: str) -> tuple[int, dict[str, t.Any]]:
        if request.method == "POST":
            path += "/" + request.body["metadata"]["name"]
        if request.method in ("POST", "PUT"):
            version = {"resourceVersion": str(len(self.requests)), "uid": path}
            self.leases[path] = request.body | {"metadata": request.body["metadata"] | version}
        if path not in self.leases:
            return 404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": f"no lease {path}"}
        return 200, self.leases.pop(path) if request.method == "DELETE" else self.leases[path]


def accepted() -> dict[str, dict[str, t.Any]]:
    """Descriptions of applications, each with ConfigMaps and Secrets of its own."""
    applications: dict[str, dict[str, t.Any]] = {}

    @cases(CASES * 4)
    @given(odd(st.fixed_dictionaries({}, optional=DESCRIBED)))
    def keep(application: dict[str, t.Any]) -> None:
        if not application_problems({"hello": application}):
            name = f"hello-{len(applications)}"
            own = {
                kind: {f"{name}-{key}": content for key, content in application[kind].items()}
                for kind in ("config_maps", "secrets")
                if kind in application
            }
            applications[name] = application | own

    keep()
    return applications


def applied(folder: Path, applications: dict[str, dict[str, t.Any]]) -> dict[tuple[str, str], t.Any]:
    """Each object that app_deploy applies for all of them in one run, as the API server gets it."""
    with served(Accepting()) as server:
        kubeconfig = str(server.kubeconfig(folder / "kubeconfig", "user"))
        variables = {"kubeconfig": kubeconfig, "applications": applications, "application_entry": {}}
        output = played(folder, "app_deploy", "main", {"all-of-them": variables}, {"ansible_connection": "local"}, {})
    bodies = [each.body for each in server.requests if each.method == "PATCH"]
    assert bodies, output
    return {(item["kind"], item["metadata"]["name"]): item for item in bodies}


def test_what_is_accepted_stays_text(tmp_path: Path) -> None:
    applications = accepted()
    assert applications
    objects = applied(tmp_path, applications)
    expected = set()
    for name, application in applications.items():
        expected |= {
            ("Deployment", name),
            *({("Service", name)} if "service" in application else set()),
            *(("ConfigMap", own) for own in application.get("config_maps", {})),
            *(("Secret", own) for own in application.get("secrets", {})),
        }
        stays_text(name, application, objects)
    assert objects.keys() == expected


def stays_text(name: str, application: dict[str, t.Any], made: dict[tuple[str, str], t.Any]) -> None:
    """Assert that the objects of an application say what its description does."""
    labels = {"app": name} | application.get("labels", {})
    deployment = made["Deployment", name]
    template = deployment["spec"]["template"]
    assert same(deployment["metadata"]["labels"], labels)
    assert same(deployment["spec"]["selector"]["matchLabels"], application.get("selector", labels))
    assert same(template["metadata"]["labels"], labels | {"version": application["version"]})
    container = {"name": labels["app"], "image": f"{application['image']}:{application['version']}"}
    drained = {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    assert same(template["spec"]["containers"], [container | drained | application.get("container", {})])
    for field, content in application.get("pod", {}).items():
        assert field == "containers" or same(template["spec"][field], content)
    for field, content in application.get("deployment", {}).items():
        assert field in ("selector", "template") or same(deployment["spec"][field], content)
    for own, data in application.get("config_maps", {}).items():
        assert same(made["ConfigMap", own]["data"], data)
    for own, secret in application.get("secrets", {}).items():
        data = {key: base64.b64decode(text).decode() for key, text in (made["Secret", own]["data"] or {}).items()}
        assert same(data, secret["data"])
    for field, content in application.get("service", {}).items():
        assert field in ("selector", "sessionAffinity") or same(made["Service", name]["spec"][field], content)


def same(one: t.Any, other: t.Any) -> bool:
    """Whether two documents are the same to an API server: as JSON."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
