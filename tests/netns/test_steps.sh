#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Release steps under load: a lane opens, changes and closes, and no request is lost, doubled or of two minds.
. "$(dirname "$0")/lib.sh"
setup
two_pods --ids "$LWT_TMP/ids"
agent_start
rule='matches: [{headers: [{name: x-user, value: xiaoming}]}]
requestHeaderModifier: {set: [{name: x-mse-tag, value: gray}]}'

exec_pod client python3 "$LWT_ROOT/tests/netns/clients/load.py" "$LWT_TMP/stop" "$LWT_TMP/weights" "$LWT_PORT" \
	"${POD_IP[b1]}" "${POD_IP[b2]}" "${POD_IP[c1]}" >"$LWT_TMP/load" 2>&1 &
load=$!
until_ok 15 "the load to run" test -s "$LWT_TMP/load"
for i in $(seq "$([ "$LWT_SLOW" = 1 ] && echo 6 || echo 3)"); do
	release_end web web
	closed() { lw lanes -o json | jq -e 'all(.lanes[]; .open | not)'; }
	until_ok 15 "the lane to close" closed
	expect_like "closed: tagged" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
	release web web <<<"$rule"
	state_sync
	expect_eq "open, in turn" "b1 c1gray b1" \
		"$(in_turn client "$B1/id" "" "x-user: xiaoming" "" | names_only | paste -sd ' ')"
	echo >>"$LWT_TMP/weights"
	release web web <<<"weight: $((i * 10))"
	state_sync
	release web web <<<"${rule/xiaoming/li}"
	state_sync
	echo >>"$LWT_TMP/weights"
	expect_like "edited: the old value" 'b1\[*' "$(who client "$B1/id" -H 'x-user: xiaoming')"
	expect_like "edited: the new value" 'c1gray\[*' "$(who client "$B1/id" -H 'x-user: li')"
done
touch "$LWT_TMP/stop"
wait "$load" || fail "under load: $(tail -n 5 "$LWT_TMP/load")"
tail -n 1 "$LWT_TMP/load"
expect_eq "requests that arrived twice" "" "$(sort "$LWT_TMP/ids" | uniq -d | head -n 5)"
expect_eq "requests that arrived" "$(tail -n 1 "$LWT_TMP/load" | awk '{ print $1 }')" "$(wc -l <"$LWT_TMP/ids")"

# A pod whose file goes away has no request any more once status says that the state is in force, and has had some until then.
pod c2 web canary
put_pod c2
state_sync
canaries() { for _ in {1..12}; do echo "$(who client "$B1/id" -H 'x-user: li')"; done | names_only | sort -u | paste -sd ' '; }
for i in 1 2 3; do
	expect_eq "two canaries" "c1gray c2gray" "$(canaries)"
	del pod-c2
	state_sync
	expect_eq "one" c1gray "$(canaries)"
	put_pod c2
	state_sync
done
say ok
