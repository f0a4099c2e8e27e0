# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: transient
short_description: Whether a task of kubernetes.core failed of something that passes
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - True where the API server was too busy (429), failed (500, 502, 503, 504), saw somebody else change the object at
    that moment (409), or where the connection to it broke. The same task can then be done again, if doing it twice is
    doing it once, as with server-side apply, a merge patch or a deletion.
  - False for a task that succeeded, and for one that would fail again, such as of an object that is not valid.
options:
  _input:
    description: What a task of C(kubernetes.core.k8s) or C(kubernetes.core.k8s_info) registered.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Apply a manifest at an API server that fails now and then
  kubernetes.core.k8s:
    definition: "{{ lookup('ansible.builtin.template', 'shop.yaml.j2') }}"
    apply: true
  register: applied
  until: applied is not convoy.rollout.transient
  retries: 5
  delay: "{{ range(1, 4) | random }}" # seconds; at random, so that clusters do not come back together
"""

RETURN = r"""
_value:
  description: Whether it may succeed when it is done again.
  type: bool
"""

import multiprocessing
import re
import typing as t

from ansible.errors import AnsibleTypeError

#: As a Status has its code, and as the Python client prints one.
CODE = re.compile(r'"code\\*": ?(\d{3})|^\(?(\d{3})\)')
PASSING = frozenset(["409", "429", "500", "502", "503", "504"])
#: What urllib3 and http.client say of a connection that broke; of one whose certificate is not trusted, too.
BROKEN = re.compile(
    r"Connection (aborted|broken|reset|refused)|Remote end closed|Max retries exceeded|IncompleteRead|EOF occurred"
    r"|[Rr]ead timed out|BadStatusLine|too many 5\d\d error responses"
)
#: What an API server, or what it asks itself, answers without a code: with 429 or 503, as plain text.
BUSY = re.compile(
    r"Too many requests, please try again later|apiserver (not ready|is shutting down)|service unavailable"
    r"|error trying to reach service"
)
LASTING = re.compile(r"certificate|CERTIFICATE|Name or service not known|Temporary failure in name resolution")


def transient(result: t.Mapping[str, t.Any]) -> bool:
    """Whether what a task registered is a failure that passes. Raises AnsibleTypeError for no such thing."""
    if not isinstance(result, t.Mapping):
        raise AnsibleTypeError("transient takes what a task registered.", obj=result)
    run = multiprocessing.parent_process()
    if run is not None and not run.is_alive():
        return False  # nobody is left to do it again for: the run that this worker belongs to was killed
    if result.get("failed") and "msg" not in result:
        # kubernetes.core raises what its client raises before the first request is answered: the connection broke.
        return True
    said = str(result.get("msg") or "")
    codes = {code for found in CODE.finditer(said) for code in found.groups() if code}
    if codes:
        return bool(codes & PASSING)
    return bool(BUSY.search(said) or (BROKEN.search(said) and not LASTING.search(said)))


class TestModule:
    """The collection's tests."""

    def tests(self) -> dict[str, t.Callable[..., t.Any]]:
        """The tests, by name."""
        return {"transient": transient}
