#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an agent does where a map that it writes, or finds, is full: of the state, of connections, of upstream sockets. As in
# test_full.sh no base request is lost or in the canary meanwhile.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fill.sh"
need jq bpftool python3
setup
two_pods
targets
log_since() { sed -n "$((LOGGED + 1)),\$p" "$LWT_TMP/agent.log"; }
mark_log() { LOGGED=$(wc -l <"$LWT_TMP/agent.log"); }
logged() { grep -q "$1" <<<"$(log_since)"; }
generation() { lw status -o json | jq .generation; }

say "a map of the state is full: the state in force stays"
agent_start
fills full dests
mark_log
was=$(generation)
# a pod more, and another rule
POD_READY=False obj_pod b3 web "web-$(hash_of web)" "$(hash_of web)" "$LWT_NET.250" "" | put pod-b3
sed -i 's/value: xiaoming/value: xiaohong/' "$LWT_STATE/tr-web.yaml"
until_ok 15 "the agent to say so" logged 'put the state in force: Argument list too long, retrying'
expect_eq "the generation" "$was" "$(generation)"
lw status >"$LWT_TMP/status" && fail "status calls this steering" || true
base "dests"
lane "dests" c1gray
expect_like "dests: the rule as it was" 'c1gray\[*' "$(who client "$B1/id" -H 'x-user: xiaoming')"
expect_like "dests: not as it is to be" 'b[12]\[*' "$(who client "$B1/id" -H 'x-user: xiaohong')"
filled
state_sync
[ "$(generation)" -gt "$was" ] || fail "the new state is not in force"
expect_like "dests: the new rule" 'c1gray\[*' "$(who client "$B1/id" -H 'x-user: xiaohong')"
expect_like "dests: not the old one" 'b[12]\[*' "$(who client "$B1/id" -H 'x-user: xiaoming')"
as_before "dests"

say "connections that are enrolled are as many as there can be, and the agent is killed with many requests under way"
cat >"$LWT_TMP/many.py" <<'END'
# many.py IP PORT N: N tagged requests that take long, each on a connection of its own; prints how many are ended by a reset.
import socket, sys
conns = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]
for c in conns:
    c.sendall(b"GET /slow/600000 HTTP/1.1\r\nHost: web\r\nx-mse-tag: gray\r\n\r\n")
resets = 0
for c in conns:
    try:
        c.recv(1)
    except OSError:
        resets += 1
print(resets)
END
exec_pod client python3 "$LWT_TMP/many.py" "${POD_IP[b1]}" "$LWT_PORT" 300 >"$LWT_TMP/many" &
many=$!
under_way() { [ "$(lw flows -o json --limit 1000 | jq '[.flows[] | select(.route == "up")] | length')" = 300 ]; }
until_ok 60 "the requests to be under way" under_way
fills full flows
agent_kill
# in time, though a flow goes with each connection that is reset
agent_start
wait "$many"
expect_eq "resets" 300 "$(cat "$LWT_TMP/many")"
# the places that these had
until_ok 15 "the map flows to be full again" eval '[ "$(rows flows)" = 65536 ]'
base "flows, the next agent"
lane "flows, the next agent" 'b[12]'
expect_eq "counted" 9 "$(counted flows-full)"
filled
as_before "flows, the next agent"

say "upstream sockets: no row is left"
look no-sockets
fills full ups
base "ups"
# those that wait in a pool are used up; and one request is lost, which the agent has before it knows
mark_log
finds_out() { [[ $(who client "$B2/id" -H "$tag") == b* ]]; }
until_ok 15 "the agent to find out" finds_out
logged 'warn: no room for more upstream sockets .* another agent.s.: requests that need one follow their own peers; there can be no more' ||
	fail "the agent does not say so"
lane "ups" 'b[12]'
[ "$(more no-sockets)" -ge 1 ] || fail "ups: no-sockets was not counted"
filled
steers() { [[ $(who client "$B1/id" -H "$tag") == c1gray* ]]; }
until_ok 15 "requests to be steered" steers
as_before "ups"

say "upstream sockets: nearly all rows are another agent's, which this one takes over from: none is lost"
fills full ups $((65536 - 100 - $(rows ups)))
first=$AGENT_PID one=$LWT_SOCKET LWT_SOCKET=$LWT_TMP/second.sock
agent_start --take-over
look no-sockets
base "ups, another's"
lane "ups, another's" 'b[12]'
# the first of them the agent has carried to its own peer: it keeps a few for that
[ "$(more no-sockets)" -ge 1 ] || fail "ups, another's: no-sockets was not counted"
filled
until_ok 20 "requests to be steered" steers
as_before "ups, another's"
kill -TERM "$first"
wait "$first" || fail "the first agent's exit code is $?"
agent_stop
LWT_SOCKET=$one
say ok
