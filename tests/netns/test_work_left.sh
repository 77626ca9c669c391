#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An agent ends while a pod is at work on a request of the lane: what the pod sends afterwards for others is base, and bears no
# tag, that the next agent's node would believe. The counts go on without an agent, so that they end with that request.
. "$(dirname "$0")/lib.sh"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
middle mid
told() { req client ${1:+-H "$1"} "$(url mid /told)" | names_only; }
at_rest() { [ "$(at_work mid)" = 0 ]; }
base() { # WHAT N
	local i
	for i in $(seq "$2"); do
		expect_eq "$1, a base request ($i)" "b1 tag=" "$(told)"
	done
}

# end HOW OPTIONS...: of an agent with these options
ends() {
	local how=$1
	shift
	say "$how ${*}"
	agent_start "$@"
	expect_eq "before, tagged" "c1gray tag=gray" "$(told "$gray")"
	base "before" 2
	park mid "$how" "$gray"
	"$how"
	base "at once" 3
	until_ok 15 "the agent to be held for dead" silent
	base "without an agent" 3
	expect_like "the parked one, answered" '[bc]1*' "$(go mid "$how")"
	until_ok 15 "nothing to be at work" at_rest
	base "when nothing is at work" 3
}
ends agent_kill
ends agent_stop --leave-hooks always
# and the next one begins anew, with hooks of its own
agent_start
expect_eq "the next agent, tagged" "c1gray tag=gray" "$(told "$gray")"
base "the next agent" 2
agent_stop
[ ! -e "$LWT_BPFFS/laneway" ] || fail "left behind: $(ls "$LWT_BPFFS/laneway")"
say ok
