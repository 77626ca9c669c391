#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An agent's place is taken by another: after a kill, and while it is at work. What it had enrolled is steered on.
. "$(dirname "$0")/lib.sh"
need bpftool
setup
two_pods
agent_start
tag='x-mse-tag: gray'
map_id() { bpftool -j map show pinned "$LWT_BPFFS/laneway/flows" | jq .id; }

# second NAME [OPTIONS]: another agent that takes over, once it steers. Leaves the first one's pid in OLD_PID.
second() {
	local socket=$LWT_TMP/$1.sock
	shift
	OLD_PID=$AGENT_PID OLD_SOCKET=$LWT_SOCKET
	LWT_SOCKET=$socket
	"$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
		--device "lwv$$x*" --take-over "$@" >>"$LWT_TMP/agent.log" 2>&1 &
	AGENT_PID=$!
	until_ok 30 "the second agent to steer" lw status
}
old_ends() {
	kill -TERM "$OLD_PID"
	wait "$OLD_PID" || fail "the first agent's exit code is $?"
}

hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "before, tagged" '200 c1gray\[*' "$(hold_get "$tag" /id)"
expect_like "before, base" '200 b1\[*' "$(hold_get '' /id)"
maps=$(map_id)

# killed: the connection, and one made meanwhile, are steered by the next agent
agent_kill
expect_like "killed: base" '200 b1\[*' "$(hold_get '' /id)"
expect_like "killed: tagged follows its own peer" '200 b1\[*' "$(hold_get "$tag" /id)"
agent_start
expect_eq "the maps are the same" "$maps" "$(map_id)"
for i in 1 2 3; do
	expect_like "restarted: tagged, on the connection of before" '200 c1gray\[*' "$(hold_get "$tag" /id)"
	expect_like "restarted: base, on the connection of before" '200 b1\[*' "$(hold_get '' "/size/$i")"
done
# the rows of sockets that it closes are kept for a while, as by the agent that has loaded all programs (gone.c)
is_kept() {
	who client "$B1/id" -H "$tag" >/dev/null
	pinned ups | jq -e 'any(.[].formatted.value; .flags % 1024 >= 512)'
}
until_ok 20 "the row of a closed socket to be kept" is_kept
hold_end
until_ok 15 "the flow to go with its connection" eval '[ "$(flow_count)" = 0 ]'
agent_kill
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "no agent: base on a new connection" '200 b1\[*' "$(hold_get '' /id)"
# A Service that has the canary among its pods: what the node's choice would give it, it does not get for a while. The agent must have
# been silent for longer than it takes to be held for dead.
until_ok 15 "the agent to be held for dead" silent
kube_proxy client "${APP_VIP[web]}" 80 c1 c1
for i in 1 2 3 4; do
	expect_like "no agent: base by the Service" 'b[12]\[*' "$(who client "http://${APP_VIP[web]}/id")"
done
agent_start
expect_like "a connection made without an agent is steered" '200 c1gray\[*' "$(hold_get "$tag" /id)"

# told to end, with --leave-hooks: the same, and what is under way is let finish
hold_end
agent_stop
agent_start --leave-hooks always
maps=$(map_id)
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "before, tagged" '200 c1gray\[*' "$(hold_get "$tag" /id)"
# Another connection, which has an upstream socket, as the one above.
mkfifo "$LWT_TMP/ask"
exec_pod client python3 "$LWT_ROOT/tests/netns/clients/hold.py" "${POD_IP[b1]}" "$LWT_PORT" <"$LWT_TMP/ask" >"$LWT_TMP/answers" &
other=$!
exec {ask}>"$LWT_TMP/ask"
answers() { [ "$(wc -l <"$LWT_TMP/answers")" = "$1" ]; }
at_work() { pinned config | jq '.[0].formatted.value.agent'; }
printf '%s\t/id\n' "$tag" >&"$ask"
until_ok 15 "the second connection's first answer" answers 2
# it takes as long as it is needed to; an agent that ends waits 5 s for it
kill -STOP "${POD_PID[c1]}"
hold_send "$tag" /id
until_ok 15 "the request to be under way" eval 'lw flows -o json | jq -e ".flows[] | select(.requests == 2)"'
before=$(at_work)
kill -TERM "$AGENT_PID"
until_ok 15 "the agent to be at work no more" eval '[ "$(at_work)" != "$before" ]'
left=$(at_work)
# an object changes: to put that in force would make the agent the one at work again, and requests go to sockets that it closes
POD_READY=False put_pod b2
kill -0 "$AGENT_PID" || fail "the agent has ended before the object changed"
printf '%s\t/slow/6000\n' "$tag" >&"$ask"
kill -CONT "${POD_PID[c1]}"
expect_like "ended: what was under way" '200 c1gray\[*' "$(hold_read)"
expect_eq "ended: whose the programs are, though an object has changed" "$left" "$(at_work)"
wait "$AGENT_PID" || fail "the agent's exit code is $?"
AGENT_PID=
until_ok 20 "the second connection's answer" answers 3
expect_like "ended: tagged, while the agent ended" '200 b1\[*' "$(tail -n 1 "$LWT_TMP/answers")"
exec {ask}>&-
wait "$other" || fail "the second connection's client failed"
put_pod b2
expect_like "ended: tagged follows its own peer" '200 b1\[*' "$(hold_get "$tag" /id)"
expect_like "ended: base" '200 b1\[*' "$(hold_get '' /id)"
until_ok 15 "the agent to be held for dead" silent
kube_proxy client "${APP_VIP[web]}" 80 c1 c1
for i in 1 2 3 4; do
	expect_like "ended: base by the Service" 'b[12]\[*' "$(who client "http://${APP_VIP[web]}/id")"
