"""What is said of a text that is no JSON: Go's words, place by place."""

from __future__ import annotations

import json

import pytest
from convoy_sandbox.api import go_json
from hypothesis import given
from hypothesis import strategies as st

END = "unexpected end of JSON input"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", END),
        ("{", END),
        ('{"apiVersion":"v1",', END),
        ('{"a":1', END),
        ("[1,", END),
        ('"half', END),
        ("tru", END),
        ("-", END),
        ("1.", END),
        ("no json", "invalid character 'o' in literal null (expecting 'u')"),
        ("nonsense", "invalid character 'o' in literal null (expecting 'u')"),
        ("trap", "invalid character 'a' in literal true (expecting 'u')"),
        ("yes", "invalid character 'y' looking for beginning of value"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("[1 2]", "invalid character '2' after array element"),
        ("{a: 1}", "invalid character 'a' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        ("{} {}", "invalid character '{' after top-level value"),
        ("01", "invalid character '1' after top-level value"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1e+x", "invalid character 'x' in exponent of numeric literal"),
        ('"a\nb"', "invalid character '\\n' in string literal"),
        ('"\\q"', "invalid character 'q' in string escape code"),
        ('"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
    ],
)
def test_a_text_that_is_no_json(text: str, problem: str) -> None:
    assert go_json.problem(text.encode()) == problem


def test_a_byte_that_is_no_character() -> None:
    assert go_json.problem(b"\x9e{") == "invalid character '\\u009e' looking for beginning of value"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(_VALUES, st.sampled_from([None, 1]), st.booleans())
def test_json_has_no_problem_and_its_beginning_always_has_one(value: object, indent: int | None, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain).encode()
    assert go_json.problem(text) == ""
    if isinstance(value, (dict, list, str)):
        assert go_json.problem(text[:-1]) == END


def test_how_a_text_begins() -> None:
    assert go_json.summary(b'{"a":1') == '{"a":1'
    assert go_json.summary(b'{"apiVersion":"gateway.networking') == '{"apiVersion":"gateway.network ...'
    assert go_json.summary(b"no") == "6e6f"
