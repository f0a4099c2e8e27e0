#!/usr/bin/env bash
# What `make demo-gateway` shows: each command as a person would type it, and what it prints.
set -euo pipefail
cd "$(dirname "$0")"

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

start=$SECONDS
run convoy-sandbox up --name gateway --gateway
GATEWAY=$(convoy-sandbox status --json | python -c '
import json, sys

sandbox = next(item for item in json.load(sys.stdin) if item["name"] == "gateway")
print(next(item.split()[1] for item in sandbox["external"] if item.startswith("gateway/traefik ")))')
export GATEWAY
printf '\n$ export GATEWAY=%s\n' "$GATEWAY"
run ansible-playbook -i inventories/gateway playbooks/gateway.yml

cat <<TEXT

From 1% to 100% and promoted in $((SECONDS - start)) s. Look around:

  export GATEWAY=$GATEWAY KUBECONFIG=$PWD/.sandbox/gateway/kubeconfig
  curl --noproxy '*' --header 'Host: hello.example.com' http://$GATEWAY/version
  kubectl get httproutes,services,deployments
  .venv/bin/ansible-playbook -i inventories/gateway playbooks/canary.yml -e version=1.0.0 -e canary_weight=5
  .venv/bin/ansible-playbook -i inventories/gateway playbooks/canary.yml -e abort=true
  .venv/bin/convoy-sandbox down --name gateway

TEXT
