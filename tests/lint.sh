#!/usr/bin/env bash
# Every linter, each named as it starts; ends at the first that complains.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
collection=$root/.collections/ansible_collections/convoy/rollout

say() { printf '%s\n' "lint: $*"; }

say ruff
ruff check --quiet .
ruff format --quiet --check .

say mypy
(cd sandbox && mypy --config-file ../pyproject.toml --cache-dir ../.cache/mypy -p convoy_sandbox)
MYPYPATH=.collections mypy --cache-dir .cache/mypy -p ansible_collections.convoy.rollout.plugins

say yamllint
yamllint --strict .

say ansible-lint
ansible-lint --quiet

say antsibull-docs
antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs all --disallow-unknown-collection-refs "$collection"

say antsibull-changelog
antsibull-changelog lint

say ansible-test sanity
# ansible-test keeps its environments below HOME; a home of their own leaves the user's alone, and
# lets pip come from Python itself where ansible-test would download a script for it.
mkdir -p .cache/home/.ansible/test/cache
for version in 24_2 25_2 25_3; do
  printf 'import ensurepip\nensurepip.bootstrap(default_pip=True)\n' >".cache/home/.ansible/test/cache/get_pip_$version.py"
done
HOME=$root/.cache/home ANSIBLE_TEST_CONTENT_ROOT=$collection ansible-test sanity --color no
