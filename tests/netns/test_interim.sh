#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A request counts until its answer begins, and an interim response is none; and from the moment on when its head is looked at, before it is read.
. "$(dirname "$0")/lib.sh"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
LOOKS=1 middle m
agent_start

for path in /call /hints /pieces; do
	expect_eq "tagged $path" c1gray "$(call m $path "$gray")"
done
park m a "$gray"
for path in /hints /pieces; do
	before=$(counted mixed-unproven)
	expect_like "untagged $path beside tagged" 'b[12]' "$(call m $path)"
	expect_eq "$path counts as mixed-unproven" $((before + 1)) "$(counted mixed-unproven)"
done
# one that is worked on before it is read
call m /look/b >"$LWT_TMP/b" &
until_ok 10 "b to be looked at" more_at_work m 1
before=$(counted mixed-unread)
expect_like "b, untagged, looked at beside tagged" 'b[12]' "$(go m b)"
expect_eq "b counts as mixed-unread" $((before + 1)) "$(counted mixed-unread)"
expect_eq "a" c1gray "$(go m a)"
expect_eq "nothing is left of them" 0 "$(at_work m)"
# nor was one looked at read before the one before was answered
until_ok 20 "the proof" prove m

# A final answer is one however short it is, whatever the request expects.
hold client "${POD_IP[m]}" "$LWT_PORT"
expect_like "the answer to one that expects" '200 *' "$(hold_get 'Expect: 100-continue' /call)"
expect_eq "which is no longer at work" 0 "$(at_work m)"
hold_end
say ok
