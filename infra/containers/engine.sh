#!/usr/bin/env bash
# A Docker engine for a while: the one that answers by DOCKER_HOST or at its usual place, else one of our own, which only
# root on Linux can have. It keeps its data in .sluice/docker, is shared by all who ask at once, and the last one ends it.
#   infra/containers/engine.sh COMMAND...   runs a command with DOCKER_HOST set
#   infra/containers/engine.sh              prints what `env` takes, a line each, and lets go when its input ends
# Exit code 3: there can be no engine here; why is on stderr.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly START_PATIENCE=60 STOP_PATIENCE=60
folder=$PWD/.sluice/docker
# Paths of sockets must be short.
runs=/run/sluice-$(printf %s "$PWD" | git hash-object --stdin | head -c 12)
own=unix://$runs/docker.sock

none() {
  echo "no Docker engine answers, and there can be none of our own: $1" >&2
  exit 3
}

answers() {
  DOCKER_HOST=$1 timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

users_engine() {
  command -v docker >/dev/null 2>&1 && answers "${DOCKER_HOST:-}"
}

start_own() {
  [ "$(uname)" = Linux ] || none 'this is not Linux'
  [ "$(id -u)" -eq 0 ] || none 'only root can start one'
  mkdir -p "$folder" "$runs"
  # Others may get, start or end it at this moment; the locks are let go when this process is gone, however it went.
  exec 8>"$folder/users" 9>"$folder/changes"
  flock 9
  infra/setup.sh containers 8>&- 9>&-
  command -v dockerd >/dev/null 2>&1 || none 'there is no dockerd, and only root on Debian or Ubuntu gets one from me, without SLUICE_NO_INSTALL=1'
  flock --shared 8
  if ! answers "$own"; then
    dockerd --data-root "$folder/data" --exec-root "$runs/exec" --pidfile "$runs/pid" -H "$own" --shutdown-timeout 10 \
      </dev/null >"$folder/log" 2>&1 8>&- 9>&- &
    local child=$! deadline=$((SECONDS + START_PATIENCE))
    disown "$child"
    until answers "$own"; do
      kill -0 "$child" 2>/dev/null || none "dockerd does not run here: $(grep -v level=info "$folder/log" | tail -n 1)"
      [ $SECONDS -lt $deadline ] || none "dockerd has not answered for $START_PATIENCE s; its log is .sluice/docker/log"
      sleep 0.2
    done
  fi
  flock --unlock 9
  trap end_own EXIT
}

end_own() {
  flock 9
  flock --unlock 8
  # Somebody else still uses it.
  flock --exclusive --nonblock 8 || return 0
  local daemon deadline=$((SECONDS + STOP_PATIENCE))
  daemon=$(cat "$runs/pid" 2>/dev/null) || return 0
  kill "$daemon" 2>/dev/null || return 0
  while kill -0 "$daemon" 2>/dev/null; do
    if [ $SECONDS -ge $deadline ]; then kill -KILL "$daemon" || true; fi
    sleep 0.1
  done
}

trap 'exit 130' INT TERM HUP
if ! users_engine; then
  start_own
  # It is right here, also when this machine looks like a container to testcontainers.
  export DOCKER_HOST=$own TESTCONTAINERS_HOST_OVERRIDE=localhost
fi
if [ $# -gt 0 ]; then
  "$@" 8>&- 9>&-
else
  env | grep -E '^(DOCKER_HOST|TESTCONTAINERS_HOST_OVERRIDE)=' || true
  echo ready
  cat >/dev/null
fi
