#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Exit 0, and why in a line, if this machine's kernel cannot run Laneway whatever Laneway does. By the kernel's own word, not the
# agent's: an agent that finds a good kernel bad is to fail its tests here.
set -euo pipefail
release=$(uname -r)
if [ "$(printf '%s\n' 6.1 "$release" | sort -V | head -n 1)" != 6.1 ]; then
	echo "Linux $release is older than 6.1"
elif [ ! -e /sys/kernel/btf/vmlinux ]; then
	echo "it has no BTF (/sys/kernel/btf/vmlinux)"
elif grep -qsF '[confidentiality]' /sys/kernel/security/lockdown; then
	echo "it is locked down (/sys/kernel/security/lockdown: confidentiality)"
else
	exit 1
fi
