#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an administrator can take away from everybody for as long as the machine runs, which is why this is a guest's last suite:
# descriptors of other processes (kernel.yama.ptrace_scope=3), and what kernel programs may read (lockdown=confidentiality).
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
grep -q laneway.guest= /proc/cmdline || fail "in a guest only: nothing of this can be taken back"
need jq python3
setup
two_pods
agent=("$LANEWAY" agent --state "$LWT_STATE" --socket "$LWT_SOCKET" --bpffs "$LWT_BPFFS" --cgroup "$LWT_CGROUP")

# refused WHAT GLOB: no agent starts any more, it says why in one line, and requests go where they are sent.
refused() {
	local code=0
	timeout $((20 * LWT_SLOW)) "${agent[@]}" >"$LWT_TMP/out" 2>&1 || code=$?
	expect_eq "$1: exit code" 4 "$code"
	expect_like "$1" "error: $2" "$(cat "$LWT_TMP/out")"
	expect_eq "$1: lines" 1 "$(wc -l <"$LWT_TMP/out")"
	expect_like "$1: requests pass" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
}

if [ -e /proc/sys/kernel/yama/ptrace_scope ]; then
	agent_start
	expect_like "before" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
	sysctl -qw kernel.yama.ptrace_scope=3
	# under an agent that runs: a response is whole; its end is a reset, and the log says why
	in_pod client timeout $((20 * LWT_SLOW)) python3 "$LWT_ROOT/tests/netns/clients/until_end.py" \
		"${POD_IP[b1]}" "$LWT_PORT" 1 >"$LWT_TMP/out" 2>&1 || true
	case $(jq -r .mode "$LWT_TMP/json") in
	msg) expect_like "the end of a response" '*ConnectionAbortedError*' "$(cat "$LWT_TMP/out")" ;;
	esac
	expect_like "said" '*warn: end a client connection of process * behind its response: Operation not permitted, resetting it*' \
		"$(cat "$LWT_TMP/agent.log")"
	agent_stop
	refused "no descriptors" "the agent may take no descriptor of another process (pidfd_getfd(2): *): *ptrace_scope*"
	shut=1
fi
[ -e /sys/kernel/security/lockdown ] || mount -t securityfs none /sys/kernel/security || true
if [ -e /sys/kernel/security/lockdown ]; then
	echo confidentiality >/sys/kernel/security/lockdown
	refused "locked down" "the kernel is locked down (*): *lockdown=integrity*"
	shut=1
fi
[ "${shut-}" ] || not_here "neither Yama nor lockdown is in this kernel"
say ok
