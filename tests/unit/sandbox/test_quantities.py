from __future__ import annotations

from decimal import Decimal

import pytest
from convoy_sandbox import quantities
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("1", "1"),
        ("0.2", "0.2"),
        (".5", "0.5"),
        ("200m", "0.2"),
        ("10Mi", "10485760"),
        ("3.75Gi", "4026531840"),
        ("1e3", "1000"),
        ("5E", "5000000000000000000"),
        ("-3", "-3"),
        (2, "2"),
    ],
)
def test_values_are_exact(text: str | int, value: str) -> None:
    assert quantities.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1gi", "0x10", "1.2.3", "ten"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        quantities.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0.2", "200m"),
        ("1000m", "1"),
        ("10Mi", "10Mi"),
        ("1024Mi", "1Gi"),
        ("3.75Gi", "3840Mi"),
        ("1500", "1500"),
        ("2000", "2k"),
        ("0", "0"),
        ("0.0000000001", "1n"),
        ("1e3", "1e3"),
    ],
)
def test_the_stored_form(text: str, canonical: str) -> None:
    assert quantities.canonical(text) == canonical


@given(st.integers(0, 10**12), st.sampled_from(["", "m", "k", "Ki", "Mi", "Gi"]))
def test_the_stored_form_keeps_the_value_and_is_stable(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    stored = quantities.canonical(text)
    assert quantities.parse(stored) == quantities.parse(text)
    assert quantities.canonical(stored) == stored
