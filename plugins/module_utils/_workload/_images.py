# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The version in the name of an image. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = t.Dict[str, t.Any]


def parts(image: str) -> tuple[str, str, str]:
    """An image's repository, tag and digest, empty where it has none."""
    named, _at, digest = image.partition("@")
    repository, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:  # the colon of a registry's port
        return named, "", digest
    return repository, tag, digest


def tag_of(image: str) -> str:
    """The tag of an image, latest where it names none, empty where it names only a digest."""
    _repository, tag, digest = parts(image)
    return tag or ("" if digest else "latest")


def with_tag(image: str, tag: str) -> str:
    """The same image with another tag. Raises Failure for one that is pinned by a digest."""
    repository, _tag, digest = parts(image)
    if digest:
        raise Failure(f"The image {image} is pinned by its digest, so no version can be put in its place; name a tag.")
    return f"{repository}:{tag}"


def container_of(deployment: Object, asked: str) -> Object:
    """The container whose image has the version: the one asked for, else the only one. Raises Failure."""
    name = deployment["metadata"]["name"]
    containers: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    names = ", ".join(item["name"] for item in containers)
    for item in containers:
        if item["name"] == asked or (not asked and len(containers) == 1):
            return item
    if asked:
        raise Failure(f"Deployment {name} has no container {asked}; its containers: {names}.")
    raise Failure(
        f"Deployment {name} has several containers ({names}); name the one whose image has the version as container."
    )
