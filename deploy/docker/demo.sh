#!/usr/bin/env bash
# The demo of the README on the compose cluster, each step with what one should see; ends with the first that is not so.
#
#   deploy/docker/demo.sh            brings the cluster up if it is not, and leaves it up
#   deploy/docker/demo.sh --clean    takes it down afterwards, volumes and all
set -euo pipefail
cd "$(dirname "$0")/../.."
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
folder=$(mktemp -d)
finish() {
  local code=$?
  rm -rf "$folder"
  if [ "${1:-}" = --clean ]; then "${compose[@]}" down --volumes --timeout 15 >/dev/null 2>&1 || true; fi
  exit $code
}
trap 'finish "${1:-}"' EXIT

step() { printf '\n== %s\n' "$*"; }
k() { kubectl --kubeconfig "$folder/kubeconfig" "$@"; }
within() { # within SECONDS COMMAND…: until it succeeds
  local until=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || { printf 'it did not come to pass: %s\n' "$*" >&2; "$@" >&2 || true; exit 1; }
  done
}
container() { "${compose[@]}" ps -q "$1"; }
leader() { # the address that the Service `kubernetes` cannot tell: each master's own log does
  local name
  for name in m1 m2 m3; do
    if "${compose[@]}" logs --no-color "$name" 2>/dev/null | grep -E 'the manager is in office|the term ended|the term with it' |
      tail -n 1 | grep -q 'in office' && [ "$(docker inspect -f '{{.State.Running}}' "$(container "$name")")" = true ]; then
      echo "$name"; return
    fi
  done
  return 1
}

image=${TRIREME_IMAGE:-trireme:dev}
bytes=$(docker image inspect -f '{{.Size}}' "$image")
printf 'the image %s holds %d MB\n' "$image" $((bytes / 1000000))
[ "$bytes" -le 60000000 ]

step "three masters, two workers, a front door"
begun=$(date +%s%N)
"${compose[@]}" up -d
"${compose[@]}" run --rm -T kubeconfig >"$folder/kubeconfig" 2>/dev/null
within 30 k apply -f docs/examples/web.yaml
printf 'the first kubectl apply was through %d ms after `up` began\n' $((($(date +%s%N) - begun) / 1000000))
within 30 k wait --for=condition=Ready node --all --timeout=1s
k get nodes

step "a Deployment rolls out"
k rollout status deployment/web --timeout=60s

within 10 leader
old=$(leader)
step "the leader ($old) dies; the next command succeeds, and the roll goes on without it"
docker kill "$(container "$old")" >/dev/null
k set image deployment/web nginx=nginx:1.29
k rollout status deployment/web --timeout=60s
docker start "$(container "$old")" >/dev/null
within 30 leader

leads=$(leader)
for name in m1 m2 m3; do [ "$name" = "$leads" ] || follower=$name; done
step "a follower ($follower) is paused for a while; nobody notices, and it does not unseat the leader when it returns"
docker pause "$(container "$follower")" >/dev/null
k scale deployment/web --replicas=6
k rollout status deployment/web --timeout=60s
docker unpause "$(container "$follower")" >/dev/null
within 10 leader
[ "$(leader)" = "$leads" ]

step "the leader ($leads) is cut off from the network; the other two go on"
network=$(docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' "$(container "$leads")")
address=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container "$leads")")
docker network disconnect "$network" "$(container "$leads")"
within 20 k scale deployment/web --replicas=4
k rollout status deployment/web --timeout=60s
docker network connect --ip "$address" "$network" "$(container "$leads")"
within 30 leader

step "every master tells how it is"
k get --raw /metrics | grep -c '^trireme_' | sed 's/$/ values at \/metrics/'
k get --raw /trireme/cluster | grep -q '"leads":true'
docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' $(container m1) $(container m2) $(container m3)

step "everything is healthy again"
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' $(container m1) $(container m2) $(container m3) | sort -u)" = healthy ]; }
within 60 healthy
k get deployment web
printf '\nIt works as it says.\n'
