#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A kernel that is too old, a right or a mount that is missing: one clear sentence, exit code 4, and nothing attached.
. "$(dirname "$0")/lib.sh"
need bpftool python3 setpriv setarch unshare
setup
two_pods

# refused WHAT GLOB COMMAND...: COMMAND runs the agent, which says one line like GLOB and ends.
refused() {
	local what=$1 glob=$2 code=0
	shift 2
	timeout $((20 * LWT_SLOW)) "$@" >"$LWT_TMP/out" 2>&1 || code=$?
	expect_eq "$what: exit code" 4 "$code"
	expect_like "$what" "error: $glob" "$(cat "$LWT_TMP/out")"
	expect_eq "$what: lines" 1 "$(wc -l <"$LWT_TMP/out")"
	expect_eq "$what leaves in the cgroup" "" "$(hooks)"
	expect_eq "$what leaves pins" "" "$(pins)"
	expect_like "$what: requests pass" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
}
common=("$LANEWAY" agent --state "$LWT_STATE" --socket "$LWT_SOCKET")
agent=("${common[@]}" --bpffs "$LWT_BPFFS" --cgroup "$LWT_CGROUP")

# uname(2) says 2.6 to a process that asks for that
refused "an old kernel" "Linux 2.6.* is too old: laneway needs 6.1 or newer" setarch "$(uname -m)" --uname-2.6 "${agent[@]}"
refused "no types" "read '/sys/kernel/btf/vmlinux': No such file or directory; * CONFIG_DEBUG_INFO_BTF*" \
	unshare --mount bash -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' - "${agent[@]}"
for cap in sys_admin net_admin sys_ptrace; do
	refused "without $cap" "the agent lacks CAP_${cap^^} (*): start it as root*" setpriv --bounding-set=-$cap "${agent[@]}"
done
refused "without dac_read_search" "the agent lacks CAP_DAC_READ_SEARCH (*): *" \
	setpriv --bounding-set=-dac_read_search,-dac_override "${agent[@]}"
refused "without two" "the agent lacks CAP_SYS_ADMIN (*) and CAP_NET_ADMIN (*): *" \
	setpriv --bounding-set=-net_admin,-sys_admin "${agent[@]}"
refused "a PID namespace of its own" "the agent is in a PID namespace of its own: *hostPID*" \
	unshare --pid --fork --mount-proc "${agent[@]}"
refused "without pidfd_getfd" "the agent may take no descriptor of another process (pidfd_getfd(2): Operation not permitted): *ptrace_scope*" \
	python3 "$LWT_ROOT/tests/netns/clients/refuse.py" 438 "${agent[@]}"
refused "the self-tests without pidfd_getfd" "the agent may take no descriptor of another process *" \
	python3 "$LWT_ROOT/tests/netns/clients/refuse.py" 438 "$LANEWAY" agent --self-test
refused "a folder that is no cgroup" "'$LWT_TMP' is no folder of a cgroup2 hierarchy: *--cgroup" \
	"${common[@]}" --bpffs "$LWT_BPFFS" --cgroup "$LWT_TMP"
refused "no cgroup2" "find the cgroup2 root: none is mounted; *--cgroup" \
	unshare --mount bash -c 'umount -a -t cgroup2 && exec "$@"' - "${common[@]}" --bpffs "$LWT_BPFFS"

# Version 2 below version 1, as systemd mounts it where both are in use: found there.
mkdir -p "$LWT_TMP/v1/unified"
unshare --mount --propagation private bash -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' - "$LWT_CGROUP" "$LWT_TMP/v1/unified" \
	"${common[@]}" --bpffs "$LWT_BPFFS" --cgroup "$LWT_TMP/v1" --device "lwv$$x*" >"$LWT_TMP/agent.log" 2>&1 &
AGENT_PID=$!
until_ok 20 "the agent's socket" agent_answers
lw status --wait $((10 * LWT_SLOW)) >/dev/null || not_here "the agent steers nothing here"
expect_like "said" "*'$LWT_TMP/v1' is of cgroup version 1: version 2 is at '$LWT_TMP/v1/unified'*" "$(cat "$LWT_TMP/agent.log")"
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
agent_stop
say ok
