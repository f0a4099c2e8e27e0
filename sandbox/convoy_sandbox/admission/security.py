# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PodSecurity: the levels `baseline` and `restricted` that the labels of a namespace ask of its pods.

Source of the rules: the Pod Security Standards of Kubernetes' documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..kinds.pods import containers_of
from ..selectors import labels_of
from ..store import Object

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"latest|v1\.\d+")
Spec = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """What a namespace asks in one mode."""

    level: str
    version: str

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


def policy(namespace: Object, mode: str) -> Policy:
    """What the labels of a namespace ask in one mode: by default nothing."""
    labels = labels_of(namespace)
    level = labels.get(f"{PREFIX}{mode}", "privileged")
    return Policy(level if level in LEVELS else "privileged", labels.get(f"{PREFIX}{mode}-version", "latest"))


def label_problems(labels: dict[str, str]) -> list[tuple[str, str, str]]:
    """The labels that no policy can be read from: key, value and why."""
    found = []
    for mode in MODES:
        level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version")
        if level is not None and level not in LEVELS:
            found.append((f"{PREFIX}{mode}", level, f"must be one of {', '.join(LEVELS)}"))
        if version is not None and not _VERSION.fullmatch(version):
            found.append((f"{PREFIX}{mode}-version", version, 'must be "latest" or "v1.x"'))
    return found


def violations(spec: Spec, level: str) -> list[tuple[str, str]]:
    """What of a pod's spec a level forbids: the reason and its detail, as the API server words them."""
    if level == "privileged":
        return []
    checks = _RESTRICTED if level == "restricted" else _BASELINE
    found = ((reason, check(spec)) for reason, check in checks)
    return [(reason, detail) for reason, detail in found if detail]


def sentence(found: Iterable[tuple[str, str]]) -> str:
    """Violations as messages list them."""
    return ", ".join(f"{reason} ({detail})" for reason, detail in found)


# -- the checks: what is wrong, "" where nothing is ----------------------------------------------


def _named(what: str, names: Iterable[str]) -> str:
    """`container "a"` or `containers "a", "b"`; "" where there is none."""
    listed = list(dict.fromkeys(names))
    return f"{what}{'s' if len(listed) > 1 else ''} " + _quoted(listed) if listed else ""


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _context(container: Spec) -> Spec:
    found: Spec = container.get("securityContext") or {}
    return found


def _bad(spec: Spec, wrong: Callable[[Spec], Any]) -> list[str]:
    """The names of the containers whose security context is wrong."""
    return [container["name"] for container in containers_of(spec) if wrong(_context(container))]


def _says(names: str, text: str) -> str:
    return f"{names} {text}" if names else ""


def _escalation(spec: Spec) -> str:
    names = _named("container", _bad(spec, lambda own: own.get("allowPrivilegeEscalation") is not False))
    return _says(names, "must set securityContext.allowPrivilegeEscalation=false")


_DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip


def _added(spec: Spec, allowed: frozenset[str]) -> str:
    names: list[str] = []
    capabilities: set[str] = set()
    for container in containers_of(spec):
        more = set((_context(container).get("capabilities") or {}).get("add") or ()) - allowed
        if more:
            names.append(container["name"])
            capabilities |= more
    text = f"must not include {_quoted(sorted(capabilities))} in securityContext.capabilities.add"
    return _says(_named("container", names), text)


def _default_capabilities(spec: Spec) -> str:
    return _added(spec, _DEFAULT_CAPABILITIES)


def _few_capabilities(spec: Spec) -> str:
    keeping = _bad(spec, lambda own: "ALL" not in ((own.get("capabilities") or {}).get("drop") or ()))
    dropping = _says(_named("container", keeping), 'must set securityContext.capabilities.drop=["ALL"]')
    return "; ".join(filter(None, (dropping, _added(spec, frozenset({"NET_BIND_SERVICE"})))))


def _host_namespaces(spec: Spec) -> str:
    return ", ".join(f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))


def _host_paths(spec: Spec) -> str:
    return _named("volume", [volume["name"] for volume in spec.get("volumes") or () if "hostPath" in volume])


