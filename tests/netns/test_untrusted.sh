#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Forged tags: a gateway that faces the internet is not believed, and what it was sent is taken off before anybody else
# sees it.
. "$(dirname "$0")/lib.sh"
need jq
setup
two_pods
pod_ns gateway
gray='x-mse-tag: gray'
agent_start --untrusted edge/app=gateway

# Lines of the head as the pod that was asked saw them.
seen() { req "$1" "${@:3}" "$2/head" | tr -d '\r' | tr 'A-Z' 'a-z' | tr -s ' ' | grep -E '^(x-mse-tag|x-user|baggage)' | sort | paste -sd ' ' || true; }

findings() { lw status -o json | jq -r '[.source.findings[].text | select(startswith("--untrusted"))] | join("; ")'; }
expect_eq "a label that no pod has" "--untrusted edge/app=gateway: no pod has this label" "$(findings)"
expect_like "before the agent knows it" 'c1gray\[*' "$(who gateway "$B1/id" -H "$gray")"
put gateway <<END
apiVersion: v1
kind: Pod
metadata: {name: gateway, namespace: edge, uid: gateway-$$, labels: {app: gateway}}
spec: {nodeName: other, containers: [{name: main}]}
status: {phase: Running, podIPs: [{ip: ${POD_IP[gateway]}}, {ip: "${POD_IP6[gateway]}"}], conditions: [{type: Ready, status: "True"}]}
END
state_sync
expect_eq "a label that a pod has" "" "$(findings)"
expect_like "a forged tag" 'b1\[*' "$(who gateway "$B1/id" -H "$gray")"
expect_like "a forged tag, IPv6" 'b1\[*' "$(who gateway "http://[${POD_IP6[b1]}]:$LWT_PORT/id" -H "$gray")"
expect_like "a forged tag at the canary itself" 'b[12]\[*' "$(who gateway "$C1/id" -H "$gray")"
expect_eq "what is left of it" "" "$(seen gateway "$B1" -H "$gray")"
expect_eq "nor of one that names no lane" "" "$(seen gateway "$B1" -H 'X-Mse-Tag: later')"
expect_like "the entry rule decides" 'c1gray\[*' "$(who gateway "$B1/id" -H 'x-user: xiaoming')"
expect_like "whatever the tag says" 'c1gray\[*' "$(who gateway "$B1/id" -H 'x-user: xiaoming' -H 'x-mse-tag: blue')"
expect_eq "and one tag goes on" "x-mse-tag: gray x-user: xiaoming" "$(seen gateway "$B1" -H 'x-user: xiaoming' -H "$gray" -H 'x-mse-tag: blue')"
expect_like "others are believed" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"
expect_eq "without --baggage it is nobody's business" "baggage: x-mse-tag=gray" "$(seen gateway "$B1" -H 'baggage: x-mse-tag=gray')"
lw explain --from "${POD_IP[gateway]}" --to "${POD_IP[b1]}:$LWT_PORT" -H "$gray" >"$LWT_TMP/explain"
expect_like "explain" "*tag*is taken off: the client is not believed*lane * base *" "$(cat "$LWT_TMP/explain")"
"$HOP" --pattern 300000 >"$LWT_TMP/body"
expect_eq "a body behind a forged tag" "$(sha256sum <"$LWT_TMP/body")" "$(sum gateway -H "$gray" --data-binary "@$LWT_TMP/body" "$B1/echo")"

# What is kept out is not enrolled, and so nothing is taken off its requests: told.
put gateway <<END
apiVersion: v1
kind: Pod
metadata: {name: gateway, namespace: edge, uid: gateway-$$, labels: {app: gateway}, annotations: {laneway.io/keep-out: "true"}}
spec: {nodeName: other, containers: [{name: main}]}
status: {phase: Running, podIPs: [{ip: ${POD_IP[gateway]}}, {ip: "${POD_IP6[gateway]}"}], conditions: [{type: Ready, status: "True"}]}
END
state_sync
expect_like "kept out by annotation" '*annotation laneway.io/keep-out keeps 1 of its 1 pods out, such as edge/gateway:*not taken off' "$(findings)"

del gateway
gateway_is_gone() { [[ "$(who gateway "$B1/id" -H "$gray")" == c1gray* ]]; }
until_ok 15 "the gateway to be forgotten" gateway_is_gone
for wrong in gateway edge/app app=gateway /app=x; do
	! "$LANEWAY" agent --state "$LWT_STATE" --untrusted "$wrong" 2>"$LWT_TMP/err" || fail "--untrusted $wrong was taken"
	expect_like "--untrusted $wrong" "*NAMESPACE/LABEL=VALUE*'$wrong'*" "$(cat "$LWT_TMP/err")"
done
say ok
