#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An agent goes on with what another one has left, and is killed before its first state is in force. What was counted in its time is
# void for the next one, as what any other has counted: nothing of it is taken off what is at work since.
. "$(dirname "$0")/lib.sh"
need strace
setup
two_pods
. "$(dirname "$0")/tasks.sh"
middle m
hold client "${POD_IP[m]}" "$LWT_PORT" # a connection that it looks for
agent_start
expect_eq "tagged" c1gray "$(call m /call "$gray")"
agent_kill

# It stops where it enters the first namespace to look for connections that pods have accepted: its hooks count by then.
strace -qq -o "$LWT_TMP/strace" -e trace=setns -e inject=setns:signal=STOP:when=1 "$LANEWAY" agent --state "$LWT_STATE" \
	--cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" --device "lwv$$x*" >"$LWT_TMP/second.log" 2>&1 &
strace=$!
until_ok 20 "the second agent to stop" strace_stopped
park m a
AGENT_PID=$(pgrep -P $strace)
kill -9 "$AGENT_PID"
wait $strace 2>/dev/null || true

agent_start
go m a >/dev/null
park m b "$gray"
# For some seconds work is no evidence, as the kernel's clock does not tell whether a connection's last bytes came or went: then each is
# told apart, and has to be base as before.
told_apart() {
	expect_like "untagged beside tagged" 'b[12]' "$(call m /call)"
	[ "$(counted mixed)" != 0 ] || [ "$(counted mixed-unproven)" != 0 ]
}
until_ok 20 "work to be evidence again" told_apart
expect_eq "b" c1gray "$(go m b)"
expect_eq "nothing is left of these" 0 "$(at_work m)"
expect_eq "tagged, in the end" c1gray "$(call m /call "$gray")"
hold_end
say ok
