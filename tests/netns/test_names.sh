#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An API server that is known by a name, and no name server that answers: the agent is at work all the same.
. "$(dirname "$0")/lib.sh"
need jq python3 unshare
setup
pod_ns dns
exec_pod dns python3 -c '
import signal, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
signal.pause()' &
bound() { [ -n "$(in_pod dns ss -Hlun 'sport = :53')" ]; }
until_ok 15 "the name server" bound
cat >"$LWT_TMP/kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "https://api.laneway.test:6443"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {token: a}}]
END
printf 'nameserver %s\noptions timeout:30 attempts:1\n' "${POD_IP[dns]}" >"$LWT_TMP/resolv.conf"
unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$LWT_TMP/resolv.conf" "$LANEWAY" agent \
	--kubeconfig "$LWT_TMP/kubeconfig" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" >>"$LWT_TMP/agent.log" 2>&1 &
AGENT_PID=$!
until_ok 20 "the agent's socket" agent_answers
timed_out() {
	lw status --alive --timeout $((5 * LWT_SLOW)) >/dev/null || fail "the agent does not answer while a name is looked for"
	grep -q 'Resolving timed out' "$LWT_TMP/agent.log"
}
until_ok 60 "the name to be given up" timed_out
lw status --alive >/dev/null || fail "the agent does not answer once a name is given up"
agent_stop
say ok
