#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A process that reads no requests, but gets them from another one of its pod: base, and counted; with --pod-evidence in the lane of all that
# the pod is at work on. Never a base request in the canary.
. "$(dirname "$0")/lib.sh"
setup
need python3 bpftool
two_pods
gray='x-mse-tag: gray'
# behind NAME: front and back in one pod, handing over by a Unix socket (port 8080), and by loopback (port 8081).
behind() {
	local i=0 over
	pod_ns "$1"
	for over in "$LWT_TMP/$1.sock" 127.0.0.1:9000; do
		exec_pod "$1" python3 "$LWT_ROOT/tests/netns/clients/behind.py" back "$over" "${POD_IP[b1]}:$LWT_PORT" 2>>"$LWT_TMP/$1.log" &
		UPSTREAM=${POD_IP[b1]}:$LWT_PORT OUT=$LWT_TMP exec_pod "$1" python3 "$LWT_ROOT/tests/netns/clients/behind.py" front \
			$((LWT_PORT + i)) "$over" 2>>"$LWT_TMP/$1.log" &
		FRONT[$i]=$!
		wait_port "$1" $((LWT_PORT + i))
		i=1
	done
	until_ok 15 "the back of $1" test -S "$LWT_TMP/$1.sock"
	wait_port "$1" 9000
}
FRONT=()
# call PATH [HEADER [PORT]]: which pod was asked.
call() { req client ${2:+-H "$2"} "http://${POD_IP[m]}:${3:-$LWT_PORT}$1" | sed 's/\[.*//'; }
# at_work_is N: so many requests is the pod at work on; "none": it has no counter.
at_work_is() {
	pinned at_pods |
		jq -e --argjson cookie "$COOKIE" --arg n "$1" '[.[].formatted | select(.key == $cookie) | .value.total][0] // "none" | tostring == $n'
}
# park NAME REQUESTS CURL OPTIONS...: a request that waits in the pod, which is then at work on so many; the answer is in $LWT_TMP/NAME.
park() {
	req client "${@:3}" 2>/dev/null | sed 's/\[.*//' >"$LWT_TMP/$1" &
	until_ok 15 "$1 to be read" at_work_is "$2"
}
go() {
	req client -H "${2:-none: x}" "http://${POD_IP[m]}:$LWT_PORT/go/$1" >/dev/null
	until_ok 20 "the answer to $1" grep -q . "$LWT_TMP/$1"
	sed 's/\[.*//' "$LWT_TMP/$1"
}
behind m
M4=http://${POD_IP[m]}:$LWT_PORT M6=http://[${POD_IP6[m]}]:$LWT_PORT
COOKIE=$(in_pod m python3 -c 'import socket; s = socket.socket(); print(int.from_bytes(s.getsockopt(socket.SOL_SOCKET, 71, 8), "little"))')
agent_start

# As it comes: base, and counted where it may have been for the lane. Entry rules decide as for anybody.
for port in 8080 8081; do
	expect_like "tagged, port $port" 'b[12]' "$(call /call "$gray" $port)"
	expect_like "untagged, port $port" 'b[12]' "$(call /call "" $port)"
	expect_eq "by an entry rule, port $port" c1gray "$(call /user "$gray" $port)"
	expect_eq "by an entry rule, untagged, port $port" c1gray "$(call /user "" $port)"
done
expect_eq "elsewhere" 2 "$(counted elsewhere)"
agent_stop

agent_start --pod-evidence
for port in 8080 8081; do
	expect_eq "tagged alone, port $port" c1gray "$(call /call "$gray" $port)"
	expect_like "untagged alone, port $port" 'b[12]' "$(call /call "" $port)"
	expect_eq "by an entry rule, port $port" c1gray "$(call /user "" $port)"
done
expect_eq "as pod-work" 2 "$(lw stats -o json | jq '[.stats[] | select(.evidence == "pod-work") | .count] | add // 0')"
expect_eq "elsewhere, and no other requests" 0 "$(counted elsewhere)"
until_ok 15 "the pod to be idle" at_work_is 0

# All of one lane, by two fronts.
park a 1 -H "$gray" "$M4/park/a"
expect_eq "tagged beside tagged" c1gray "$(call /call "$gray" 8081)"
# Mixed: base, whichever it was for, and whichever address it came to.
expect_like "untagged beside tagged" 'b[12]' "$(call /call "" 8081)"
park b 2 "$M6/park/b"
for port in 8080 8081; do
	expect_like "tagged beside both, port $port" 'b[12]' "$(call /call "$gray" $port)"
	expect_like "untagged beside both, port $port" 'b[12]' "$(call /call "" $port)"
	expect_eq "by an entry rule beside both, port $port" c1gray "$(call /user "" $port)"
done
expect_eq "elsewhere" 5 "$(counted elsewhere)"
expect_like "b, beside a" 'b[12]' "$(go b)"
# A process that reads requests itself does not send for another's: what it sends late is for one that it has answered.
expect_eq "answered early" later "$(call /late/c "" 8081)"
until_ok 15 "only a to be at work" at_work_is 1
req client "http://${POD_IP[m]}:8081/go/c" >/dev/null
until_ok 20 "what it sends late" grep -q . "$LWT_TMP/c"
expect_like "sent late" 'b[12]' "$(sed 's/\[.*//' "$LWT_TMP/c")"
expect_eq "a" c1gray "$(go a)"

# No room for another pod's counter: while that works on a request, no pod is evidence.
FRONT_OF_M=("${FRONT[@]}")
mkfifo "$LWT_TMP/fill"
"$LWT_BUILD/tests/fill" full "$LWT_BPFFS/laneway/at_pods" <"$LWT_TMP/fill" >"$LWT_TMP/filled" 2>&1 &
FILL_PID=$!
exec {FILL}>"$LWT_TMP/fill"
until_ok 60 "the map to be full" grep -qs ready "$LWT_TMP/filled"
behind n
uncounted_is() { [ "$(uncounted 1)" = "$1" ]; }
req client "http://${POD_IP[n]}:$LWT_PORT/park/e" >"$LWT_TMP/e" &
until_ok 20 "e to count as uncounted" uncounted_is 1
expect_like "tagged alone, beside an uncounted pod" 'b[12]' "$(call /call "$gray")"
req client "http://${POD_IP[n]}:$LWT_PORT/go/e" >/dev/null
until_ok 20 "the answer to e" grep -q . "$LWT_TMP/e"
until_ok 15 "nothing to be uncounted" uncounted_is 0
expect_eq "tagged alone, and all is counted" c1gray "$(call /call "$gray")"
echo >&"$FILL"
exec {FILL}>&-
wait $FILL_PID || fail "$(<"$LWT_TMP/filled")"

# Nothing is left of a pod whose processes have ended, in the middle of a request or not.
park d 1 -H "$gray" "$M4/park/d" || true
stop_pid "${FRONT_OF_M[0]}"
stop_pid "${FRONT_OF_M[1]}"
until_ok 15 "the pod's counter to go" at_work_is none
say ok
