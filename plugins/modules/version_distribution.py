#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: version_distribution
short_description: Sample which versions of an application answer, and in which shares
version_added: 0.1.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Makes requests, each over a new connection, because Kubernetes balances connections, and counts which
    version answered.
  - A request that fails, or whose answer names no version, is counted under its error. None is dropped.
  - Reaches a Service by its external address, or through the API server's service proxy where it has none.
  - It can also watch, which is to sample steadily in the background from one task to a later one, and to report what
    became of every request while the tasks between them changed something.
options:
  state:
    description:
      - V(sampled) takes samples and judges them.
      - V(watch) begins to sample in the background, one request each O(interval), and returns at once. The
        background process ends with the run that started it, within a second, however that ends.
      - V(watched) ends that watch and returns what it saw.
    type: str
    choices: [sampled, watch, watched]
    default: sampled
    version_added: 0.2.0
  watch:
    description: What the task with O(state=watch) returned as RV(watch), for O(state=watched).
    type: dict
    version_added: 0.2.0
  interval:
    description: Seconds between two requests of a watch.
    type: float
    default: 0.05
    version_added: 0.2.0
  watch_limit:
    description: >-
      Seconds after which a watch takes no more samples. What it saw is kept until the run ends, or for as long
      again where the run is on another machine.
    type: int
    default: 3600
    version_added: 0.2.0
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the Service. Required without O(url), where requests are made.
    type: str
  application_service:
    description: >-
      The Service that the versions are behind, where O(name) or O(url) leads to it through another one, such as a
      frontend. By default the one of O(name).
    type: str
    version_added: 0.2.0
  source:
    description:
      - How the shares are measured. V(traffic) makes requests.
      - V(endpoints) counts the ready endpoints of O(application_service), which is the share that can be reached,
        V(pods) its ready pods, both by the tags of their images. Neither makes requests, nothing is estimated, and each
        share must be within O(tolerance).
    type: str
    choices: [traffic, endpoints, pods]
    default: traffic
    version_added: 0.2.0
  agree:
    description: >-
      Sources that have to agree with O(source), within O(tolerance). With V(traffic) and V(endpoints) a version that is
      deployed and does not answer, or is not what it says it is, fails the task.
    type: list
    elements: str
    choices: [traffic, endpoints, pods]
    default: []
    version_added: 0.2.0
  port:
    description: >-
      The Service's port, by its number or its name. By default the one that users come in by, as what it is called and
      its C(appProtocol) say. One for metrics or administration is asked only where there is no other.
    type: str
  scheme:
    description: The protocol of the Service, by default what its port's C(appProtocol), name or number says.
    type: str
    choices: [http, https]
  path:
    description: The path of the requests.
    type: str
    default: /version
  url:
    description: Ask this URL, in the place of a Service.
    type: str
  via:
    description: >-
      V(url) asks the Service's external address, V(proxy) goes through the API server, V(auto) takes the
      address
      where there is one that can be used.
    type: str
    choices: [auto, url, proxy]
    default: auto
  unversioned:
    description:
      - Whether an answer that names no version is a good one, for an application whose answers name none. Lost requests
        are then judged, and shares are not. Such an answer is counted as C(an unnamed version).
    type: bool
    default: false
    version_added: 0.2.0
  headers:
    description: Headers that each request carries. Their values are not shown anywhere.
    type: dict
    default: {}
  server_name:
    description: >-
      The server name of TLS (SNI), which the certificate must be valid for, where that is not the host that is asked.
      Has no meaning through the proxy.
    type: str
    version_added: 0.2.0
  target_validate_certs:
    description: Whether the certificate of what is sampled must be one that is trusted. Has no meaning
      through the proxy.
    type: bool
    default: true
  target_ca_cert:
    description: The path of the CA that issued its certificate.
    type: path
  version_from:
    description: Where an answer says its version. By default at the JSON pointer C(/version) of the body.
    type: dict
    suboptions:
      json_pointer:
        description: A JSON pointer into the body.
        type: str
      header:
        description: A header of the answer.
        type: str
      regex:
        description: A regular expression that finds it in the body, its first group if it has one.
        type: str
  expected:
    description:
      - The share, from 0 to 1, of each version. Without it every share passes.
      - A share of V(1) or V(0) is meant exactly, any other within O(tolerance).
    type: dict
    default: {}
  expected_from:
    description: >-
      V(endpoints) expects of each version its share of the ready endpoints of O(application_service). Not with
      O(expected).
    type: str
    choices: [endpoints]
    version_added: 0.2.0
  tolerance:
    description:
      - How far a share may be from the expected one. By default V(0.1), and half of the share, or of the rest, where
        that is less, so that V(0.01) is told from V(0.02) and from none.
      - What is nearer to none or to all of the answers than to the expected share is never right.
    type: float
  confidence:
    description: The confidence of the verdict and of the intervals.
    type: float
    default: 0.99
  min_success:
    description:
      - The share of requests that must be answered with a version. With V(1) every one must.
      - A lower share is judged as shares of versions are. A version that is exactly that good fails with a probability
        of at most 1 - O(confidence), and one that loses three times as many requests as it may, and at least one in 100
        more, passes with at most that probability. V(0.99) takes 226 requests to pass, V(0.999) takes 458, if none is
        lost.
    type: float
    default: 1.0
  family_size:
    description: >-
      The number of verdicts that the error probability is split across, such as the number of clusters of a fleet. 100
      good clusters judged at V(0.99) each would give a false alarm in 63% of runs.
    type: int
    default: 1
    version_added: 0.2.0
  samples:
    description: >-
      How many requests are made, or with O(source_addresses) clients ask, no fewer, and with O(max_samples) more only
      where those do not settle it, or where a look with O(settles=verdict) follows one that did not pass. By default as
      many as the verdict needs, and V(100) where no shares are expected.
    type: int
  max_samples:
    description: >-
      How many requests are made, or clients ask, at most, where the verdict needs more. By default V(1000), and as many
      as settle 99 of 100 right shares, and those off by twice O(tolerance), where that is more, as for small ones.
    type: int
    version_added: 0.2.0
  source_addresses:
    description:
      - Addresses and networks of this machine, such as V(10.0.0.9) or V(10.0.0.16/28), each address of which is a
        client. Kubernetes tells clients by their addresses.
      - A client is then what is sampled. Each makes one request, which counts for the shares, until the verdict is
        settled; then the same clients ask again, and RV(clients) tells whether each got one version.
      - This is how the shares of a Service with C(sessionAffinity=ClientIP) are seen. It fails where such a Service
        gives a client several versions.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  requests_per_client:
    description: How many requests each of O(source_addresses) makes.
    type: int
    default: 3
    version_added: 0.2.0
  concurrency:
    description: How many of them at once, at most.
    type: int
    default: 16
  rate_limit:
    description: >-
      How many of them in a second, at most. V(0) sets no limit. By default as many as O(entry.rate_limit) allows, else
      200.
    type: float
  request_timeout:
    description: >-
      Seconds that a request may take. Those in which a busy machine does not let the task look for the answer do not
      count.
    type: float
    default: 5.0
    version_added: 0.2.0
  timeout:
    description: Seconds after which no more requests are made, and those that were are judged. By default no limit.
    type: float
  max_p99:
    description: >-
      Seconds that 99 of 100 answers may take at most, of all versions together and of each by itself. It fails where it
      is as sure as O(confidence) that more are slower, and passes where it is as sure that fewer than 5 of 100 are,
      which takes 112 answers if none is. A number of O(samples) passes unless it fails, so few of them say little.
      Where this machine was too busy to look for answers as they came, and they may have been slower, it is
      inconclusive.
    type: float
    version_added: 0.2.0
  on_inconclusive:
    description:
      - What to do where O(max_samples) do not settle the verdict.
      - V(fail) fails the task, V(pass) goes on. V(pause) does not fail it either and returns RV(decision=pause), for a
        caller that then changes nothing more and goes on in its next run.
    type: str
    choices: [fail, pass, pause]
    default: fail
    version_added: 0.2.0
  fail_on:
    description: >-
      Which verdict fails the task. V(inconclusive) means that one and V(fail).
    type: str
    choices: [fail, inconclusive, never]
    default: fail
  settle:
    description:
      - How often to look again, a second apart, while a cluster may still settle. The probability of error is split
        across the looks, so that what is wrong has no more chances to pass than in one.
      - A look that is followed by others ends with the first answer of a version that is not expected, as long as no
        request was lost.
    type: int
    default: 0
  settles:
    description:
      - What another look can change. With V(shares), of live traffic, shares may follow, and what is lost is lost.
      - With V(answers), of what takes no traffic yet, answers may come, and a wrong version stays wrong.
      - With V(route), of what a route leads some requests to, a wrong version may answer until that is taken over, too.
      - With V(verdict) it is looked again until the verdict is V(pass).
    type: str
    choices: [shares, answers, route, verdict]
    default: shares
  evidence:
    description: What is verified, the name of it in the run's outcome.
    type: str
    default: traffic
  final:
    description: Whether the run stands or falls by this verification.
    type: bool
    default: true
