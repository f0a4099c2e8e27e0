#!/usr/bin/env bash
# What an operator types without this collection: apply, wait, switch, look at ten answers.
set -euo pipefail
kubectl apply -f "$(dirname "$0")/hello-green.yaml"
kubectl rollout status deployment/hello-green --timeout=60s
kubectl patch service hello --patch '{"spec": {"selector": {"app": "hello", "version": "2.0.0"}}}'
for _ in 1 2 3 4 5 6 7 8 9 10; do
  # What leads there follows the patch a little later.
  curl --silent --show-error --fail --insecure --retry 9 --retry-all-errors --retry-max-time 30 "$FRONTEND/version"
done
