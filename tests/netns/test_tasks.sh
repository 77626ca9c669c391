#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What threads and processes are at work on, as evidence: sure where it is, and base where it is not. Never a base request
# in the canary.
. "$(dirname "$0")/lib.sh"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
middle early # there before the agent
hold client "${POD_IP[early]}" "$LWT_PORT"
# Eight more, which ask when they are told to.
mkfifo "$LWT_TMP/now"
exec_pod client python3 - "${POD_IP[early]}" "$LWT_PORT" "$LWT_TMP/now" >"$LWT_TMP/eight" <<-END &
	import socket, sys
	held = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(8)]
	print("ready", flush=True)
	open(sys.argv[3]).read()
	for s in held:
	    s.sendall(b"GET /park/eight HTTP/1.1\r\nHost: a\r\n\r\n")
	for s in held:
	    print(s.recv(4096).decode().split("\n")[-2], flush=True)
END
EIGHT=$!
until_ok 15 "eight connections" test -s "$LWT_TMP/eight"
agent_start

# One request at a time: by whichever way of working.
middle m
for path in /call /hand /work; do
	expect_eq "tagged $path" c1gray "$(call m $path "$gray")"
	expect_like "untagged $path" 'b[12]' "$(call m $path)"
done

# Of one lane all: no doubt either. Base requests alone: neither.
middle one
park one a "$gray"
expect_eq "tagged beside tagged" c1gray "$(call one /call "$gray")"
expect_eq "tagged beside tagged, by a worker" c1gray "$(call one /work "$gray")"
expect_eq "the first of them" c1gray "$(go one a)"
park one b
expect_like "untagged beside untagged" 'b[12]' "$(call one /call)"
expect_like "the first of them" 'b[12]' "$(go one b)"

# Mixed, in a process that has shown nothing yet: base, and counted.
middle mixed
park mixed c "$gray"
expect_like "untagged beside tagged" 'b[12]' "$(call mixed /call)"
park mixed d
expect_like "tagged beside untagged" 'b[12]' "$(call mixed /call "$gray")"
[ "$(counted mixed-unproven)" -ge 2 ] || fail "mixed-unproven was not counted"
# Answers by the thread that has read the request prove nothing while all others merely wait.
for _ in {1..40}; do call mixed /call >/dev/null; done
expect_like "tagged, beside others that wait" 'b[12]' "$(call mixed /call "$gray")"
# Nor do those for which nothing was asked: a thread that waited for nothing had no occasion to leave its request to another.
req client -Z --parallel-max 8 "$(url mixed "/go/none?[1-256]")" >/dev/null
expect_eq "proven by answers alone" 0 "$(proven mixed)"
# They do while others are read and answered.
until_ok 20 "the proof" prove mixed
expect_eq "tagged, proven" c1gray "$(call mixed /call "$gray")"
expect_like "untagged, proven" 'b[12]' "$(call mixed /call)"
expect_like "untagged by a worker, proven" 'b[12]' "$(call mixed /work)"
expect_eq "c" c1gray "$(go mixed c)"
expect_like "d" 'b[12]' "$(go mixed d)"

# One answer by another thread, and its threads are no evidence any more.
park mixed e
expect_eq "tagged, still proven" c1gray "$(call mixed /call "$gray")"
expect_like "handed over" 'b[12]' "$(call mixed /hand)"
expect_like "tagged, after one was handed over" 'b[12]' "$(call mixed /call "$gray")"
[ "$(counted mixed)" -ge 1 ] || fail "mixed was not counted"
expect_like "e" 'b[12]' "$(go mixed e)"
expect_eq "alone again" c1gray "$(call mixed /call "$gray")"

# Another program in the same process begins anew.
req client "$(url mixed /again)" >/dev/null 2>&1 || true
wait_port mixed "$LWT_PORT"
expect_eq "proven by the program before" 0 "$(proven mixed)"
until_ok 20 "the proof" prove mixed
park mixed q
expect_eq "tagged, proven by the program since" c1gray "$(call mixed /call "$gray")"
expect_like "q" 'b[12]' "$(go mixed q)"

