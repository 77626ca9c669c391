#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What servers do wrong, or early, on either side: a fault of a canary must not bring base requests there, nor one pod's bytes into
# another's answer.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fill.sh"
need python3 nft
setup
two_pods
GO=$LWT_TMP/go
# odd POD [IDLE]: such a server in place of the pod's
odd() {
	stop_pid "${POD_PID[$1]}"
	: >"$LWT_TMP/$1.log"
	exec_pod "$1" python3 "$LWT_ROOT/tests/netns/clients/odd_server.py" "$1" "$LWT_PORT" "$LWT_TMP/$1.log" "$GO" ${2:+"$2"} &
	POD_PID[$1]=$!
	wait_port "$1" "$LWT_PORT"
}
# steps NS POD STEP...: by a connection to that pod
steps() {
	local ns=$1 ip=${POD_IP[$2]}
	shift 2
	in_pod "$ns" python3 "$LWT_ROOT/tests/netns/clients/odd_client.py" "$ip" "$LWT_PORT" $((10 * LWT_SLOW)) "$@"
}
logged() { grep -c "$2" "$LWT_TMP/$1.log" || true; }
for pod in b1 b2 c1; do odd $pod; done

all() {
	agent_start "$@"
	rm -f "$GO"
	say "bytes behind an answer ${*}"
	expect_eq "in one send" "b1 c1 nothing b1 b1 b1 c1" \
		"$(steps client b1 GET::/id GET:gray:/junk left GET::/id GET::/id GET::/id GET:gray:/id)"
	expect_eq "a body behind an answer to HEAD" "b1 c1 nothing b1 b1 b1 c1" \
		"$(steps client b1 GET::/id HEAD:gray:/head left GET::/id GET::/id GET::/id GET:gray:/id)"

	say "an answer before the request's end, by the own peer"
	: >"$GO"
	expect_eq "of base" "b1 c1 c1 b1" "$(steps client b1 head:POST::/early:20000 body GET:gray:/id GET:gray:/id GET::/id)"
	expect_like "of the lane" "c1 b[12] b[12] c1" "$(steps client c1 head:POST:gray:/early:20000 body GET::/id GET::/id GET:gray:/id)"
	rm -f "$GO"

	say "and by a pod that the agent still has some of it for"
	pod_ns "fresh$#" # which has no upstream sockets yet
	steps "fresh$#" b1 GET::/id "touch:$GO.ready" "wait:$GO.stopped" send:POST:gray:/early:14000000 "touch:$GO.sent" \
		read send:GET:gray:/second "touch:$GO" read >"$LWT_TMP/both" &
	local pid=$!
	until_ok 20 "the client" test -e "$GO.ready"
	kill -STOP "$AGENT_PID"
	: >"$GO.stopped"
	until_ok 20 "all to be sent" test -e "$GO.sent"
	kill -CONT "$AGENT_PID"
	wait $pid
	expect_eq "both answers" "b1 c1 c1" "$(cat "$LWT_TMP/both")"
	expect_eq "the second request, by itself" 1 "$(logged c1 '^head GET /second$')"
	expect_eq "bodies with something else in them" 0 "$(logged c1 'wrong$')"
	rm -f "$GO" "$GO".*

	say "which is gone before the agent has written that"
	pod_ns "gone$#"
	steps "gone$#" b1 GET::/id "touch:$GO.ready" "wait:$GO.stopped" send:POST:gray:/leave:14000000 "touch:$GO.sent" \
		read "wait:$GO.given-up" GET::/id GET:gray:/id >"$LWT_TMP/gone" &
	sent_while_stopped $!
	until_ok 20 "the agent to close its end" is_given_up "gone$#"
	: >"$GO.given-up"
	wait $pid
	expect_eq "its answer, and the next ones" "b1 c1 b1 c1" "$(cat "$LWT_TMP/gone")"
	rm -f "$GO" "$GO".*

	say "or that answers meanwhile more than the client reads"
	pod_ns "slow$#"
	steps "slow$#" b1 GET::/id "touch:$GO.ready" "wait:$GO.stopped" send:POST:gray:/echo:14000000 "touch:$GO.sent" \
		"wait:$GO.waiting" read GET::/id >"$LWT_TMP/slow" &
	sent_while_stopped $!
	until_ok 20 "the answer to wait for the client" is_waiting "slow$#"
	: >"$GO.waiting"
	wait $pid
	expect_eq "all of it" "b1 c1 b1" "$(cat "$LWT_TMP/slow")"
	rm -f "$GO" "$GO".*
	for pod in b1 b2 c1; do : >"$LWT_TMP/$pod.log"; done
}
# PID: of a client that, once it is ready, sends all of a request while the agent is stopped. Sets `pid`.
sent_while_stopped() {
	pid=$1
	until_ok 20 "the client" test -e "$GO.ready"
	kill -STOP "$AGENT_PID"
	: >"$GO.stopped"
	until_ok 20 "all to be sent" test -e "$GO.sent"
	kill -CONT "$AGENT_PID"
}
# NS: what c1 has sent there waits to be read by the agent
is_waiting() { in_pod "$1" ss -Htn state established dst "${POD_IP[c1]}" | awk '{ n += $1 } END { exit n < 500000 }'; }
# NS: c1 has answered, and has no connection from there any more
is_given_up() { [ "$(logged c1 /leave)" != 0 ] && [ -z "$(in_pod "$1" ss -Htn state established state close-wait dst "${POD_IP[c1]}")" ]; }
all --no-bypass
agent_stop
all

