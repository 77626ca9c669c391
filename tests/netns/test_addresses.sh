#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Over IPv6, from the host network, and to a ClusterIP, which getpeername() goes on showing.
. "$(dirname "$0")/lib.sh"
setup
two_pods
obj_service web "10.96.0.40,fd00:96::40" 80 http web | put svc-web
kube_proxy client 10.96.0.40 80 b1 b2 c1
agent_start
tag='x-mse-tag: gray' user='x-user: xiaoming'

for from in client host; do
	for to in "${POD_IP[b1]}" "[${POD_IP6[b1]}]"; do
		url=http://$to:$LWT_PORT/id
		expect_like "$from to $to" 'b1\[*' "$(who $from "$url")"
		expect_like "$from to $to, tagged" 'c1gray\[*' "$(who $from "$url" -H "$tag")"
		expect_like "$from to $to, by rule" 'c1gray\[*' "$(who $from "$url" -H "$user")"
		expect_eq "$from to $to, in turn" "b1 c1gray b1" \
			"$(in_turn $from "$url" "" "$tag" "" | names_only | paste -sd ' ')"
	done
	expect_eq "$from, 1 MB over IPv6" "$("$HOP" --pattern 1000000 | sha256sum)" \
		"$(sum $from -H "$tag" "http://[${POD_IP6[b1]}]:$LWT_PORT/size/1000000")"
	for vip in 10.96.0.40 '[fd00:96::40]'; do
		for i in 1 2 3 4 5 6; do
			expect_like "$from to $vip" 'b[12]\[*' "$(who $from "http://$vip/id")"
		done
		expect_like "$from to $vip, tagged" 'c1gray\[*' "$(who $from "http://$vip/id" -H "$tag")"
		expect_like "$from to $vip, by rule" 'c1gray\[*' "$(who $from "http://$vip/id" -H "$user")"
	done
done
for vip in 10.96.0.40 fd00:96::40; do
	hold client "$vip" 80
	expect_eq "getpeername" "$vip 80" "$(hold_get peer '')"
	expect_like "tagged" "200 c1gray*" "$(hold_get "$tag" /id)"
	expect_eq "getpeername after a steered request" "$vip 80" "$(hold_get peer '')"
	hold_end
done
# A release that ends leaves the address to kube-proxy again.
release_end web web
plain() { lw lanes -o json | jq -e 'all(.lanes[]; .open | not)'; }
until_ok 15 "the lane to close" plain
expect_like "after the release" 'b[12]\[*' "$(who client http://10.96.0.40/id -H "$tag")"
say ok
