# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced behind lib.sh: servers that call nothing are left alone once they have answered many requests (--leaf-after). What is
# measured is how they are from then on.

# settle URL...: load from the pod `client` until the servers at these addresses are left alone, if any are with this agent.
settle() {
	local url
	[[ ${BENCH_AGENT:-} != *--leaf-after* ]] || return 0
	for url in "$@"; do
		until_ok 60 "$url to be left alone" load_alone "$url"
	done
}
# An IPv4 address from the URL.
load_alone() {
	local ip=${1#http://}
	ip=${ip%%:*}
	in_pod client wrk -t 1 -c 16 -d 1s "$1" >/dev/null
	# to no destination: that is said by the exit code
	{ lw explain --from "$ip" --to "$ip:$LWT_PORT" -o json || true; } |
		jq -e '.learned | .left_alone or (.inbound and .reads | not)' >/dev/null
}
