#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One agent after another under load: beside one another (surge) and after one another (restart, kill), of the same build and of
# another, whose programs and maps are not the same.
. "$(dirname "$0")/lib.sh"
world
NEXT=$LWT_BUILD/next/laneway
[ -x "$NEXT" ] || fail "$NEXT is not built: make next"
threads=$((2 * LOAD_THREADS)) turns=0
rounds=$((3 * FAULT_SCALE))

# take_over BINARY: an agent beside the one at work. Returns once it steers, and the other has ended on SIGTERM.
take_over() {
	local old=$AGENT_PID since
	turns=$((turns + 1))
	since=$(ms)
	LWT_SOCKET=$LWT_TMP/agent$turns.sock
	"$1" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
		--device "lwv$$x*" --take-over >>"$LWT_TMP/agent.log" 2>&1 &
	AGENT_PID=$!
	until_ok 30 "the next agent to steer" lw status
	TOOK=$(($(ms) - since))
	pause 0.5 # both are there
	kill -TERM "$old"
	wait "$old" || fail "the earlier agent's exit code is $?"
}
# How often the log says it since the mark.
mark() { LOG_AT=$(wc -l <"$LWT_TMP/agent.log"); }
said() { tail -n +$((LOG_AT + 1)) "$LWT_TMP/agent.log" | grep -c "$1" || true; }
agent_of() { LANEWAY=$1 agent_start "${@:2}"; }

if case_wanted surge; then
	agent_start
	mark
	load surge # no request of the lane may be answered by base
	for _ in $(seq "$rounds"); do
		pause 1
		take_over "$LANEWAY"
		pause 1
	done
	load_end surge
	result surge "surge, same build, $rounds times" "the last steered after $TOOK ms"
	expect_eq "taken over with the same maps" "$rounds" "$(said 'with the same maps')"
	judge surge 0 0
	agent_stop
fi

if case_wanted surge-next; then
	agent_start
	mark
	load next --may-fall-back
	for _ in $(seq "$rounds"); do
		pause 1
		take_over "$NEXT"
		pause 1
		take_over "$LANEWAY"
	done
	pause 1
	load_end next
	result next "surge, another build, $((2 * rounds)) times" "the last steered after $TOOK ms"
	expect_eq "taken over with the same maps" 0 "$(said 'with the same maps')"
	# what is by base came on connections that the earlier agent had enrolled, after it had ended
	judge next 0 0
	load_for 2 after
	result after "afterwards"
	judge after 0 0
	expect_eq "nothing of the earlier agents is left" "" "$(find "$LWT_BPFFS" -name laneway_old)"
	agent_stop
fi

# As a DaemonSet does it that does not surge: what an agent leaves to the next one.
if case_wanted restart; then
	agent_start --leave-hooks always
	load restart --may-fall-back
	for _ in $(seq "$rounds"); do
		pause 1
		agent_stop
		pause 1
		mark
		agent_start --leave-hooks always
		expect_eq "gone on with" 1 "$(said 'going on with what an earlier agent')"
	done
	pause 1
	load_end restart
	result restart "SIGTERM with --leave-hooks, then the same build, $rounds times"
	judge restart 0 0
	load_for 2 after
	result after "afterwards"
	judge after 0 0
	agent_stop
	"$LANEWAY" cleanup --bpffs "$LWT_BPFFS" >/dev/null
fi

if case_wanted restart-next; then
	agent_start
	load term --may-fall-back
	for next in "$NEXT" "$LANEWAY" "$NEXT"; do
		pause 1
		agent_stop
		agent_of "$next"
	done
	pause 1
	load_end term
	result term "SIGTERM, then another build, 3 times"
	judge term 0 0
	agent_stop
fi

if case_wanted kill-next; then
	agent_start
	load kill --may-fall-back
	for next in "$NEXT" "$LANEWAY" "$NEXT"; do
		pause 1
		agent_kill
		agent_of "$next"
	done
	pause 1
	load_end kill
	result kill "kill -9, then another build, 3 times"
	judge kill 0 $((3 * threads / 4))
	agent_stop
fi

# The successor is killed in the middle of its first second, again and again: the earlier agent goes on.
if case_wanted successor-dies; then
	agent_start
	load dies --may-fall-back
	first=$AGENT_PID socket=$LWT_SOCKET
	for i in $(seq "$rounds"); do
		"$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_TMP/dies$i.sock" \
			--device "lwv$$x*" --take-over >>"$LWT_TMP/agent.log" 2>&1 &
		AGENT_PID=$!
		LWT_SOCKET=$LWT_TMP/dies$i.sock
		until_ok 30 "the next agent to steer" lw status
		agent_kill
		AGENT_PID=$first LWT_SOCKET=$socket
		until_ok 30 "the first agent to steer again" lw status
		pause 1
	done
	load_end dies
	result dies "successor killed, $rounds times: the earlier agent goes on"
	judge dies 0 $((rounds * threads / 4))
	agent_stop
fi
say ok
