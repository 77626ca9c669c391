#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients that this kernel would hurt are not enrolled any more once a process was seen to do what it hurts; nobody else is touched.
. "$(dirname "$0")/lib.sh"
need python3 jq bpftool
setup
two_pods
tag='x-mse-tag: gray'
json() { lw status -o json >"$LWT_TMP/json" && jq -r "$1" "$LWT_TMP/json"; }
asks() { in_pod client python3 "$LWT_ROOT/tests/netns/clients/asks.py" "${POD_IP[b1]}" "$LWT_PORT" "$1" "$tag" | names_only | paste -sd ' '; }

# Which of the two this kernel gets wrong, and whether it is noticed, status says.
agent_start --watch-syscalls
for what in fionread splice; do
	wrong=$(json ".kept_out.$what")
	if [ "$wrong" = false ]; then
		expect_eq "$what, which this kernel gets right" "b1 c1gray c1gray c1gray" "$(asks $what)"
		expect_eq "nobody is kept out for it" 0 "$(counted "kept-$what")"
		continue
	fi
	expect_eq "$what is noticed here" true "$(json ".kept_out.${what}_noticed")"
	# The first connection gave it away. Those that are open follow their own peer, those to come are not enrolled.
	expect_eq "$what, which this kernel gets wrong" "b1 b1 b1 b1" "$(asks $what)"
	[ "$(counted "kept-$what")" -ge 3 ] || fail "$what: $(counted "kept-$what") connections counted"
	expect_eq "shown" "python3 $what" "$(json "[.kept_out.processes[] | select(.why == \"$what\") | \"\(.program) \(.why)\"] | unique | join(\",\")")"
	expect_like "another process is steered" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
done
agent_stop

# The programs that the agent has, of those that the kernel has.
programs() {
	bpftool -j prog show | jq -r --argjson of "[$(sed -n 's/^prog_id:[[:space:]]*//p' "/proc/$AGENT_PID/fdinfo/"* | sort -u | paste -sd ,)]" \
		'.[] | select(.id | IN($of[])) | .name'
}
# Without a cheap hook nobody watches unless asked to: not one by which all system calls are slower.
agent_start
expect_eq "the agent's programs, of these two" lw_msg "$(programs | awk '/^lw_msg$|^lw_enter_splice$/' | sort -u | paste -sd ' ')"
expect_like "steered" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
agent_stop
say ok
