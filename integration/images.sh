#!/usr/bin/env bash
# Builds the server images that the tests run in Docker from Debian's packages, for
# machines without an image registry. Existing images are kept.
#
#   images.sh           build the missing images
#   images.sh --list    print the names of all
set -euo pipefail

# A release of Debian, an image made from it, its program, and its packages.
images=(
	"bullseye redbreaker/redis:6.0  redis-server  redis-server,redis-tools"
	"bookworm redbreaker/redis:7.0  redis-server  redis-server,redis-tools"
	"trixie   redbreaker/redis:8.0  redis-server  redis-server,redis-tools"
	"trixie   redbreaker/valkey:8.1 valkey-server valkey-server,valkey-tools"
)
mirror=${DEBIAN_MIRROR:-} # empty: debootstrap's default

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# list prints the entries of a release, or of all releases, one per line.
list() { printf '%s\n' "${images[@]}" | grep "^${1:-}"; }

exists() { docker image inspect "$1" >/dev/null 2>&1; }

install() {
	local suite=$1 packages=$2
	if ! command -v debootstrap >/dev/null; then
		apt-get update -q >/dev/null
		DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends debootstrap >/dev/null
	fi
	if ! debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" ${mirror:+"$mirror"} >"$work/log" 2>&1; then
		tail -n 20 "$work/log" >&2
		return 1
	fi
}

import() {
	local image=$1 program=$2
	tar -C "$work/root" --exclude='./proc/*' --exclude='./sys/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' -c . |
		docker import --change "CMD [\"$program\", \"--bind\", \"0.0.0.0\", \"--protected-mode\", \"no\"]" --change 'EXPOSE 6379' - "$image" >/dev/null
}

if [[ ${1:-} == --list ]]; then
	list | awk '{ print $2 }'
	exit
fi

docker info >/dev/null # fails without an engine
for suite in $(list | awk '{ print $1 }' | uniq); do
	packages='' missing=()
	while read -r _ image program its; do
		if exists "$image"; then
			echo "$image: exists"
			continue
		fi
		missing+=("$image $program")
		packages+=${packages:+,}$its
	done < <(list "$suite")
	((${#missing[@]})) || continue
	start=$SECONDS
	install "$suite" "$packages"
	for entry in "${missing[@]}"; do
		read -r image program <<<"$entry"
		import "$image" "$program"
		echo "$image: built from $suite, $((SECONDS - start))s"
	done
	rm -rf "$work/root"
done
