#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# accel.sh IMAGE: prints how guests run here, "kvm" or "tcg". There may be a /dev/kvm that runs none: a machine in a cloud that
# does not nest. So it is tried: a guest without a root file system panics, and ends, within a second or two.
set -euo pipefail
# (Its output is read to the end: at a match grep would leave a guest that still prints, which fails the pipe.)
console() {
	timeout 15 qemu-system-x86_64 -M q35 -accel kvm -cpu max -m 512 -nodefaults -no-user-config -display none \
		-no-reboot -net none -serial stdio -kernel "$1" -append "console=ttyS0 panic=-1" </dev/null 2>&1 || true
}
if [ -w /dev/kvm ] && grep -aq "Kernel panic" <<<"$(console "$1" 2>/dev/null | tr -d '\0')"; then
	echo kvm
else
	echo tcg
fi
