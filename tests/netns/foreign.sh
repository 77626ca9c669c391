# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced behind lib.sh: starting and ending foreign.c, and what of a pod is on the host's side.

# foreign ARGUMENTS...: starts it, and waits until it is ready. foreign_end: its last line is in FOREIGN_SAID.
foreign() {
	coproc FOREIGN { exec "$LWT_BUILD/tests/foreign" "$@" 2>&1; }
	local line
	IFS= read -r -t $((20 * LWT_SLOW)) line <&"${FOREIGN[0]}" || fail "foreign $1: it ended"
	expect_eq "foreign $1" ready "$line"
}
foreign_end() {
	local in=${FOREIGN[1]} from pid=$FOREIGN_PID
	exec {from}<&"${FOREIGN[0]}" # bash closes its own when the process has ended
	exec {in}>&-
	read -r -t $((20 * LWT_SLOW)) -u "$from" FOREIGN_SAID || true
	exec {from}<&-
	wait "$pid" || fail "foreign failed: $FOREIGN_SAID"
}

# device_of POD: the host's end of its device.
device_of() {
	local index
	index=$(ip -n "$(ns_of "$1")" -j link show eth0 | jq '.[0].link_index')
	ip -j link show | jq -r --argjson i "$index" '.[] | select(.ifindex == $i) | .ifname'
}
