# Steps with a name, a time and a log, one after the other or in the background. A script
# sources this file after set -euo pipefail.

# Job control gives each background command a process group, by which it can be stopped.
set -m

work=$(mktemp -d)
mkdir "$work/groups" # an empty file for each process group that may still run
declare -A lanes     # the process of each lane

trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# step runs a command, prints its output as it comes, and its time. A step that failed
# ends with the names of the tests that failed, because CI shows the end of the output.
step() {
	local name=$1 start=$SECONDS status=0 log seconds
	shift
	log=$(mktemp -p "$work")
	printf '\n=== %s\n' "$name"
	# A signal interrupts wait, but no command in the foreground.
	run_logged "$log" "$@" </dev/null &
	await $! || status=$?
	seconds=$((SECONDS - start))
	printf -- '--- %s: %ds\n' "$name" "$seconds"
	printf '%5ds  %s\n' "$seconds" "$name" >>"$work/times"
	((status)) || return 0
	printf '\nFAILED: %s\n' "$name"
	name_failures "$log"
	return 1
}

# run_logged writes the command's output into a file, too.
run_logged() {
	local log=$1
	shift
	set +e
	(
		set -e
		"$@"
	) 2>&1 | tee "$log"
	return "${PIPESTATUS[0]}"
}

# name_failures prints the lines of a log that name what failed.
name_failures() {
	grep -E '^ *--- FAIL: |^FAIL|^=== FAIL|^panic: |^fatal error: |^WARNING: DATA RACE|^NOT RUN: ' "$1" |
		awk '!seen[$0]++' | tail -n 50 || true
}

# begin starts a lane: a function of steps that runs in the background. It yields the
# processor to the steps in front, which may be tests that wait for real servers.
begin() {
	run_lane "$1" >"$work/$1" 2>&1 </dev/null &
	lanes[$1]=$!
	touch "$work/groups/$!"
}

run_lane() {
	renice -n 5 -p "$BASHPID" >/dev/null
	"$1"
}

# finish waits for a lane and prints its output.
finish() {
	local status=0
	await "${lanes[$1]}" || status=$?
	cat "$work/$1"
	((status == 0)) || fail "the steps beside the others failed: $1"
}

# await waits for a process that leads a process group, and returns its status.
await() {
	local status=0
	touch "$work/groups/$1"
	wait "$1" || status=$?
	rm "$work/groups/$1"
	return "$status"
}

print_times() {
	printf '\n'
	cat "$work/times"
}

# stop_all ends what still runs.
stop_all() {
	local group signal
	trap '' INT TERM HUP
	[[ -z ${watcher:-} ]] || kill -s KILL -- "-$watcher"
	for signal in TERM KILL; do
		for group in "$work"/groups/*; do
			! kill -s "$signal" -- "-${group##*/}" 2>/dev/null || sleep 1
		done
	done
	rm -rf "$work"
}

# watch_script waits until this script was killed without a chance to stop anything.
watch_script() {
	tail --pid=$$ -f /dev/null
	stop_all
}

watch_script >/dev/null 2>&1 </dev/null &
watcher=$!
disown "$watcher" # no notice that it was killed
