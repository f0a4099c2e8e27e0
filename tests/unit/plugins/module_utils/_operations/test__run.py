"""What begins a run, and where it cannot be one."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _called, _run


def test_a_run_whose_process_is_elsewhere_is_refused_before_a_cluster_is_touched() -> None:
    # Its lock could not be released when it is killed: nobody on that machine would know of it.
    options = _called.options(
        _run.ARGUMENTS, {}, strategy="scale", namespace="shop", application="web", request={"replicas": "5"}
    )
    with pytest.raises(Failure, match="set ansible_connection: local") as found:
        _run.run(options, Task(owner=None))
    outcome = found.value.facts["run"]["refused"]
    assert (outcome["ending"], outcome["verdict"], outcome["changed"]) == ("refused", "fail", False)
    assert outcome["message"] == found.value.message
