#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The ground the other tests stand on, without an agent: pods, their addresses, every answer of hop.
. "$(dirname "$0")/lib.sh"
setup
two_pods

for pod in b1 b2 c1; do
	expect_like "$pod over IPv4" "$pod*\[${POD_IP[$pod]}\]" "$(who client "http://${POD_IP[$pod]}:$LWT_PORT/id")"
	expect_like "$pod over IPv6" "$pod*\[${POD_IP6[$pod]}\]" "$(who client "http://[${POD_IP6[$pod]}]:$LWT_PORT/id")"
	expect_like "$pod from the host" "$pod*" "$(who host "http://${POD_IP[$pod]}:$LWT_PORT/id")"
done
for path in size/70000 chunked/70000 'chunked/70000?trailer&ext' close/70000; do
	want=$("$HOP" --pattern 70000 | sha256sum)
	expect_eq "$path" "$want" "$(sum client "$B1/$path")"
done
"$HOP" --pattern 1000000 --seed 3 >"$LWT_TMP/body"
want=$(sha256sum <"$LWT_TMP/body")
expect_eq "echo" "$want" "$(sum client --data-binary "@$LWT_TMP/body" "$B1/echo")"
expect_eq "chunked echo" "$want" \
	"$(sum client -H 'Transfer-Encoding: chunked' --data-binary "@$LWT_TMP/body" "$B1/echo")"
kube_proxy client 10.96.0.20 $LWT_PORT b1 b2
expect_like "a ClusterIP" 'b[12]\[*' "$(who client http://10.96.0.20:$LWT_PORT/id)"
say "ok"
