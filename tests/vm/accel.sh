#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# accel.sh IMAGE: prints how guests run here, "kvm" or "tcg". There may be a /dev/kvm that runs none: a machine in a cloud that
# does not nest. So it is tried: a guest without a root file system panics, and ends, within a second or two.
set -euo pipefail
if [ -w /dev/kvm ] && timeout 15 qemu-system-x86_64 -M q35 -accel kvm -cpu max -m 512 -nodefaults -no-user-config -display none \
	-no-reboot -net none -serial stdio -kernel "$1" -append "console=ttyS0 panic=-1" </dev/null 2>&1 | grep -q "Kernel panic"; then
	echo kvm
else
	echo tcg
fi
