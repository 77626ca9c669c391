#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# boot.sh IMAGE INITRAMFS OUT: runs a guest to its end, with the machine's root read-only and the folder OUT to write to.
# The console goes to OUT/console. Exit 0 when the guest ended by itself, 1 when it did not start, 3 when no test got on for VM_IDLE
# seconds (by OUT/results and OUT/log: what a kernel says that is stuck is no sign of life), 4 when it had not ended after
# VM_DEADLINE seconds; of both it was ended. VM_ACCEL: kvm or tcg; VM_SLOW: by how much the kernel's own deadlines are stretched.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=$1 initramfs=$2 out=$(realpath "$3")
: "${VM_MEMORY:=3072}" "${VM_CPUS:=2}" "${VM_IDLE:=900}" "${VM_DEADLINE:=7200}" "${VM_SLOW:=1}"
# where Debian's qemu-system-common has it
virtiofsd=/usr/lib/qemu/virtiofsd
[ -x $virtiofsd ] || {
	echo "boot: $virtiofsd is not there" >&2
	exit 1
}

tmp=$(mktemp -d)
pids=()
finish() {
	[ ${#pids[@]} = 0 ] || kill -9 "${pids[@]}" 2>/dev/null || true
	rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# share NAME FOLDER: one daemon a folder.
share() {
	$virtiofsd --socket-path="$tmp/$1.sock" -o "source=$2" -o sandbox=chroot -o cache="$3" -f >"$out/virtiofsd-$1" 2>&1 &
	pids+=($!)
	while [ ! -S "$tmp/$1.sock" ]; do
		kill -0 $! 2>/dev/null || {
			echo "boot: virtiofsd ended: $(tail -n 1 "$out/virtiofsd-$1")" >&2
			exit 1
		}
		sleep 0.05
	done
}
share root / always
share out "$out" auto

# A processor that is stuck for good is stuck for all that follows: to go on is to wait for nothing. How long that is a kernel
# measures by the clock, also where all takes ten times as long; within what it takes (300 and 60 s at most) it gets as much more.
least() { echo $(($1 < $2 ? $1 : $2)); }
watchdogs="sysctl.kernel.softlockup_panic=1 sysctl.kernel.panic_on_rcu_stall=1 sysctl.kernel.hung_task_timeout_secs=$((120 * VM_SLOW))"
watchdogs+=" rcupdate.rcu_cpu_stall_timeout=$(least $((21 * VM_SLOW)) 300) watchdog_thresh=$(least $((10 * VM_SLOW)) 60)"
watchdogs+=" workqueue.watchdog_thresh=$((30 * VM_SLOW))"

accel=$VM_ACCEL
[ "$accel" != tcg ] || accel=tcg,thread=multi
qemu-system-x86_64 -M q35 -accel "$accel" -cpu max -smp "$VM_CPUS" -m "$VM_MEMORY" \
	-object "memory-backend-memfd,id=mem,size=${VM_MEMORY}M,share=on" -numa node,memdev=mem \
	-nodefaults -no-user-config -display none -no-reboot -net none \
	-chardev "socket,id=root,path=$tmp/root.sock" -device vhost-user-fs-pci,chardev=root,tag=root \
	-chardev "socket,id=out,path=$tmp/out.sock" -device vhost-user-fs-pci,chardev=out,tag=out \
	-object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng \
	-serial stdio -kernel "$image" -initrd "$initramfs" \
	-append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr tsc=reliable no_timer_check laneway.guest=$here $watchdogs ${VM_APPEND:-}" \
	</dev/null >"$out/console" 2>"$out/qemu" &
guest=$!
pids+=("$guest")

# The newest sign of life.
newest() { find "$out/results" "$out/log" -type f -printf '%T@\n' | sort -n | tail -n 1; }
last=$(newest) since=$SECONDS
end=$((SECONDS + VM_DEADLINE))
while kill -0 "$guest" 2>/dev/null; do
	now=$(newest)
	if [ "$now" != "$last" ]; then
		last=$now since=$SECONDS
	elif [ $((SECONDS - since)) -ge "$VM_IDLE" ]; then
		exit 3
	fi
	[ "$SECONDS" -lt "$end" ] || exit 4
	sleep 2
done
wait "$guest" || {
	echo "boot: qemu: $(tail -n 1 "$out/qemu")" >&2
	exit 1
}
