"""Who may do what, asked over real HTTPS as users and ServiceAccounts."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from convoy_sandbox import authorization, certificates, resources
from convoy_sandbox.api.server import ApiServer
from convoy_sandbox.authorization import Action, Authorizer
from convoy_sandbox.registry import Registry
from convoy_sandbox.resources import Resource
from convoy_sandbox.store import Store
from convoy_sandbox.users import User
from unit.sandbox.api.test_server import MADE, Client, Logs

ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/robot"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
REVIEWS = "/apis/authorization.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROBOT = "system:serviceaccount:default:robot"


class World:
    """A server whose ServiceAccount `robot` has the rules that a test gives it."""

    def __init__(self, admin: Client, stranger: Client, registry: Registry, token: str) -> None:
        self.admin = admin
        self._stranger = stranger
        self.registry = registry
        self.token = token

    async def ask(self, method: str, path: str, body: Any = None, **more: str) -> tuple[int, Any, Any]:
        """Ask as the robot."""
        return await self._stranger.ask(method, path, body, Authorization=f"Bearer {self.token}", **more)

    def allow(self, *rules: dict[str, Any], name: str = "some", resource: Resource = resources.ROLES) -> None:
        self.registry.create(resource, "default", {"metadata": {"name": name}, "rules": list(rules)})
        binding = resources.ROLEBINDINGS if resource == resources.ROLES else resources.CLUSTERROLEBINDINGS
        subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
        self.registry.create(
            binding, "default",
            {"metadata": {"name": name}, "roleRef": {"kind": resource.kind, "name": name}, "subjects": [subject]},
        )  # fmt: skip


def rule(group: str, plurals: list[str], verbs: list[str], **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": plurals, "verbs": verbs, **more}


def use(test: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        store = Store()
        registry = Registry(store)
        for name in ("default", "other"):
            registry.create(resources.NAMESPACES, "", {"metadata": {"name": name}})
        authorization.create_defaults(registry)
        registry.create(resources.SERVICEACCOUNTS, "default", {"metadata": {"name": "robot"}})
        server = ApiServer(store, registry, certificates=MADE, pod_logs=Logs(), dial=lambda ip, port: (ip, port))
        await server.start()
        admin, stranger = Client(server, store), Client(server, store, certificate=False)
        try:
            status, body, _ = await admin.ask("POST", f"{ACCOUNT}/token", {"spec": {"expirationSeconds": 600}})
            assert status == 201
            await test(World(admin, stranger, registry, body["status"]["token"]))
        finally:
            await admin.session.close()
            await stranger.session.close()
            await server.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "message", "details"),
    [
        (
            "GET", DEPLOYMENTS,
            f'deployments.apps is forbidden: User "{ROBOT}" cannot list resource "deployments" in API group "apps" '
            'in the namespace "default"',
            {"group": "apps", "kind": "deployments"},
        ),
        (
            "GET", f"{DEPLOYMENTS}?watch=true",
            f'deployments.apps is forbidden: User "{ROBOT}" cannot watch resource "deployments" in API group "apps" '
            'in the namespace "default"',
            {"group": "apps", "kind": "deployments"},
        ),
        (
            "PATCH", f"{DEPLOYMENTS}/hello/scale",
            f'deployments.apps "hello" is forbidden: User "{ROBOT}" cannot patch resource "deployments/scale" in API '
            'group "apps" in the namespace "default"',
            {"name": "hello", "group": "apps", "kind": "deployments"},
        ),
        (
            "GET", f"{PODS}/hello/log",
            f'pods "hello" is forbidden: User "{ROBOT}" cannot get resource "pods/log" in API group "" in the '
            'namespace "default"',
            {"name": "hello", "kind": "pods"},
        ),
        (
            "DELETE", PODS,
            f'pods is forbidden: User "{ROBOT}" cannot deletecollection resource "pods" in API group "" in the '
            'namespace "default"',
            {"kind": "pods"},
        ),
        (
            "GET", "/api/v1/nodes",
            f'nodes is forbidden: User "{ROBOT}" cannot list resource "nodes" in API group "" at the cluster scope',
            {"kind": "nodes"},
        ),
        (
            "GET", "/api/v1/namespaces/default",
            f'namespaces "default" is forbidden: User "{ROBOT}" cannot get resource "namespaces" in API group "" in '
            'the namespace "default"',
            {"name": "default", "kind": "namespaces"},
        ),
        ("GET", "/metrics", f'forbidden: User "{ROBOT}" cannot get path "/metrics"', {}),
    ],
)  # fmt: skip
def test_what_nobody_has_allowed_is_forbidden(method: str, path: str, message: str, details: dict[str, str]) -> None:
    async def test(it: World) -> None:
        status, body, _ = await it.ask(method, path)
        assert (status, body["reason"], body["message"]) == (403, "Forbidden", message)
        assert body.get("details") == details

    use(test)


def test_a_role_allows_what_it_says_where_it_is() -> None:
    async def test(it: World) -> None:
        it.allow(
            rule("", ["configmaps"], ["get", "list", "update"], resourceNames=["one"]),
            rule("", ["pods/log"], ["get"]),
            rule("apps", ["*/scale"], ["get"]),
        )
        for name in ("one", "two"):
            it.registry.create(resources.CONFIGMAPS, "default", {"metadata": {"name": name}})
        maps = "/api/v1/namespaces/default/configmaps"
        answers = {
            f"{maps}/one": 200,
            f"{maps}/two": 403,
            maps: 403,
            f"{maps}?fieldSelector=metadata.name%3Done": 200,
            "/api/v1/namespaces/other/configmaps/one": 403,
            f"{PODS}/none/log": 404,
            f"{PODS}/none": 403,
            f"{DEPLOYMENTS}/none/scale": 404,
        }
        for path, expected in answers.items():
            assert (await it.ask("GET", path))[0] == expected, path
        assert (await it.ask("PUT", f"{maps}/one", {"metadata": {"name": "one"}}))[0] == 200
        it.registry.delete(resources.ROLEBINDINGS, "default", "some")
        assert (await it.ask("GET", f"{maps}/one"))[0] == 403

    use(test)


def test_an_apply_that_creates_needs_the_right_to_create() -> None:
    async def test(it: World) -> None:
        it.allow(rule("", ["configmaps"], ["patch"]))
        path = "/api/v1/namespaces/default/configmaps/one?fieldManager=me"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
        status, answer, _ = await it.ask("PATCH", path, body, content_type="application/apply-patch+yaml")
        assert (status, "cannot create resource" in answer["message"]) == (403, True)
        it.allow(rule("", ["configmaps"], ["create"]), name="more")
        assert (await it.ask("PATCH", path, body, content_type="application/apply-patch+yaml"))[0] == 201

    use(test)


def test_reviews_tell_what_is_allowed_and_by_what() -> None:
    async def test(it: World) -> None:
        it.allow(rule("apps", ["deployments"], ["get"]))
        attributes = {"verb": "get", "group": "apps", "resource": "deployments", "namespace": "default"}

        async def may(**changes: str) -> dict[str, Any]:
            review = {"spec": {"resourceAttributes": {**attributes, **changes}}}
            status, body, _ = await it.ask("POST", f"{REVIEWS}/selfsubjectaccessreviews", review)
            assert status == 201
            answer: dict[str, Any] = body["status"]
            return answer

        why = 'RBAC: allowed by RoleBinding "some/default" of Role "some" to ServiceAccount "robot/default"'
        assert await may() == {"allowed": True, "reason": why}
        assert await may(verb="delete") == {"allowed": False}
        assert await may(namespace="other") == {"allowed": False}
        status, body, _ = await it.ask("POST", f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {}})
        assert (status, "exactly one of" in body["message"]) == (422, True)
        status, body, _ = await it.ask("POST", f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
        found = {"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"]}
        assert found in body["status"]["resourceRules"]
        review = {"spec": {"user": ROBOT, "resourceAttributes": attributes}}
        assert (await it.ask("POST", f"{REVIEWS}/subjectaccessreviews", review))[0] == 403
        status, body, _ = await it.admin.ask("POST", f"{REVIEWS}/subjectaccessreviews", review)
        assert body["status"]["allowed"] is True
        status, body, _ = await it.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert body["status"]["userInfo"]["username"] == ROBOT
        assert "system:serviceaccounts:default" in body["status"]["userInfo"]["groups"]
        review = {"spec": {"token": it.token}}
        status, body, _ = await it.admin.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
        assert body["status"]["user"]["username"] == ROBOT

    use(test)


def test_tokens_end_with_their_account_and_cannot_be_made_up() -> None:
    async def test(it: World) -> None:
        status, body, _ = await it.admin.ask("POST", f"{ACCOUNT}/token", {"spec": {"expirationSeconds": 10}})
        assert (status, body["details"]["causes"][0]["field"]) == (422, "spec.expirationSeconds")
        assert (await it.ask("GET", "/version"))[0] == 200
        head, claims, signature = it.token.split(".")
        forged = json.loads(base64.urlsafe_b64decode(claims + "=="))
        forged["kubernetes.io"]["serviceaccount"]["name"] = "admin"
        text = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
        good, it.token = it.token, f"{head}.{text}.{signature}"
        assert (await it.ask("GET", "/version"))[0] == 401
        it.token = good
        it.registry.delete(resources.SERVICEACCOUNTS, "default", "robot")
        assert (await it.ask("GET", "/version"))[0] == 401

    use(test)


def test_those_whom_nobody_knows_read_the_version_alone() -> None:
    async def test(it: World) -> None:
        stranger = Client(it.admin.server, it.admin.store, certificate=False)
        try:
            assert [(await stranger.ask("GET", path))[0] for path in ("/version", "/healthz", "/api")] == [
                200,
                200,
                403,
            ]
            _, body, _ = await stranger.ask("GET", PODS)
            assert body["message"].startswith('pods is forbidden: User "system:anonymous" cannot list')
        finally:
            await stranger.session.close()

    use(test)


def test_nobody_gives_rights_that_he_does_not_have() -> None:
    async def test(it: World) -> None:
        rbac = "rbac.authorization.k8s.io"
        it.allow(rule(rbac, ["roles", "rolebindings"], ["create", "update"]), rule("", ["pods"], ["get"]))
        roles = f"{RBAC}/namespaces/default/roles"
        less = {"metadata": {"name": "less"}, "rules": [rule("", ["pods"], ["get"])]}
        more = {"metadata": {"name": "more"}, "rules": [rule("", ["secrets"], ["get"])]}
        assert (await it.ask("POST", roles, less))[0] == 201
        status, body, _ = await it.ask("POST", roles, more)
        assert (status, body["message"]) == (
            403,
            f'roles.rbac.authorization.k8s.io "more" is forbidden: user "{ROBOT}" '
            '(groups=["system:serviceaccounts" "system:serviceaccounts:default" "system:authenticated"]) is '
            "attempting to grant RBAC permissions not currently held:\n"
            '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
        )
        reference = {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"}
        binding = {"metadata": {"name": "up"}, "roleRef": reference}
        assert (await it.ask("POST", f"{RBAC}/namespaces/default/rolebindings", binding))[0] == 403
        assert (await it.admin.ask("POST", f"{RBAC}/namespaces/default/rolebindings", binding))[0] == 201

    use(test)


def test_impersonation_is_a_right_like_others() -> None:
    async def test(it: World) -> None:
        status, body, _ = await it.admin.ask("GET", PODS, Impersonate_User="jane")
        assert (status, 'User "jane" cannot list' in body["message"]) == (403, True)
        assert (await it.admin.ask("GET", PODS, Impersonate_User="jane", Impersonate_Group="system:masters"))[0] == 200
        status, body, _ = await it.ask("GET", PODS, Impersonate_User="jane")
        assert (status, 'cannot impersonate resource "users"' in body["message"]) == (403, True)

    use(test)


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("view", Action("list", "apps", "deployments", namespace="default"), True),
        ("view", Action("get", "", "secrets", namespace="default"), False),
        ("edit", Action("patch", "apps", "deployments", "scale", "default", "hello"), True),
        ("edit", Action("create", "rbac.authorization.k8s.io", "roles", namespace="default"), False),
        ("admin", Action("create", "rbac.authorization.k8s.io", "roles", namespace="default"), True),
        ("admin", Action("list", "", "nodes"), False),
        ("cluster-admin", Action("get", path="/metrics"), False),  # a RoleBinding gives no paths
    ],
)
def test_the_roles_that_every_cluster_has(role: str, action: Action, allowed: bool) -> None:
    store = Store()
    registry = Registry(store)
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "default"}})
    authorization.create_defaults(registry)
    body = {
        "metadata": {"name": "some"},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": "jane"}],
    }
    registry.create(resources.ROLEBINDINGS, "default", body)
    assert Authorizer(store).decide(User("jane"), action)[0] is allowed


def test_a_binding_without_its_role_says_so() -> None:
    store = Store()
    registry = Registry(store)
    subject = {"kind": "Group", "name": "team"}
    registry.create(
        resources.CLUSTERROLEBINDINGS, "",
        {"metadata": {"name": "x"}, "roleRef": {"kind": "ClusterRole", "name": "gone"}, "subjects": [subject]},
    )  # fmt: skip
    decided = Authorizer(store).decide(User("jane", ("team",)), Action("list", "", "nodes"))
    assert decided == (False, 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found')


def test_users_are_told_by_their_certificates() -> None:
    made = certificates.make()
    certificate, key = made.client("jane", ["team", "others"])
    assert b"BEGIN CERTIFICATE" in certificate
    assert b"PRIVATE KEY" in key
