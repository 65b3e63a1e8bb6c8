#!/usr/bin/env bash
# Measures the suites named, or all, and generates bench/README.md:
# bench/report.sh [SUITE ...]. ROUNDS sets how often each benchmark runs.
#
# A suite runs in rounds over all of its benchmarks, so that a disturbance of the
# machine affects figures and floors alike.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-6}
only=" $* "
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT

# header writes what the figures depend on, in the benchmark format.
header() {
	printf 'date: %s\n' "$(date -u +%F)"
	printf 'commit: %s\n' "$(git rev-parse --short HEAD)"
	printf 'go: %s\n' "$(go env GOVERSION)"
	printf 'redis: %s\n' "$(redis-server --version | sed -E 's/.* v=([^ ]+) .*/\1/')"
	printf 'kernel: %s\n' "$(uname -sr)"
	printf 'cores: %s\n' "$(nproc)"
	printf 'rounds: %s\n' "$rounds"
	printf 'command: %s\n' "$1"
}

# suite NAME DIRECTORY BENCHMARKS [FLAG ...] writes its raw output to results.
suite() {
	local name=$1 directory=$2 benchmarks="^Benchmark($3)\$" out=bench/results/$1.txt round
	shift 3
	[[ $only == *[![:space:]]* && $only != *" $name "* ]] && return
	mkdir -p bench/results
	header "cd $directory && go test -run '^\$' -bench '$benchmarks' -timeout 1h $*" >"$raw"
	for ((round = 1; round <= rounds; round++)); do
		printf '%s, round %d of %d\n' "$name" "$round" "$rounds" >&2
		(cd "$directory" && go test -run '^$' -bench "$benchmarks" -timeout 1h "$@" .) >>"$raw" ||
			{ tail -n 20 "$raw" >&2; exit 1; }
	done
	cp "$raw" "$out"
}

suite memory bench 'Memory|TwoStep|Floor' -benchtime 150ms
suite peers bench/peers 'Floor|Peers' -benchtime 100ms
suite contention bench 'Contention|RoundTrip' -benchtime 100ms
suite shared bench/peers 'Shared' -benchtime 500ms
suite trips bench/peers 'Trips' -benchtime 1x
suite scripts storage 'ScriptCost|ReadCost' -benchtime 1x
suite latency bench 'Latency' -benchtime 500ms
suite watch bench 'Watch(Receive|Footprint|Poll|Returns|Close|Fleet|Bubble)|Listing' -benchtime 1x
suite push bench 'WatchLatency' -benchtime 2000x
suite staleness bench 'Staleness(Rate|Overhead|Steps|Footprint)?' -benchtime 150ms
suite fleets bench 'StalenessFleet' -benchtime 1x
suite growth bench 'Growth|Window|Processes' -benchtime 500ms
suite outage bench 'Outage' -benchtime 300x
suite footprint bench 'Footprint' -benchtime 1x

(cd bench/report && go run .)
