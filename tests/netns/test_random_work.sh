#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A service that forwards nothing at work on requests of several lanes, in whatever order: what it asks for those of no lane never comes to a
# canary. WORK_SEED, WORK_STEPS: others, and more. Then services that ask nobody at first, and are left alone (--leaf-after): WORK_LEAVES, how many.
. "$(dirname "$0")/lib.sh"
need python3 jq
setup
app web gray
app shop blue
pod b1 web base
pod b2 web base
pod c1 web canary
pod s1 shop base
pod d1 shop canary
pod_ns client
pod_ns work
# What the state folder has of each release while it goes on, and when it is over.
for app in web shop; do
	mkdir -p "$LWT_TMP/variants/$app.open" "$LWT_TMP/variants/$app.closed"
	release_by_user $app
	cp "$LWT_STATE"/* "$LWT_TMP/variants/$app.open"
	release_end $app $app
	mv "$LWT_STATE"/* "$LWT_TMP/variants/$app.closed"
done
cp "$LWT_TMP"/variants/*.open/* "$LWT_STATE"
agent_start
ips() { jq -n '$ARGS.positional' --args "${POD_IP[$1]}" $(! has_ipv6 || echo "${POD_IP6[$1]}"); }
AGENT="$LANEWAY agent --state $LWT_STATE --cgroup $LWT_CGROUP --bpffs $LWT_BPFFS --device lwv$$x*"
# works POD LEAF SEED STEPS: the service in that pod; LEAF: true or false.
works() {
	local right=0
	rm -f "$LWT_TMP/control" "$LWT_TMP/pid"
	jq -n --arg laneway "$LANEWAY" --arg socket "$LWT_SOCKET" --arg control "$LWT_TMP/control" --argjson port "$LWT_PORT" --argjson leaf "$2" \
		--argjson ips "$(ips "$1")" --arg work "$(ns_of "$1")" --arg dir "$LWT_ROOT/tests/netns/clients" \
		--arg state "$LWT_STATE" --arg variants "$LWT_TMP/variants" --arg log "$LWT_TMP/agent.log" --argjson pid "$AGENT_PID" --arg pid_file "$LWT_TMP/pid" \
		--argjson agent "$(jq -nR '[inputs]' <<<"${AGENT// /$'\n'}")" \
		--arg client "$(ns_of client)" --arg b1 "$(ns_of b1)" --arg c1 "$(ns_of c1)" --arg d1 "$(ns_of d1)" \
		--argjson web "$(jq -s transpose <<<"$(ips b1) $(ips b2) $(ips c1)")" --argjson shop "$(jq -s transpose <<<"$(ips s1) $(ips d1)")" '{
		laneway: $laneway, socket: $socket, control: $control, port: $port, state: $state, variants: $variants, log: $log, pid: $pid, pid_file: $pid_file,
		agent: $agent, leaf: $leaf, work: {ips: $ips, command: ["nsenter", "--net=/run/netns/\($work)", "python3", "\($dir)/work.py"]},
		clients: {client: {netns: $client, lane: ""}, b1: {netns: $b1, lane: ""}, c1: {netns: $c1, lane: "gray"}, d1: {netns: $d1, lane: "blue"}},
		apps: {web: {lane: "gray", ips: $web}, shop: {lane: "blue", ips: $shop}}}' >"$LWT_TMP/world.json"
	python3 "$LWT_ROOT/tests/netns/clients/random_work.py" "$LWT_TMP/world.json" "$3" "$4" || right=$?
	[ ! -s "$LWT_TMP/pid" ] || AGENT_PID=$(<"$LWT_TMP/pid") # the last of those that it has started
	return $right
}
SEED=${WORK_SEED:-1}
works work false "$SEED" "${WORK_STEPS:-12000}" || exit 1
last=$AGENT_PID
agent_kill
until_ok 15 "the last agent to be gone" eval '! kill -0 $last 2>/dev/null' # no child of this shell
rm -f "$LWT_STATE"/*
cp "$LWT_TMP"/variants/*.open/* "$LWT_STATE"
agent_start --leaf-after 3
for i in $(seq "${WORK_LEAVES:-4}"); do
	pod_ns "leaf$i"
	works "leaf$i" true $((SEED * 1000 + i)) 1500 || exit 1
done
say ok
