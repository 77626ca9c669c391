#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `kubectl laneway`: found by kubectl as a plugin, it asks the agent of the right node, with names made addresses, by a real API
# server. There is no kubelet here, so of kubectl `exec` alone is another's: it notes what it was asked for, and runs that
# against the agent at hand.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_release
kube_agent_start
lane_opens

real=$(command -v kubectl)
mkdir "$LWT_TMP/bin"
cp "$LWT_ROOT/deploy/kubectl-laneway" "$LWT_TMP/bin/"
cat >"$LWT_TMP/bin/kubectl" <<END
#!/bin/sh
for word; do [ "\$word" != exec ] || found=1; done
[ -n "\${found:-}" ] || exec $real "\$@"
printf '%s\n' "\$*" | sed 's/^exec //' >$LWT_TMP/exec
while [ "\$1" != -- ]; do shift; done
shift 2
verb=\$1
shift
[ "\$verb" != trace ] || exec timeout --preserve-status 1 $LANEWAY trace --socket $LWT_SOCKET "\$@"
exec $LANEWAY "\$verb" --socket $LWT_SOCKET "\$@"
END
chmod +x "$LWT_TMP/bin/kubectl"
export PATH=$LWT_TMP/bin:$PATH KUBECONFIG=$KUBE/admin.conf
plugin() { kubectl laneway "$@" </dev/null; }

# agent_pod NAME NODE READY [going]
agent_pod() {
	kapi POST /api/v1/namespaces/laneway/pods "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"$1\",
		\"labels\":{\"app.kubernetes.io/name\":\"laneway\"}},\"spec\":{\"nodeName\":\"$2\",\"containers\":[{\"name\":\"laneway\",\"image\":\"laneway\"}]}}" >/dev/null
	kapi PATCH "/api/v1/namespaces/laneway/pods/$1/status" "{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"$3\"}]}}" >/dev/null
}
code=0
plugin lanes >"$LWT_TMP/out" 2>&1 || code=$?
expect_eq "no agent" "3 kubectl laneway: no agent in namespace laneway" "$code $(cat "$LWT_TMP/out")"
agent_pod a-bad node-0 False
agent_pod b-good node-1 True
agent_pod c-good node-2 True

# refused CODE GLOB ARGUMENTS...
refused() {
	local want=$1 like=$2 code=0
	shift 2
	plugin "$@" >"$LWT_TMP/out" 2>&1 || code=$?
	expect_eq "$*: exit code" "$want" "$code"
	expect_like "$*" "$like" "$(cat "$LWT_TMP/out")"
}
asked() { cat "$LWT_TMP/exec"; }
expect_like "lanes" '*gray*x-mse-tag: gray*' "$(plugin lanes)"
expect_eq "a ready agent" "-n laneway b-good -c laneway -- laneway lanes" "$(asked)"
expect_eq "options go through" gray "$(plugin lanes -o json | jq -r '.lanes[].name')"
plugin --node node-2 status >/dev/null
expect_eq "--node" "-n laneway c-good -c laneway -- laneway status" "$(asked)"

# The client is a pod of node-1; what is asked for, a Service and a pod by name.
say "names made addresses"
expect_like "explain" '*gray*' "$(plugin explain --from b2 --to web:80 -H 'x-user: xiaoming')"
expect_eq "asked" "-n laneway b-good -c laneway -- laneway explain --from ${POD_IP[b2]} --to ${APP_VIP[web]}:80 -H x-user: xiaoming" "$(asked)"
plugin explain --from=default/b2 "--to=default/b1:$LWT_PORT" >/dev/null
expect_eq "a pod" "-n laneway b-good -c laneway -- laneway explain --from ${POD_IP[b2]} --to ${POD_IP[b1]}:$LWT_PORT" "$(asked)"
plugin explain --from "${POD_IP[b2]}" --to "${POD_IP[b1]}:$LWT_PORT" >/dev/null
expect_eq "addresses" "-n laneway b-good -c laneway -- laneway explain --from ${POD_IP[b2]} --to ${POD_IP[b1]}:$LWT_PORT" "$(asked)"
plugin --node node-2 explain --from 192.0.2.1 --to '[fd00::1]:80' >/dev/null 2>&1 || true
expect_eq "told otherwise" "-n laneway c-good -c laneway -- laneway explain --from 192.0.2.1 --to [fd00::1]:80" "$(asked)"
plugin trace --from b2 --count 1 >/dev/null 2>&1
expect_eq "trace" "-n laneway b-good -c laneway -- laneway trace --from ${POD_IP[b2]} --count 1" "$(asked)"
plugin --node node-2 metrics >/dev/null
expect_eq "metrics" "-n laneway c-good -c laneway -- laneway metrics" "$(asked)"
plugin explain --from b2 --to web:80 -n default -H '-n: x' >/dev/null
expect_eq "the namespace behind the command" "-n laneway b-good -c laneway -- laneway explain --from ${POD_IP[b2]} --to ${APP_VIP[web]}:80 -H -n: x" "$(asked)"
refused 1 '*pods "b2" not found*' explain --from b2 --to web:80 --namespace=kube-public
plugin status --node node-2 -o json >/dev/null
expect_eq "the node behind the command" "-n laneway c-good -c laneway -- laneway status -o json" "$(asked)"
expect_like "help of a command that is of one node" '*Usage: laneway flows*' "$(plugin flows --help)"
plugin flows --from b2 --limit 3 >/dev/null
expect_eq "flows" "-n laneway b-good -c laneway -- laneway flows --limit 3" "$(asked)"

# A pod of another node that has ended, and whose address b2 has by now.
kapi POST /api/v1/namespaces/default/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"ended"},
	"spec":{"nodeName":"node-2","containers":[{"name":"main","image":"x"}]}}' >/dev/null
kapi PATCH /api/v1/namespaces/default/pods/ended/status "{\"status\":{\"phase\":\"Succeeded\",\"podIP\":\"${POD_IP[b2]}\",\"podIPs\":[{\"ip\":\"${POD_IP[b2]}\"}]}}" >/dev/null
plugin explain --from "${POD_IP[b2]}" --to "${POD_IP[b1]}:$LWT_PORT" >/dev/null
expect_eq "the address of a pod that has ended" b-good "$(asked | cut -d ' ' -f 3)"

say "what is wrong is said"
refused 2 "*no command 'steer'*"  steer
refused 2 '*status is of one node: --node NODE*' status
refused 2 '*no pod has the address 192.0.2.1; name the node*' explain --from 192.0.2.1 --to 192.0.2.2:80
refused 2 '*--to is NAME:PORT*' explain --from b2 --to web
refused 2 "*neither a service nor a pod 'none'*" explain --from b2 --to none:80
kapi POST /api/v1/namespaces/default/services '{"apiVersion":"v1","kind":"Service","metadata":{"name":"headless"},"spec":{"clusterIP":"None","ports":[{"port":80}]}}' >/dev/null
refused 2 "*service 'headless' is headless: name a pod*" explain --from b2 --to headless:80
refused 1 '*pods "none" not found*' explain --from none --to web:80
refused 3 '*no agent on node node-9*' --node node-9 lanes
refused 1 '*192.0.2.1:80*' explain --from b2 --to 192.0.2.1:80
refused 0 '*Usage: kubectl laneway*' --help
agent_stop
say ok