def _host_ports(spec: Spec) -> str:
    names: list[str] = []
    numbers: set[int] = set()
    for container in containers_of(spec):
        taken = {port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")}
        if taken:
            names.append(container["name"])
            numbers |= taken
    listed = ", ".join(str(number) for number in sorted(numbers))
    uses = "uses" if len(names) == 1 else "use"
    return _says(_named("container", names), f"{uses} hostPort{'s' if len(numbers) > 1 else ''} {listed}")


def _privileged(spec: Spec) -> str:
    names = _named("container", _bad(spec, lambda own: own.get("privileged")))
    return _says(names, "must not set securityContext.privileged=true")


def _proc_mount(spec: Spec) -> str:
    names = _named("container", _bad(spec, lambda own: own.get("procMount") not in (None, "Default")))
    return _says(names, 'must not set securityContext.procMount to "Unmasked"')


_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)


def _volume_types(spec: Spec) -> str:
    wrong = {
        volume["name"]: type_
        for volume in spec.get("volumes") or ()
        for type_ in volume
        if type_ != "name" and type_ not in _VOLUMES
    }
    types = sorted(set(wrong.values()))
    use = "uses" if len(wrong) == 1 else "use"
    return _says(
        _named("volume", wrong), f"{use} restricted volume type{'s' if len(types) > 1 else ''} {_quoted(types)}"
    )


def _non_root(spec: Spec) -> str:
    pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    explicit = _bad(spec, lambda own: own.get("runAsNonRoot") is False)
    silent = _bad(spec, lambda own: own.get("runAsNonRoot") is None) if not pod else []
    if explicit or pod is False:
        who = " and ".join(filter(None, ("pod" if pod is False else "", _named("container", explicit))))
        return _says(who, "must not set securityContext.runAsNonRoot=false")
    names = _named("container", silent)
    return f"pod or {names} must set securityContext.runAsNonRoot=true" if names else ""


def _root_user(spec: Spec) -> str:
    pod = (spec.get("securityContext") or {}).get("runAsUser") == 0
    names = _named("container", _bad(spec, lambda own: own.get("runAsUser") == 0))
    return _says(" and ".join(filter(None, ("pod" if pod else "", names))), "must not set runAsUser=0")


_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")


def _selinux(spec: Spec) -> str:
    def wrong(own: Spec) -> bool:
        options = own.get("seLinuxOptions") or {}
        return bool(options.get("type", "") not in _SELINUX_TYPES or options.get("user") or options.get("role"))

    pod = "pod" if wrong(spec.get("securityContext") or {}) else ""
    names = " and ".join(filter(None, (pod, _named("container", _bad(spec, wrong)))))
    return _says(names, "set forbidden securityContext.seLinuxOptions")


def _seccomp_type(own: Spec) -> str | None:
    found: str | None = (own.get("seccompProfile") or {}).get("type")
    return found


def _seccomp_baseline(spec: Spec) -> str:
    pod = "pod" if _seccomp_type(spec.get("securityContext") or {}) == "Unconfined" else ""
    names = _named("container", _bad(spec, lambda own: _seccomp_type(own) == "Unconfined"))
    who = " and ".join(filter(None, (pod, names)))
    return _says(who, 'must not set securityContext.seccompProfile.type to "Unconfined"')


def _seccomp_restricted(spec: Spec) -> str:
    wrong = _seccomp_baseline(spec)
    if wrong or _seccomp_type(spec.get("securityContext") or {}):
        return wrong
    names = _named("container", _bad(spec, lambda own: not _seccomp_type(own)))
    must = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return f"pod or {names} {must}" if names else ""


_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip


def _sysctls(spec: Spec) -> str:
    sysctls = (spec.get("securityContext") or {}).get("sysctls") or ()
    return ", ".join(one["name"] for one in sysctls if one["name"] not in _SYSCTLS)


_BASELINE: tuple[tuple[str, Callable[[Spec], str]], ...] = (
    ("non-default capabilities", _default_capabilities),
    ("host namespaces", _host_namespaces),
    ("hostPath volumes", _host_paths),
    ("hostPort", _host_ports),
    ("privileged", _privileged),
    ("procMount", _proc_mount),
    ("seLinuxOptions", _selinux),
    ("seccompProfile", _seccomp_baseline),
    ("forbidden sysctls", _sysctls),
)
_RESTRICTED: tuple[tuple[str, Callable[[Spec], str]], ...] = (
    ("allowPrivilegeEscalation != false", _escalation),
    ("unrestricted capabilities", _few_capabilities),
    ("host namespaces", _host_namespaces),
    ("hostPort", _host_ports),
    ("privileged", _privileged),
    ("procMount", _proc_mount),
    ("restricted volume types", _volume_types),
    ("runAsNonRoot != true", _non_root),
    ("runAsUser=0", _root_user),
    ("seLinuxOptions", _selinux),
    ("seccompProfile", _seccomp_restricted),
    ("forbidden sysctls", _sysctls),
)
