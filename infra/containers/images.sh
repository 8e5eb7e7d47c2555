#!/usr/bin/env bash
# Makes sure that the engine of DOCKER_HOST has images of Kafka and the registry: those built here, else the official ones,
# else builds them, from a Debian or Ubuntu that is like this one. What is there already is left alone.
#   infra/containers/images.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly PULL_PATIENCE=120 LABEL=sluice.made-from
base=sluice/java folder=.sluice/docker
root=$folder/root log=$folder/images.log

fail() {
  echo "images: $1" >&2
  exit 2
}

version_of() {
  sed -n "s/.*<$1\.version>\(.*\)<.*/\1/p" infra/pom.xml
}

# Whether there is such an image, made from what the digest stands for.
is_there() {
  [ "$(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null)" = "$2" ]
}

# The repository that apt would take packages of this system from.
apt_source() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$1" '$2 == suite && (uri == "" || uri == $1) { uri = $1; parts = parts comma $3; comma = "," } END { print uri, parts }'
}

# The newest Java of this system that the servers run on.
java_package() {
  local name
  for name in openjdk-21-jre-headless openjdk-17-jre-headless; do
    if apt-cache policy "$name" | grep 'Candidate: [0-9]' >/dev/null; then echo "$name" && return; fi
  done
  fail 'this system has neither Java 21 nor Java 17'
}

make_base() {
  local suite uri parts http_proxy_of_apt=
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  read -r uri parts < <(apt_source "$suite")
  [ -n "$uri" ] || fail "apt knows no repository of $suite"
  eval "$(apt-config shell http_proxy_of_apt Acquire::http::Proxy)"
  if [ -n "$http_proxy_of_apt" ]; then export http_proxy=$http_proxy_of_apt; fi
  echo 'images: making a small system with Java; this takes a minute' >&2
  rm -rf "$root"
  debootstrap --variant=minbase --components="$parts" --include="$(java_package)" "$suite" "$root" "$uri" >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    fail "debootstrap failed; all of its output is in $log"
  }
  tar -C "$root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' -c . |
    docker import --change "LABEL $LABEL=$base_digest" - "$base" >/dev/null
  rm -rf "$root"
}

build() {
  [ "$(id -u)" -eq 0 ] || fail 'the official images can not be fetched, and only root can build others'
  infra/setup.sh containers
  command -v debootstrap >/dev/null 2>&1 || fail 'the official images can not be fetched, and debootstrap is not installed'
  [ -f .sluice/jars/stamp ] || fail 'the jars of the servers are not there: run infra/setup.sh'
  mkdir -p "$folder"
  # Others may ask for the same at this moment.
  exec 7>"$folder/building"
  flock 7
  is_there "$base" "$base_digest" || make_base
  local name
  for name in kafka apicurio; do
    is_there "$(own "$name")" "$digest" && continue
    docker build --quiet --target "$name" --build-arg "BASE=$base" --label "$LABEL=$digest" --tag "$(own "$name")" \
      --file infra/containers/Dockerfile .sluice/jars >"$log" 2>&1 || {
      tail -n 5 "$log" >&2
      fail "docker build failed; all of its output is in $log"
    }
  done
}

own() {
  echo "sluice/$1:$(version_of "$1")"
}

fetch() {
  docker image inspect "$1" >/dev/null 2>&1 || timeout "$PULL_PATIENCE" docker pull --quiet "$1" >/dev/null 2>&1
}

base_digest=$(git hash-object infra/containers/images.sh | head -c 12)
digest=$(cat infra/containers/images.sh infra/containers/Dockerfile infra/pom.xml | git hash-object --stdin | head -c 12)
if is_there "$(own kafka)" "$digest" && is_there "$(own apicurio)" "$digest"; then
  echo "$(own kafka) $(own apicurio)"
  exit
fi
kafka=apache/kafka:$(version_of kafka) registry=apicurio/apicurio-registry:$(version_of apicurio)
if fetch "$kafka" && fetch "$registry"; then
  # An older one of our own would be taken instead.
  docker image rm "$(own kafka)" "$(own apicurio)" >/dev/null 2>&1 || true
  echo "$kafka $registry"
  exit
fi
build
echo "$(own kafka) $(own apicurio)"
