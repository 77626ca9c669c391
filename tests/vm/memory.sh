#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# TCP runs out of memory (net.ipv4.tcp_mem), as many connections that nobody reads hold it: base requests pass as without an agent.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
grep -q laneway.guest= /proc/cmdline || fail "in a guest only: it takes TCP's memory from the whole machine"
need jq python3
setup
two_pods
tag='x-mse-tag: gray'
TCP_MEM=/proc/sys/net/ipv4/tcp_mem
was=$(cat "$TCP_MEM")
trap 'code=$?; echo "$was" >"$TCP_MEM"; teardown $code' EXIT

python3 "${BASH_SOURCE[0]%/*}/hog.py" 12 "$LWT_TMP/hogs" &
until_ok 60 "TCP's memory to be taken" test -e "$LWT_TMP/hogs"
used() { awk '/^TCP:/ { for (i = 1; i < NF; i++) if ($i == "mem") print $(i + 1) }' /proc/net/sockstat; }
said() { grep -q "$1" "$LWT_TMP/agent.log"; }

agent_start
expect_like "before" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "before, on a connection that stays" '200 c1gray\[*' "$(hold_get "$tag" /id)"
expect_like "before, base" '200 b1\[*' "$(hold_get '' /id)"
# one whose last request was steered, and one to the canary itself, on which base requests are for others
in_pod client python3 "$LWT_ROOT/tests/netns/clients/odd_client.py" "${POD_IP[b1]}" "$LWT_PORT" $((40 * LWT_SLOW)) \
	GET::/id GET:gray:/id "touch:$LWT_TMP/steered" "wait:$LWT_TMP/none" GET::/id GET:gray:/id >"$LWT_TMP/last" &
last=$!
in_pod client python3 "$LWT_ROOT/tests/netns/clients/odd_client.py" "${POD_IP[c1]}" "$LWT_PORT" $((40 * LWT_SLOW)) \
	GET:gray:/id "touch:$LWT_TMP/canary" "wait:$LWT_TMP/again" GET::/id GET:gray:/id >"$LWT_TMP/own" &
own=$!
until_ok 15 "both connections" test -e "$LWT_TMP/steered" -a -e "$LWT_TMP/canary"
# it takes as long as it is needed to
kill -STOP "${POD_PID[c1]}"
hold_send "$tag" /id
until_ok 15 "the request to be under way" eval 'lw flows -o json | jq -e ".flows[] | select(.requests == 3)"'

# little is left: what is under way ends, and then the connection is a plain one
echo "$(($(used) / 2)) $(($(used) * 3 / 4)) $(($(used) * 20 / 19))" >"$TCP_MEM"
until_ok 15 "word of it" said 'warn: TCP has .* of the .* pages that net.ipv4.tcp_mem lets it have'
[ "$(jq -r .mode "$LWT_TMP/json")" != msg ] || until_ok 20 "the one at rest to be left to TCP" eval '[ "$(flow_count)" = 2 ]'
kill -CONT "${POD_PID[c1]}"
expect_like "what was under way" '200 c1gray\[*' "$(hold_read)"
if [ "$(jq -r .mode "$LWT_TMP/json")" = msg ]; then
	expect_like "the next one" '200 b1\[*' "$(hold_get "$tag" /id)"
	until_ok 20 "the connection to be left to TCP" eval '[ "$(flow_count)" = 1 ]'
	expect_like "the one behind it" '200 b1\[*' "$(hold_get "$tag" /id)"
fi
expect_like "a new connection, base" 'b1\[*' "$(who client "$B1/id")"
expect_like "a new connection is not steered" 'b1\[*' "$(who client "$B1/id" -H "$tag")"
[ "$(counted tcp-memory)" -ge 2 ] || fail "counted: $(lw stats)"

# nothing is left: TCP gives every socket something all the same
echo "100 200 300" >"$TCP_MEM"
: >"$LWT_TMP/none"
if [ "$(jq -r .mode "$LWT_TMP/json")" = msg ]; then
	for i in 1 2 3 4 5; do
		expect_like "without memory, on the connection that stays" '200 b1\[*' "$(hold_get '' /id)"
	done
	wait $last
	expect_eq "without memory, where the last request was steered" "b1 c1gray b1 b1" "$(names_only <"$LWT_TMP/last")"
fi
expect_like "without memory, a new connection" 'b1\[*' "$(who client "$B1/id")"

echo "$was" >"$TCP_MEM"
until_ok 15 "word of the end of it" said 'TCP has memory again'
: >"$LWT_TMP/again"
wait $own
expect_like "again, on the canary's own address" "c1gray b[12] c1gray" "$(names_only <"$LWT_TMP/own")"
expect_like "again" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
hold_end
agent_stop
say ok
