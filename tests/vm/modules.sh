#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A machine that takes long to load a module, as one does that boots: the first who asks about sockets has the kernel load some, and an agent waits.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
grep -q laneway.guest= /proc/cmdline || fail "in a guest only: it takes away modules, and changes how they are loaded"
need jq
modules() { lsmod | awk '/^(tcp|udp|raw|inet|mptcp)_diag / { print $1 }'; }
case $(modinfo -n tcp_diag) in
*.ko*) ;;
*builtin*) say "n/a: tcp_diag is no module of this kernel" && exit 0 ;;
*) skip "no module tcp_diag" ;;
esac
setup
two_pods
for _ in 1 2; do
	# in the order of what needs what
	for m in $(modules); do rmmod "$m" 2>/dev/null || true; done
done
expect_eq "modules that tell of sockets" "" "$(modules)"
# two of them are asked for: more than the second that any other wait is given up after, and far from the ten that an agent waits
cat >"$LWT_TMP/modprobe" <<'END'
#!/bin/sh
sleep 2
exec /sbin/modprobe "$@"
END
chmod +x "$LWT_TMP/modprobe"
before=$(sysctl -n kernel.modprobe)
sysctl -qw kernel.modprobe="$LWT_TMP/modprobe"
agent_start
sysctl -qw kernel.modprobe="$before"
expect_eq "modules that tell of sockets" 1 "$(modules | grep -c tcp_diag)"
! grep 'list the connections' "$LWT_TMP/agent.log" || fail "the agent took it for somebody's lock"
expect_like "steered" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
say ok
