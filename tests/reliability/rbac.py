"""docs/rbac.yaml: the smallest Role that each strategy needs, from the rights that the collection knows of."""

from __future__ import annotations

from typing import Any

import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._rights import RIGHTS, Right, needed

HEAD = """\
# The smallest rights that each strategy needs; made by `make rbac`, do not edit.
#
# A Role holds in the application's namespace. A ClusterRole with -room lets capacity count what is free:
# nodes and pods of all namespaces. The Roles convoy-canary-route, -ingress, -istio, -traefik and -openshift are for a
# canary by such a router, and those of convoy-bluegreen for blue/green by it: who may patch one has power over all
# of its users' traffic, so restrict get, patch and delete of them by resourceNames. To list them is to find one where
# none is named. The Role convoy-verify reads and asks only: module version_distribution with all of its sources. Bind
# those of a strategy to whoever runs it:
#
#   kubectl apply --namespace shop -f docs/rbac.yaml
#   kubectl create rolebinding bluegreen --namespace shop --role convoy-bluegreen --user jane
#   kubectl create clusterrolebinding bluegreen --clusterrole convoy-bluegreen-room --user jane
"""

UNLOCKED = ("verify",)  #: what runs without the application's lock


def rules(rights: list[Right]) -> list[dict[str, Any]]:
    """Rights as RBAC has them."""
    return [{"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)} for right in rights]


def roles() -> list[dict[str, Any]]:
    """The Role, and where it takes one the ClusterRole, of each strategy; whoever changes an application locks it."""
    made = []
    for strategy in (name for name in RIGHTS if name != "lock"):
        rights = needed([strategy, *(["lock"] if strategy not in UNLOCKED else [])])
        name = f"convoy-{strategy.replace('_', '-')}"
        for kind, suffix, cluster in (("Role", "", False), ("ClusterRole", "-room", True)):
            chosen = [right for right in rights if right.cluster is cluster]
            if chosen:
                made.append(
                    {
                        "apiVersion": "rbac.authorization.k8s.io/v1",
                        "kind": kind,
                        "metadata": {"name": name + suffix},
                        "rules": rules(chosen),
                    }
                )
    return made


class _Dumper(yaml.SafeDumper):
    """Lists of words in one line, others indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_list(self, data: list[Any]) -> yaml.Node:
        words = all(isinstance(item, str) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=words)


_Dumper.add_representer(list, _Dumper.represent_list)


def document() -> str:
    """The file."""
    return HEAD + "---\n" + yaml.dump_all(roles(), Dumper=_Dumper, sort_keys=False, width=120)


if __name__ == "__main__":
    print(document(), end="")
