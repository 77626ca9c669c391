#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The story of the example in objects/, end to end: a gateway in front of A -> B -> C, an
# end-to-end canary of A and C, with real servers in network namespaces. The objects are the example's
# own; pods, ReplicaSets and all status are written here as Kubernetes and Kruise Rollouts would. Every
# answer is checked: the demo fails where one is not what the example says.
#
# B and C have no Service: their callers get pod addresses, canary pods and all, from a registry (a file
# that stands in for Nacos). A has one, behind the gateway: kube-proxy is stood in for by nftables in the
# gateway's namespace, which also knows the canary pods, and is all there is while no lane is open.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

OBJECTS=$LWT_ROOT/tests/demo/objects
VIP=10.96.0.20
LWT_PORT=20001
if [ -t 1 ]; then
	BOLD=$'\e[1m' DIM=$'\e[2m' OFF=$'\e[0m'
else
	BOLD='' DIM='' OFF=''
fi

title() { printf '\n%s== %s%s\n' "$BOLD" "$1" "$OFF"; }
note() { printf '%s%s%s\n' "$DIM" "$1" "$OFF"; }

# ---- the cluster: what the API server would hold ----

# kube_doc FILE KIND NAME: that document of the file, as it stands.
kube_doc() {
	awk -v kind="$2" -v name="$3" '
		function flush() { if (k == kind && n == name) printf "%s", doc; doc = k = n = "" }
		/^---/ { flush(); next }
		{ doc = doc $0 "\n" }
		/^kind: / { k = $2 }
		/^  name: / && n == "" { n = $2 }
		END { flush() }' "$OBJECTS/$1"
}
# add_after PATTERN TEXT: TEXT behind the first line that matches.
add_after() { awk -v p="$1" -v t="$2" '{ print } $0 ~ p && !done { print t; done = 1 }'; }
meta() { add_after '^metadata:' "  namespace: default"$'\n'"  uid: $1"; }

# A version of a service: "rs NAME HASH", its pods "NAME LAST_BYTE LANE".
deployment() { # NAME [IN_RELEASE_OF]
	kube_doc mse-demo.yaml Deployment "$1" | meta "deploy-$1" |
		if [ -n "${2:-}" ]; then
			add_after '^metadata:' "  annotations: {rollouts.kruise.io/in-progressing: '{\"rolloutName\":\"$2\"}'}"
		else
			cat
		fi
}
rollout() { # NAME PHASE REASON STEP_STATE STABLE CANARY
	kube_doc rollout.yaml Rollout "$1" | meta "$1" | add_after '^  annotations:' "    rollouts.kruise.io/hash: rh1" &&
		obj_rollout_status "$5" "$6" "$2" "$3" "$4"
}
routing() { # PHASE "ROLLOUTS" [WEIGHT]
	local r finalizers="  finalizers:"$'\n'"  - rollouts.kruise.io/trafficrouting"
	for r in $2; do
		finalizers+=$'\n'"  - progressing.rollouts.kruise.io/$r"
	done
	kube_doc rollout.yaml TrafficRouting mse-traffic | meta mse-traffic | add_after '^metadata:' "$finalizers" |
		if [ -n "${3:-}" ]; then
			# The example has the weight in a comment: in the place of the matches.
			awk -v w="$3" '/^    matches:/ { print "    weight: " w; skip = 1; next }
				/^    [a-z]/ { skip = 0 } !skip'
		else
			cat
		fi
	printf '\nstatus: {observedGeneration: 1, phase: %s}\n' "$1"
}

