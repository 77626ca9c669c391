#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Options of the agent that change where requests go: --prefer-local, --tag-header, --lane-label and --lane-label-prefix; and --pool-max.
. "$(dirname "$0")/lib.sh"
need jq
setup
two_pods
pod c2 web canary
pod b3 web base
put_app web 1
# all pods are on node-1 but these; that their addresses are on this machine all the same is what the test looks through
for name in b2 c2; do
	sed -i 's/nodeName: node-1/nodeName: node-2/' "$LWT_STATE/pod-$name.yaml"
done
VIP=${APP_VIP[web]}
# pods HEADER: which answer eight connections of one request each to the Service
pods() {
	local i
	for i in 1 2 3 4 5 6 7 8; do
		who client "http://$VIP/id" ${1:+-H "$1"}
		echo
	done | names_only | sort -u | paste -sd ' '
}

say "--prefer-local"
agent_start --node node-1
expect_eq "without: base" "b1 b2 b3" "$(pods '')"
expect_eq "without: the lane" "c1gray c2gray" "$(pods 'x-mse-tag: gray')"
agent_stop
agent_start --node node-1 --prefer-local
expect_eq "on this node: base" "b1 b3" "$(pods '')"
expect_eq "on this node: the lane" c1gray "$(pods 'x-mse-tag: gray')"
# an address that is asked for as a pod's is the client's own choice
expect_like "another node's pod by its own address" 'b2\[*' "$(who client "$B2/id")"
expect_like "explain" "*c1*" "$(lw explain --from "${POD_IP[client]}" --to "$VIP:80" -H 'x-mse-tag: gray')"
POD_READY=False put_pod c1
state_sync
expect_eq "none on this node: the lane" c2gray "$(pods 'x-mse-tag: gray')"
put_pod c1
agent_stop

say "--tag-header"
release web web <<-END
	matches:
	- headers:
	  - {type: Exact, name: x-user, value: xiaoming}
END
agent_start
expect_like "without: the usual one" 'c[12]gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
expect_like "without: another is none" 'b1\[*' "$(who client "$B1/id" -H 'x-lane: gray')"
agent_stop
agent_start --tag-header X-Lane
expect_like "the one that it names" 'c[12]gray\[*' "$(who client "$B1/id" -H 'x-lane: gray')"
expect_like "the usual one is none" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
got=$(req client "$B1/head" -H 'x-user: xiaoming')
expect_like "it is put on what enters by a rule" '*X-Lane: *gray*' "$got"
agent_stop

say "--lane-label, --lane-label-prefix"
for name in c1 c2; do
	sed -i 's/alicloud.service.tag: gray, opensergo.io\/canary-gray: gray/track: blue/' "$LWT_STATE/pod-$name.yaml"
done
agent_start
expect_like "a label that says nothing: the usual lane" 'c[12]gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
agent_stop
agent_start --lane-label track
expect_like "the label's lane" 'c[12]gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: blue')"
expect_like "another names no lane" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
agent_stop
for name in c1 c2; do
	sed -i 's/track: blue/lane.example.org\/red: "1"/' "$LWT_STATE/pod-$name.yaml"
done
agent_start --lane-label-prefix lane.example.org/
expect_like "the lane at the label's end" 'c[12]gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: red')"
expect_like "the usual one is none" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
agent_stop

say "--pool-max"
release_by_user web
ready() { pinned pools | jq '[.[].formatted.value.up | map(select(. != 0)) | length] | max // 0'; }
# a burst that asks for more: a tenth of a second's, for each pod
many_ready() {
	in_pod client "$LWT_BUILD/tests/crowd" rate 100 --seconds 2 --tagged 100 --timeout $((20 * LWT_SLOW)) --target "${POD_IP[b1]}:$LWT_PORT" >"$LWT_TMP/crowd"
	[ "$(ready)" -gt 2 ]
}
agent_start
until_ok 20 "without: more than two sockets that are ready" many_ready
agent_stop
agent_start --pool-max 2
! many_ready || fail "two are the most, not $(ready)"
expect_eq "the burst" "200 0" "$(jq -r '"\(.lane.ok) \(.lane.lost)"' "$LWT_TMP/crowd")"
agent_stop
say ok
