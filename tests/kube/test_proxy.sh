#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An HTTP proxy between the agent and the API server: tinyproxy, with a password and little patience for connections that are
# silent. By proxy-url of the kubeconfig and by the environment.
. "$(dirname "$0")/lib.sh"
kube_setup
need tinyproxy
kube_two_pods
kube_release
read -r PROXY_PORT <<<"$(free_ports 1)"
proxy=http://lane:secret@127.0.0.1:$PROXY_PORT gray='x-mse-tag: gray'
# proxy_start SECONDS: how long a connection may be silent.
proxy_start() {
	cat >"$KUBE/tinyproxy.conf" <<-END
		Port $PROXY_PORT
		Listen 127.0.0.1
		Timeout $1
		Allow 127.0.0.1
		BasicAuth lane secret
		ConnectPort $API_PORT
		LogLevel Connect
	END
	(outside exec tinyproxy -d -c "$KUBE/tinyproxy.conf" >>"$KUBE/tinyproxy.log" 2>&1) &
	PROXY_PID=$!
	wait_port host "$PROXY_PORT"
}
proxy_stop() {
	kill "$PROXY_PID"
	wait "$PROXY_PID" 2>/dev/null || true
}
tunnels() { grep -c "Request.*CONNECT 127.0.0.1:$API_PORT" "$KUBE/tinyproxy.log" || true; }
# direct: connections of the agent to the API server itself.
direct() { ss -Htnp state established "( dport = :$API_PORT )" | grep -c "pid=$AGENT_PID," || true; }
config() { kubeconfig "$KUBE/agent.conf" "$KUBE/pki/ca.crt" "$API" "tokenFile: $KUBE/token" && sed -i "s,certificate-authority: ,proxy-url: \"$1\"\, &," "$KUBE/agent.conf"; }

say "a proxy that is not there"
config "$proxy"
kube_agent_start
until_ok 30 "the words" source_error_like '*127.0.0.1 port '"$PROXY_PORT"'*'
expect_eq "past the proxy" 0 "$(direct)"

say "it comes"
proxy_start 600
until_ok 60 "the first complete list" steering
[ "$(tunnels)" -gt 0 ] || fail "no tunnel: $(cat "$KUBE/tinyproxy.log")"
expect_eq "past the proxy" 0 "$(direct)"
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"
say "$(tunnels) tunnels for $(status_json | jq '.source.watches | length') watches"
load_start

say "it is killed in mid-release, and comes back impatient: silent watches are cut, and go on where they were"
proxy_stop
until_ok 30 "status to say that it is away" source_says '.connected | not'
expect_like "away: tagged" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"
proxy_start 3
until_ok 60 "the watches" source_says '.connected and all(.watches[]; .state == "watching" and .error == "")'
lists=$(status_json | jq '[.source.watches[].lists] | add') before=$(tunnels)
more_tunnels() { [ "$(tunnels)" -ge $((before + 3)) ]; }
until_ok 60 "silent connections to be cut" more_tunnels
load_end
kube_pod_status c1 "${POD_IP[c1]}" False
until_ok 30 "the change to be seen" lanes_say 'any(.workloads[]; .pods.canary_ready == 0)'
kube_pod_status c1 "${POD_IP[c1]}" True
until_ok 30 "the change to be seen" lanes_say 'any(.workloads[]; .pods.canary_ready == 1)'
expect_eq "lists, of watches that were cut" "$lists" "$(status_json | jq '[.source.watches[].lists] | add')"
agent_stop
proxy_stop
proxy_start 600

say "a wrong password"
config "http://lane:wrong@127.0.0.1:$PROXY_PORT"
kube_agent_start
until_ok 30 "the words" source_error_like '*40[17]*'
say "$(source_error)"
agent_stop

say "by the environment"
kubeconfig "$KUBE/agent.conf" "$KUBE/pki/ca.crt" "$API" "tokenFile: $KUBE/token"
before=$(tunnels)
HTTPS_PROXY=$proxy kube_agent_start
until_ok 60 "the first complete list" steering
[ "$(tunnels)" -gt "$before" ] || fail "HTTPS_PROXY is not used"
agent_stop
before=$(tunnels)
HTTPS_PROXY=$proxy NO_PROXY=127.0.0.1 kube_agent_start
until_ok 60 "the first complete list" steering
expect_eq "tunnels with NO_PROXY" "$before" "$(tunnels)"
agent_stop
proxy_stop
say ok