declare -A RS_OF
# So long servers and the gateway keep a connection that nothing is asked on. One that gets no processor for that long, as in a guest
# without KVM, may find it closed as it asks.
IDLE_MS=$((600 * LWT_SLOW))
# start_pod POD SERVICE HASH LAST_BYTE LANE [HOP OPTIONS]
start_pod() {
	local pod=$1 service=$2 hash=$3 last=$4 lane=$5 rs letter
	shift 5
	letter=${service##*-}
	letter=${letter^^}
	rs=$service-$hash
	[ -z "$lane" ] || rs=$service-x7k2q-$hash
	pod_ns "$pod" "$last"
	serve "$pod" --name "$letter" --color "$lane" --forward nothing --idle "$IDLE_MS" "$@"
	RS_OF[$pod]=$rs POD_APP[$pod]=$service
	obj_pod "$pod" "$service" "$rs" "$hash" "${POD_IP[$pod]}" "$lane" | put "pod-$pod"
}
# Ends a pod as the kubelet does: terminating first, then gone.
end_pod() {
	local pod=$1 rs=${RS_OF[$1]}
	POD_DELETED=1 obj_pod "$pod" "${POD_APP[$pod]}" "$rs" "${rs##*-}" "${POD_IP[$pod]}" "${2:-}" | put "pod-$pod"
	publish
	del "pod-$pod"
	pod_ns_del "$pod"
	unset "RS_OF[$pod]"
}
# What follows the pods: ReplicaSets, the registry, and kube-proxy's table in the gateway.
publish() {
	local pod service a_pods=()
	for service in spring-cloud-b spring-cloud-c; do
		for pod in "${!RS_OF[@]}"; do
			[ "${POD_APP[$pod]}" != "$service" ] || echo "${POD_IP[$pod]}:$LWT_PORT"
		done | sort >"$LWT_TMP/registry-$service.new"
		mv "$LWT_TMP/registry-$service.new" "$LWT_TMP/registry-$service"
	done
	for pod in "${!RS_OF[@]}"; do
		[ "${POD_APP[$pod]}" != spring-cloud-a ] || a_pods+=("$pod")
	done
	kube_proxy gateway "$VIP" "$LWT_PORT" "${a_pods[@]}"
	for pod in "${!RS_OF[@]}"; do
		service=${RS_OF[$pod]%-*}
		obj_replicaset "$service" "${POD_APP[$pod]}" "${RS_OF[$pod]##*-}" 1 | put "rs-${RS_OF[$pod]}"
	done
	state_sync
}
extra_deployment() { # SERVICE ROLLOUT: the one Rollouts makes for a canary
	obj_deployment "$1-x7k2q" "$1" 1 "$(obj_canary_meta "$1" "$2")" | put "$1-x7k2q"
}

# A connection is steered if it was opened while its lane was: those from before stay with their pod until they
# are closed. Servers and gateway close idle ones after IDLE_MS, and a release begins when they are gone.
quiet() {
	local pod
	for pod in gateway "${!RS_OF[@]}"; do
		[ -z "$(in_pod "$pod" ss -Htn state established "( dport = :$LWT_PORT )")" ] || return 1
	done
}
# begin HASH_A HASH_A_NEW HASH_C HASH_C_NEW: A and C were updated, their canary pods are up, step 1 waits.
begin() {
	until_ok 15 "connections from before the release to close" quiet
	extra_deployment spring-cloud-a rollout-a
	extra_deployment spring-cloud-c rollout-c
	deployment spring-cloud-a rollout-a | put spring-cloud-a
	deployment spring-cloud-c rollout-c | put spring-cloud-c
	start_pod "a-gray" spring-cloud-a "$2" 116 gray --registry "$LWT_TMP/registry-spring-cloud-b"
	start_pod "c-gray" spring-cloud-c "$4" 102 gray
	rollout rollout-a Progressing InRolling StepPaused "$1" "$2" | put rollout-a
	rollout rollout-c Progressing InRolling StepPaused "$3" "$4" | put rollout-c
	routing Progressing "rollout-a rollout-c" | put mse-traffic
	publish
}
# end_release REASON HASH_A HASH_A_NEW HASH_C HASH_C_NEW: routing goes back first, then the canary pods go.
end_release() {
	rollout rollout-a Progressing "$1" Completed "$2" "$3" | put rollout-a
	rollout rollout-c Progressing "$1" Completed "$4" "$5" | put rollout-c
	routing Finalizing "" | put mse-traffic
	publish
	routing Healthy "" | put mse-traffic
	end_pod a-gray gray
	end_pod c-gray gray
	del spring-cloud-a-x7k2q
	del spring-cloud-c-x7k2q
}
healthy() {
	deployment spring-cloud-a | put spring-cloud-a
	deployment spring-cloud-c | put spring-cloud-c
	rollout rollout-a Healthy Completed Completed "$1" "$2" | put rollout-a
	rollout rollout-c Healthy Completed Completed "$3" "$4" | put rollout-c
	publish
}

# ---- what the user sees ----

ip4='[0-9.]*'
BASE="^A\\[$ip4\\]\\[config=base\\] -> B\\[$ip4\\] -> C\\[$ip4\\]\$"
GRAY="^Agray\\[$ip4\\] -> B\\[$ip4\\] -> Cgray\\[$ip4\\]\$"

# ask PATTERN... -- CURL ARGUMENTS: shows the command and its answer; line n must match PATTERN n.
ask() {
	local patterns=() i=0 line
	while [ "$1" != -- ]; do
		patterns+=("$1")
		shift
	done
	shift
	printf '%s$ curl' "$BOLD"
	for line in "$@"; do
		case $line in *[\ \;\[\{]*) printf " '%s'" "$line" ;; *) printf ' %s' "$line" ;; esac
	done
	printf '%s\n' "$OFF"
	in_pod user curl -sS --max-time $((10 * LWT_SLOW)) "$@" >"$LWT_TMP/answer" 2>&1 || fail "curl: $(cat "$LWT_TMP/answer")"
	cat "$LWT_TMP/answer"
	while IFS= read -r line; do
		[[ $line =~ ${patterns[i]:-^none\ expected$} ]] || fail "answer $((i + 1)) should match ${patterns[i]:-}: $line"
		i=$((i + 1))
	done < <(grep -v '^(' "$LWT_TMP/answer")
	[ "$i" = "${#patterns[@]}" ] || fail "$i answers, ${#patterns[@]} expected"
	[ "$(grep -c '^(port' "$LWT_TMP/answer")" -le 1 ] ||
		[ "$(grep '^(port' "$LWT_TMP/answer" | sort -u | wc -l)" = 1 ] || fail "not one connection"
}

# shown COMMAND...: the command and what it prints.
shown() {
	printf '%s$ %s%s\n' "$BOLD" "${*/"$LWT_BPFFS"//sys/fs/bpf}" "$OFF"
	if [ "$1" = laneway ]; then lw "${@:2}"; else "$@"; fi
}

start=$EPOCHREALTIME
need nft bpftool
if net_is_free 192.168.42; then setup 192.168.42; else setup; fi
LINK=${LANEWAY#"$PWD"/}

pod_ns user 90
pod_ns gateway 80
GW=http://${POD_IP[gateway]}
start_pod c-1 spring-cloud-c 6f9d7c5b84 101 ""
start_pod b-1 spring-cloud-b 77c8b9d6f5 118 "" --registry "$LWT_TMP/registry-spring-cloud-c"
start_pod b-2 spring-cloud-b 77c8b9d6f5 117 "" --registry "$LWT_TMP/registry-spring-cloud-c"
start_pod a-1 spring-cloud-a 5d4f8c7b96 115 "" --config base --registry "$LWT_TMP/registry-spring-cloud-b"
start_pod a-2 spring-cloud-a 5d4f8c7b96 114 "" --config base --registry "$LWT_TMP/registry-spring-cloud-b"
kube_doc mse-demo.yaml Service spring-cloud-a | meta svc-a |
	add_after '^spec:' "  clusterIP: $VIP"$'\n'"  clusterIPs: [$VIP]" | put service-a
deployment spring-cloud-b | put spring-cloud-b
rollout rollout-b Healthy Completed Completed 77c8b9d6f5 "" | put rollout-b
routing Healthy "" | put mse-traffic
healthy 5d4f8c7b96 "" 6f9d7c5b84 ""

# Both keep connections open for what comes next, of whichever user.
gateway_nginx() {
	nginx_conf "$LWT_TMP/nginx" <<-END
		upstream a { server $VIP:$LWT_PORT; keepalive 16; keepalive_timeout ${IDLE_MS}ms; keepalive_requests 100000; }
		server {
			listen 80;
			location / { proxy_pass http://a; proxy_http_version 1.1; proxy_set_header Connection ""; }
		}
	END
	exec_pod gateway "${NGINX[@]}" &
}
gateway_haproxy() {
	haproxy_conf "$LWT_TMP/haproxy.cfg" <<-END
		listen a
			bind :80
			server a $VIP:$LWT_PORT pool-purge-delay ${IDLE_MS}ms
	END
	exec_pod gateway "${HAPROXY[@]}" &
}

agent_start
gateway=nginx
if [ "$(lw status -o json | jq -r .kept_out.fionread)" = true ]; then
	gateway=haproxy
	note "Linux $(uname -r) does not count steered bytes for FIONREAD, which nginx asks: it would be left alone. So HAProxy is the gateway."
fi
need $gateway
gateway_$gateway
wait_port gateway 80
note "user -> gateway ($gateway) -> A (2 pods) -> B (2 pods) -> C (1 pod); agent: $LINK agent --state DIR"

title "1. No release in progress: everything is base"
ask "$BASE" -- "$GW/a"
ask "$BASE" "$BASE" -- -A xiaoming "$GW/a" "$GW/a"

title "2. A and C are released, step 1: User-Agent xiaoming goes to the canary; B has none and passes it on"
begin 5d4f8c7b96 6b7f6d9c88 6f9d7c5b84 7d8c9b5f66
CONN='(port %{local_port})\n'
ask "$GRAY" -- -A xiaoming "$GW/a"
ask "$BASE" -- "$GW/a"
note "In turn on one keep-alive connection:"
ask "$GRAY" "$BASE" "$GRAY" "$BASE" -- -A xiaoming -w "$CONN" "$GW/a" --next -w "$CONN" "$GW/a" \
	--next -A xiaoming -w "$CONN" "$GW/a" --next -w "$CONN" "$GW/a"
shown laneway lanes

title "3. Weight 30: the share of 1,000 requests"
routing Progressing "rollout-a rollout-c" 30 | put mse-traffic
publish
printf '%s$ curl %s%s\n' "$BOLD" "'$GW/a?[1-1000]' | sort | uniq -c" "$OFF"
in_pod user curl -sS --max-time $((30 * LWT_SLOW)) "$GW/a?[1-1000]" >"$LWT_TMP/thousand"
sed 's/\[192[^]]*\]/[…]/g; s/\[10[^]]*\]/[…]/g' "$LWT_TMP/thousand" | sort | uniq -c
gray=$(grep -cE "$GRAY" "$LWT_TMP/thousand" || true) base=$(grep -cE "$BASE" "$LWT_TMP/thousand" || true)
printf 'canary %d.%d %%, base %d.%d %%, neither %d\n' $((gray / 10)) $((gray % 10)) $((base / 10)) $((base % 10)) \
	$((1000 - gray - base))
[ $((gray + base)) = 1000 ] || fail "answers that are of no lane: $(grep -vE "$GRAY|$BASE" "$LWT_TMP/thousand" | head -n 3)"
# 30 % of 1,000 give or take four standard deviations.
[ "$gray" -ge 242 ] && [ "$gray" -le 358 ] || fail "the share of the canary should be near 30 %"

title "4. Approved and finished: the new version is everyone's"
routing Progressing "rollout-a rollout-c" | put mse-traffic
rollout rollout-a Progressing InRolling StepReady 5d4f8c7b96 6b7f6d9c88 | put rollout-a
rollout rollout-c Progressing InRolling StepReady 6f9d7c5b84 7d8c9b5f66 | put rollout-c
end_release Finalising 5d4f8c7b96 6b7f6d9c88 6f9d7c5b84 7d8c9b5f66
start_pod c-3 spring-cloud-c 58b6c7d9fb 103 ""
start_pod a-3 spring-cloud-a 84c7d5b9c4 125 "" --config base --registry "$LWT_TMP/registry-spring-cloud-b"
start_pod a-4 spring-cloud-a 84c7d5b9c4 126 "" --config base --registry "$LWT_TMP/registry-spring-cloud-b"
publish
for pod in a-1 a-2 c-1; do
	end_pod $pod
done
healthy 5d4f8c7b96 6b7f6d9c88 6f9d7c5b84 7d8c9b5f66
NEW="${LWT_NET//./\\.}\\.12[56]"
ask "^A\\[$NEW\\].* -> B.* -> C\\[.*103\\]\$" -- -A xiaoming "$GW/a"
ask "^A\\[$NEW\\].* -> B.* -> C\\[.*103\\]\$" -- "$GW/a"

title "5. The next release is rolled back"
begin 84c7d5b9c4 9c6d4b8f77 58b6c7d9fb 65d7f9b8c5
ask "$GRAY" -- -A xiaoming "$GW/a"
shown laneway flows
shown bpftool map dump pinned "$LWT_BPFFS/laneway/tags"
note "kubectl kruise rollout undo: the routing goes back first, then the pods"
end_release Cancelling 84c7d5b9c4 9c6d4b8f77 58b6c7d9fb 65d7f9b8c5
healthy 84c7d5b9c4 9c6d4b8f77 58b6c7d9fb 65d7f9b8c5
ask "$BASE" -- -A xiaoming "$GW/a"
ask "$BASE" -- "$GW/a"

title "What is left, and what was done"
shown laneway lanes
shown laneway flows
shown laneway stats
shown bpftool map dump pinned "$LWT_BPFFS/laneway/config"
agent_stop
printf '\n%sdone in %d s%s\n' "$BOLD" $(((${EPOCHREALTIME/./} - ${start/./}) / 1000000)) "$OFF"
