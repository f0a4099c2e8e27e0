"""kubernetes.core.k8s in the process of a task: the same answers as from a program of its own."""

from __future__ import annotations

import json
import sys
import types
import typing as t

import pytest
import urllib3.util.ssl_
from ansible_collections.convoy.rollout.plugins.plugin_utils import _in_process

Object = dict[str, t.Any]


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call changes its process, which is a task's own, but not here."""
    for name in ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE", "_PARSED_MODULE_ARGS"):
        monkeypatch.setattr(_in_process.basic, name, getattr(_in_process.basic, name, None), raising=False)
    monkeypatch.setattr(urllib3.util.ssl_, "VERIFY_X509_STRICT", urllib3.util.ssl_.VERIFY_X509_STRICT)
    if _in_process.POSSIBLE:
        monkeypatch.setattr(_in_process.k8s, "AnsibleModule", _in_process.k8s.AnsibleModule)


class Stand:
    """What stands in for the module: it does with AnsibleModule what a test says."""

    def __init__(self, does: t.Callable[[t.Any], None]) -> None:
        self.AnsibleModule: t.Any = None
        self.does = does

    def main(self) -> None:
        spec = {name: {"type": "str"} for name in ("definition", "kubeconfig")}
        self.does(self.AnsibleModule(argument_spec=spec, supports_check_mode=True))


def called(monkeypatch: pytest.MonkeyPatch, does: t.Callable[[t.Any], None], **how: bool) -> Object:
    """What a call returns of a module that does something."""
    monkeypatch.setattr(_in_process, "k8s", Stand(does))
    return _in_process.called({"definition": "planted"}, **{"check_mode": False, "diff": False, **how})


def test_arguments_and_modes_get_there_and_the_result_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def does(module: t.Any) -> None:
        module.exit_json(changed=True, result=[module.params["definition"], module.check_mode, module._diff])

    assert called(monkeypatch, does)["result"] == ["planted", False, False]
    assert called(monkeypatch, does, check_mode=True, diff=True)["result"] == ["planted", True, True]


def test_warnings_are_returned_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def does(module: t.Any) -> None:
        module.warn("planted-warning")
        module.deprecate("planted-deprecation", version="99.0.0", collection_name="kubernetes.core")
        print("planted-noise", file=sys.stderr)
        module.exit_json(changed=False)

    assert called(monkeypatch, does)["warnings"] == ["planted-warning"]
    assert "warnings" not in called(monkeypatch, lambda module: module.exit_json(changed=False))
    assert "planted" not in "".join(capfd.readouterr())


def test_a_failure_and_a_breakdown_are_results(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = called(monkeypatch, lambda module: module.fail_json(msg="refused"))
    assert (failed["failed"], failed["msg"]) == (True, "refused")

    def breaks(_module: t.Any) -> None:
        raise ConnectionResetError("Connection reset by peer")

    assert called(monkeypatch, breaks) == {"failed": True, "msg": "ConnectionResetError: Connection reset by peer"}
    assert called(monkeypatch, lambda module: sys.exit(3)) == {"failed": True}


def test_what_is_not_used_is_not_imported_and_found_again_afterwards() -> None:
    assert "unused" not in sys.modules
    with _in_process._without("unused"), pytest.raises(ImportError):
        __import__("unused")
    assert "unused" not in sys.modules
    with _in_process._without("json"):
        assert __import__("json") is json


def test_arguments_are_not_written_to_the_systems_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(_in_process.basic.AnsibleModule, "_log_to_syslog", lambda self, msg: logged.append(msg))
    called(monkeypatch, lambda module: module.exit_json(changed=False))
    assert logged == []


def test_certificates_are_accepted_as_elsewhere_in_the_run_under_every_python(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = types.SimpleNamespace(version_info=(3, 13), **{name: getattr(sys, name) for name in ("platform",)})
    monkeypatch.setattr(urllib3.util.ssl_, "sys", newer)
    strict = urllib3.util.ssl_.VERIFY_X509_STRICT
    assert not strict or urllib3.util.ssl_.create_urllib3_context().verify_flags & strict
    called(monkeypatch, lambda module: module.exit_json(changed=False))
    assert not urllib3.util.ssl_.create_urllib3_context().verify_flags & 0x20


@pytest.mark.skipif(not _in_process.POSSIBLE, reason="the Python client of Kubernetes is not installed here")
def test_the_module_itself_says_what_it_is_given_wrong() -> None:
    result = _in_process.called({"state": "sideways", "kubeconfig": "/nowhere"}, check_mode=False, diff=False)
    assert result["failed"]
    assert "value of state must be one of" in result["msg"], json.dumps(result)