notes:
  - Where more than one version is expected, samples from one place do not show the shares of a Service with
    C(sessionAffinity=ClientIP) (without O(source_addresses)), C(externalTrafficPolicy=Local)
    (C(internalTrafficPolicy=Local) where it is behind another one) or routing by topology (its annotations,
    C(trafficDistribution), hints in its EndpointSlices, if this user may list them). The task then fails before any
    request, and says so.
  - With C(sessionAffinity=ClientIP) a client that has asked already stays with its pod for C(timeoutSeconds), three
    hours by default, whatever the weights are by then. The shares are those of new clients, so set O(source_addresses)
    that have not sent requests before. A Service behind another one sees the addresses of that one's pods.
  - Where equal answers follow each other, as where a proxy keeps its connections or clients stick to what they got,
    they count as fewer independent ones (RV(effective)), so more requests are made, and the verdict is V(inconclusive)
    where those are not enough. Where a proxy uses its endpoints in turn the answers alternate; that is recognised, and
    is no reason for doubt. If all answers are equal, nothing shows it.
  - The test is sequential and valid at every look, so it stops as soon as it knows. A share within O(tolerance) fails
    with a probability of at most 1 - O(confidence), one beyond it passes with at most that probability. For a share
    near the edge neither may be certain, which is V(inconclusive).
  - No share fails before 100 answers, as those of a version may come one after the other though its share is right.
  - 25 of 100, V(0.1) either way at V(0.99), takes about 270 samples on average to pass, and up to 150 to fail at 50 of
    100. docs/verdicts.md of the collection has more figures.
  - In no second more than O(rate_limit) requests begin; the first of them begin as fast as O(concurrency) allows.
    A watch adds its own, one each O(interval).