say "what is left of a request that was answered goes also if nobody is told of it"
pod_ns untold
steps untold b1 GET::/id "touch:$GO.ready" "wait:$GO.stopped" send:POST:gray:/early:14000000 "touch:$GO.sent" read "touch:$GO.answered" \
	"wait:$GO.full" GET::/id "touch:$GO.released" "wait:$GO.ended" GET:gray:/id >"$LWT_TMP/untold" &
sent_while_stopped $!
until_ok 20 "its answer" test -e "$GO.answered"
kill -STOP "$AGENT_PID"
fills ring events
wait "$FILL_PID"
exec {FILL_FD}>&-
: >"$GO.full"
until_ok 20 "a base request behind it" test -e "$GO.released"
kill -CONT "$AGENT_PID"
is_closed() { [ -z "$(in_pod untold ss -Htn state established state close-wait dst "${POD_IP[c1]}")" ]; }
until_ok 20 "the agent to close its end" is_closed
: >"$GO.ended"
wait $pid
expect_eq "its answer, and the next ones" "b1 c1 b1 c1" "$(cat "$LWT_TMP/untold")"
rm -f "$GO" "$GO".*

say "an agent that still has some of a request that is answered gives way to another one, and ends"
pod_ns handed
steps handed b1 GET::/id "touch:$GO.ready" "wait:$GO.stopped" send:POST:gray:/early:14000000 "touch:$GO.sent" read "touch:$GO.answered" \
	"wait:$GO.taken" GET:gray:/id "touch:$GO.steered" "wait:$GO.ended" GET:gray:/id >"$LWT_TMP/handed" &
sent_while_stopped $!
until_ok 20 "its answer" test -e "$GO.answered"
old=$AGENT_PID LWT_SOCKET=$LWT_TMP/second.sock
agent_start --take-over
: >"$GO.taken"
until_ok 20 "the next request's answer" test -e "$GO.steered"
kill "$old"
wait "$old" || fail "the first agent's exit code is $?"
: >"$GO.ended"
wait $pid
expect_eq "its answer, and the next ones" "b1 c1 c1 c1" "$(cat "$LWT_TMP/handed")"
rm -f "$GO" "$GO".*

say "a response's head finds no scratch buffer"
steps client b1 GET::/id send:GET:gray:/slow read "touch:$GO.answered" "wait:$GO.free" GET::/id GET::/id GET::/id >"$LWT_TMP/scratch" &
pid=$!
is_slow() { [ "$(logged c1 /slow)" != 0 ]; }
until_ok 20 "the request to be there" is_slow
fills busy scratch
: >"$GO"
until_ok 20 "the answer" test -e "$GO.answered"
filled
: >"$GO.free"
wait $pid
expect_eq "the answer, and base behind it" "b1 c1 b1 b1 b1" "$(cat "$LWT_TMP/scratch")"
agent_stop

say "the own peer, idle to its mind, says so and closes while an answer is due from elsewhere"
# longer than it takes to ask behind connecting
odd b1 $((2 * LWT_SLOW))
agent_start
rm -f "$GO"
slow() { # CONNECTED-TO LANE: the answer is due until the own peer's close has been kept back
	steps client "$1" "send:GET:$2:/slow" read >"$LWT_TMP/slow" &
	local pid=$! held
	held=$(counted fin-held)
	until_ok 20 "the own peer to be kept back" more_held "$held"
	: >"$GO"
	wait "$pid"
	cat "$LWT_TMP/slow"
	rm -f "$GO"
}
more_held() { [ "$(counted fin-held)" -gt "$1" ]; }
expect_eq "in the lane, base times out" c1 "$(slow b1 gray)"
held=$(counted fin-held)
steps client b1 send:GET:gray:/large "wait:$GO" read >"$LWT_TMP/large" &
pid=$!
until_ok 20 "the own peer to be kept back from an answer that waits for its reader" more_held "$held"
: >"$GO"
wait $pid
expect_eq "in the lane, to a slow reader, base times out" c1 "$(cat "$LWT_TMP/large")"
rm -f "$GO"
odd b1
odd c1 $((2 * LWT_SLOW))
expect_like "base, the canary times out" 'b[12]' "$(slow c1 '')"
odd c1

say "the next request behind one that fell back to the own peer"
in_pod c1 nft -f - <<-END
	table ip lwt { chain in { type filter hook input priority 0; tcp dport $LWT_PORT tcp flags & (syn|ack) == syn drop; }; }
END
pod_ns other
expect_eq "both answers" "b1 b1 b1" "$(steps other b1 GET::/id send:GET:gray:/slow "touch:$GO" send:GET:gray:/id read read)"
in_pod c1 nft delete table ip lwt
rm -f "$GO"

say "a tunnel to a canary outlives the agent, or ends: it does not go to base"
in_pod client python3 "$LWT_ROOT/tests/netns/clients/odd_client.py" "${POD_IP[b1]}" "$LWT_PORT" $((10 * LWT_SLOW)) \
	GET::/id send:GET:gray:/upgrade read bytes:1500 left >"$LWT_TMP/tunnel" &
pid=$!
has_frames() { [ "$(logged c1 frame)" -gt 0 ]; }
until_ok 20 "frames at the canary" has_frames
agent_stop
wait $pid
expect_eq "frames at base" 0 "$(logged b1 frame)"
say ok
