#!/usr/bin/env bash
# Every linter, two at a time, each named as it ends; what one prints is shown only where it complains.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
collection=$root/.collections/ansible_collections/convoy/rollout
mkdir -p .cache

types() { # of both in one run, which reads what they have in common once
  MYPYPATH=.collections:sandbox mypy --cache-dir .cache/mypy -p convoy_sandbox -p ansible_collections.convoy.rollout.plugins
}

playbooks() { # and roles, whether Ansible reads them
  for role in roles/*; do
    printf -- '- {hosts: localhost, tasks: [{import_role: {name: convoy.rollout.%s}}]}\n' "${role##*/}"
  done >.cache/roles.yml
  ansible-playbook --syntax-check .cache/roles.yml playbooks/*.yml \
    extensions/molecule/prepare.yml extensions/molecule/*/{create,prepare,converge,verify,cleanup,destroy}.yml
}

ansible_rules() {
  # ansible-lint would start ansible-playbook for each playbook and role, some fifty times, which took two thirds of its
  # time; `playbooks` has one look at all of them.
  mkdir -p .cache/lint
  ln -sf "$(type -P true)" .cache/lint/ansible-playbook
  PATH=$PWD/.cache/lint:$PATH ansible-lint -q
}

licences() { # of what Git knows: beside the tests, caches come and go while somebody walks through the folders
  comm -z -23 <(git ls-files -z --cached --others --exclude-standard | sort -zu) <(git ls-files -z --deleted | sort -zu) |
    xargs -0 reuse lint-file --lines
}

layers() { PYTHONPATH=.collections lint-imports --no-cache; }

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
  # It looks at what the collection ships; ruff and mypy look at all of the Python. Six of its tests are the others'
  # work, most in an environment of their own, which takes nine tenths of its time: ruff has the rules of pycodestyle and
  # those of pylint, yamllint reads the YAML, antsibull-docs the documentation, ansible-lint meta/runtime.yml, and
  # tests/unit/plugins/test_imports.py imports every plugin where there is nothing but Ansible.
  HOME=$root/.cache/home ANSIBLE_TEST_CONTENT_ROOT=$collection ansible-test sanity --color no --python "$version" \
    --skip-test pep8 --skip-test pylint --skip-test yamllint --skip-test ansible-doc --skip-test runtime-metadata \
    --skip-test import plugins/ meta/ galaxy.yml
}

check() { # NAME COMMAND...
  local name=$1 log
  shift
  log=$(mktemp .cache/lint.XXXXXX)
  if "$@" >"$log" 2>&1; then
    echo "lint: $name"
    rm "$log"
  else
    echo "lint: $name found something to fix:"$'\n'"$(<"$log")" >&2
    false
  fi
}

export root collection
export -f check types playbooks ansible_rules licences layers plugin_docs sanity
# Those that answer at once first, then the longest. Each line is a name and a command.
xargs --max-procs 2 --max-lines=1 bash -c 'check "$@"' check <<'END'
ruff ruff check .
"ruff format" ruff format --check .
yamllint yamllint --strict .
"licences of all files" licences
"vermin, Python 3.9 on targets" vermin --target=3.9- --violations --no-tips --quiet plugins/modules plugins/module_utils
"playbooks and roles, as Ansible reads them" playbooks
ansible-lint ansible_rules
"ansible-test sanity" sanity
mypy types
antsibull-docs plugin_docs
import-linter layers
antsibull-changelog antsibull-changelog lint
END
