#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A pod that goes away: running requests finish, new ones go elsewhere. Ends of connections on either side.
. "$(dirname "$0")/lib.sh"
setup
app web gray
pod b0 web base
# longer than anything is kept from a processor between connecting and asking
IDLE_MS=$((2000 * LWT_SLOW))
pod b1 web base --idle "$IDLE_MS"
pod c1 web canary
pod c2 web canary --idle 800
pod_ns client
release web web <<-END
	matches: [{headers: [{name: x-user, value: xiaoming}]}]
	requestHeaderModifier: {set: [{name: x-mse-tag, value: gray}]}
END
agent_start
B1=http://${POD_IP[b1]}:$LWT_PORT tag='x-mse-tag: gray'

# Two connections held, one bound to each canary pod; then c1 drains with a request running.
hold client "${POD_IP[b0]}" "$LWT_PORT"
until_ok 15 "a request at c1" eval '[[ $(hold_get "$tag" /id) == "200 c1gray"* ]]'
# from here on it takes as long as it is needed to
kill -STOP "${POD_PID[c1]}"
hold_send "$tag" /id
bound() { [ "$(lw flows -o json | jq '[.flows[] | select(.lane == "gray" and .pod == "default/c1" and .requests > 1)] | length')" -ge 1 ]; }
until_ok 15 "the slow request to be under way" bound
runs() { ! read -t 0 -u "${HOLD[0]}"; }
runs || fail "the slow request was answered before c1 drained"
POD_DELETED=1 put_pod c1
state_sync
for i in 1 2 3 4 5 6 7 8; do
	expect_like "a new request while c1 drains" 'c2gray\[*' "$(who client "$B1/id" -H "$tag")"
done
runs || fail "the slow request has ended while its pod could not answer"
kill -CONT "${POD_PID[c1]}"
expect_like "the running request at c1" '200 c1gray\[*' "$(hold_read)"
expect_like "the next one on that connection" '200 c2gray\[*' "$(hold_get "$tag" /id)"
hold_end
stop_pid "${POD_PID[c1]}"
del pod-c1

# The base peer closes the connection, which is idle to it, while a steered response is due: the client
# gets the response first. (b1 closes after IDLE_MS without a request.)
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "a response longer than the base peer's patience" '200 c2gray\[*' "$(hold_get "$tag" "/slow/$((IDLE_MS * 3 / 2))")"
hold_end
[ "$(counted fin-held)" -ge 1 ] || fail "b1 was not kept back from closing"
expect_like "a body longer than the base peer's patience" "$("$HOP" --pattern 3000000 | sha256sum)" \
	"$(sum client -H "$tag" --limit-rate $((2000000000 / IDLE_MS)) "$B1/size/3000000")"

# c2 closes waiting connections just as soon: the pool must not hand out dead ones.
for i in $(seq 1 12); do
	hold client "${POD_IP[b0]}" "$LWT_PORT"
	expect_like "after idle closes, request $i" '200 c2gray\[*' "$(hold_get "$tag" "/slow/$((i % 3 * 400))")"
	hold_end
done

# Responses that break off must look so, not hang.
r=0
req client -H "$tag" -o /dev/null "$B1/short/100000" 2>/dev/null || r=$?
case $r in 18 | 56) ;; *) fail "a response that ends early: curl's exit code $r" ;; esac
r=0
req client -H "$tag" -o /dev/null "$B1/reset/100000" 2>/dev/null || r=$?
case $r in 18 | 56) ;; *) fail "a response that is reset: curl's exit code $r" ;; esac
expect_like "afterwards" 'c2gray\[*' "$(who client "$B1/id" -H "$tag")"

# A response that ends by end of file, for a client that sleeps in recv(2) meanwhile: docs/limits.md, "What a client may notice".
sleeps_until_end() {
	local ends
	ends=$(in_pod client timeout $((20 * LWT_SLOW)) python3 "$LWT_ROOT/tests/netns/clients/until_end.py" \
		"${POD_IP[b1]}" "$LWT_PORT" 20 "${2-}")
	case $(jq -r .mode "$LWT_TMP/json") in
	verdict) expect_eq "$1: the end of a response, asleep" "end" "$ends" ;;
	# whoever comes late finds the end at once
	msg) expect_eq "$1: the end of a response, asleep" "EAGAIN, end" "${ends%; end}" ;;
	esac
}
sleeps_until_end "socket to socket"

# A client that has read the last byte without looking behind it, and waits for an edge: the end of file that lies there makes
# none, so the agent's shutdown() must. The agent is stopped until the client waits.
said() { read -r -t $((20 * LWT_SLOW)) -u "${edge[0]}" line && expect_eq "$1" "$2" "$line"; }
ended() { [ "$(in_pod c2 ss -Htn state fin-wait-2 | wc -l)" -ge 1 ]; }
coproc edge { in_pod client python3 "$LWT_ROOT/tests/netns/clients/edge_end.py" "${POD_IP[b0]}" "$LWT_PORT" $((10 * LWT_SLOW)); }
pid=$edge_PID
said "before the end" first
kill -STOP "$AGENT_PID"
echo >&"${edge[1]}"
said "before the end" sent
until_ok 15 "the pod to end its response" ended
echo >&"${edge[1]}"
said "before the end" read
kill -CONT "$AGENT_PID"
said "an edge for the end of a response" end
wait "$pid"

# A client that leaves in the middle of a response: the pod must not go on offering the rest to nobody.
stuck() { in_pod c2 ss -Htn state established | awk '$2 > 0' | wc -l; }
let_go() { [ "$(stuck)" = 0 ]; }
is_stuck() { [ "$(stuck)" -gt 0 ]; }
leave_early() {
	# shellcheck disable=SC2016
	in_pod client bash -c 'echo $$ >"$1"; exec curl -s --limit-rate 10k -o /dev/null -H "$2" "$3"' - \
		"$LWT_TMP/reader" "$tag" "$B1/$2" &
	until_ok 15 "$1: the pod's buffers to fill" is_stuck
	kill -9 "$(cat "$LWT_TMP/reader")"
	wait $! 2>/dev/null || true
	until_ok 15 "$1: the pod to be told that its client has left" let_go
}
for path in size/40000000 chunked/40000000 close/40000000; do leave_early "socket to socket, $path" "$path"; done
agent_stop
agent_start --no-bypass
expect_like "without the bypass" 'c2gray\[*' "$(who client "$B1/id" -H "$tag")"
# a FIN is not seen by the programs where it comes with data: then the end of file is of the agent's making
sleeps_until_end "over TCP"
sleeps_until_end "over TCP, end and bytes in one packet" "?cork"
for path in size/40000000 chunked/40000000 close/40000000; do leave_early "over TCP, $path" "$path"; done
expect_like "afterwards" 'c2gray\[*' "$(who client "$B1/id" -H "$tag")"
say ok
