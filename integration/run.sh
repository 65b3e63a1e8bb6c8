#!/usr/bin/env bash
# Runs the integration tests that this machine can run, and lists the others:
# everything on redis-server processes; then, with a Docker engine, the tests of the
# four servers and some of the others in containers.
#
#   run.sh              all of it
#   run.sh process      on processes alone
#   run.sh docker       in containers alone
set -euo pipefail
cd "$(dirname "$0")"

# The containers use the host's network.
export TESTCONTAINERS_HOST_OVERRIDE=${TESTCONTAINERS_HOST_OVERRIDE:-127.0.0.1}
export TESTCONTAINERS_RYUK_DISABLED=${TESTCONTAINERS_RYUK_DISABLED:-true}

# Containers differ from processes in the servers' versions only, so few of the slow
# tests run there, on one server.
elsewhere='TestConformance_standalone|TestTwins|TestMemory'
slice='TestConformance_(cluster|sentinel)|TestCluster_(slotMigration|scriptFlush|cleanFailover|masterKilled)|TestACL_cluster|TestTLS|TestPair|TestSentinel_failover|TestWatch_sentinelFailover|TestACL_viewer'
# The tests that could depend on the release of go-redis.
client='TestConformance_(resp2|cluster|sentinel)|TestCluster_(slotMigration|readsFromReplicas)|TestSentinel_failover'

missing=()
failed=()
log=$(mktemp)
trap 'rm "$log"' EXIT

# Prints figures, versions, failures and skips, but not each test that passes. Tests that
# are marked as parallel use servers of their own and mostly wait.
tests() {
	local name=$1 start=$SECONDS
	shift
	printf '\n--- %s\n' "$name"
	if ! go test -count=1 -timeout 20m -parallel 4 -v "$@" 2>&1 | tee "$log" | filter; then
		failed+=("$name:$(sed -nE 's/^ *--- FAIL:( [^ ]+).*/\1/p' "$log" | tr -d '\n')")
	fi
	printf -- '--- %s: %ds\n' "$name" $((SECONDS - start))
}

filter() {
	grep --line-buffered -vE '^=== (RUN|PAUSE|CONT)|storagetest: skipped|^ +--- (PASS|SKIP): Test[^ ]*/|testcontainers-go - |^$' || true
}

process() {
	if ! command -v redis-server >/dev/null && ! command -v valkey-server >/dev/null; then
		missing+=('everything on processes: neither redis-server nor valkey-server is on PATH')
		return
	fi
	export REDBREAKER_SERVERS=process
	tests 'on processes' ./...
	tests 'on processes, with the newest go-redis' -modfile=newest.mod -run "$client" .
	unset REDBREAKER_SERVERS
}

containers() {
	if ! docker info >/dev/null 2>&1; then
		missing+=('the four servers: no Docker engine answers')
		return
	fi
	local image images=()
	for image in $(./images.sh --list); do
		if docker image inspect "$image" >/dev/null 2>&1; then
			images+=("$image")
		else
			missing+=("$image: no such image, make server-images builds it")
		fi
	done
	((${#images[@]})) || return 0
	export REDBREAKER_SERVERS=docker REDBREAKER_IMAGES="${images[*]}"
	REDBREAKER_REDIS_IMAGE=${images[-1]} tests "in containers: ${images[*]}" -run "$elsewhere" .
	REDBREAKER_REDIS_IMAGE=${images[-1]} tests "in containers of ${images[-1]}" -run "$slice" .
	unset REDBREAKER_SERVERS
}

case ${1:-all} in
process) process ;;
docker) containers ;;
all) process && containers ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac

for what in "${missing[@]}"; do
	printf 'NOT RUN: %s\n' "$what"
done
if ((${#failed[@]})); then
	printf 'FAILED: %s\n' "${failed[@]}"
	exit 1
fi
if ((${#missing[@]})) && [[ ${REDBREAKER_REQUIRE_REDIS:-} == 1 ]]; then
	exit 1
fi
