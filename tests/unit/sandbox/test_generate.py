"""The generator of the sandbox's tables: discovery's from a recorded cluster as it is, protobuf's from a sample."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conformance import recordings

SANDBOX = Path(__file__).resolve().parents[3] / "sandbox"

PROTO = """
// What nobody takes over.
package k8s.io.api.apps.v1;

message Deployment {
  // Standard metadata.
  optional .k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta metadata = 1;

  optional DeploymentSpec spec = 2;
}

message DeploymentSpec {
  optional int32 replicas = 1;

  // Of a later version than the sandbox's.
  optional string newerThanAll = 99;
}
"""
META = """
package k8s.io.apimachinery.pkg.apis.meta.v1;

message ObjectMeta {
  optional string name = 1;

  map<string, string> labels = 11;

  repeated string finalizers = 14;

  optional Time creationTimestamp = 8;
}
"""


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", SANDBOX / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """The answers of a recorded cluster by their paths, and the hashes of stored versions, not recorded."""
    table = json.loads((SANDBOX / "convoy_sandbox" / "discovery.json").read_text())
    answers: dict[str, Any] = {}
    for line in recordings.read("pods.http"):
        path = line["path"].partition("?")[0].lstrip("/")
        if path in ("api", "apis") and line.get("response"):
            answers.setdefault(path, line["response"])
    for group in table["groups"]:
        for version in group["versions"]:
            path = f"apis/{group['name']}/{version['version']}" if group["name"] else f"api/{version['version']}"
            answers[path] = {
                "resources": [
                    {"name": each["resource"]} | {key: each[key] for key in each if key == "storageVersionHash"}
                    for each in version["resources"]
                ]
            }
    for path, answer in answers.items():
        file = tmp_path / f"{path}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(answer))
    return tmp_path


@pytest.fixture
def url(cluster: Path) -> Iterator[str]:
    """The same cluster as a server."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return super().translate_path(f"{path}.json")

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(cluster)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_recorded_cluster_gives_the_table_of_discovery(generate: ModuleType, cluster: Path, url: str) -> None:
    expected = json.loads((SANDBOX / "convoy_sandbox" / "discovery.json").read_text())
    for source in (str(cluster), url):
        assert generate.discovery(source) == expected


def test_proto_files_give_what_the_sandbox_knows_of_their_messages(generate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "generated.proto").write_text(PROTO)
    archive = tmp_path / "meta.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        entry = tarfile.TarInfo("apimachinery/meta/generated.proto")
        entry.size = len(META)
        file.addfile(entry, io.BytesIO(META.encode()))
    texts = [*generate.protos(str(tmp_path / "apps")), *generate.protos(archive.as_uri())]
    assert list(generate.protos(str(archive))) == [META]
    found = generate.table(generate.messages(texts))
    assert found["kinds"]["apps/v1 Deployment"] == "k8s.io.api.apps.v1.Deployment"
    assert found["messages"] == {
        "k8s.io.api.apps.v1.Deployment": {
            "1": ["metadata", "k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta"],
            "2": ["spec", "k8s.io.api.apps.v1.DeploymentSpec"],
        },
        "k8s.io.api.apps.v1.DeploymentSpec": {"1": ["replicas", "int"]},
        "k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
            "1": ["name", "string"],
            "8": ["creationTimestamp", "time"],
            "11": ["labels", "{}string"],
            "14": ["finalizers", "[]string"],
        },
    }
    known = json.loads((SANDBOX / "convoy_sandbox" / "protobuf.json").read_text())["messages"]
    for name, fields in found["messages"].items():
        assert fields.items() <= known[name].items()
