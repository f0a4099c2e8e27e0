"""The catalog: references, what is in it, what users put into it."""

from __future__ import annotations

from pathlib import Path

import pytest
from convoy_sandbox.network.containers import ImageError
from convoy_sandbox.network.images import Catalog, CatalogError, Image, from_argument, from_file, nginx_release, parse


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.28.0", "docker.io/library/nginx:1.28.0"),
        ("kelseyhightower/hello:1.0.0", "docker.io/kelseyhightower/hello:1.0.0"),
        ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("gcr.io/google/app:v1", "gcr.io/google/app:v1"),
        ("nginx@sha256:abc", "docker.io/library/nginx@sha256:abc"),
    ],
)
def test_references_are_completed(image: str, full: str) -> None:
    assert str(parse(image)) == full


def test_the_labs_images_are_there() -> None:
    catalog = Catalog()
    for program in ("hello", "auth"):
        for version in ("1.0.0", "2.0.0"):
            found = catalog.find(f"docker.io/kelseyhightower/{program}:{version}")
            assert found is not None
            assert (found.program, found.version) == (program, version)
    nginx = catalog.find("nginx:1.28.0")
    assert nginx is not None
    assert nginx.program == "nginx"
    assert catalog.find("kelseyhightower/hello:9.9.9") is None
    assert catalog.find("example/nginx:1.28.0") is None


@pytest.mark.parametrize("tag", ["latest", "1", "1.28", "1.28.0", "1.28.0-alpine", "alpine", "stable-alpine-slim"])
def test_nginx_has_the_tags_that_were_published(tag: str) -> None:
    Catalog().pull(f"nginx:{tag}")


@pytest.mark.parametrize("tag", ["1.0.23449928384992872784", "1.28.99", "1.028.0", "9", "v1.28.0", "1.28-alpin"])
def test_nginx_has_no_others(tag: str) -> None:
    with pytest.raises(ImageError) as failure:
        Catalog().pull(f"nginx:{tag}")
    full = f"docker.io/library/nginx:{tag}"
    assert str(failure.value) == (
        f'failed to pull and unpack image "{full}": failed to resolve reference "{full}": {full}: not found'
    )


def test_versions_that_go_wrong_are_named_by_their_tag() -> None:
    catalog = Catalog()
    assert catalog.find("sandbox/hello:crash") == Image("hello", version="crash", crash_after=0.0)
    assert catalog.find("sandbox/hello:unready") == Image("hello", version="unready", ready=False)
    assert catalog.find("sandbox/hello:liar") == Image("hello", version="1.0.0")


def test_an_unknown_image_fails_in_containerds_words() -> None:
    Catalog().pull("nginx:1.28.0")
    with pytest.raises(ImageError) as failure:
        Catalog().pull("kelseyhightower/hello:9.9.9")
    assert str(failure.value).startswith(
        'failed to pull and unpack image "docker.io/kelseyhightower/hello:9.9.9": failed to resolve image: '
        'failed to do request: Head "https://registry-1.docker.io/v2/kelseyhightower/hello/manifests/9.9.9": '
        "dial tcp"
    )
    with pytest.raises(ImageError, match=r"https://gcr.io/v2/a/b/manifests/1.*lookup gcr.io on"):
        Catalog().pull("gcr.io/a/b:1")


def test_users_register_command_lines() -> None:
    name, image = from_argument("example/app:1=python3 -m 'my app'")
    assert (name, image.command) == ("example/app:1", ("python3", "-m", "my app"))
    catalog = Catalog({name: image, "kelseyhightower/hello:1.0.0": Image("hello", version="mine")})
    assert catalog.find("docker.io/example/app:1") == image
    assert catalog.find("kelseyhightower/hello:1.0.0") == Image("hello", version="mine")


@pytest.mark.parametrize("text", ["example/app", "=command", "example/app=", "example/app='open"])
def test_a_bad_argument_is_named(text: str) -> None:
    with pytest.raises(CatalogError, match="--image"):
        from_argument(text)


def test_a_catalog_file(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yml"
    path.write_text(
        "images:\n"
        "  kelseyhightower/hello:3.0.0: {program: hello, error_share: 0.5, ready_after: 2}\n"
        "  example/one: {command: sleep 60}\n"
        "  example/two: {command: [sleep, 60]}\n"
    )
    assert from_file(path) == {
        "kelseyhightower/hello:3.0.0": Image("hello", error_share=0.5, ready_after=2),
        "example/one": Image(command=("sleep", "60")),
        "example/two": Image(command=("sleep", "60")),
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "no map `images`"),
        ("images: {a: 1}", "an image is a map"),
        ("images: {a: {}}", "either `program` or `command`"),
        ("images: {a: {program: hello, command: x}}", "either `program` or `command`"),
        ("images: {a: {program: emacs}}", "one of hello, auth, nginx"),
        ("images: {a: {program: hello, colour: blue}}", "no field colour"),
        ("images: {a: {program: hello, error_share: 2}}", "between 0 and 1"),
        ("images: {a: {program: hello, delay: soon}}", "`delay` is a number"),
        ("images: {a: {program: hello, delay: -1}}", "`delay` is a number"),
        ("images: {a: {program: hello, ready: 1}}", "`ready` is true or false"),
        ("images: {a: {program: hello, version: 1.0}}", "put it in quotes"),
        ("images: [", "is not YAML"),
    ],
)
def test_a_bad_catalog_file_is_explained(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "catalog.yml"
    path.write_text(text)
    with pytest.raises(CatalogError, match=sentence):
        from_file(path)


def test_a_missing_catalog_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        from_file(tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("tag", "release"),
    [
        ("1.28.0", (1, 28, 0)),
        ("1.28", (1, 28, 3)),
        ("1.9.14-alpine", (1, 9, 14)),
        ("latest", (1, 31, 2)),
        ("1", (1, 31, 2)),
        ("@sha256:" + 64 * "0", (1, 31, 2)),
    ],
)
def test_the_release_of_nginx_that_a_tag_stands_for(tag: str, release: tuple[int, ...]) -> None:
    assert nginx_release(tag) == release
