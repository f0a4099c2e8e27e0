"""nginx's configuration language."""

from __future__ import annotations

import pytest
from convoy_sandbox.network.nginx_conf import ConfError, dump, load, parse

TEXT = """\
# a comment; with { signs }
http {
  log_format main '$remote_addr "$request"';
  server { listen 443 ssl; server_name a.test b.test;
    location ~ \\.(png|gif)$ { root "/srv/my files"; }
    set $x ${y}z;
  }
}
"""


def test_directives_blocks_and_quotes_are_read() -> None:
    (http,) = parse(TEXT, "test.conf")
    assert http.block is not None
    log_format, server = http.block
    assert log_format.args == ["main", '$remote_addr "$request"']
    assert server.block is not None
    assert [(entry.name, entry.args) for entry in server.block] == [
        ("listen", ["443", "ssl"]),
        ("server_name", ["a.test", "b.test"]),
        ("location", ["~", "\\.(png|gif)$"]),
        ("set", ["$x", "${y}z"]),
    ]
    assert (server.block[2].file, server.block[2].line) == ("test.conf", 5)


def test_what_is_written_reads_the_same() -> None:
    def plain(directives):  # type: ignore[no-untyped-def]
        return [(entry.name, entry.args, plain(entry.block or [])) for entry in directives]

    first = parse(TEXT, "a")
    again = parse(dump(first), "b")
    # Inside quotes a backslash is written twice, which nginx, as this parser, reads as one.
    assert plain(again) == plain(first)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http {", 'unexpected end of file, expecting ";" or "}" in x.conf:1'),
        ("listen 80", 'unexpected end of file, expecting ";" or "}" in x.conf:1'),
        ("a 'b;\n", 'unexpected end of file, expecting ";" or "}" in x.conf:2'),
        ("}", 'unexpected "}" in x.conf:1'),
        ("\nhttp { listen 80 }", 'unexpected "}" in x.conf:2'),
        (";", 'unexpected ";" in x.conf:1'),
        ("{}", 'unexpected "{" in x.conf:1'),
    ],
)
def test_mistakes_are_told_as_nginx_tells_them(text: str, message: str) -> None:
    with pytest.raises(ConfError) as failure:
        parse(text, "x.conf")
    assert str(failure.value) == message


def test_includes_are_followed_in_order() -> None:
    files = {
        "/etc/nginx/nginx.conf": b"a 1;\ninclude conf.d/*.conf; http { include inner; } include none/*.conf;",
        "/etc/nginx/conf.d/b.conf": b"b 2;",
        "/etc/nginx/conf.d/a.conf": b"b 1;",
        "/etc/nginx/conf.d/deep/c.conf": b"never;",
        "/etc/nginx/inner": b"c 1;",
    }
    conf = load(files, "/etc/nginx/nginx.conf")
    assert [(entry.name, entry.args) for entry in conf] == [
        ("a", ["1"]),
        ("b", ["1"]),
        ("b", ["2"]),
        ("http", []),
    ]
    assert conf[3].block is not None
    assert conf[3].block[0].name == "c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b"include missing.conf;",
            r'open\(\) "/etc/nginx/missing.conf" failed \(2: No such file or directory\)',
        ),
        (b"include;", "invalid number of arguments"),
        (b"include nginx.conf;", "nested too deep"),
    ],
)
def test_includes_that_cannot_be_followed(text: bytes, message: str) -> None:
    with pytest.raises(ConfError, match=message):
        load({"/etc/nginx/nginx.conf": text}, "/etc/nginx/nginx.conf")
