#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pods that count as ready and cannot be reached, as those of a node that has just died: another one of their lane takes the request,
# and only where there is none does it follow its own peer.
. "$(dirname "$0")/lib.sh"
need nft
setup
two_pods
pod c2 web canary
release_by_user web
tag='x-mse-tag: gray'
# mute POD..., and nobody else
mute() {
	local pod
	for pod in b1 b2 c1 c2; do
		in_pod $pod nft flush ruleset
	done
	for pod in "$@"; do
		in_pod "$pod" nft -f - <<-END
			table ip lwt { chain in { type filter hook input priority 0; tcp dport $LWT_PORT tcp flags & (syn|ack) == syn drop; }; }
		END
	done
}
# asked URL [HEADER]: who answers on four new connections, each once
asked() {
	local i
	for i in 1 2 3 4; do
		who client "$1/id" ${2:+-H "$2"} && echo
	done | names_only | sort -u | paste -sd ' '
}

# how many requests of LANE no pod could be reached for, where they were to go
unreached() { lw stats -o json | jq --arg lane "$1" '[.stats[] | select(.lane == $lane and .reason == "unreachable") | .count] | add // 0'; }

agent_start
mute b1
expect_eq "base, by way of a canary's own address, one of two mute" b2 "$(asked "$C1")"
mute c1
expect_eq "the lane, one of two mute" c2gray "$(asked "$B1" "$tag")"
expect_eq "base, by its own peer" b1 "$(asked "$B1")"
expect_eq "of either none was not reached" "0 0" "$(unreached gray) $(unreached base)"
mute c1 c2
expect_eq "the lane, all mute" b1 "$(asked "$B1" "$tag")"
mute b1 b2
expect_eq "base, by way of a canary's own address, all mute" c1gray "$(asked "$C1")"
expect_eq "four of each were not" "4 4" "$(unreached gray) $(unreached base)"
mute
expect_eq "all can be reached again" "c1gray c2gray" "$(asked "$B1" "$tag")"
agent_stop
agent_start --fail-closed
mute c1
expect_eq "the lane, one of two mute, fail closed" c2gray "$(asked "$B1" "$tag")"
mute c1 c2
expect_eq "the lane, all mute, fail closed" 503 "$(in_pod client curl -sS -o /dev/null -w '%{http_code}' -H "$tag" "$B1/id")"
expect_eq "it was not reached" 1 "$(unreached gray)"
agent_stop

say "an agent that ends while it still tries: the client is told so"
agent_start
hold client "${POD_IP[b1]}" "$LWT_PORT"
mute b1 c1 c2
hold_send "$tag" /id
tries() { [ -n "$(in_pod client ss -Htn state syn-sent)" ]; }
until_ok 15 "the agent to try" tries
agent_stop
expect_like "the client" 'Connection*Error*' "$(hold_read)"
hold_end
say ok
