"""Assertions of the modules that tests share show their values, as those of the tests do."""

import pytest

# Before any of them is imported: so it cannot be the conftest.py of one of these folders, which imports some.
pytest.register_assert_rewrite("conformance", "integration", "unit", "https", "leaping", "specs")