extends_documentation_fragment:
  - convoy.rollout._entry
  - convoy.rollout._run
  - convoy.rollout._auth
  - convoy.rollout._read_only
  - convoy.rollout._version
  - convoy.rollout._version.version_of
"""

EXAMPLES = r"""
---
- name: Every request gets 2.0.0
  convoy.rollout.version_distribution:
    namespace: default
    name: frontend
    target_validate_certs: false
    expected: {"2.0.0": 1}

- name: A canary gets a quarter of the requests
  convoy.rollout.version_distribution:
    url: https://shop.example.com/version
    samples: 500
    expected: {"1.0.0": 0.75, "2.0.0": 0.25}

- name: Each version gets the share of the requests that its ready endpoints are, and is what it says it is
  convoy.rollout.version_distribution:
    name: frontend
    application_service: hello
    expected_from: endpoints
    agree: [endpoints, pods]

- name: A quarter of the ready endpoints are the canary's; no requests are made
  convoy.rollout.version_distribution:
    name: hello
    source: endpoints
    expected: {"1.0.0": 0.75, "2.0.0": 0.25}

- name: One client stays with one version, and a quarter of many clients get the canary
  convoy.rollout.version_distribution:
    name: hello
    source_addresses: [10.0.4.0/22]
    expected: {"1.0.0": 0.75, "2.0.0": 0.25}
  register: seen # seen.clients.one_version of seen.clients.count

- name: Watch while something is changed
  convoy.rollout.version_distribution:
    state: watch
    name: frontend
  register: watching

- name: Tell how many requests were lost meanwhile, and which version answered when
  convoy.rollout.version_distribution:
    state: watched
    watch: "{{ watching.watch }}"

- name: The version is in a header
  convoy.rollout.version_distribution:
    name: hello
    path: /
    version_from:
      header: X-App-Version
    fail_on: never
"""

RETURN = r"""
watch:
  description: The watch that was started, for the task that ends it.
  returned: with O(state=watch)
  type: dict
