"""Whatever the variables of a role say: one clear sentence before a cluster is touched, or text that stays text.

The roles' own checks are run by Ansible's own executor, in this process: what an operator would be told.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import string
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible.executor.task_executor import TaskExecutor
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.play_context import PlayContext
from ansible.plugins import loader as plugins
from ansible.template import Templar, trust_as_template
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from ansible.vars.manager import VariableManager
from ansible_collections.convoy.rollout.plugins.filter.application_problems import application_problems
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("CONVOY_CASES", "15"))  #: for each role
ROOT = Path(__file__).resolve().parents[3]
DESCRIPTION = yaml.safe_load((ROOT / "inventories/sandbox/group_vars/clusters/application.yml").read_text())
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


class Callbacks:
    """Where an executor tells of the items of a loop; nobody listens."""

    def send_callback(self, *_args: t.Any) -> None:
        """Nothing."""


class Checked:
    """A role as a play has it, up to the first task that is no check."""

    def __init__(self, role: str, entry: str) -> None:
        self.loader = DataLoader()
        inventory = InventoryManager(self.loader, sources=["sandbox,"])
        self.host = inventory.get_host("sandbox")
        self.host.vars.update(ansible_connection="local", ansible_python_interpreter=sys.executable)
        self.manager = VariableManager(self.loader, inventory)
        imported = {"import_role": {"name": f"convoy.rollout.{role}", "tasks_from": entry}}
        document = {"name": role, "hosts": "all", "gather_facts": False, "tasks": [imported]}
        self.play = Play.load(document, self.manager, self.loader)
        self.tasks = [task for block in self.play.compile() for task in _tasks(block) if _short(task) != "meta"]
        self.variables = self.manager.get_vars(play=self.play, host=self.host, task=self.tasks[0])
        self.variables |= DESCRIPTION | GOOD[role, entry]

    def refusal(self, given: dict[str, t.Any]) -> str:
        """What the role says against variables; nothing where it would go on to the cluster."""
        for task in self.tasks:
            if _short(task) not in ("assert", "set_fact", "validate_argument_spec"):
                break
            variables, context = self.variables | given, PlayContext(self.play)
            result = TaskExecutor(
                self.host, task.copy(), variables, context, self.loader, plugins, Callbacks(), self.manager
            ).run()
            if result.get("failed"):
                items = [item["msg"] for item in result.get("results", ()) if item.get("failed")]
                return str(next(iter(items), result["msg"]))
        return ""

    def argument(self, task_name: str, argument: str, variables: dict[str, t.Any]) -> t.Any:
        """What a task of the role would be given."""
        (task,) = (task for task in self.tasks if task.name == task_name)
        return Templar(self.loader, self.variables | task.vars | variables).template(task.args[argument])


def _tasks(block: Block) -> Iterator[t.Any]:
    for each in block.block:
        if isinstance(each, Block):
            yield from _tasks(each)
        else:
            yield each


def _short(task: t.Any) -> str:
    return str(task.action).rpartition(".")[2]


def collections_imported() -> list[str]:
    """The modules of collections."""
    return [name for name in sys.modules if name.partition(".")[0] == "ansible_collections"]


@pytest.fixture(scope="module", autouse=True)
def found_by_ansible() -> Iterator[None]:
    """Collections as Ansible finds them, while these tests run; other tests import plugins as plain modules."""
    plain = {name: sys.modules.pop(name) for name in collections_imported()}
    plugins.init_plugin_loader([str(ROOT / ".collections")])
    yield
    _AnsibleCollectionFinder._remove()
    checked.cache_clear()
    for name in collections_imported():
        del sys.modules[name]
    sys.modules.update(plain)


@functools.cache
def checked(role: str, entry: str = "main") -> Checked:
    """Each role is read once."""
    return Checked(role, entry)


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


@pytest.mark.parametrize(("role", "entry"), GOOD)
def test_variables(role: str, entry: str) -> None:
    options = specification(role, entry)
    assert checked(role, entry).refusal({}) == ""

    @cases(CASES)
    @given(
        st.lists(st.sampled_from(sorted(options)), min_size=1, max_size=2, unique=True).flatmap(
            lambda names: st.fixed_dictionaries({name: value(options[name]) for name in names})
        )
    )
    def refused_or_not(variables: dict[str, t.Any]) -> None:
        said = checked(role, entry).refusal(variables)
        assert not said or clear(said), (variables, said)
        assert "injectedinjected" not in said

    refused_or_not()


@pytest.mark.parametrize("role", ["bluegreen", "canary", "rolling_update"])
@pytest.mark.parametrize("version", ["{{ lookup('pipe', 'echo 2.0.0') }}", "2.0.0\n", "2.0.0: x", "", ["2.0.0"], 2.0])
def test_a_version_that_is_no_label(role: str, version: t.Any) -> None:
    said = checked(role).refusal({"version": version})
    assert said.startswith(f"{role}_version is ")
    assert clear(said)


def test_a_template_of_the_command_line_is_ansibles_to_evaluate() -> None:
    """What -e gives is trusted by Ansible, and evaluated wherever it is used: only what comes of it is the role's."""
    harmless = trust_as_template("{{ lookup('pipe', 'echo it has run') }}")
    assert checked("bluegreen").refusal({"version": harmless}).startswith('bluegreen_version is "it has run"; give')


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


@cases(CASES * 4)
@given(odd(st.fixed_dictionaries({}, optional=DESCRIBED)))
def test_what_is_accepted_stays_text(application: dict[str, t.Any]) -> None:
    applications = {"hello": application}
    if application_problems(applications):
        return
    registered = {"__app_deploy_found": {"resources": []}, "__app_deploy_kept": {"results": []}}
    manifests = checked("app_deploy").argument(
        "Apply every object of the application", "definition", registered | {"applications": applications}
    )
    # As the API server gets it: JSON joins what lies beyond 16 bits, and YAML does not.
    sent = [json.loads(json.dumps(item)) for item in yaml.safe_load_all(manifests) if item]
    made = {(item["kind"], item["metadata"]["name"]): item for item in sent}
    assert made.keys() == {
        ("Deployment", "hello"),
        *({("Service", "hello")} if "service" in application else set()),
        *(("ConfigMap", name) for name in application.get("config_maps", {})),
        *(("Secret", name) for name in application.get("secrets", {})),
    }
    labels = {"app": "hello"} | application.get("labels", {})
    deployment = made["Deployment", "hello"]
    template = deployment["spec"]["template"]
    assert same(deployment["metadata"]["labels"], labels)
    assert same(deployment["spec"]["selector"]["matchLabels"], application.get("selector", labels))
    assert same(template["metadata"]["labels"], labels | {"version": application["version"]})
    container = {"name": labels["app"], "image": f"{application['image']}:{application['version']}"}
    assert same(template["spec"]["containers"], [container | application.get("container", {})])
    for field, content in application.get("pod", {}).items():
        assert field == "containers" or same(template["spec"][field], content)
    for field, content in application.get("deployment", {}).items():
        assert field in ("selector", "template") or same(deployment["spec"][field], content)
    for name, data in application.get("config_maps", {}).items():
        assert same(made["ConfigMap", name]["data"], data)
    for name, secret in application.get("secrets", {}).items():
        data = {key: base64.b64decode(text).decode() for key, text in (made["Secret", name]["data"] or {}).items()}
        assert same(data, secret["data"])
    for field, content in application.get("service", {}).items():
        assert field in ("selector", "sessionAffinity") or same(made["Service", "hello"]["spec"][field], content)


def same(one: t.Any, other: t.Any) -> bool:
    """Whether two documents are the same to an API server: as JSON."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
