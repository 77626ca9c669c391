# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A service between two that forwards nothing (clients/middle.py), and what it is at work on. For tests that have sourced lib.sh.
need python3 bpftool jq
gray='x-mse-tag: gray'
# middle NAME [FIFO]: the service between, in a pod of its own.
middle() {
	pod_ns "$1"
	OUT=$LWT_TMP exec_pod "$1" python3 "$LWT_ROOT/tests/netns/clients/middle.py" "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" ${2:-} \
		2>"$LWT_TMP/$1.log" &
	POD_PID[$1]=$!
	wait_port "$1" "$LWT_PORT"
}
url() { echo "http://${POD_IP[$1]}:$LWT_PORT$2"; }
# call NAME PATH [HEADER]: which pod the service between has asked.
call() { req client ${CALL_SECONDS:+-m "$CALL_SECONDS"} ${3:+-H "$3"} "$(url "$1" "$2")" | sed 's/\[.*//'; }
# park NAME WHAT [HEADER]: a request that is read and waits; its answer will be in $LWT_TMP/WHAT.
park() {
	local before
	before=$(at_work "$1")
	# it may be let go of only after a hundred others, on a busy machine
	CALL_SECONDS=$((200 * LWT_SLOW)) call "$1" "/park/$2" "${3:-}" >"$LWT_TMP/$2" &
	until_ok 15 "$1 to have read $2" more_at_work "$1" "$before"
}
# Requests that the service's process is at work on, from the map that the programs count in.
at_work() {
	pinned procs |
		jq --argjson pid "${POD_PID[$1]}" '[.[].formatted | select(.key.tid == $pid) | .value.total] | add // 0'
}
more_at_work() { [ "$(at_work "$1")" -gt "$2" ]; }
# go NAME WHAT: lets it go on, and prints who was asked.
go() {
	req client "$(url "$1" "/go/$2")" >/dev/null
	until_ok 20 "the answer to $2" test -s "$LWT_TMP/$2"
	cat "$LWT_TMP/$2"
}
# Answers of its process that count as proof.
proven() {
	pinned procs |
		jq --argjson pid "${POD_PID[$1]}" '[.[].formatted | select(.key.tid == $pid) | .value.proven] | add // 0'
}
# evidence KIND: how often it decided.
evidence() { lw stats -o json | jq --arg e "$1" '[.stats[] | select(.evidence == $e) | .count] | add // 0'; }
# Untagged requests, eight at a time.
prove() {
	req client -Z --parallel-max 8 "$(url "$1" "/call?[1-64]")" >/dev/null
	[ "$(proven "$1")" -ge 32 ]
}
more_counted() { [ "$(counted "$1")" -gt "$2" ]; }