# A process that was started with a request which its parent has read, and reads others itself: what it sends for that is not taken to be for these.
middle parent
CALL_SECONDS=$((200 * LWT_SLOW)) call parent /fork/p >"$LWT_TMP/p" &
wait_port parent $((LWT_PORT + 1))
second() { echo "http://${POD_IP[parent]}:$((LWT_PORT + 1))$1"; }
at_work_in_all() { pinned procs | jq '[.[].formatted.value | .n[1]] | add // 0'; }
req client -m $((200 * LWT_SLOW)) -H "$gray" "$(second /park/child)" >"$LWT_TMP/child" &
until_ok 15 "the child to have read one of its own" eval '[ "$(at_work_in_all)" = 1 ]'
req client "$(second /go/p)" >/dev/null
until_ok 20 "the answer to what the parent has read" test -s "$LWT_TMP/p"
expect_like "what the parent has read, by the child" 'b[12]' "$(cat "$LWT_TMP/p")"
req client "$(second /go/child)" >/dev/null
until_ok 20 "the answer to what the child has read" test -s "$LWT_TMP/child"
expect_like "once that is answered, what the child has read" 'c1gray*' "$(cat "$LWT_TMP/child")"

# A request whose client has gone still counts, until the service closes the connection.
middle gone
park gone f
kill %% && wait %% 2>/dev/null || true
expect_like "beside one that is abandoned" 'b[12]' "$(call gone /call "$gray")"
req client "$(url gone /go/f)" >/dev/null
gone_is_idle() { [ "$(at_work gone)" = 0 ]; }
until_ok 15 "the abandoned one to end" gone_is_idle
expect_eq "after that" c1gray "$(call gone /call "$gray")"
# So it does where the client has reset the connection: what is sent for it is base, beside one of the lane.
mkfifo "$LWT_TMP/reset"
exec_pod client python3 - "${POD_IP[gone]}" "$LWT_PORT" "$LWT_TMP/reset" <<-END &
	import socket, struct, sys
	s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
	s.sendall(b"GET /park/r HTTP/1.1\r\nHost: a\r\n\r\n")
	open(sys.argv[3]).read()
	s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
END
until_ok 15 "r to be read" more_at_work gone 0
: >"$LWT_TMP/reset"
wait %% || fail "the client that resets"
connected() { in_pod gone awk -v n="$1" '$2 ~ /:1F90$/ && $4 != "0A" && $4 != "06" { n-- } END { exit n != 0 }' /proc/net/tcp; }
until_ok 15 "the reset to arrive" connected 0
expect_eq "at work on one whose client has reset" 1 "$(at_work gone)"
park gone s "$gray"
before=$(counted mixed-unproven)
req client "$(url gone /go/r)" >/dev/null
until_ok 15 "what is sent for r to be base" more_counted mixed-unproven "$before"
expect_eq "s" c1gray "$(go gone s)"
until_ok 15 "the one that was reset to end" gone_is_idle

# A connection that is older than the agent: its requests are known from the next one on.
hold_get "" /call >"$LWT_TMP/held"
expect_like "the older connection's answer" '200 *' "$(cat "$LWT_TMP/held")"
hold_send "" /park/g
until_ok 15 "early to have read g" more_at_work early 0
expect_like "tagged beside one on an older connection" 'b[12]' "$(call early /call "$gray")"
req client "$(url early /go/g)" >/dev/null
hold_read >/dev/null
expect_eq "tagged alone" c1gray "$(call early /call "$gray")"
hold_end
: >"$LWT_TMP/now"
eight_at_work() { [ "$(at_work early)" = 8 ]; }
until_ok 15 "the first request of each of eight older connections to count" eight_at_work
expect_like "tagged beside eight on older connections" 'b[12]' "$(call early /call "$gray")"
req client "$(url early /go/eight)" >/dev/null
wait $EIGHT
expect_eq "answers of the eight" 8 "$(grep -c '^b[12]' "$LWT_TMP/eight")"
expect_eq "nothing is left of them" 0 "$(at_work early)"

# One thread does another's work while it waits for its own, and nothing has shown that yet: what it sends is not taken for what
# it has read itself.
middle lends
park lends w
for _ in {1..40}; do call lends /call >/dev/null; done
expect_eq "proven beside one that waits" 0 "$(proven lends)"
call lends /lend/x "$gray" >"$LWT_TMP/x" &
until_ok 15 "lends to have read x" more_at_work lends 1
expect_like "untagged, by the thread that has read a tagged one" 'b[12]' "$(call lends /borrow/x)"
expect_like "w" 'b[12]' "$(go lends w)"
req client "$(url lends /go/x)" >/dev/null
until_ok 15 "x to end" test -s "$LWT_TMP/x"

