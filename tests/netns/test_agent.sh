#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent comes and goes: base traffic does not depend on it, and it leaves nothing behind.
. "$(dirname "$0")/lib.sh"
need bpftool
setup
two_pods
agent_start
tag='x-mse-tag: gray'

on_devices() { bpftool -j net show | jq -r --arg p "lwv$$x" '.[].tc[] | select(.devname | startswith($p)) | .devname'; }
[ -n "$(hooks)" ] && [ -n "$(pins)" ] || fail "a running agent has programs attached and pinned"

# Unless whoever has started it says otherwise.
mine=$(nice)
[ "$mine" != 0 ] || mine=-10
expect_eq "it goes before others" "$mine" "$(awk '{ print $19 }' "/proc/$AGENT_PID/stat")"

expect_eq "nobody locks its memory to make huge pages of it" 0 "$(awk '/^THP_enabled:/ { print $2 }' "/proc/$AGENT_PID/status")"

# Of a killed process the last descriptor is closed first: that has to be where requests are handed to the agent (user/kern/punt.c).
last=$(find "/proc/$AGENT_PID/fd" -mindepth 1 -printf '%f\n' | sort -n | tail -n 1)
into=$(ss -tneH state established src 127.0.0.1 dst 127.0.0.1 | grep -c " ino:$(readlink "/proc/$AGENT_PID/fd/$last" | tr -cd 0-9) " || true)
expect_eq "its last descriptor is a connection to itself" 1 "$into"

hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "with the agent" '200 b1\[*' "$(hold_get '' /id)"
expect_like "with the agent, tagged" '200 c1gray\[*' "$(hold_get "$tag" /id)"
agent_kill
for i in $(seq 1 20); do
	expect_like "killed: base on the old connection" '200 b1\[*' "$(hold_get '' "/size/$i")"
	expect_like "killed: base on a new connection" 'b1\[*' "$(who client "$B1/id")"
done
expect_like "killed: a tagged request is answered" '200 *' "$(hold_get "$tag" /id)"
expect_like "killed: a tagged request on a new connection is answered" '*\[*' "$(who client "$B1/id" -H "$tag")"

# A new agent beside the leftovers.
agent_start
expect_like "restarted, tagged" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
expect_like "restarted: base on the old connection" '200 *' "$(hold_get '' /id)"
# refused WHY SOCKET BPFFS: an agent that does not start.
refused() {
	if timeout $((20 * LWT_SLOW)) "$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$3" --socket "$2" >"$LWT_TMP/second.log" 2>&1; then
		fail "$1: an agent should refuse"
	fi
	grep -q "$1" "$LWT_TMP/second.log" || fail "not '$1', but $(cat "$LWT_TMP/second.log")"
}
refused "another agent is at work" "$LWT_TMP/second.sock" "$LWT_BPFFS"
# nor with places of its own: both would take the same connections
mkdir "$LWT_TMP/bpffs2"
mount -t bpf "lwt$$" "$LWT_TMP/bpffs2"
code=0
(trap - EXIT && refused "or the same cgroup" "$LWT_TMP/third.sock" "$LWT_TMP/bpffs2") || code=$?
umount "$LWT_TMP/bpffs2"
expect_eq "one on the same cgroup" 0 "$code"
expect_like "the first still steers" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"

# One that is stopped is taken for gone after a second; when it goes on it says how long that was, and that neither work nor the machine kept it.
kill -STOP "$AGENT_PID"
# what is handed to it before that waits for it
taken_for_gone() {
	local beat up
	beat=$(pinned config | jq '.[0].formatted.value.heartbeat_ns')
	read -r up _ </proc/uptime
	awk -v beat="$beat" -v up="$up" 'BEGIN { exit !(up * 1e9 - beat > 1.1e9) }'
}
until_ok 15 "its last sign of life to be old" taken_for_gone
is_stale() { [[ $(who client "$B1/id" -H "$tag") == 'b1['* ]]; }
until_ok 15 "a tagged request on a connection of its own to follow its peer" is_stale
kill -CONT "$AGENT_PID"
until_ok 15 "the agent to say that it was away" grep -q 'agent gave no sign of life' "$LWT_TMP/agent.log"
away=$(sed -n 's/.* no sign of life for \([0-9]*\) ms (it worked \([0-9]*\) ms of it, waited \([0-9]*\) ms .*/\1 \2 \3/p' "$LWT_TMP/agent.log" | tail -n 1)
read -r away worked waited <<<"$away"
[ "$away" -ge 1000 ] && [ $((worked + waited)) -lt $((away / 2)) ] || fail "of $away ms that it was stopped it worked $worked ms and waited $waited ms"
agent_stop
expect_eq "SIGTERM leaves in the cgroup" "" "$(hooks)"
expect_eq "SIGTERM leaves on devices" "" "$(on_devices || true)"
expect_eq "SIGTERM leaves pins" "" "$(pins)"
for i in 1 2 3; do
	expect_like "stopped: base on the old connection" '200 *' "$(hold_get '' /id)"
done
hold_end
expect_like "stopped: tagged goes where it was sent" 'b1\[*' "$(who client "$B1/id" -H "$tag")"

agent_start
agent_kill
"$LANEWAY" cleanup --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET"
expect_eq "cleanup leaves in the cgroup" "" "$(hooks)"
expect_eq "cleanup leaves pins" "" "$(pins)"
expect_like "after cleanup" 'b1\[*' "$(who client "$B1/id")"

# Fail closed: what cannot go to its lane goes nowhere, base goes on.
agent_start --fail-closed
expect_like "fail closed, tagged" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
agent_kill
for i in 1 2 3; do
	got=$(REQ_TIME=5 who client "$B1/id" -H "$tag" 2>/dev/null || true)
	case $got in b*) fail "fail closed: a tagged request was answered by $got" ;; esac
	expect_like "fail closed: base" 'b1\[*' "$(who client "$B1/id")"
done

# Nor while the next agent starts, nor on a connection of before: until its first state is in force the old hooks refuse.
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "fail closed, no agent: base on a kept connection" '200 b1\[*' "$(hold_get '' /id)"
(
	trap - EXIT
	while [ ! -e "$LWT_TMP/enough" ]; do
		REQ_TIME=5 who client "$B1/id" -H "$tag" 2>/dev/null || true
		echo
	done
) >"$LWT_TMP/meanwhile" &
asker=$!
until_ok 15 "a request before the next agent" test -s "$LWT_TMP/meanwhile"
agent_start --fail-closed
until_ok 15 "a request that the next agent steers" grep -q c1gray "$LWT_TMP/meanwhile"
touch "$LWT_TMP/enough"
wait "$asker"
if grep '^b' "$LWT_TMP/meanwhile"; then fail "fail closed: tagged requests were answered by base while the next agent started"; fi
got=$(hold_get "$tag" /id 2>/dev/null || true)
case $got in '200 b'*) fail "fail closed: a connection of before led a tagged request to base: $got" ;; esac
expect_eq "nothing of the old agent is left" "" "$(find "$LWT_BPFFS" -name 'laneway_old*')"
agent_stop
expect_eq "SIGTERM leaves pins" "" "$(pins)"

# What is in the place of its socket, and is none, is somebody's.
echo mine >"$LWT_TMP/file"
refused "no socket" "$LWT_TMP/file" "$LWT_BPFFS"
expect_eq "the file" mine "$(cat "$LWT_TMP/file")"
expect_eq "an agent that refuses leaves pins" "" "$(pins)"
say ok
