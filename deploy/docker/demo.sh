#!/usr/bin/env bash
# The demo of the README on the compose cluster, each step with what one should see; ends with the first that is not so.
#
#   deploy/docker/demo.sh            brings the cluster up if it is not, and leaves it up
#   deploy/docker/demo.sh --clean    takes it down afterwards, volumes and all
#
# COMPOSE names the version of compose to use: "docker compose" where that is installed, else docker-compose.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -n "${COMPOSE:-}" ]; then read -ra compose <<<"$COMPOSE"
elif docker compose version >/dev/null 2>&1; then compose=(docker compose)
else compose=(docker-compose); fi
folder=$(mktemp -d)
finish() {
  local code=$?
  rm -rf "$folder"
  # Half-way through the demo one may be paused, and a paused container can be neither stopped nor removed.
  for name in m1 m2 m3; do docker unpause "$(container "$name")" >/dev/null 2>&1 || true; done
  if [ "${1:-}" = --clean ]; then "${compose[@]}" --profile five down --volumes --timeout 15 >/dev/null 2>&1 || true; fi
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
# Running or not: version 2 leaves out the dead unless it is told.
container() { "${compose[@]}" ps --all --quiet "$1"; }
volume() { echo "$(docker inspect -f '{{index .Config.Labels "com.docker.compose.project"}}' "$(container front)")_$1-data"; }
members() { k get --raw /trireme/cluster; }
leader() { members | grep -oE '"name":"m[0-9]","role":"leader","leads":true' | head -n 1 | cut -d '"' -f 4 | grep .; }
voters() { [ "$(members | grep -oE '"voter":true,"report":\{' | wc -l)" = "$1" ]; } # so many, and all answer
runs() { "${compose[@]}" run --rm -T "$@" 2>/dev/null; }

image=${TRIREME_IMAGE:-trireme:dev}
bytes=$(docker image inspect -f '{{.Size}}' "$image")
printf 'the image %s holds %d MB\n' "$image" $((bytes / 1000000))
[ "$bytes" -le 60000000 ]

step "three masters, two workers, a front door"
begun=$(date +%s%N)
"${compose[@]}" up -d
runs kubeconfig >"$folder/kubeconfig"
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
step "a follower ($follower) is paused for a while; the others go on, and it does not unseat the leader when it returns"
docker pause "$(container "$follower")" >/dev/null
# For a second the front door may still lead to it: it accepts connections, and answers none.
within 30 k scale deployment/web --replicas=6
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

step "a fourth and a fifth master join"
"${compose[@]}" --profile five up -d
within 60 voters 5
runs cluster status
k scale deployment/web --replicas=8
k rollout status deployment/web --timeout=60s

step "and leave again: out of the cluster first, then the container and what it stored"
for name in m5 m4; do
  runs cluster remove "$name"
  "${compose[@]}" --profile five rm --force --stop "$name" >/dev/null
  docker volume rm "$(volume "$name")" >/dev/null
done
within 30 voters 3
k get deployment web

step "a follower loses its disk: it comes back empty, is taken in under a new id, and votes once it has caught up"
leads=$(leader)
for name in m1 m2 m3; do [ "$name" = "$leads" ] || follower=$name; done
"${compose[@]}" rm --force --stop "$follower" >/dev/null
docker volume rm "$(volume "$follower")" >/dev/null
"${compose[@]}" up -d "$follower"
within 60 voters 3
runs cluster status

step "whoever leads keeps a backup, a minute after the cluster began without any"
kept() { runs snapshot list /backups | grep '^compose-'; }
within 90 kept
kept

step "a backup by hand; then somebody deletes the wrong thing, and all masters lose their disks"
runs snapshot save /backups/demo.backup
k delete deployment web
"${compose[@]}" rm --force --stop m1 m2 m3 >/dev/null
for name in m1 m2 m3; do docker volume rm "$(volume "$name")" >/dev/null; done

step "the cluster comes back from the backup: each master's disk is made from it, and all begin as a new cluster"
for name in m1 m2 m3; do
  runs --no-deps "$name" snapshot restore /backups/demo.backup --secrets-key=/tls/secrets.key
done
export TRIREME_CLUSTER_ID=compose-restored
"${compose[@]}" up -d
within 60 voters 3
k rollout status deployment/web --timeout=60s
k get deployment web

step "every master tells how it is"
k get --raw /metrics | grep -c '^trireme_' | sed 's/$/ values at \/metrics/'
k get --raw /trireme/cluster | grep -q '"leads":true'
docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' $(container m1) $(container m2) $(container m3)

step "everything is healthy again"
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' $(container m1) $(container m2) $(container m3) | sort -u)" = healthy ]; }
within 60 healthy
k get deployment web
printf '\nIt works as it says.\n'