# A child process is at work for what the thread is that has started it; a shell between does not matter.
mkfifo "$LWT_TMP/beside" "$LWT_TMP/wait"
now_ns() { python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC))'; }
begun=$(now_ns)
middle forks "$LWT_TMP/beside"
exec {BESIDE}>"$LWT_TMP/beside"
# When a process was started and when it has read something is of one clock.
asked=$(now_ns)
call forks /call >/dev/null
pinned procs >"$LWT_TMP/procs"
jq -e --argjson pid "${POD_PID[forks]}" --argjson begun "$begun" --argjson asked "$asked" --argjson now "$(now_ns)" '.[].formatted
	| select(.key.tid == $pid) | .key.started > $begun and .key.started < $asked and .value.since > $asked and .value.since < $now' \
	"$LWT_TMP/procs" >/dev/null || fail "started, or at work since, by another clock: $begun $asked $(<"$LWT_TMP/procs")"
# answer_of FILE: which pod was asked by who writes there.
answer_of() {
	until_ok 20 "what $1 asks for" grep -q . "$LWT_TMP/$1"
	sed 's/\[.*//' "$LWT_TMP/$1"
}
asks="curl -sS http://${POD_IP[b1]}:$LWT_PORT/id"
for path in /child /shell; do
	expect_eq "tagged $path" c1gray "$(call forks $path "$gray")"
	expect_like "untagged $path" 'b[12]' "$(call forks $path)"
done
expect_eq "counted as parent" 2 "$(evidence parent)"
park forks i
before=$(counted mixed-unproven)
expect_like "tagged /child beside untagged" 'b[12]' "$(call forks /child "$gray")"
expect_eq "which counts as mixed-unproven" $((before + 1)) "$(counted mixed-unproven)"
until_ok 20 "the proof" prove forks
for path in /child /shell; do
	expect_eq "tagged $path beside untagged, proven" c1gray "$(call forks $path "$gray")"
done
park forks j "$gray"
expect_like "untagged /child beside both, proven" 'b[12]' "$(call forks /child)"
expect_like "i" 'b[12]' "$(go forks i)"
expect_eq "j" c1gray "$(go forks j)"

# One that was there before, or has come to it from another that has ended, is not. Nor one that was started while other
# requests were at work as well.
park forks k "$gray"
expect_eq "tagged /child beside k" c1gray "$(call forks /child "$gray")"
before=$(counted elsewhere)
echo "$asks >$LWT_TMP/helper" >&"$BESIDE"
expect_like "a process beside it" 'b[12]' "$(answer_of helper)"
expect_eq "which is one of the same pod, no more" $((before + 1)) "$(counted elsewhere)"
echo "( (read -r _ <$LWT_TMP/wait; $asks >$LWT_TMP/orphan; true) & )" >&"$BESIDE"
has_two() { [ "$(pgrep -c -P "${POD_PID[forks]}")" = 2 ]; }
until_ok 15 "the orphan to come to it" has_two
echo >"$LWT_TMP/wait"
expect_like "an orphan" 'b[12]' "$(answer_of orphan)"
expect_eq "untagged /leave" left "$(call forks /leave/l)"
req client "$(url forks /go/l)" >/dev/null
expect_like "what it has left" 'b[12]' "$(answer_of l)"
expect_eq "tagged /leave" left "$(call forks /leave/m "$gray")"
req client -H "$gray" "$(url forks /go/m)" >/dev/null
expect_eq "what it has left, and tagged alone since" c1gray "$(answer_of m)"
expect_eq "k" c1gray "$(go forks k)"
exec {BESIDE}>&-

# Nothing is left of what was counted: where no lane is at work nobody looks for evidence.
lanes_at_work() { pinned at_lanes | jq '[.[].formatted.value | select(. != 0)] | length'; }
no_lane_at_work() { [ "$(lanes_at_work)" = 0 ]; }
until_ok 15 "no lane to be at work" no_lane_at_work
park forks o "$gray"
expect_eq "namespaces where a lane is at work" 1 "$(lanes_at_work)"
kill -KILL "${POD_PID[forks]}"
until_ok 15 "none to be, once it is killed" no_lane_at_work
say ok
