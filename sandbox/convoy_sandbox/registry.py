# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The write path of the API server: what happens between a request and the store.

Every writer takes it, HTTP clients and the sandbox's own controllers alike: decode, default,
validate, admit (quota, terminating namespaces), keep generation and field ownership, store.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import random
import uuid
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

from . import admission, conversion, documents, errors, kinds, patch, resources, schema, selectors, times
from . import apply as ownership
from .admission import context, webhooks
from .admission.policies import Attempt
from .kinds import custom
from .kinds import metadata as meta_rules
from .kinds.base import wrong
from .kinds.pods import random_suffix
from .kinds.services import has_node_ports
from .resources import Resource
from .store import Object, Store
from .times import timestamp

Propagation = Literal["Background", "Foreground", "Orphan"]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: The ports of nodes that Services may have.
NODE_PORTS = range(30000, 32768)
_SCALE = {"kind": "Scale", "apiVersion": "autoscaling/v1"}


P = ParamSpec("P")
R = TypeVar("R")


def _settled(write: Callable[P, R]) -> Callable[P, R]:
    """A write after which the answers of webhooks that it used are for no other one."""

    @functools.wraps(write)
    def settled(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = write(*args, **kwargs)
        except errors.ApiError:
            webhooks.settle()
            raise
        webhooks.settle()
        return result

    return settled


class Registry:
    """Creates, reads, changes and deletes objects by the rules of their kinds.

    All calls raise `ApiError`. `manager` is the field manager that ownership is recorded under.
    With `dry_run` everything happens but the storing. `allocate_ip` gives a new cluster IP.
    """

    def __init__(
        self,
        store: Store,
        *,
        allocate_ip: Callable[[], str] | None = None,
        in_range: Callable[[str], bool] = lambda _: True,
        claim_ip: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`claim_ip` takes a cluster IP that a Service asks for, if it is free; `in_range` says whether it has it."""
        self.store = store
        self.catalog = resources.Catalog()
        self._next = 0
        self.allocate_ip = allocate_ip or self._count_ip
        self._in_range, self._claim_ip = in_range, claim_ip

    def _count_ip(self) -> str:
        self._next += 1
        return f"127.96.{self._next // 250}.{self._next % 250 + 1}"

    def _node_ports(self, besides: str) -> set[tuple[str, int]]:
        """Protocol and number of the node ports of all Services but the one with this uid."""
        others = [
            service["spec"] for service in self.store.list(resources.SERVICES) if service["metadata"]["uid"] != besides
        ]
        taken = {
            (port["protocol"], port["nodePort"])
            for spec in others
            for port in spec.get("ports") or ()
            if "nodePort" in port
        }
        return taken | {("TCP", spec["healthCheckNodePort"]) for spec in others if spec.get("healthCheckNodePort")}

    # -- reading ---------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object; ApiError 404 where there is none."""
        return conversion.shown(resource, self._stored(resource, namespace, name))

    def _stored(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object in the version in which it is kept."""
        found = self.store.get(conversion.stored_as(resource), namespace, name)
        if found is None:
            raise errors.not_found(resource, name)
        return custom.as_version(resource, found)

    def _converted(self, resource: Resource, obj: Object) -> Object:
        """An object of any served version in the version in which it is kept."""
        try:
            return conversion.stored(resource, obj)
        except (ValueError, KeyError, TypeError) as error:
            raise errors.bad_request(
                f"{resource.kind} of {resource.api_version} cannot be converted: {error}"
            ) from None

    def get_scale(self, resource: Resource, namespace: str, name: str) -> Object:
        """The Scale of a workload."""
        return scale_of(self.get(resource, namespace, name), resource)

    def _put(self, resource: Resource, obj: Object) -> Object:
        """Store an object in the version that its resource is stored in; shown as the version that was asked for."""
        stored_as = self.catalog.stored_as(resource)
        return custom.as_version(resource, self.store.put(stored_as, custom.as_version(stored_as, obj)))

    # -- creating --------------------------------------------------------------------------------

    @_settled
    def create(
        self,
        resource: Resource,
        namespace: str,
        obj: Object,
        *,
        manager: str = "sandbox",
        validation: str = "Warn",
        dry_run: bool = False,
    ) -> Object:
        """Store a new object (metadata.name or generateName) and return it as stored."""
        new = self._converted(resource, self._decoded(resource, obj, validation))
        made = self._create(
            conversion.stored_as(resource), namespace, new,
            manager=manager, dry_run=dry_run, api_version=resource.api_version,
        )  # fmt: skip
        return conversion.shown(resource, made)

    def _create(
        self,
        resource: Resource,
        namespace: str,
        new: Object,
        *,
        manager: str,
        dry_run: bool,
        applied: bool = False,
        api_version: str = "",
    ) -> Object:
        kind = kinds.kind_of(resource)
        meta = new.setdefault("metadata", {})
        if meta.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        self._place(resource, namespace, meta)
        if meta.get("generateName") and not meta.get("name"):
            meta["name"] = meta["generateName"][:58] + random_suffix()
        if resource.namespaced:
            self._admit_namespace(resource, meta["namespace"], meta.get("name", ""))
        self._admit_definition(resource, meta.get("name", ""))
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            meta.pop(key, None)
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = timestamp()
        if kind.has_generation:
            meta["generation"] = 1
        else:
            meta.pop("generation", None)
        managed = meta.pop("managedFields", None) if applied else []
        if _has_status(resource):
            new.pop("status", None)
        kind.default(new)
        if not applied:  # what was defaulted is its author's, what admission adds is nobody's
            owned = {key: value for key, value in new.items() if key != "status" or not _has_status(resource)}
            managed = ownership.record_update(
                [], None, owned, schema.root(resource),
                manager=manager, api_version=api_version or resource.api_version, subresource="", now=timestamp(),
            )  # fmt: skip
        admission.complete(self.store, resource, new)
        sent = {key: value for key, value in meta.items() if key not in ("uid", "creationTimestamp", "generation")}
        attempt = Attempt(resource, "", "CREATE", {**new, "metadata": sent}, None, dry_run)
        new = self._mutated(kind, attempt, new)
        meta = new["metadata"]
        kind.prepare_create(new)
        self._validated(resource, kind, new, None)
        if self.store.get(resource, meta.get("namespace", ""), meta["name"]) is not None:
            raise errors.already_exists(resource, meta["name"])
        admission.check(self.store, dataclasses.replace(attempt, new=new))
        if resource == resources.SERVICES:
            self._allocate(new, dry_run=dry_run)
        if managed:
            meta["managedFields"] = managed
        new = _ordered(resource, new)
        return new if dry_run else self._put(resource, new)

    def _mutated(self, kind: kinds.Kind, attempt: Attempt, new: Object) -> Object:
        """A new state as webhooks want it, with its defaults."""
        changed = webhooks.mutate(self.store, attempt)
        if changed is attempt.new:
            return new
        resource = attempt.resource
        decoded, _ = (custom.decode if resource.custom is not None else schema.decode)(resource, changed)
        decoded["metadata"] = {**new["metadata"], **decoded["metadata"]}
        for key in ("labels", "annotations", "finalizers", "ownerReferences"):
            if key not in changed["metadata"]:
                decoded["metadata"].pop(key, None)
        decoded = documents.copied(decoded)
        kind.default(decoded)
        return decoded

    def _admit_definition(self, resource: Resource, name: str) -> None:
        """Nothing new is made of a definition that goes."""
        if resource.custom is None:
            return
        definition = self.store.get(resources.CUSTOMRESOURCEDEFINITIONS, "", resource.custom.definition)
        if definition is not None and definition["metadata"].get("deletionTimestamp"):
            raise errors.forbidden(resource, name, "create not allowed while custom resource definition is terminating")

    def _decoded(
        self, resource: Resource, obj: Object, validation: str, kind: str = "", *, patched: bool = False
    ) -> Object:
        expected = kind or resource.kind
        if not isinstance(obj, dict):
            raise errors.bad_request(f"the body of the request is not a {expected}: it must be an object")
        given = obj.get("kind")
        if resource.custom is not None and not kind:
            return self._decoded_custom(resource, obj, validation)
        if given and given != expected:
            raise errors.bad_request(
                f'{given} in version "{obj.get("apiVersion", "")}" cannot be handled as a {expected}: '
                f'no kind "{given}" is registered here'
                if given not in ("Status",)
                else f"{given} cannot be handled as a {expected}"
            )
        if not kind and obj.get("apiVersion") and obj["apiVersion"] != resource.api_version:
            raise errors.bad_request(
                f"the API version in the data ({obj['apiVersion']}) does not match the expected API version "
                f"({resource.api_version})"
            )
        if validation == "Apply":  # which looks for fields before it looks at their values
            unknown = schema.undeclared(schema.root(resource, kind), obj)
            if unknown:
                raise _not_typed(obj, resource, [f".{path}: field not declared in schema" for path in unknown])
        decoded, unknown = schema.decode(resource, obj, kind=kind)
        if validation == "Apply":
            problems = ownership.doubled(decoded, schema.root(resource))
            if problems:
                raise _not_typed(decoded, resource, problems)
        if unknown and validation == "Strict":
            texts = ", ".join(f'unknown field "{name}"' for name in unknown)
            raise errors.bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f"strict decoding error: {texts}"
            )
        problem = "" if kind else kinds.kind_of(resource).decode(decoded)
        if problem:
            raise _unreadable(resource, obj, problem, patched=patched)
        decoded["kind"], decoded["apiVersion"] = expected, resource.api_version
        return documents.copied(decoded)

    def _decoded_custom(self, resource: Resource, obj: Object, validation: str) -> Object:
        given, version = obj.get("kind", ""), obj.get("apiVersion", "")
        meta = obj.get("metadata")
        if version != resource.api_version:
            if validation == "Apply":
                raise errors.bad_request(f"invalid object type: {version}, Kind={given}")
            raise errors.bad_request(
                f"the API version in the data ({version}) does not match the expected API version "
                f"({resource.api_version})"
            )
        if given != resource.kind:
            name = meta.get("name", "") if isinstance(meta, dict) else ""
            asked = dataclasses.replace(resource, kind=given)
            raise errors.invalid(asked, name, [wrong("kind", given, f"must be {resource.kind}")])
        decoded, unknown = custom.decode(resource, obj)
        if validation == "Apply":
            problems = [f".{path}: field not declared in schema" for path in unknown]
            problems += custom.doubled(resource, decoded)
            if problems:
                raise _not_typed(decoded, resource, problems)
        if unknown and validation == "Strict":
            texts = ", ".join(f'unknown field "{name}"' for name in unknown)
            raise errors.bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f"strict decoding error: {texts}"
            )
        return documents.copied(decoded)

    def _place(self, resource: Resource, namespace: str, meta: Object) -> None:
        if not resource.namespaced:
            meta.pop("namespace", None)
            return
        if meta.setdefault("namespace", namespace) != namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )

    def _admit_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self.store.get(resources.NAMESPACES, "", namespace)
        if found is None:
            raise errors.not_found(resources.NAMESPACES, namespace)
        if found["metadata"].get("deletionTimestamp"):
            error = errors.forbidden(
                resource, name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
            )  # fmt: skip
            assert error.details is not None  # noqa: S101 - forbidden() always gives details
            error.details["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }
            ]
            raise error

    def _validated(self, resource: Resource, kind: kinds.Kind, obj: Object, old: Object | None) -> None:
        causes = meta_rules.validate(obj["metadata"], kind.name_rule)
        if old is not None:
            added = meta_rules.new_finalizers(obj["metadata"], old["metadata"])
            causes += added * (2 if resource.custom else 1)  # a custom resource's metadata are validated twice
        causes += kind.validate(obj, old)
        if causes:
            raise errors.invalid(resource, obj["metadata"].get("name", ""), causes)

    def _allocate(self, obj: Object, *, dry_run: bool) -> None:
        """Give a Service the cluster IP and the node ports that it asks for, or free ones. Raises ApiError 422."""
        spec = obj["spec"]
        if spec["type"] == "ExternalName":
            return
        asked = spec.get("clusterIP")
        if not asked:
            spec["clusterIP"] = self.allocate_ip()
        elif asked != "None" and not self._has_ip(obj, asked):
            why = (
                "the provided network does not match the current range"
                if not self._in_range(asked)
                else "provided IP is already allocated"
                if self._is_taken(asked) or (not dry_run and not self._claim_ip(asked))
                else ""
            )
            if why:
                cause = wrong("spec.clusterIPs", [asked], f"failed to allocate IP {asked}: {why}")
                raise errors.invalid(resources.SERVICES, obj["metadata"]["name"], [cause])
        spec["clusterIPs"] = [spec["clusterIP"]]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if has_node_ports(spec):
            self._allocate_node_ports(obj)
        if spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            if not spec.get("healthCheckNodePort"):
                taken = {number for _, number in self._node_ports(obj["metadata"]["uid"])}
                taken |= {port["nodePort"] for port in spec.get("ports") or () if "nodePort" in port}
                spec["healthCheckNodePort"] = random.choice([free for free in NODE_PORTS if free not in taken])
        else:
            spec.pop("healthCheckNodePort", None)

    def _has_ip(self, service: Object, address: str) -> bool:
        """Whether a Service as it is stored has a cluster IP already."""
        meta = service["metadata"]
        stored = self.store.get(resources.SERVICES, meta["namespace"], meta["name"])
        return stored is not None and stored["spec"].get("clusterIP") == address

    def _is_taken(self, address: str) -> bool:
        return any(other["spec"].get("clusterIP") == address for other in self.store.list(resources.SERVICES))

    def _allocate_node_ports(self, obj: Object) -> None:
        """Give each port of a Service the node port it asks for, or a random one that is free."""
        ports = obj["spec"].get("ports") or []
        taken = self._node_ports(besides=obj["metadata"]["uid"])
        for index, port in enumerate(ports):
            asked = port.get("nodePort")
            if not asked:
                continue
            if asked not in NODE_PORTS or (port["protocol"], asked) in taken:
                why = (
                    "provided port is already allocated"
                    if asked in NODE_PORTS
                    else "provided port is not in the valid range. The range of valid ports is "
                    f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"
                )
                cause = wrong(f"spec.ports[{index}].nodePort", asked, why)
                raise errors.invalid(resources.SERVICES, obj["metadata"]["name"], [cause])
            taken.add((port["protocol"], asked))
        numbers = {number for _, number in taken}
        for port in ports:
            if "nodePort" not in port:
                port["nodePort"] = random.choice([free for free in NODE_PORTS if free not in numbers])
                numbers.add(port["nodePort"])

    # -- changing --------------------------------------------------------------------------------

    @_settled
    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object,
        *,
        subresource: str = "",
        manager: str = "sandbox",
        validation: str = "Warn",
        dry_run: bool = False,
    ) -> Object:
        """Replace an object (or its `status` or `scale`); a resourceVersion in `obj` must be the current one.

        An update that changes nothing is not stored and keeps the resourceVersion.
        """
        kind = kinds.kind_of(conversion.stored_as(resource))
        if kind.created_by_update and not subresource and self.store.get(resource, namespace, name) is None:
            return self.create(resource, namespace, obj, manager=manager, validation=validation, dry_run=dry_run)
        old = self._stored(resource, namespace, name)
        given = obj.get("metadata") if isinstance(obj, dict) else None
        if not isinstance(given, dict) or not given.get("name"):
            raise errors.bad_request(
                f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )
        if given["name"] != name:
            raise errors.bad_request(
                f"the name of the object ({given['name']}) does not match the name on the URL ({name})"
            )
        if subresource == "scale":
            new = self._scaled(old, self._scale_replicas(obj), resource)
            self._check_version(resource, name, given, old)
        else:
            new = self._converted(resource, self._decoded(resource, obj, validation))
            self._check_version(resource, name, new["metadata"], old, whole=True)
        stored = self._replace(
            conversion.stored_as(resource), old, new,
            subresource=subresource, manager=manager, dry_run=dry_run, api_version=resource.api_version,
        )  # fmt: skip
        return scale_of(stored, resource) if subresource == "scale" else conversion.shown(resource, stored)

    def _check_version(self, resource: Resource, name: str, meta: Object, old: Object, *, whole: bool = False) -> None:
        """Raise ApiError where a write is meant for another state; `whole` ones of some kinds have to say for which."""
        given = meta.get("resourceVersion")
        if not given and meta.get("uid") and meta["uid"] != old["metadata"]["uid"] and whole:
            key = f"/registry/{resource.plural}/{old['metadata'].get('namespace', '')}/{name}"
            raise errors.conflict(
                resource,
                name,
                f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
                f"{old['metadata']['uid']}",
            )
        if whole and not given and not kinds.kind_of(resource).unconditional_update:
            cause = wrong("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid(dataclasses.replace(resource, kind=resource.plural), name, [cause])
        if given and given != old["metadata"]["resourceVersion"]:
            raise errors.conflict(
                resource,
                name,
                "the object has been modified; please apply your changes to the latest version and try again",
            )
        if meta.get("uid") and meta["uid"] != old["metadata"]["uid"]:
            raise errors.conflict(
                resource,
                name,
                f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
                f"{old['metadata']['uid']}",
            )

    def _scale_replicas(self, scale: Any) -> int:
        spec = (scale.get("spec") or {}) if isinstance(scale, dict) else {}
        replicas = spec.get("replicas", 0)
        if isinstance(replicas, bool) or not isinstance(replicas, int):
            raise errors.bad_request(
                'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string into Go struct '
                "field ScaleSpec.spec.replicas of type int32"
            )
        return replicas

    def _scaled(self, old: Object, replicas: int, resource: Resource) -> Object:
        if resource.custom is not None:
            return custom.scaled(resource, old, replicas)
        if replicas < 0:
            raise errors.ApiError(
                422, "Invalid",
                f'Scale.autoscaling "{old["metadata"]["name"]}" is invalid: spec.replicas: Invalid value: '
                f"{replicas}: must be greater than or equal to 0",
                {
                    "name": old["metadata"]["name"], "group": "autoscaling", "kind": "Scale",
                    "causes": [
                        {
                            "reason": "FieldValueInvalid",
                            "message": f"Invalid value: {replicas}: must be greater than or equal to 0",
                            "field": "spec.replicas",
                        }
                    ],
                },
            )  # fmt: skip
        return {**old, "metadata": {**old["metadata"]}, "spec": {**old["spec"], "replicas": replicas}}

    def _replace(
        self,
        resource: Resource,
        old: Object,
        new: Object,
        *,
        subresource: str,
        manager: str,
        dry_run: bool,
        applied: bool = False,
        api_version: str = "",
    ) -> Object:
        """Store a new state of an object. `new` is this call's own at its top two levels."""
        kind = kinds.kind_of(resource)
        meta = new["metadata"] = dict(new.get("metadata") or {})
        meta["name"] = old["metadata"]["name"]
        if resource.namespaced:
            meta["namespace"] = old["metadata"]["namespace"]
        meta_rules.carry_over(meta, old["metadata"])
        if subresource == "status":
            status = new.get("status", {})
            # Of the metadata a status write changes the annotations only, as the Deployment controller does.
            taken = ("managedFields",) if resource.custom is not None else ("annotations", "managedFields")
            kept = {key: meta[key] for key in taken if key in meta}
            new = {**old, "metadata": {**old["metadata"], **kept}}
            meta = new["metadata"]
            new["status"] = status
            if resource == resources.NAMESPACES and not status:
                new["status"] = old["status"]
        elif _has_status(resource):
            if "status" in old:
                new["status"] = old["status"]
            else:
                new.pop("status", None)
        if subresource == "status":
            kind.default_status(new)
            causes = kind.validate_status(new, old)
            if causes:
                raise errors.invalid(resource, meta["name"], causes)
        else:
            kind.default(new)
            kind.prepare_update(new, old)
            meta["resourceVersion"] = old["metadata"]["resourceVersion"]
            if subresource != "scale":
                attempt = Attempt(resource, subresource, "UPDATE", new, old, dry_run)
                new = self._mutated(kind, attempt, new)
                meta = new["metadata"]
            self._validated(resource, kind, new, old)
            if resource == resources.SERVICES:
                self._allocate(new, dry_run=dry_run)
            if kind.has_generation and _content(kind, new) != _content(kind, old):
                meta["generation"] = old["metadata"].get("generation", 0) + 1
        managed = meta.pop("managedFields", None)
        if not applied:
            # Clients may hand managedFields back (kubectl migrates owners that way); [] resets them.
            stored = old["metadata"].get("managedFields") or []
            base = stored if managed is None or managed == stored else managed  # not a copy, of which nothing is known
            managed = ownership.record_update(
                [entry for entry in base if entry], old, new, schema.root(resource),
                manager=manager, api_version=api_version or resource.api_version, subresource=subresource,
                now=timestamp(),
            )  # fmt: skip
        if managed:
            meta["managedFields"] = managed
        meta["resourceVersion"] = old["metadata"]["resourceVersion"]
        new = _ordered(resource, new)
        unchanged = _same(new, old)
        if unchanged and context.current() is None:
            return old
        attempt = Attempt(resource, subresource, "UPDATE", new, old, dry_run)
        if subresource == "scale":
            scales = scale_of(new, resource), scale_of(old, resource)
            admission.ask(self.store, dataclasses.replace(attempt, new=scales[0], old=scales[1]))
        elif subresource != "status":
            admission.check(self.store, attempt)
        elif context.current() is not None:
            admission.ask(self.store, attempt)
        if unchanged:
            return old
        if dry_run:
            return new
        if meta.get("deletionTimestamp") and self._is_finished(resource, new):
            gone = self.store.remove(resource, meta.get("namespace", ""), meta["name"])
            return {**new, "metadata": {**new["metadata"], "resourceVersion": gone["metadata"]["resourceVersion"]}}
        return self._put(resource, new)

    def _is_finished(self, resource: Resource, obj: Object) -> bool:
        """Whether an object that is being deleted waits for nothing any more."""
        if obj["metadata"].get("finalizers"):
            return False
        if resource == resources.NAMESPACES:
            return not obj["spec"].get("finalizers")
        return not obj["metadata"].get("deletionGracePeriodSeconds")

    @_settled
    def modify(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], None],
        *,
        subresource: str = "",
        manager: str = "sandbox",
    ) -> Object:
        """Change a copy of the current object in place and store it: how controllers write."""
        old = self.get(resource, namespace, name)
        new = documents.copied(old)
        change(new)
        return self._replace(resource, old, new, subresource=subresource, manager=manager, dry_run=False)

    @_settled
    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        content_type: str,
        body: Any,
        *,
        subresource: str = "",
        manager: str = "sandbox",
        force: bool = False,
        validation: str = "Warn",
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """Apply a JSON, merge, strategic-merge or server-side-apply patch.

        `content_type` is the patch's media type, `force` settles apply conflicts. Returns the
        object and whether it was created (server-side apply only).
        """
        if content_type == patch.APPLY:
            return self._apply(
                resource, namespace, name, body,
                subresource=subresource, manager=manager, force=force, dry_run=dry_run,
            )  # fmt: skip
        old = self._stored(resource, namespace, name)
        document = scale_of(old, resource) if subresource == "scale" else conversion.shown(resource, old)
        if content_type == patch.JSON:
            patched = patch.json_patch(document, body)
        elif content_type == patch.MERGE:
            patched = patch.merge(document, body)
        elif content_type == patch.STRATEGIC and resource.custom is None:
            patched = patch.strategic(document, body, {} if subresource == "scale" else schema.root(resource))
        else:
            raise errors.ApiError(
                415, "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: "
                + ", ".join(
                    (patch.JSON, patch.MERGE, *(() if resource.custom else (patch.STRATEGIC,)), patch.APPLY)
                ),
            )  # fmt: skip
        if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
            raise errors.bad_request("the patch leaves no object")
        if subresource == "scale":
            self._check_version(resource, name, patched["metadata"], old)
            new = self._scaled(old, self._scale_replicas(patched), resource)
        else:
            new = self._decoded(resource, patched, validation, patched=True)
            if new["metadata"].get("name") != name:
                raise errors.bad_request(
                    f"the name of the object ({new['metadata'].get('name')}) does not match the name on the URL "
                    f"({name})"
                )
            self._check_version(resource, name, new["metadata"], old)
            new = self._converted(resource, new)
        stored = self._replace(
            conversion.stored_as(resource), old, new,
            subresource=subresource, manager=manager, dry_run=dry_run, api_version=resource.api_version,
        )  # fmt: skip
        return (scale_of(stored, resource) if subresource == "scale" else conversion.shown(resource, stored)), False

    def _apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Any,
        *,
        subresource: str,
        manager: str,
        force: bool,
        dry_run: bool,
    ) -> tuple[Object, bool]:
        # An applied configuration has to fit the schema, whatever the validation that is asked for.
        if isinstance(body, dict) and isinstance(body.get("metadata"), dict) and "managedFields" in body["metadata"]:
            raise errors.bad_request("metadata.managedFields must be nil")
        config = self._converted(resource, self._decoded(resource, body, "Apply"))
        asked, resource = resource, conversion.stored_as(resource)
        meta = config.setdefault("metadata", {})
        if meta.setdefault("name", name) != name:
            raise errors.bad_request(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
            )
        live = self.store.get(resource, namespace, name)
        live = live and custom.as_version(resource, live)
        if live is None and subresource:
            raise errors.not_found(resource, name)
        if live is not None:
            self._check_version(resource, name, meta, live)
        self._place(resource, namespace, meta)
        if resource == resources.SECRETS:  # write-only: what is owned is the data it becomes
            kinds.kind_of(resource).default(config)
        merged = ownership.server_side_apply(
            live, config, schema.root(resource),
            manager=manager, api_version=resource.api_version, force=force, subresource=subresource,
            now=timestamp(),
        )  # fmt: skip
        # What an owner gave up may leave an empty map or list behind, which Go does not write out.
        if resource.custom is None:
            merged, _ = schema.decode(resource, merged)
        if live is not None and manager == "kubectl" and _LAST_APPLIED in (live["metadata"].get("annotations") or {}):
            # The API server keeps client-side apply's annotation true for kubectl.
            text = json.dumps(body, separators=(",", ":"), sort_keys=True) + "\n"
            merged["metadata"]["annotations"] = {**merged["metadata"]["annotations"], _LAST_APPLIED: text}
        if live is None:
            created = self._create(resource, namespace, merged, manager=manager, dry_run=dry_run, applied=True)
            return conversion.shown(asked, created), True
        stored = self._replace(
            resource, live, merged, subresource=subresource, manager=manager, dry_run=dry_run, applied=True
        )
        return conversion.shown(asked, stored), False

    def bind(self, namespace: str, name: str, node: str, condition: Object) -> Object:
        """Put a pod on a node and say so in one write, as the scheduler's binding does."""
        old = self.get(resources.PODS, namespace, name)
        status = {**old["status"], "conditions": [condition]}
        return self.store.put(resources.PODS, {**old, "spec": {**old["spec"], "nodeName": node}, "status": status})

    # -- deleting --------------------------------------------------------------------------------

    @_settled
    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        propagation: Propagation | None = None,
        grace_period_seconds: int | None = None,
        preconditions: dict[str, str] | None = None,
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """Delete an object: at once, or by a deletionTimestamp where finalizers or a grace period wait.

        Returns the object and whether it is gone already.
        """
        resource = conversion.stored_as(resource)
        old = self.get(resource, namespace, name)
        meta = old["metadata"]
        for key, label, hint in (
            ("uid", "UID", "deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", "modified"),
        ):
            wanted = (preconditions or {}).get(key)
            if wanted and wanted != meta[key] and resource.custom is not None:
                raise custom.other_object(resource, name, key, wanted, meta[key])
            if wanted and wanted != meta[key]:
                raise errors.precondition(
                    resource, name,
                    f"the {label} in the precondition ({wanted}) does not match the {label} in record ({meta[key]}). "
                    f"The object might have been {hint}",
                )  # fmt: skip
        admission.ask(self.store, Attempt(resource, "", "DELETE", None, old, dry_run))
        kind = kinds.kind_of(resource)
        if not meta.get("deletionTimestamp"):
            old = documents.copied(old)
            kind.prepare_delete(old)
            meta = old["metadata"]
        grace = self._grace(resource, old, grace_period_seconds)
        finalizers = [f for f in meta.get("finalizers") or () if f not in ("orphan", "foregroundDeletion")]
        if propagation == "Foreground":
            finalizers.append("foregroundDeletion")
        elif propagation == "Orphan":
            finalizers.append("orphan")
        waits = bool(finalizers) or grace > 0
        waits = waits or (resource == resources.NAMESPACES and bool(old["spec"].get("finalizers")))
        if not waits:
            if resource == resources.PODS and not meta.get("deletionTimestamp"):  # nothing runs, but it is told
                meta = {
                    **meta,
                    "deletionTimestamp": timestamp(),
                    "deletionGracePeriodSeconds": 0,
                    "generation": meta.get("generation", 0) + 1,
                }
                old = {**old, "metadata": meta}
                if not dry_run:
                    self.store.put(resource, old)
            if dry_run:
                return old, True
            if meta.get("deletionGracePeriodSeconds"):  # the kubelet has stopped the pod: its grace is over
                meta = {**meta, "deletionGracePeriodSeconds": 0}
                self.store.put(resource, {**old, "metadata": meta})
            return self.store.remove(resource, meta.get("namespace", ""), name), True
        if meta.get("deletionTimestamp") and grace >= meta.get("deletionGracePeriodSeconds", 0):
            return old, False
        new = documents.copied(old)
        when = times.now() + datetime.timedelta(seconds=grace)
        new["metadata"]["deletionTimestamp"] = when.strftime("%Y-%m-%dT%H:%M:%SZ")
        if kind.deletion_counts:
            new["metadata"]["deletionGracePeriodSeconds"] = grace
        if finalizers:
            new["metadata"]["finalizers"] = finalizers
        if kind.has_generation and kind.deletion_counts:
            new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1
        if resource == resources.NAMESPACES:
            new["status"]["phase"] = "Terminating"
        return (new if dry_run else self._put(resource, new)), False

    def _grace(self, resource: Resource, obj: Object, asked: int | None) -> int:
        """How many seconds a deletion waits: pods on a node are stopped by their kubelet first."""
        if resource != resources.PODS or not obj["spec"].get("nodeName"):
            return 0
        if obj["status"].get("phase") in ("Succeeded", "Failed"):
            return 0
        if asked is None:
            asked = obj["spec"].get("terminationGracePeriodSeconds", 30)
        return max(0, asked)

    def finalize(self, namespace: str) -> None:
        """Take the `kubernetes` finalizer from a namespace that is empty: it goes."""
        self.modify(resources.NAMESPACES, "", namespace, lambda obj: obj["spec"].update(finalizers=[]))


