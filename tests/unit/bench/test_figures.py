"""What the benchmarks count."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.figures import MOST_JINJA, jinja_characters, roles_jinja, table, tasks_of

ROLES = Path(__file__).resolve().parents[3] / "roles"


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("- name: Deploy\n  when: ready\n", 0),
        ('name: "{{ a }}"', 7),
        ("{{ a }}-{{ b }}", 14),
        ("{% if a %}x{% endif %}", 10 + 11),
        ("{{\n  a\n}}", 9),
        ("{# not counted #}", 0),
        ("a: {b: {c: 1}}", 0),
    ],
)
def test_jinja_is_expressions_and_statements_with_their_braces(text: str, characters: int) -> None:
    assert jinja_characters([text]) == characters


def test_jinja_of_several_files_adds_up() -> None:
    assert jinja_characters(["{{ a }}", "", "{{ b }} {{"]) == 14


def test_roles_are_counted_without_argument_specs_and_templates(tmp_path: Path) -> None:
    for name in ("web/tasks/main.yml", "web/vars/main.yml", "web/meta/argument_specs.yml", "web/templates/pod.yaml.j2"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a: '{{ a }}'\n")
    assert roles_jinja(tmp_path) == 14


def test_the_roles_pick_values_and_compose_nothing() -> None:
    assert 1000 < roles_jinja(ROLES) <= MOST_JINJA


def test_tasks_are_those_that_were_not_skipped() -> None:
    recap = "sandbox                    : ok=11   changed=3    unreachable=0    failed=0    skipped=2    rescued=0\n"
    assert tasks_of(f"changed: [sandbox] something : ok\n\nPLAY RECAP ***\n{recap}") == 11


def test_table_aligns_names_left_and_figures_right() -> None:
    assert table([("CPU s", "3.9", "12.25", "<= 2"), ("tasks of it", "23", "11", "")]) == (
        "             before    now  target\nCPU s           3.9  12.25    <= 2\ntasks of it      23     11"
    )
