#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Connections that were there before the release: with --enrol-ahead their requests are steered from its first step on, as those
# of the releases that follow; without it they stay where they are.
. "$(dirname "$0")/lib.sh"
setup
two_pods
app edge
pod e1 edge base
app between
pod m1 between base
put_app between 0
sed -i 's/^metadata: {name: between,/& labels: {laneway.io\/passes-lanes: "true"},/' "$LWT_STATE/svc-between.yaml"
release_end web web
tag='x-mse-tag: gray' user='x-user: xiaoming' VIP=${APP_VIP[web]}

# What the held connection has: base, between releases, in one.
base() {
	local i
	for i in 1 2 3; do
		expect_like "$1, untagged" '200 b[12]\[*' "$(hold_get '' /id)"
	done
}
no_release() {
	base "$1"
	expect_like "$1, tagged" '200 b[12]\[*' "$(hold_get "$tag" /id)"
	expect_like "$1, who would enter" '200 b[12]\[*' "$(hold_get "$user" /id)"
}
in_release() {
	expect_like "$1, tagged" '200 c1gray\[*' "$(hold_get "$tag" /id)"
	base "$1"
	expect_like "$1, by the entry rule" '200 c1gray\[*' "$(hold_get "$user" /id)"
	expect_like "$1, a large response" '200 c1gray\[* 3000000 *' "$(hold_get "$tag" /size/3000000)"
	base "$1"
}

agent_start --enrol-ahead
for to in "a pod:${POD_IP[b1]}:$LWT_PORT" "the Service:$VIP:80"; do
	IFS=: read -r name ip port <<<"$to"
	hold client "$ip" "$port"
	for round in 1 2; do
		no_release "$name, before release $round"
		release_by_user web
		state_sync
		in_release "$name, in release $round"
		release_end web web
		state_sync
		no_release "$name, after release $round"
	done
	hold_end
done
# a base connection is none of the agent's while it is away, ahead or not
hold client "$VIP" 80
agent_kill
no_release "ahead, no agent"
agent_start --enrol-ahead
release_by_user web
state_sync
in_release "ahead, with an agent after one that was killed"
release_end web web
state_sync
hold_end

# a service in between has the tag put on what it is sent; one that takes part in nothing is not enrolled
flows_to() { lw flows -o json | jq --arg ip "$1" '[.flows[] | select(.asked | startswith($ip))] | length'; }
hold client "${POD_IP[m1]}" "$LWT_PORT"
expect_like "a service that passes lanes on" '200 m1\[*' "$(hold_get '' /id)"
expect_eq "its connections are enrolled" 1 "$(flows_to "${POD_IP[m1]}")"
hold_end
hold client "${POD_IP[e1]}" "$LWT_PORT"
expect_like "a service that does not" '200 e1\[*' "$(hold_get '' /id)"
expect_eq "its connections are not enrolled" 0 "$(flows_to "${POD_IP[e1]}")"
hold_end

# without the option a connection stays where it is, and a new one does not
agent_stop
agent_start
hold client "${POD_IP[b1]}" "$LWT_PORT"
no_release "not ahead, before"
release_by_user web
state_sync
no_release "not ahead, in the release, an old connection"
expect_like "not ahead, a new one" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
hold_end
say ok
