# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which container carries the version, and how it reads from its image. Pure functions of plain objects.

Nothing else in this collection decides either.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = t.Dict[str, t.Any]

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

#: The pods' labels that may name a version, the first one first.
VERSION_LABELS = ("version", "app.kubernetes.io/version")

#: What the Deployments of one application are named by beside its own name.
SUFFIXES = ("-blue", "-green", "-canary")


@dataclass(frozen=True)
class Image:
    """An image's reference in its parts; tag and digest are empty where it has none."""

    reference: str
    repository: str
    tag: str
    digest: str

    @property
    def version(self) -> str:
        """What names its version: the tag, else the digest, else latest."""
        return self.tag or self.digest or "latest"

    @property
    def pinned_by(self) -> str:
        """What it is pinned by: tag, digest, both or nothing."""
        if self.digest:
            return "both" if self.tag else "digest"
        return "tag" if self.tag else "nothing"


def parse(reference: str) -> Image:
    """An image's reference, such as registry:5000/team/shop:1.0.0@sha256:..., in its parts."""
    named, _at, digest = reference.partition("@")
    repository, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:  # the colon of a registry's port
        repository, tag = named, ""
    return Image(reference, repository, tag, digest)


def check_repository(name: str, repository: str) -> None:
    """Raise Failure for what is no image without tag and digest, by the name of the variable that has it."""
    image = parse(repository)
    if image.tag or image.digest:
        raise Failure(f"{name} is {repository}; set it without a tag or a digest ({image.repository}).")


def with_tag(reference: str, tag: str, repository: str = "", *, variable: str = "image") -> str:
    """The same image, or one of another repository, with another tag.

    Raises Failure for one that is pinned by a digest, unless the repository is given, by the variable of that name:
    whoever pinned it did not mean it to follow a tag.
    """
    image = parse(reference)
    if image.digest and not repository:
        raise Failure(
            f"The image {reference} is pinned by its digest, so it cannot be replaced by a version; set {variable} to "
            f"its name without tag and digest, {image.repository}, to pin it by a tag from now on."
        )
    return f"{repository or image.repository}:{tag}"


def repinned(old: Image, new: Image) -> str:
    """That an image which was pinned by a digest is so no longer, or by another one, in words; empty where it stays."""
    if not old.digest or old.digest == new.digest:
        return ""
    now = new.digest or f"tag {new.version}"
    return f"{old.repository} was pinned by {old.digest}, and is by {now} now"


@dataclass(frozen=True)
class Rule:
    """How the version that answers comes from the image's tag, where the two differ.

    `prefix` and `suffix` are taken away from the tag. `pattern` is a regular expression that finds the version in it,
    `replace` what is made of what it found, by default its first group.
    """

    prefix: str = ""
    suffix: str = ""
    pattern: str = ""
    replace: str = ""

    def answer(self, tag: str) -> str:
        """The version that an application of this tag answers; the tag itself where the rule does not fit."""
        version = tag
        if self.prefix and version.startswith(self.prefix):
            version = version[len(self.prefix) :]
        if self.suffix and version.endswith(self.suffix):
            version = version[: -len(self.suffix)]
        if self.pattern:
            found = re.search(self.pattern, version)
            if found:
                version = found.expand(self.replace or (r"\1" if found.re.groups else r"\g<0>"))
        return version or tag


PLAIN = Rule()

#: A Rule as an option of a module.
RULE_OPTION: dict[str, t.Any] = {
    "type": "dict",
    "options": {name: {"type": "str"} for name in ("prefix", "suffix", "pattern", "replace")},
}


def rule(option: t.Mapping[str, t.Any] | None) -> Rule:
    """The rule that the option `version_of` says. Raises Failure."""
    said = {key: str(value) for key, value in (option or {}).items() if value is not None}
    unknown = sorted(set(said) - set(RULE_OPTION["options"]))
    if unknown:
        raise Failure(f"version_of has no {', '.join(unknown)}; it has prefix, suffix, pattern and replace.")
    found = Rule(**said)
    if found.replace and not found.pattern:
        raise Failure("version_of has replace without a pattern; set the pattern that finds what is replaced.")
    try:
        groups = re.compile(found.pattern).groups
        re.compile(found.pattern + "|").sub(found.replace, "")  # an invalid reference shows only when it is used
    except (re.error, IndexError) as error:
        raise Failure(f"The pattern {found.pattern!r} of version_of is not valid ({error}); fix it.") from error
    if groups > 1 and not found.replace:
        raise Failure(
            f"The pattern {found.pattern!r} of version_of has {groups} groups; say in replace what is made of them, "
            r"such as \1+\2."
        )
    return found


