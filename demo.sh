#!/usr/bin/env bash
# What `make demo` shows: each command as a person would type it, and what it prints.
set -euo pipefail
cd "$(dirname "$0")"

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

start=$SECONDS
run convoy-sandbox up
run ansible-playbook playbooks/lab.yml

python - "$((SECONDS - start))" <<'PYTHON'
import json, os, subprocess, sys

status = json.loads(subprocess.run(["convoy-sandbox", "status", "--json"], check=True, capture_output=True).stdout)
sandbox = next(item for item in status if item["name"] == "convoy")
# Else curl would ask the proxy of this environment for an address of this machine.
directly = " --noproxy '*'" if {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} & {*os.environ} else ""
address = next(item.split()[1] for item in sandbox["external"] if item.startswith("default/frontend "))
print(f"""
The whole lab ran in {sys.argv[1]} s. Look around:

  curl{directly} --insecure https://{address}/version
  kubectl --kubeconfig {sandbox["kubeconfig"]} get deployments,services,pods
  .venv/bin/ansible-playbook playbooks/bluegreen.yml -e version=2.0.0
  make down
""")
PYTHON