def unknown_fields(resource: Resource, obj: Object) -> list[str]:
    """The paths of the fields of an object that its schema does not know. Raises ApiError 400."""
    return (custom.decode if resource.custom is not None else schema.decode)(resource, obj)[1]


def _not_typed(config: Object, resource: Resource, texts: list[str]) -> errors.ApiError:
    """What the API server says of an applied configuration that does not fit the schema."""
    meta = config.get("metadata") or {}
    what = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {resource.group}/{resource.version}"
    text = texts[0] if len(texts) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in texts)
    return errors.ApiError(500, "", f"failed to create typed patch object ({what}, Kind={resource.kind}): {text}")


def _unreadable(resource: Resource, obj: Object, problem: str, *, patched: bool) -> errors.ApiError:
    """A value of the right type that says nothing: in a body, or in what a patch would make."""
    if not patched:
        return errors.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {problem}'
        )
    shown = json.dumps(json.dumps(_as_marshalled(obj), separators=(",", ":")))
    message = f"Invalid value: {shown}: {problem}"
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
    return errors.ApiError(422, "Invalid", f' "" is invalid: patch: {message}', {"causes": [cause]})


#: The order in which a server writes what is known of every object.
_METADATA = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip


def _as_marshalled(obj: Object) -> Object:
    """An object with its fields in the order of a real server's patches: sorted, but for its metadata."""
    meta = obj.get("metadata")
    found = {key: _sorted(value) for key, value in sorted(obj.items())}
    if isinstance(meta, dict):
        found["metadata"] = {key: meta[key] for key in _METADATA if key in meta}
    return found


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in sorted(value.items())}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def scale_of(obj: Object, resource: Resource) -> Object:
    """The autoscaling/v1 Scale of a workload, or of a custom resource that says where its replicas are."""
    meta = obj["metadata"]
    keep = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    if resource.custom is not None:
        replicas, status = custom.scale(resource, obj)
    else:
        replicas = obj["spec"].get("replicas", 0)
        status = {"replicas": (obj.get("status") or {}).get("replicas", 0)}
    if resource.custom is None and obj["spec"].get("selector"):
        status["selector"] = selectors.to_string(obj["spec"]["selector"])
    return {
        **_SCALE,
        "metadata": {key: meta[key] for key in keep if key in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _has_status(resource: Resource) -> bool:
    return any(entry["subresource"] == "status" for entry in resource.subresources)


def _content(kind: kinds.Kind, obj: Object) -> Object:
    """What generation counts: everything that is neither metadata nor status, and some kinds' annotations."""
    left_out = ("metadata",) if kind.counts_status else ("metadata", "status")
    content = {key: value for key, value in obj.items() if key not in left_out}
    if kind.generation_counts_annotations:
        content["annotations"] = obj["metadata"].get("annotations")
    return content


def _same(new: Object, old: Object) -> bool:
    return _timeless(new) == _timeless(old)


def _timeless(obj: Object) -> Object:
    """An object without the times of its managedFields: a new time alone is no change."""
    meta = dict(obj["metadata"])
    meta["managedFields"] = [
        {key: value for key, value in entry.items() if key != "time"} for entry in meta.get("managedFields") or ()
    ]
    return {**obj, "metadata": meta}


def _ordered(resource: Resource, obj: Object) -> Object:
    """kind and apiVersion first, as the API server writes them."""
    rest = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
    return {"kind": resource.kind, "apiVersion": resource.api_version, **rest}
