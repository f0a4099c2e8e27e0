# Everything a newcomer, a developer and CI run. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
COLLECTION := .collections/ansible_collections/convoy/rollout
# Two workers a core, as a test of a rollout waits a good part of its time; more than eight have nothing to do. Whoever is
# free takes the next file, as its tests share what is dear to make, in the order in which they stand: the many short ones
# of tests/unit are what is left for the end.
PARALLEL := -n $(shell nproc | awk '{ print ($$1 < 4) ? 2 * $$1 : 8 }') --dist loadfile --no-loadscope-reorder
export PATH := $(BIN):$(PATH)
# A caller's Ansible settings must not decide what a test or the demo does.
unexport ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH ANSIBLE_INVENTORY
# Some containers have it; each of some hundred runs would compile the whole collection then.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-gateway down test test-versions pytest beside lint unit conformance integration molecule bench faults simulate clean rbac specs

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/.ready $(COLLECTION) ## Install what the project needs into .venv

# pip would compile one file after the other, those of a hundred collections that nothing here imports among them.
.venv/.ready: requirements-dev.txt sandbox/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "convoy.rollout needs Python 3.11 or newer: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into .venv (one to two minutes the first time) ..."
	@$(PYTHON) -m venv .venv \
	  || { echo "This Python has no venv module: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-dev.txt
	@"$(BIN)/python" -m compileall -qq -j 0 -x /ansible_collections/ .venv/lib || true
	@touch $@

# The checkout is found as convoy.rollout whatever its folder is called.
$(COLLECTION):
	@mkdir -p $(dir $@) && ln -s ../../.. $@

demo: setup ## Start the sandbox and run the whole lab on it, playbooks/lab.yml
	@bash demo.sh

demo-gateway: setup ## Take a canary from 1% to 100% by the weights of an HTTPRoute, on a real Traefik
	@bash demo-gateway.sh

down: ## Stop the demos' sandboxes
	@if [ -x "$(BIN)/convoy-sandbox" ]; then "$(BIN)/convoy-sandbox" down; else echo "Nothing to stop: make setup was never run here."; fi
	@[ ! -e .sandbox/gateway ] || "$(BIN)/convoy-sandbox" down --name gateway

# The linters, and then Molecule, run beside the tests, which wait for a good part of their time, and give way to them.
# What they print stands together, once they have ended.
test: setup ## Run every check and every test
	@$(MAKE) --no-print-directory --jobs=2 pytest beside BESIDE="lint molecule"

pytest:
	@"$(BIN)/python" -m pytest $(PARALLEL) $(TESTS)

beside:
	@mkdir -p .cache && log=$$(mktemp .cache/beside.XXXXXX) && status=0; \
	nice $(MAKE) --no-print-directory $(BESIDE) > "$$log" 2>&1 || status=$$?; \
	printf '\n%s\n' "$$(< "$$log")"; rm "$$log"; exit $$status

TESTS := tests/conformance tests/integration tests/unit

# What can differ by the version of Python, of ansible-core and of kubernetes.core: all but the long plays.
DIFFERING := tests/integration/test_secrets.py tests/integration/test_cluster.py tests/integration/test_package.py \
  tests/integration/test_app_deploy.py tests/integration/test_outcomes_bluegreen.py tests/integration/test_outcomes_scale.py

test-versions: setup ## Run what can differ by the versions of Python and ansible-core
	@$(MAKE) --no-print-directory --jobs=2 pytest beside BESIDE=lint TESTS="tests/conformance $(DIFFERING) tests/unit"

unit: setup ## Run the unit tests
	@"$(BIN)/python" -m pytest $(PARALLEL) tests/unit

conformance: setup ## Hold the sandbox against the recordings of a real Kubernetes
	@"$(BIN)/python" -m pytest $(PARALLEL) tests/conformance

integration: setup ## Run the real playbooks (CONVOY_TEST_KUBECONFIG=... for another cluster)
	@"$(BIN)/python" -m pytest $(PARALLEL) tests/integration

molecule: setup ## Run each role's scenario (MOLECULE_KUBECONFIG=... for another cluster)
	@"$(BIN)/molecule" test --all --workers cpus

lint: setup ## Run every linter
	@bash tests/lint.sh

bench: setup ## Time bluegreen.yml and fleet.yml against plain kubectl, the sampler against wrk (SHORT=1: each only once)
	@"$(BIN)/python" tests/bench/bench.py $(if $(SHORT),--pairs 1)
	@"$(BIN)/python" tests/bench/fleet.py --clusters $(if $(SHORT),2,1 5 20 50)

specs: setup ## Write what the argument specs of the roles have in common, tests/shared_options.yml
	@"$(BIN)/python" tests/specs.py

rbac: setup ## Write docs/rbac.yaml, the smallest rights of each strategy
	@PYTHONPATH=.collections:tests "$(BIN)/python" -m reliability.rbac > docs/rbac.yaml

faults: setup ## Kill runs everywhere and see what becomes of it: writes docs/reliability.md (SECTION=kills POINTS=20)
	@PYTHONPATH=.collections:tests "$(BIN)/python" -m reliability $(if $(SECTION),--section $(SECTION)) $(if $(POINTS),--points $(POINTS))

simulate: setup ## Simulate what verdicts are worth: writes docs/verdicts.md and its plot
	@PYTHONPATH=.collections:tests "$(BIN)/python" -m simulate.verdicts

clean: down ## Remove what the other targets made
	@rm -rf .venv .collections .sandbox .cache
