#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A bad network between pods: loss, delay, reordering, duplicates, corruption, tiny segments, single bytes; over TCP (as between nodes) and
# with the bypass. One base pod and one canary are behind a bad cable. Nothing may be lost, TCP sees to that.
. "$(dirname "$0")/lib.sh"
world
wire_plain client1 client2 b1 b2 c1 c2
wire_lay c1
wire_lay b1
seconds=$((4 * FAULT_SCALE))

# segments [BYTES]: so much is in a segment of whatever connection clients and pods make from now on, as their routes say.
segments() {
	local pod
	for pod in client1 client2 b1 b2 c1 c2; do
		# shellcheck disable=SC2086
		ip -n "$(ns_of "$pod")" route replace "$LWT_NET.0/24" dev eth0 proto kernel scope link src "${POD_IP[$pod]}" ${1:+advmss $1}
		# shellcheck disable=SC2086
		! has_ipv6 || ip -n "$(ns_of "$pod")" -6 route replace "$LWT_NET6:/64" dev eth0 proto kernel metric 256 ${1:+advmss $1}
	done
}
# What a segment of each connection to a canary holds: no client makes one, so they are upstream sockets.
upstream_mss() {
	local pod
	for pod in client1 client2; do
		in_pod "$pod" ss -tniOH state established "( dst ${POD_IP[c1]} or dst ${POD_IP[c2]} or dst [${POD_IP6[c1]}] or dst [${POD_IP6[c2]}] )"
	done | grep -o ' mss:[0-9]*' | cut -d : -f 2 || true
}
serve_all() {
	local pod
	for pod in b1 b2 c1 c2; do
		kill_server "$pod"
		serve_again "$pod" "$([ "${pod#c}" = "$pod" ] || echo gray)" "$@"
	done
}

cable() { # NAME WHAT MOST_LOST MOST_BY_BASE(of 1000) WIRE OPTIONS
	case_wanted "$1" || return 0
	local name=$1 what=$2 most=$3 by_base=$4 pod
	shift 4
	for pod in b1 c1; do
		wire_set "$pod" "$@"
	done
	LOAD_TIMEOUT=60 load_for "$seconds" "$name" --may-fall-back
	for pod in b1 c1; do
		wire_end "$pod"
	done
	result "$name" "$what$way" "$(wire_did c1)"
	# nothing but a connection that could not be made in 1.5 s, and not to the own peer in 3.5 s either: three SYNs of three
	judge "$name" 0 "$most"
	# a connection that takes over 1.5 s to make is given up, and its request goes to base: two of its packets in a row were lost, which
	# of 10 % are 4 in 100 connections, and a few of a thousand requests
	expect_most "$name: answered by base, of a million" $((by_base * 1000)) $((1000000 * $(figure "$name" lane.fell_back) / $(figure "$name" lane.sent)))
	wire_set b1
	wire_set c1
}
for way in ", over TCP" ""; do
	# shellcheck disable=SC2046
	agent_start $([ -z "$way" ] || echo --no-bypass)
	cable none "a good cable" 0 0
	cable loss "1 % of packets lost" 0 2 --loss 10
	cable heavy "10 % of packets lost" 1 20 --loss 100
	cable delay "20 ms, and up to 20 more" 0 0 --delay 20 --jitter 20
	cable reorder "10 % of packets 5 ms late" 0 0 --reorder 100
	cable dup "10 % of packets twice" 0 0 --dup 100
	cable corrupt "1 % of packets with a bit turned over" 0 2 --corrupt 10
	cable all "all of it" 0 10 --loss 10 --reorder 50 --dup 50 --corrupt 10 --delay 2 --jitter 3
	if case_wanted tiny; then
		# connections of before, those that wait in the agent's pools too, have the segments of before
		agent_stop
		segments 88
		# shellcheck disable=SC2046
		agent_start $([ -z "$way" ] || echo --no-bypass)
		LOAD_TIMEOUT=60 load tiny
		pause "$seconds"
		upstream_mss >"$LWT_TMP/mss"
		load_end tiny
		result tiny "segments of 88 bytes, both ways and upstream$way" "$(wc -l <"$LWT_TMP/mss") upstream sockets, at most $(sort -n "$LWT_TMP/mss" | tail -n 1) bytes each"
		judge tiny 0 0
		[ -s "$LWT_TMP/mss" ] || fail "tiny: no upstream socket to look at"
		expect_most "tiny: bytes in a segment of an upstream socket" 88 "$(sort -n "$LWT_TMP/mss" | tail -n 1)"
		segments
	fi
	if case_wanted bytes; then
		serve_all --bytes
		LOAD_TIMEOUT=60 load_for "$seconds" bytes --bytes
		result bytes "requests and answers sent byte by byte$way"
		judge bytes 0 0
		serve_all
	fi
	agent_stop
done
say ok
