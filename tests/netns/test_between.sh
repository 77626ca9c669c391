#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How a process answers what it reads while no lane is open shows nothing, for good or ill: where requests begin is not known then.
. "$(dirname "$0")/lib.sh"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
release_end web web
middle m
agent_start
for path in /hand /call /hand; do
	expect_like "untagged $path, no lane open" 'b[12]' "$(call m $path)"
done
req client -Z --parallel-max 8 "$(url m "/call?[1-64]")" >/dev/null 2>&1
# one is still at work when the lane opens, and is answered by another thread
call m /later/x >"$LWT_TMP/x" &
until_ok 15 "a worker to have x" grep -q '^has x' "$LWT_TMP/m.log"
release_by_user web
state_sync
before=$(counted mixed-unread)
expect_like "tagged beside it" 'b[12]' "$(call m /call "$gray")"
expect_eq "as mixed-unread" $((before + 1)) "$(counted mixed-unread)"
go m x >/dev/null
expect_eq "proven by then" 0 "$(proven m)"
until_ok 20 "the proof" prove m
park m a
expect_eq "tagged beside untagged, proven" c1gray "$(call m /call "$gray")"
expect_like "a" 'b[12]' "$(go m a)"
say ok
