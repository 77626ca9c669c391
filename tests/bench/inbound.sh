#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What it costs servers that requests are read as they arrive, under load: base pods of a workload that takes part in a lane without a
# canary of its own, one that calls the next service for each request ("calls"), one that has called once and answers by itself
# ("called"), and one that calls nothing ("leaf"); and a server that takes part in none and calls nothing ("apart"). In turn
#   inbound     with the agent as it comes
#   no-inbound  with an agent that does not read what arrives, where there is an option for that
#   no-agent    with none
# Each round has all of them; ratios are taken within a round, of inbound to the next one that there is. Prints a table and
# writes $BUILD/bench-inbound.json, which bench.sh takes up in `make bench`. A report, not a test.
#
# BENCH_ROUNDS (4), BENCH_SECONDS (1) a round and case, BENCH_CASES ("1 16 256": connections; "close" is not for this), BENCH_AGENT
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/settle.sh"
need wrk python3 jq
DIR=$LWT_ROOT/tests/bench
CASES=${BENCH_CASES:-1 16 256}
read -ra CASES <<<"${CASES//close/}"
[ ${#CASES[@]} -gt 0 ] || CASES=(1 16 256)
STATES=(inbound no-inbound no-agent)
"$LANEWAY" help agent | grep -e --no-inbound >/dev/null || STATES=(inbound no-agent)

setup
app web gray
app middle gray
pod w1 web base
pod x1 web canary
pod calls middle base --next "${POD_IP[w1]}:$LWT_PORT"
pod called middle base --next "${POD_IP[w1]}:$LWT_PORT"
pod leaf middle base
pod_ns apart
serve apart --name apart
pod_ns client
declare -A PATH_OF=([calls]=/ [called]=/size/64 [leaf]=/size/64 [apart]=/size/64)
release_by_user web
takes_part middle web

results=$LWT_TMP/results
for round in $(seq 1 "${BENCH_ROUNDS:-4}"); do
	for i in "${!STATES[@]}"; do
		state=${STATES[(i + round) % ${#STATES[@]}]}
		case $state in
		inbound) agent_start ${BENCH_AGENT:-} ;;
		no-inbound) agent_start --no-inbound ${BENCH_AGENT:-} ;;
		esac
		[ "$state" = no-agent ] || req client "http://${POD_IP[called]}:$LWT_PORT/" >/dev/null
		[ "$state" != inbound ] || settle "http://${POD_IP[leaf]}:$LWT_PORT/size/64" "http://${POD_IP[apart]}:$LWT_PORT/size/64"
		for case in "${CASES[@]}"; do
			for where in calls called leaf apart; do
				json=$(REPORT=$DIR/report.lua in_pod client wrk -t 1 -c "$case" -d "${BENCH_SECONDS:-1}s" --timeout 10s \
					-s "$DIR/inbound.lua" "http://${POD_IP[$where]}:$LWT_PORT${PATH_OF[$where]}" | tail -n 1)
				printf '%s\t%s\t%s\t%s\t%s\n' "$round" "$where" "$case" "$state" "$json" >>"$results"
			done
		done
		[ "$state" = no-agent ] || agent_stop
	done
done
python3 "$DIR/inbound.py" "$results" "$LWT_BUILD/bench-inbound.json" "${STATES[1]}"
