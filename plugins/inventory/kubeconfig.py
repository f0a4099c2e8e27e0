# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeconfig
short_description: Makes a host of every context of kubeconfigs
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Reads one or more kubeconfigs and makes a host of every context, with C(kubeconfig) and C(context) as its variables,
    as the playbooks of this collection expect them, and a local connection.
  - Nothing is asked of the clusters, and nothing secret is taken over from the files.
  - The file's name must end in C(kubeconfig.yml) or C(kubeconfig.yaml).
options:
  plugin:
    description: Must be V(convoy.rollout.kubeconfig).
    type: str
    required: true
    choices: [convoy.rollout.kubeconfig]
  kubeconfigs:
    description:
      - Paths of kubeconfigs; patterns such as C(~/.kube/clusters/*) stand for the files that they match.
      - A relative path is relative to the inventory file.
      - Without it those of E(KUBECONFIG), else C(~/.kube/config).
    type: list
    elements: str
    default: []
  include:
    description: Regular expressions; only contexts whose names one of them matches from the start become hosts.
    type: list
    elements: str
    default: [".*"]
  exclude:
    description: Regular expressions; contexts whose names one of them matches from the start do not become hosts.
    type: list
    elements: str
    default: []
  group:
    description: The group that all of the hosts are in.
    type: str
    default: clusters
  patterns:
    description:
      - Groups by name, each with a regular expression; contexts in whose names it is found are in the group.
      - What a named part of it matches, such as C((?P<region>[a-z]+-[a-z]+[0-9])), becomes a variable of the host.
    type: dict
    default: {}
extends_documentation_fragment:
  - constructed
"""

EXAMPLES = r"""
---
# fleet.kubeconfig.yml: every context of the default kubeconfig
plugin: convoy.rollout.kubeconfig
---
# fleet.kubeconfig.yml: GKE's clusters, grouped by their region, and those on premises
plugin: convoy.rollout.kubeconfig
kubeconfigs:
  - ~/.kube/config
  - clusters/*.kubeconfig
exclude:
  - .*-old$
patterns:
  gke: ^gke_(?P<project>[^_]+)_(?P<region>[a-z]+-[a-z]+[0-9])
  on_premises: ^onprem-
compose:
  cluster_provider: "'existing'"
  wave: "1 if region | default('') == 'europe-west1' else 2"
keyed_groups:
  - key: region | default('on-premises')
    prefix: region
  - key: wave | string
    prefix: wave
groups:
  production: "'prod' in context"
"""

import glob
import os
import re
import sys
import typing as t

import yaml
from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _yaml


class InventoryModule(BaseInventoryPlugin, Constructable):
    """A host is a cluster, and a context is where a cluster is."""

    NAME = "convoy.rollout.kubeconfig"

    def verify_file(self, path: str) -> bool:
        """Whether the file is this plugin's, by its name."""
        return super().verify_file(path) and path.endswith(("kubeconfig.yml", "kubeconfig.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Make the hosts. Raises AnsibleParserError."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        include, exclude = self._expressions("include"), self._expressions("exclude")
        patterns = {name: self._expression("patterns", text) for name, text in self.get_option("patterns").items()}
        main = inventory.add_group(self._sanitize_group_name(self.get_option("group")))
        groups = {name: inventory.add_group(self._sanitize_group_name(name)) for name in patterns}
        # A host is reached by its API server, from here.
        inventory.set_variable(main, "ansible_connection", "local")
        inventory.set_variable(main, "ansible_python_interpreter", sys.executable)
        strict = self.get_option("strict")
        for file in self._files(os.path.dirname(os.path.abspath(path))):
            for context, facts in self._contexts(file):
                wanted = any(each.match(context) for each in include)
                if not wanted or any(each.match(context) for each in exclude):
                    continue
                other = inventory.get_host(context)
                if other:
                    raise AnsibleParserError(
                        f"The context {context} is in {other.vars['kubeconfig']} and in {file}; "
                        f"rename one with kubectl config rename-context, or exclude it."
                    )
                host = inventory.add_host(context, main)
                for name, pattern in patterns.items():
                    found = pattern.search(context)
                    if found:
                        inventory.add_child(groups[name], context)
                        facts.update({key: value for key, value in found.groupdict().items() if value is not None})
                # Values come from a file that others may write; Ansible does not trust them as templates unless
                # they are marked so, and nothing marks them.
                for key, value in facts.items():
                    inventory.set_variable(host, key, value)
                known = inventory.get_host(context).get_vars()
                self._set_composite_vars(self.get_option("compose"), known, host, strict=strict)
                known = inventory.get_host(context).get_vars()
                self._add_host_to_composed_groups(self.get_option("groups"), known, host, strict=strict)
                self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, host, strict=strict)

    def _expressions(self, option: str) -> list[re.Pattern[str]]:
        return [self._expression(option, text) for text in self.get_option(option)]

    @staticmethod
    def _expression(option: str, text: str) -> re.Pattern[str]:
        try:
            return re.compile(str(text))
        except re.error as error:
            raise AnsibleParserError(f"{option}: {text!r} is not a regular expression: {error}.") from error

    def _files(self, folder: str) -> list[str]:
        """The paths of the kubeconfigs, each once."""
        given = self.get_option("kubeconfigs")
        if not given:
            default = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
            given = [path for path in default.split(os.pathsep) if path]
        found: dict[str, None] = {}
        for text in given:
            path = os.path.join(folder, os.path.expanduser(text))
            matches = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
            if not matches:
                raise AnsibleParserError(f"kubeconfigs: no file matches {text}.")
            found.update(dict.fromkeys(os.path.normpath(match) for match in matches))
        return list(found)

    @staticmethod
    def _contexts(file: str) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
        """The names of a kubeconfig's contexts, with what is known of them."""
        try:
            with open(file, encoding="utf-8") as stream:
                document = _yaml.document(stream)
            contexts = document.get("contexts") or []
            servers = {item["name"]: item["cluster"].get("server") for item in document.get("clusters") or []}
            for item in contexts:
                body = item["context"]
                facts = {
                    "kubeconfig": file,
                    "context": str(item["name"]),
                    "kubeconfig_cluster": body.get("cluster"),
                    "kubeconfig_user": body.get("user"),
                    "kubeconfig_namespace": body.get("namespace", "default"),
                    "kubeconfig_server": servers.get(body.get("cluster")),
                }
                yield str(item["name"]), facts
        except OSError as error:
            raise AnsibleParserError(f"The kubeconfig {file} cannot be read: {error.strerror}.") from error
        except (AttributeError, KeyError, TypeError, UnicodeDecodeError, yaml.YAMLError) as error:
            # Not what it says: it may quote a secret.
            raise AnsibleParserError(f"The file {file} is not a kubeconfig ({type(error).__name__}).") from error
