#!/usr/bin/env bash
# Builds the images of servers that the tests run in Docker, from Debian's
# packages, for machines without an image registry. What exists is kept.
#
#   images.sh           build what is missing
#   images.sh --list    print the names of all
set -euo pipefail

# suite, image, program, and the packages that hold it.
images=(
	"bullseye redbreaker/redis:6.0  redis-server  redis-server,redis-tools"
	"bookworm redbreaker/redis:7.0  redis-server  redis-server,redis-tools"
	"trixie   redbreaker/redis:8.0  redis-server  redis-server,redis-tools"
	"trixie   redbreaker/valkey:8.1 valkey-server valkey-server,valkey-tools"
)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

build() {
	local suite=$1 image=$2 program=$3 packages=$4 root
	root=$(mktemp -d)
	# Not /tmp's default, which keeps others out: the servers' user must get in.
	chmod 755 "$root"
	if ! debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$root.log" 2>&1; then
		tail -n 20 "$root.log" >&2
		rm -rf "$root" "$root.log"
		return 1
	fi
	tar -C "$root" --exclude=./proc/* --exclude=./sys/* --exclude=./var/cache/apt/* --exclude=./var/lib/apt/lists/* -c . |
		docker import --change "CMD [\"$program\", \"--bind\", \"0.0.0.0\", \"--protected-mode\", \"no\"]" --change 'EXPOSE 6379' - "$image" >/dev/null
	rm -rf "$root" "$root.log"
}

if [[ ${1:-} == --list ]]; then
	for entry in "${images[@]}"; do
		read -r _ image _ <<<"$entry"
		echo "$image"
	done
	exit
fi

docker info >/dev/null # or there is nothing to build for
for entry in "${images[@]}"; do
	read -r suite image program packages <<<"$entry"
	if docker image inspect "$image" >/dev/null 2>&1; then
		echo "$image: exists"
		continue
	fi
	if ! command -v debootstrap >/dev/null; then
		apt-get install -qy --no-install-recommends debootstrap >/dev/null
	fi
	start=$SECONDS
	build "$suite" "$image" "$program" "$packages"
	echo "$image: built from $suite in $((SECONDS - start))s"
done
