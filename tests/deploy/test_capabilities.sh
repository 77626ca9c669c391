#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each capability of the DaemonSet is needed: with all of them everything below works; without one of them the agent says so,
# attaches nothing and ends, and the kernel refuses what it is for. There is a part for every one that the manifest lists.
. "$(dirname "$0")/lib.sh"
need setpriv jq
shopt -s extglob
setup
two_pods
deploy_setup
tag='x-mse-tag: gray' shown=""

# A client of another user than the agent's, as applications are.
as_user() { in_pod client setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
ask() { as_user curl -sS --max-time $((20 * LWT_SLOW)) -o /dev/null -w '%{http_code} %header{x-pod}' -H "$1" "$B1/id" 2>&1 || true; }
# ended: how a steered response that ends with its connection leaves the client's socket, once the agent is done with it.
ended() {
	local answer pid
	coproc PATIENT { as_user "$DEPLOY_HERE/patient.py" "${POD_IP[b1]}" "$LWT_PORT" "$tag"; }
	pid=$PATIENT_PID
	read -r -t $((20 * LWT_SLOW)) answer <&"${PATIENT[0]}"
	until_ok 20 "the agent to close its socket" no_upstreams
	echo >&"${PATIENT[1]}"
	answer+=" $(cat <&"${PATIENT[0]}")"
	wait "$pid"
	echo "$answer"
}
no_upstreams() { [ "$(lw status -o json | jq .counts.upstreams)" = 0 ]; }
log() { cat "$LWT_TMP/agent.log"; }

# without CAP: the agent says which it lacks, steers nothing, attaches nothing, and ends with 4.
without() {
	say "without $1"
	shown+="$1 "
	: >"$LWT_TMP/agent.log"
	container_start_state --drop "$1"
	container_ends
	expect_eq "exit code" 4 "$CONTAINER_CODE"
	expect_like "log" "*the agent lacks CAP_$1 (*" "$(log)"
	expect_eq "lines of errors" 1 "$(log | grep -c '"level":"error"')"
	expect_eq "pins" "" "$(pins)"
	expect_like "tagged" '200 b1\[*' "$(ask "$tag")"
}
# denied CAP COMMAND...: the agent looks for it by itself, so what the kernel says is shown, too: with the rights that the
# manifest lists the command works, with all of these but the one it does not.
denied() {
	local cap=${1,,} code=0
	shift
	with_rights "$listed" "$@" >"$LWT_TMP/out" 2>&1 || fail "with CAP_${cap^^}: $*: $(cat "$LWT_TMP/out")"
	with_rights "${listed// $cap / }" "$@" >"$LWT_TMP/out" 2>&1 || code=$?
	[ "$code" != 0 ] || fail "without CAP_${cap^^} the kernel lets it through: $*"
	expect_like "the kernel" "*@(Operation not permitted|Permission denied)*" "$(cat "$LWT_TMP/out")"
}
with_rights() {
	local only
	only=-all$(sed 's/ *\([a-z_]\+\)/,+\1/g; s/ //g' <<<"$1")
	setpriv --bounding-set "$only" --inh-caps "$only" "${@:2}"
}
listed=" $(podspec --print containers.0.securityContext.capabilities.add | tr 'A-Z' 'a-z' | sort | paste -sd ' ') "
# a process of another user, as applications are
exec_pod client setpriv --reuid 1000 --regid 1000 --clear-groups sleep infinity &
OTHER=$!

say "with all of them"
container_start_state
container_up
state_sync
expect_like "another user, tagged" '200 c1gray\[*' "$(ask "$tag")"
# EPIPE: the kernel's own word for a steered end of file (docs/limits.md)
expect_like "the end of a response" '3000 @(0|EPIPE)' "$(ended)"
expect_eq "warnings" "" "$(log | grep -E '"level":"(warn|error)"' | grep -v rmem_max | grep -v wmem_max || true)"
container_stop

without SYS_ADMIN
denied SYS_ADMIN nsenter --net="/run/netns/$(ns_of client)" true

without NET_ADMIN
denied NET_ADMIN nsenter --net="/run/netns/$(ns_of client)" ip link set lo mtu 60000

without SYS_PTRACE
denied SYS_PTRACE nsenter --net="/proc/$OTHER/ns/net" true

without DAC_READ_SEARCH
denied DAC_READ_SEARCH ls "/proc/$OTHER/fd"
kill "$OTHER"

expect_eq "capabilities with a part here" "$listed" " $(tr 'A-Z ' 'a-z\n' <<<"$shown" | sed '/^$/d' | sort | paste -sd ' ') "
say ok