lost:
  description: How many requests failed.
  returned: with O(state=watched)
  type: int
versions:
  description: How often each version answered, and when it first and last did (ISO 8601, UTC).
  returned: with O(state=watched)
  type: dict
  sample:
    "1.0.0": {count: 200, first: "2026-11-25T12:00:00.012+00:00", last: "2026-11-25T12:00:10.001+00:00"}
losses:
  description: >-
    When each lost request was made (seconds since 1970) and why it was lost, of the first 1000 ones.
  returned: with O(state=watched)
  type: list
  elements: list
  sample: [[1764158400.012, connection refused]]
gap:
  description: The longest time, in seconds, without a good answer.
  returned: with O(state=watched)
  type: float
  sample: 0.061
samples:
  description: >-
    How many requests were made, with O(source_addresses) how many clients asked, and without any requests how many
    endpoints or pods there are.
  returned: always
  type: int
counts:
  description: How many of them each version answered, of clients the first request.
  returned: always
  type: dict
  sample: {"1.0.0": 76, "2.0.0": 24}
errors:
  description: How many requests failed, by reason.
  returned: always
  type: dict
  sample: {"HTTP 503": 2, "timeout": 1}
errors_by_version:
  description: How many of the requests that failed were answered by which version, where the answer says that.
  returned: always
  type: dict
  sample: {"2.0.0": 1}
slow_by:
  description: How many answers of each version took longer than O(max_p99).
  returned: with O(state=sampled)
  type: dict
effective:
  description: >-
    How many independent answers the answers count as, fewer than there are where equal ones follow each other.
  returned: with O(state=sampled)
  type: int
shares:
  description: The share of RV(samples) that each version answered.
  returned: always
  type: dict
intervals:
  description: >-
    The confidence sequence of each share of the answers at O(confidence), which is valid at every look at once,
    whatever is expected and tolerated.
  returned: always
  type: dict
latency:
  description: Seconds from connecting to the end of an answer, for three percentiles of the answered
    requests.
  returned: always
  type: dict
  sample: {p50: 0.004, p95: 0.009, p99: 0.011}
losing:
  description: Whether the answers failed O(min_success).
  returned: with O(state=sampled)
  type: bool
too_slow:
  description: Whether the answers failed O(max_p99).
  returned: with O(state=sampled)
  type: bool
clients:
  description: >-
    How many clients asked, how many requests they made together, how many of them got one version only, and the
    versions of each of the others.
  returned: with O(source_addresses)
  type: dict
  sample: {count: 260, requests: 780, one_version: 260, several: {}}
decision:
  description: V(pass), V(fail) or V(pause), what the verdict and O(on_inconclusive) come to.
  returned: with O(state=sampled)
  type: str
missing:
  description: >-
    About how many more requests would settle the verdict, where it is not and they ended as they have so far; null if
    that is not known, or the answers depend on each other.
  returned: with O(state=sampled)
  type: int
sources:
  description: >-
    How many requests, ready endpoints or ready pods of each version O(source) and each of O(agree) count.
  returned: with O(state=sampled)
  type: dict
  sample:
    traffic: {"1.0.0": 76, "2.0.0": 24}
    endpoints: {"1.0.0": 3, "2.0.0": 1}
guards:
  description: What should be known besides the verdict, such as an expected version that was never seen.
  returned: with O(state=sampled)
  type: list
  elements: str
verdict:
  description: V(pass), V(fail) or V(inconclusive).
  returned: always
  type: str
message:
  description: What was counted and, where it did not pass, why.
  returned: always
  type: str
  sample: "2.0.0 100 of 100 requests, 0 lost"
via:
  description: V(url) or V(proxy), and without requests V(endpoints) or V(pods).
  returned: always
  type: str
url:
  description: What was asked, a URL or without requests a Service.
  returned: always
  type: str
port:
  description: The Service's port that was asked, such as C(http (80)); empty where a URL was.
  returned: with O(state=sampled) and requests
  type: str
other_ports:
  description: The Service's other ports.
  returned: with O(state=sampled) and requests
  type: list
  elements: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _version_distribution


def main() -> None:
    """Run the operation on this host."""
    run_operation(_version_distribution.ARGUMENTS, _version_distribution.run)


if __name__ == "__main__":
    main()