def containers(template: Object, every: bool = False) -> list[Object]:
    """The containers of a pod template or a pod, with `every` its init containers and native sidecars too."""
    spec = template.get("spec") or {}
    return [*(spec.get("containers") or []), *((spec.get("initContainers") or []) if every else [])]


def labels(template: Object) -> dict[str, str]:
    """The labels of a pod template or a pod."""
    return (template.get("metadata") or {}).get("labels") or {}


def container(template: Object, name: str, asked: str = "", repository: str = "") -> Object | None:
    """The container of a pod template or a pod that carries the version, None where that cannot be told.

    It is the one that is asked for by name, then the one that has the image that is asked for, the one of the
    annotation kubectl.kubernetes.io/default-container, the one that is named as the application, and the only one.
    Init containers and native sidecars carry it only where they are asked for. `name` is the application's or the
    workload's.
    """
    if asked:
        return next((item for item in containers(template, every=True) if item.get("name") == asked), None)
    there = containers(template)
    if repository:
        of_image = [item for item in there if parse(item.get("image", "")).repository == repository]
        if len(of_image) == 1:
            return of_image[0]
    default = ((template.get("metadata") or {}).get("annotations") or {}).get(DEFAULT_CONTAINER)
    for wanted in (default, name, application_of(name)):
        for item in there:
            if wanted and item.get("name") == wanted:
                return item
    return there[0] if len(there) == 1 else None


def application_of(name: str) -> str:
    """The application that a Deployment of this name would be a colour or the canary of."""
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.endswith(suffix)), name)


def container_of(workload: Object, asked: str = "", repository: str = "") -> Object:
    """The container of a workload that carries the version. Raises Failure where there is none, or which is unclear."""
    name, template = workload["metadata"]["name"], workload["spec"]["template"]
    found = container(template, name, asked, repository)
    if found is not None:
        return found
    kind = workload.get("kind") or "Deployment"
    there = ", ".join(str(item.get("name")) for item in containers(template, every=bool(asked)))
    if asked:
        raise Failure(f"{kind} {name} has no container {asked}; its containers: {there}.")
    raise Failure(
        f"{kind} {name} has several containers ({there}); name the one whose image has the version as container."
    )


def says(label: str, image: Image, rule: Rule = PLAIN) -> bool:
    """Whether a label's value is the version of an image, rather than something else that is called so."""
    return bool(label) and not (image.digest and not image.tag) and label in (image.version, rule.answer(image.version))


def version_of(template: Object, name: str, asked: str = "", repository: str = "", rule: Rule = PLAIN) -> str:
    """The version that pods of a template answer with, or a pod does; empty where that cannot be told.

    It is read from the image of the container that carries it: the tag, by the rule where there is one, else the
    digest. Of several containers of which none is known to carry it, it is what a label says that is the tag of one.
    Other labels are not looked at: what they say is for somebody else.
    """
    found = container(template, name, asked, repository)
    if found is not None:
        image = parse(found.get("image", ""))
        return rule.answer(image.version) if image.tag else image.version
    if asked:
        return ""
    for label in VERSION_LABELS:
        said = labels(template).get(label, "")
        for item in containers(template):
            image = parse(item.get("image", ""))
            if says(said, image, rule):
                return rule.answer(image.version)
    return ""


def relabelled(there: t.Mapping[str, str], image: Image, tag: str, rule: Rule = PLAIN) -> dict[str, str]:
    """What the labels that say an image's version become with another tag; somebody else's are left out."""
    changed = {}
    for label in VERSION_LABELS:
        said = there.get(label, "")
        if says(said, image, rule):
            new = tag if said == image.version else rule.answer(tag)
            if new != said:
                changed[label] = new
    return changed