done
# a request whose body is still to come when the next agent starts: what looks like a head in it is none
exec_pod client python3 "$LWT_ROOT/tests/netns/clients/later.py" "${POD_IP[b1]}" "$LWT_PORT" "$LWT_TMP/go" >"$LWT_TMP/later" &
later=$!
until_ok 15 "its head to be sent" grep -q head "$LWT_TMP/later"
agent_start
expect_eq "the maps are the same" "$maps" "$(map_id)"
touch "$LWT_TMP/go"
wait "$later"
expect_eq "a body begun without an agent" "b1 whole" "$(tail -n 1 "$LWT_TMP/later")"
expect_like "started: tagged, on the connection of before" '200 c1gray\[*' "$(hold_get "$tag" /id)"

# another lane opens before the next one starts, and gets another number
agent_kill
app shop blue
pod s1 shop base
pod s2 shop canary
release shop shop <<-END
	matches: [{headers: [{name: x-user, value: blue}]}]
	requestHeaderModifier: {set: [{name: x-mse-tag, value: blue}]}
END
agent_start
expect_like "two lanes: the old connection is in the old one" '200 c1gray\[*' "$(hold_get "$tag" /id)"
expect_like "two lanes: the new one" 's2blue\[*' "$(who client "http://${POD_IP[s1]}:$LWT_PORT/id" -H 'x-mse-tag: blue')"

# what is closed while there is none leaves nothing
agent_kill
hold_end
expect_eq "flows of closed connections" null "$(pinned flows | jq '.[0]')"
agent_start

# beside a running one: without being told to, it does not
if "$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_TMP/third.sock" \
	2>"$LWT_TMP/third.log"; then
	fail "a second agent beside the first should refuse"
fi
grep -q -- --take-over "$LWT_TMP/third.log" || fail "it does not say how: $(cat "$LWT_TMP/third.log")"

hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "before taking over" '200 c1gray\[*' "$(hold_get "$tag" /id)"
# a request that is on an upstream socket of the first agent while the second takes over
kill -STOP "${POD_PID[c1]}"
hold_send "$tag" /id
until_ok 15 "the request to be under way" eval 'lw flows -o json | jq -e ".flows[] | select(.requests == 2)"'
lw trace --lane gray >"$LWT_TMP/traced-one" 2>&1 &
tracer=$!
until_ok 15 "the first agent to trace" test -s "$LWT_TMP/traced-one"
second two
code=0
wait "$tracer" || code=$?
expect_eq "who traces at the first agent is told that there is no more" 3 "$code"
lw trace --lane gray --count 5 >"$LWT_TMP/traced-two" 2>&1 &
tracer=$!
until_ok 15 "the second agent to trace" test -s "$LWT_TMP/traced-two"
expect_eq "the maps are the same" "$maps" "$(map_id)"
kill -CONT "${POD_PID[c1]}"
expect_like "the answer of before" '200 c1gray\[*' "$(hold_read)"
for i in 1 2 3; do
	expect_like "taken over: tagged" '200 c1gray\[*' "$(hold_get "$tag" /id)"
	expect_like "taken over: base" '200 b1\[*' "$(hold_get '' /id)"
done
got=$(timeout $((10 * LWT_SLOW)) "$LANEWAY" status --socket "$OLD_SOCKET") && fail "the first agent still says that it steers"
[[ $got == *"another agent has taken over"* ]] || fail "the first agent does not say why: $got"
if timeout $((10 * LWT_SLOW)) "$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --take-over \
	--socket "$LWT_TMP/third.sock" 2>"$LWT_TMP/third.log"; then
	fail "while the first agent lives, nobody takes over from the second"
fi
old_ends
expect_like "the first has ended: tagged" '200 c1gray\[*' "$(hold_get "$tag" /id)"
expect_like "the first has ended: new connection" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
wait "$tracer" || fail "the second agent has not told of all five requests: $(cat "$LWT_TMP/traced-two")"

# the second ends by itself: the first one takes its place again
second three
pid=$AGENT_PID
kill -9 "$AGENT_PID"
wait "$AGENT_PID" 2>/dev/null || true
AGENT_PID=$OLD_PID LWT_SOCKET=$OLD_SOCKET
until_ok 30 "the first agent to steer again" lw status
expect_like "again the first: tagged" '200 c1gray\[*' "$(hold_get "$tag" /id)"
grep -q "agent $pid, which took over from this one, is gone" "$LWT_TMP/agent.log" || fail "the log does not say what happened"
hold_end
agent_stop
expect_eq "SIGTERM leaves in the cgroup" "" "$(hooks)"
expect_eq "SIGTERM leaves pins" "" "$(find "$LWT_BPFFS" -name 'laneway*')"

# In a container on a node without a bpffs, what is pinned goes with the container: said to who wants hooks to be left.
mkdir "$LWT_TMP/empty"
unshare --mount "$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_TMP/empty" --socket "$LWT_TMP/alone.sock" \
	--leave-hooks always 2>"$LWT_TMP/alone.log" &
pid=$!
until_ok 20 "word of it" grep -q "no bpffs was mounted on '$LWT_TMP/empty': the one mounted now ends with this container" "$LWT_TMP/alone.log"
until_ok 20 "it to steer" grep -q '^info: steering' "$LWT_TMP/alone.log"
kill -TERM $pid
wait $pid || fail "its exit code is $?"
say ok
