#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# States at their limits, and one beyond: `laneway check` says one line, the rest is in force, and an agent with such a state steers
# by it. (Those that take long are in tests/faults/limits.sh.)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fill.sh"
need jq python3
setup
two_pods
targets
many() { python3 "$LWT_ROOT/tests/netns/clients/limits.py" "$1" "$2" "$3"; }
check() {
	CODE=0
	"$LANEWAY" check "$LWT_TMP/alone" -o json >"$LWT_TMP/check" || CODE=$?
}
finding() { jq -r '[.findings[].text] | join("\n")' "$LWT_TMP/check"; }
in_force() { jq -r "[.maps.lw_$1, .maps.lw_workloads] | join(\" \")" "$LWT_TMP/check"; }
mkdir "$LWT_TMP/alone"
agent_start
base "before"
lane "before" c1gray
# WHAT AT_MOST MAP AT_MOST:ROWS_AND_WORKLOADS ONE_MORE:ROWS_AND_WORKLOADS LINE
while IFS='|' read -r -u 3 what most map rows more line; do
	say "$what: $most"
	many "$LWT_TMP/alone" "$what" "$most"
	check
	expect_eq "$what, $most: check's exit code" 0 "$CODE"
	expect_eq "$what, $most: $map and workloads" "$rows" "$(in_force "$map")"
	many "$LWT_TMP/alone" "$what" $((most + 1))
	check
	expect_eq "$what, one more: check's exit code" 1 "$CODE"
	expect_like "$what, one more: its only line" "$line" "$(finding)"
	expect_eq "$what, one more: $map and workloads" "$more" "$(in_force "$map")"
	many "$LWT_STATE" "$what" $((most + 1))
	state_sync
	# web's rule is among them here, and comes behind those of Rollouts themselves: it may be the one for which there is no room
	expect_like "$what: what the agent finds" "*$line*" "$(lw status -o json | jq -r '[.source.findings[].text] | join("\n")')"
	base "$what"
	lane "$what" c1gray
done 3<<-'END'
	lanes|15|lanes|15 15|15 15|*: lane lane-* is one too many: 15 lanes have been open since the start, and ids are not used again
	rules|1024|rules|1024 8|1024 9|entry rules of many/Deployment/app-*: more than 1024 entry rules in all
	conditions|8192|steps|8192 16|7681 17|entry rules of many/Deployment/app-*: more than 8192 conditions in all entry rules
	expressions|256|dfas|256 2|256 3|entry rules of many/Deployment/app-*: more than 256 different regular expressions in entry rules
	wide|512|steps|512 1|0 1|entry rules of many/Deployment/app-0: more than 512 conditions in the entry rules of one workload
END
del many
as_before "all"
agent_stop
say ok
