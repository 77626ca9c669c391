#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The figures of the fault tests named, as their last runs left them in build/faults/.
set -euo pipefail
cd "$(dirname "$0")/../.."
{
	printf 'FAULT\tBASE SENT\tLOST\tWRONG\tLANE SENT\tLOST\tBY BASE\tWRONG\n'
	for name; do
		[ ! -e "${BUILD:-build}/faults/$name.tsv" ] || cut -f 2-9 "${BUILD:-build}/faults/$name.tsv"
	done
} | column -t -s "$(printf '\t')"
