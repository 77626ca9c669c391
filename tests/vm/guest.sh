#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's own part, as its process 1: mounts what a machine has, runs the suites, leaves the results in the share "out".
#   out/env      written by the host: what to run, and with which variables
#   out/log/     a file a test
#   out/results  a line a test, as tests/run.sh prints them; the last line is "end" when all was run
#   out/dmesg    the kernel log
set -u
stop() {
	dmesg >/out/dmesg
	sync
	/bin/busybox poweroff -f
}
trap stop EXIT

mkdir -p /out
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
ln -sfT /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -sf "/proc/self/fd/${n%:*}" "/dev/${n#*:}"; done
# not /tmp, which may hold this very tree
for at in /dev/shm /run; do mount -t tmpfs -o mode=1777 tmpfs $at; done
mkdir -p /run/netns /run/lock /run/tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t virtiofs out /out || {
	echo "guest: cannot mount the share for results"
	exit 1
}
# shellcheck source=/dev/null
. /out/env
# the modules of this kernel in the place where the kernel's own loader looks
[ ! -d "$VM_MODULES/lib/modules" ] || { mkdir -p /lib/modules && mount --bind "$VM_MODULES/lib/modules" /lib/modules; }
ip link set lo up
hostname laneway-guest
sysctl -qw kernel.panic_on_oops=1 net.core.rmem_max=4194304 net.core.wmem_max=4194304
cd "$VM_ROOT" || exit 1
mkdir -p /out/log "$BUILD/tests/log"
mount --bind /out/log "$BUILD/tests/log"
read -r up _ </proc/uptime
echo "guest: $(uname -r) is up after $up s"

# run TEST...: and says so where there is not a line of each, as whatever ran them ended before.
run() {
	local before lines='^(ok|FAIL|skip|n/a) '
	before=$(grep -cE "$lines" /out/results)
	tests/run.sh "$@" 2>&1 | tee -a /out/results
	before=$(($(grep -cE "$lines" /out/results) - before))
	[ "$before" = $# ] || echo "FAIL run/all (of $# tests $before came to an end)" | tee -a /out/results
}

# first of all what the self-tests find: it decides what the other tests can ask for
run tests/vm/selftest.sh
LW_MODE=$(sed -n 's/^mode //p' /out/log/vm-selftest.log)
export LW_MODE
for suite in $VM_SUITES; do
	case $suite in
	selftest) set -- ;;
	bpf) set -- $VM_BPF ;;
	netns) set -- $VM_NETNS ;;
	soak) set -- tests/soak/soak.sh ;;
	demo) set -- tests/demo/demo.sh ;;
	modules) set -- tests/vm/modules.sh ;;
	memory) set -- tests/vm/memory.sh tests/vm/pressure.sh ;;
	hardened) set -- tests/vm/hardened.sh ;;
	# what the harness makes of a guest that breaks down can be tried: SUITES=panic, hang, stuck (with a kernel that goes on saying so), lost, warn
	panic) echo c >/proc/sysrq-trigger ;;
	hang) sleep infinity ;;
	stuck) while sleep 1; do echo "<3>rcu: INFO: not a real stall" >/dev/kmsg; done ;;
	lost)
		# what runs the tests is the parent of what stops one that takes too long
		echo 'kill -9 "$(ps -o ppid= -p $PPID)"' >/run/lost.sh
		chmod +x /run/lost.sh
		set -- /run/lost.sh tests/vm/selftest.sh
		;;
	warn) set -- && echo "WARNING: not a real one" >/dev/kmsg ;;
	*) echo "guest: no suite '$suite'" && exit 1 ;;
	esac
	[ $# = 0 ] || run "$@"
done
. tests/kernel_log.sh
complaints=$(kernel_complaints_since "no such mark")
if [ -n "$complaints" ]; then
	echo "FAIL kernel/log ($(head -n 1 <<<"$complaints"))"
else
	echo "ok kernel/log"
fi | tee -a /out/results
read -r up _ </proc/uptime
echo "guest: over after $up s"
echo end >>/out/results
