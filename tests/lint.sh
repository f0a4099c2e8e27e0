#!/usr/bin/env bash
# Every linter, each named as it starts; what one prints is shown only where it complains.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
collection=$root/.collections/ansible_collections/convoy/rollout
mkdir -p .cache

check() { # NAME COMMAND...
  local name=$1
  shift
  echo "lint: $name"
  "$@" >.cache/lint.log 2>&1 || {
    cat .cache/lint.log
    echo "lint: $name found something to mend" >&2
    exit 1
  }
}

sandbox_types() { (cd sandbox && mypy --config-file ../pyproject.toml --cache-dir ../.cache/mypy -p convoy_sandbox); }

plugin_types() {
  MYPYPATH=.collections mypy --cache-dir .cache/mypy -p ansible_collections.convoy.rollout.plugins
}

plugin_docs() {
  antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs dependent \
    --disallow-unknown-collection-refs "$collection"
}

sanity() {
  # ansible-test keeps its environments below HOME: a home of their own leaves the user's alone, and
  # lets pip come from Python itself where ansible-test would download a script for it.
  local cache=.cache/home/.ansible/test/cache version
  mkdir -p "$cache"
  for version in 24_2 25_2 25_3; do
    printf 'import ensurepip\nensurepip.bootstrap(default_pip=True)\n' >"$cache/get_pip_$version.py"
  done
  version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  # It looks at what the collection ships; ruff and mypy look at all of the Python.
  HOME=$root/.cache/home ANSIBLE_TEST_CONTENT_ROOT=$collection ansible-test sanity --color no --python "$version" \
    plugins/ meta/ galaxy.yml
}

check ruff ruff check .
check "ruff format" ruff format --check .
check "mypy sandbox" sandbox_types
check "mypy plugins" plugin_types
check yamllint yamllint --strict .
check ansible-lint ansible-lint -q
check antsibull-docs plugin_docs
check antsibull-changelog antsibull-changelog lint
check "ansible-test sanity" sanity
