# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A real kube-apiserver on etcd, on 127.0.0.1, for the tests of this folder: TLS, tokens, RBAC, the CRDs of Kruise
# Rollouts. Source it, call `kube_setup`. There is no controller and no kubelet: the test writes what they would, pods
# are network namespaces (tests/netns/lib.sh), and their status is the truth about them.
#
# Objects are written with `kubectl` (k) or plain requests (kapi), as cluster admin. The agent is the service account
# laneway/laneway, with a token of the TokenRequest API in a file, and the rules of deploy/rbac.yaml.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

KUBE_DIR=${LW_KUBE:-${XDG_CACHE_HOME:-$HOME/.cache}/laneway/kube}
KUBE_HERE=$LWT_ROOT/tests/kube
ETCD_PID="" API_PID=""
# tests/node has them elsewhere, and with all that admission does: what servers are started with, the addresses in the
# server's certificate, admission plugins that are off.
KUBE_ON=() KUBE_SAN=IP:127.0.0.1,DNS:localhost KUBE_NO_ADMISSION=ServiceAccount

free_ports() { python3 -c 'import socket, sys
s = [socket.socket() for _ in range(int(sys.argv[1]))]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])' "$1"; }

# kube_pki: a CA, the server's certificate, the admin's token, and a key for service accounts' tokens.
kube_pki() {
	local d=$KUBE/pki
	mkdir -p "$d"
	openssl ecparam -genkey -name prime256v1 -noout -out "$d/ca.key"
	openssl req -x509 -new -key "$d/ca.key" -sha256 -days 30 -subj /CN=laneway-test -out "$d/ca.crt" \
		-addext keyUsage=critical,keyCertSign,cRLSign
	kube_cert srv /CN=kube-apiserver "subjectAltName=$KUBE_SAN\nextendedKeyUsage=serverAuth\n"
	kube_cert cli /O=system:masters/CN=admin 'extendedKeyUsage=clientAuth\n'
	openssl genrsa -out "$d/sa.key" 2048
	KUBE_TOKEN=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
	echo "$KUBE_TOKEN,admin,1,\"system:masters\"" >"$d/tokens.csv"
} 2>/dev/null
# kube_cert NAME SUBJECT EXTENSIONS
kube_cert() {
	local d=$KUBE/pki
	openssl ecparam -genkey -name prime256v1 -noout -out "$d/$1.key"
	openssl req -new -key "$d/$1.key" -subj "$2" -out "$d/$1.csr"
	# shellcheck disable=SC2059
	printf "$3" >"$d/$1.ext"
	openssl x509 -req -in "$d/$1.csr" -CA "$d/ca.crt" -CAkey "$d/ca.key" -CAcreateserial -days 30 -sha256 \
		-extfile "$d/$1.ext" -out "$d/$1.crt"
}

# kubeconfig FILE CA SERVER "LINES OF A USER"
kubeconfig() {
	cat >"$1" <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: c, cluster: {server: "$3", certificate-authority: $2}}]
		users: [{name: u, user: {$4}}]
		contexts: [{name: test, context: {cluster: c, user: u}}]
		current-context: test
	END
}

etcd_start() {
	(outside exec "${KUBE_ON[@]}" etcd --name t --data-dir "$KUBE/etcd" --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" \
		--listen-peer-urls "$ETCD_PEER" --initial-advertise-peer-urls "$ETCD_PEER" \
		--initial-cluster "t=$ETCD_PEER" --unsafe-no-fsync >>"$KUBE/etcd.log" 2>&1) &
	ETCD_PID=$!
	until_ok 60 "etcd" "${KUBE_ON[@]}" curl -sf "$ETCD/health"
}
# api_start [OPTIONS...]: returns once it is ready.
api_start() {
	(outside exec "${KUBE_ON[@]}" "$KUBE_DIR/bin/kube-apiserver" --etcd-servers="$ETCD" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
		--secure-port="$API_PORT" --insecure-port=0 --tls-cert-file="$KUBE/pki/srv.crt" --tls-private-key-file="$KUBE/pki/srv.key" \
		--client-ca-file="$KUBE/pki/ca.crt" --token-auth-file="$KUBE/pki/tokens.csv" --authorization-mode=RBAC \
		--service-cluster-ip-range=10.96.0.0/16 --cert-dir="$KUBE/pki" --service-account-key-file="$KUBE/pki/sa.key" \
		--service-account-signing-key-file="$KUBE/pki/sa.key" --service-account-issuer=https://kubernetes.default.svc \
		--disable-admission-plugins="$KUBE_NO_ADMISSION" --endpoint-reconciler-type=none --allow-privileged=true "$@" \
		>>"$KUBE/apiserver.log" 2>&1) &
	API_PID=$!
	until_ok 200 "the API server" kapi_ok /readyz
}
api_kill() {
	kill -9 "$API_PID"
	wait "$API_PID" 2>/dev/null || true
}

# kapi METHOD PATH [JSON]: prints the answer; fails on a status of 400 and up.
kapi() {
	local type=application/json answer
	[ "$1" != PATCH ] || type=application/merge-patch+json
	answer=$(curl -sS --fail-with-body --max-time 30 --cacert "$KUBE/pki/ca.crt" -H "Authorization: Bearer $KUBE_TOKEN" \
		-H "Content-Type: $type" -X "$1" ${3:+--data-binary "$3"} "$API$2") || {
		printf '%s %s: %s\n' "$1" "$2" "$answer" >&2
		return 1
	}
	printf '%s\n' "$answer"
}
kapi_ok() { kapi GET "$1" >/dev/null; }
k() { kubectl --kubeconfig "$KUBE/admin.conf" --cache-dir "$KUBE/cache" "$@"; }
# apply: standard input. Debian's kubectl does not know all that newer CRDs say.
apply() { k apply --validate=false -f - >/dev/null; }

ROLLOUTS=/apis/rollouts.kruise.io/v1beta1/namespaces/default/rollouts
ROUTINGS=/apis/rollouts.kruise.io/v1alpha1/namespaces/default/trafficroutings

# agent_token FILE: a new token of the agent's service account.
agent_token() {
	kapi POST /api/v1/namespaces/laneway/serviceaccounts/laneway/token \
		'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600}}' |
		jq -er .status.token >"$1.tmp"
	mv "$1.tmp" "$1"
}

# role: what the agent may do, as the ClusterRole; role_set ROLE puts it in force.
ROLE=/apis/rbac.authorization.k8s.io/v1/clusterroles/laneway
role() { kapi GET $ROLE | jq -c 'del(.metadata.resourceVersion)'; }
role_set() { kapi PUT $ROLE "$1" >/dev/null; }
# role_without RESOURCE: the same with all but this resource.
role_without() { role | jq -c --arg r "$1" '.rules |= map(.resources -= [$r] | select(.resources != []))'; }
# may_in_namespace RESOURCE: the agent may list and watch it in namespace default.
may_in_namespace() {
	k create role "$1" --verb=list,watch --resource="$1" >/dev/null
	k create rolebinding "$1" --role="$1" --serviceaccount=laneway:laneway >/dev/null
}

# kube_setup: the cluster runs, the CRDs are there, and the agent may read what it needs.
kube_setup() {
	[ -x "$KUBE_DIR/bin/kube-apiserver" ] || skip "no $KUBE_DIR/bin/kube-apiserver: make test-kube builds it"
	need etcd kubectl openssl jq python3
	setup
	KUBE=$LWT_TMP/kube
	mkdir -p "$KUBE"
	read -r etcd_port peer_port API_PORT <<<"$(free_ports 3)"
	ETCD=http://127.0.0.1:$etcd_port ETCD_PEER=http://127.0.0.1:$peer_port API=https://127.0.0.1:$API_PORT
	kube_pki
	kubeconfig "$KUBE/admin.conf" "$KUBE/pki/ca.crt" "$API" "token: \"$KUBE_TOKEN\""
	kubeconfig "$KUBE/agent.conf" "$KUBE/pki/ca.crt" "$API" "tokenFile: $KUBE/token"
	etcd_start
	api_start
	kube_objects
}
kube_objects() {
	apply <"$LWT_ROOT/deploy/namespace.yaml"
	apply <"$LWT_ROOT/deploy/rbac.yaml"
	kube_crds
	agent_token "$KUBE/token"
}
kube_crds() {
	crd_files | apply
	k wait --for condition=established --timeout=30s crd/rollouts.rollouts.kruise.io crd/trafficroutings.rollouts.kruise.io >/dev/null
	until_ok 20 "the CRDs to be served" kapi_ok "$ROLLOUTS"
	until_ok 20 "the CRDs to be served" kapi_ok "$ROUTINGS"
}

# ---- what controllers and kubelets would write; pods, Services and Deployments in namespace $KUBE_NS ----
KUBE_NS=default
kube_namespace() { kapi POST /api/v1/namespaces "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"$1\"}}" >/dev/null; }

# kube_deployment NAME APP REPLICAS [CANARY_OF]
kube_deployment() {
	apply <<-END
		apiVersion: apps/v1
		kind: Deployment
		metadata:
		  name: $1
		  namespace: $KUBE_NS
		  labels: {app: $2${4:+, rollouts.kruise.io/canary-deployment: $4}}
		spec:
		  replicas: $3
		  selector: {matchLabels: {app: $2}}
		  template:
		    metadata: {labels: {app: $2}}
		    spec: {containers: [{name: main, image: "example.org/$2:latest"}]}
	END
}
# kube_service NAME VIP PORT TARGET APP
kube_service() {
	apply <<-END
		apiVersion: v1
		kind: Service
		metadata: {name: $1, namespace: $KUBE_NS}
		spec:
		  clusterIP: $2
		  ports: [{name: http, port: $3, protocol: TCP, targetPort: $4}]
		  selector: {app: $5}
	END
}
# kube_pod NAME APP DEPLOYMENT IP [LANE [HASH]]: created, and reported running and ready.
kube_pod() {
	local hash lane=""
	hash=${6:-$(hash_of "$3")}
	[ -z "${5:-}" ] || lane=",\"alicloud.service.tag\":\"$5\",\"opensergo.io/canary-$5\":\"$5\""
	kapi POST "/api/v1/namespaces/$KUBE_NS/pods" "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"$1\",
		\"labels\":{\"app\":\"$2\",\"pod-template-hash\":\"$hash\"$lane},
		\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"$3-$hash\",\"uid\":\"rs-$3\",\"controller\":true}]},
		\"spec\":{\"nodeName\":\"node-1\",\"containers\":[{\"name\":\"main\",\"image\":\"example.org/$2\",
		\"ports\":[{\"name\":\"http\",\"containerPort\":$LWT_PORT}]}]}}" >/dev/null
	kube_pod_status "$1" "$4" True
}
# kube_pod_status NAME IP READY
kube_pod_status() {
	kapi PATCH "/api/v1/namespaces/$KUBE_NS/pods/$1/status" "{\"status\":{\"phase\":\"Running\",\"podIP\":\"$2\",\"podIPs\":[{\"ip\":\"$2\"}],
		\"conditions\":[{\"type\":\"Ready\",\"status\":\"$3\"}]}}" >/dev/null
}
# kube_rollout NAME DEPLOYMENT TRAFFICROUTING: bound to it, as in the example.
kube_rollout() {
	apply <<-END
		apiVersion: rollouts.kruise.io/v1beta1
		kind: Rollout
		metadata:
		  name: $1
		  namespace: default
		  annotations: {rollouts.kruise.io/trafficrouting: $3, rollouts.kruise.io/hash: rh1}
		spec:
		  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: $2}
		  strategy:
		    canary:
		      enableExtraWorkloadForCanary: true
		      steps:
		      - {pause: {}, replicas: 1}
		      patchPodTemplateMetadata: {labels: {alicloud.service.tag: gray, opensergo.io/canary-gray: gray}}
	END
}
# Rollouts' kinds. An empty string in a status is null to this API server, and refused where it must be there: as finalisingStep, which is empty while a release
# is under way and says more of it else.
crd_files() { sed '/^ *- finalisingStep$/d' "$KUBE_HERE"/crd/*.yaml; }
# Of others that may be anything it says "-".
# kube_rollout_status NAME PHASE REASON STEP_STATE STABLE CANARY [STEP]
kube_rollout_status() {
	local progressing=True finalising='"finalisingStep":null,'
	[ "$3" != Completed ] || progressing=False finalising='"finalisingStep":"END",'
	kapi PATCH "$ROLLOUTS/$1/status" "{\"status\":{\"phase\":\"$2\",\"observedGeneration\":1,
		\"conditions\":[{\"type\":\"Progressing\",\"status\":\"$progressing\",\"reason\":\"$3\",\"message\":\"-\",
			\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"lastUpdateTime\":\"2026-01-01T00:00:00Z\"}],
		\"currentStepIndex\":${7:-1},\"currentStepState\":\"$4\",
		\"canaryStatus\":{\"rolloutHash\":\"rh1\",\"stableRevision\":\"$(hash_of "$5")\",\"canaryRevision\":\"cr\",
			\"podTemplateHash\":\"$(hash_of "$6")\",\"canaryReplicas\":1,\"canaryReadyReplicas\":1,\"currentStepIndex\":${7:-1},
			\"nextStepIndex\":-1,$finalising\"currentStepState\":\"$4\",\"message\":\"-\"}}}" >/dev/null
}
# kube_routing NAME SERVICE < lines of spec.strategy
kube_routing() {
	{
		cat <<-END
			apiVersion: rollouts.kruise.io/v1alpha1
			kind: TrafficRouting
			metadata: {name: $1, namespace: default}
			spec:
			  objectRef: [{service: $2, ingress: {classType: mse, name: $2}}]
			  strategy:
		END
		indent 4
	} | apply
}
# kube_routing_by_user NAME SERVICE: x-user: xiaoming, who gets the tag.
kube_routing_by_user() {
	kube_routing "$@" <<-END
		matches:
		- headers:
		  - {type: Exact, name: x-user, value: xiaoming}
		requestHeaderModifier:
		  set:
		  - {name: x-mse-tag, value: gray}
	END
}
# kube_routing_status NAME PHASE "ROLLOUTS THAT HOLD IT"
kube_routing_status() {
	local finalizers='"rollouts.kruise.io/trafficrouting"' rollout
	for rollout in $3; do
		finalizers+=",\"progressing.rollouts.kruise.io/$rollout\""
	done
	kapi PATCH "$ROUTINGS/$1" "{\"metadata\":{\"finalizers\":[$finalizers]}}" >/dev/null
	kapi PATCH "$ROUTINGS/$1/status" "{\"status\":{\"phase\":\"$2\",\"observedGeneration\":1,\"message\":\"-\"}}" >/dev/null
}

# ---- the agent ----

# kube_agent_start [OPTIONS...]: returns once its socket answers; whether it steers is another matter.
kube_agent_start() {
	"$LANEWAY" agent --kubeconfig "$KUBE/agent.conf" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
		--device "lwv$$x*" "$@" >>"$LWT_TMP/agent.log" 2>&1 &
	AGENT_PID=$!
	until_ok 20 "the agent's socket" agent_answers
}
# status exits with 1 while nothing is steered.
status_json() { lw status -o json || [ $? = 1 ]; }
# Watches there are to be.
watches() { status_json | jq '[.source.watches[] | select(.state != "closing")] | length'; }
source_says() { status_json | jq -e ".source | $1"; }
steering() { lw status >/dev/null; }
# watches of what a selector says: how many objects each holds, once all of them have come.
watched() { source_says "[.watches[] | select(.state == \"watching\" and .labels == \"$1\") | .objects]" | tr -d ' \n'; }
# watch_holds LABELS "[COUNT]": whether that is all of it.
watch_holds() { [ "$(watched "$1")" = "$2" ]; }
# What is wrong with the source, all of its watches.
source_error() { status_json | jq -r '[.source.error, .source.watches[].error] | map(select(. != "")) | unique | join("; ")'; }
# shellcheck disable=SC2053
source_error_like() { [[ $(source_error) == $1 ]]; }
lanes_say() { lw lanes -o json | jq -e "$1"; }
# lane_opens [SECONDS], lane_closes: waits for it.
lane_opens() { until_ok "${1:-30}" "the lane to open" lanes_say 'any(.lanes[]; .name == "gray" and .open)'; }
lane_closes() { until_ok 30 "the lane to close" lanes_say 'all(.lanes[]; .open | not)'; }

# two_pods in the cluster: Deployment web with pods b1, b2 and c1, a client, and a release that is between steps.
kube_two_pods() {
	app web gray
	for pod in b1 b2; do
		pod_ns $pod
		serve $pod --name $pod
	done
	pod_ns c1
	serve c1 --name c1 --color gray
	pod_ns client
	B1=http://${POD_IP[b1]}:$LWT_PORT B2=http://${POD_IP[b2]}:$LWT_PORT C1=http://${POD_IP[c1]}:$LWT_PORT
	kube_deployment web web 2
	kube_service web "${APP_VIP[web]}" 80 "$LWT_PORT" web
	kube_pod b1 web web "${POD_IP[b1]}"
	kube_pod b2 web web "${POD_IP[b2]}"
	kube_routing_by_user tr web
	kube_rollout ro web tr
	kube_rollout_status ro Healthy Completed Completed web web
	kube_routing_status tr Healthy ""
}
# The canary is there and the lane is open.
kube_release() {
	kube_routing_status tr Progressing ro
	kube_rollout_status ro Progressing InRolling StepUpgrade web ""
	kube_deployment web-x7k2q web 1 web
	kube_pod c1 web web-x7k2q "${POD_IP[c1]}" gray
	kube_rollout_status ro Progressing InRolling StepPaused web web-x7k2q
}
kube_release_end() {
	kube_rollout_status ro Healthy Completed Completed web web-x7k2q
	kube_routing_status tr Healthy ""
	kapi DELETE "/api/v1/namespaces/default/pods/c1?gracePeriodSeconds=0" >/dev/null
	kapi DELETE /apis/apps/v1/namespaces/default/deployments/web-x7k2q >/dev/null
}

# load_start: a request a moment, untagged and tagged, over and over; load_end: every answer was right.
load() {
	while [ ! -e "$LWT_TMP/stop" ]; do
		in_turn client "$B1/id" "" "x-mse-tag: gray" | names_only | paste -sd ' '
	done
}
load_start() {
	load >"$LWT_TMP/load" 2>&1 &
	LOAD_PID=$!
	until_ok 10 "the load to run" test -s "$LWT_TMP/load"
}
load_end() {
	touch "$LWT_TMP/stop"
	wait "$LOAD_PID"
	expect_eq "answers all through" "b1 c1gray" "$(sort -u "$LWT_TMP/load")"
	say "$(wc -l <"$LWT_TMP/load") pairs of requests, all right"
}

# ---- many objects ----

kube_cluster() { python3 "$KUBE_HERE/cluster.py" "$API" "$KUBE/pki/ca.crt" "$KUBE_TOKEN" "$@"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
# cpu_begin PID; cpu_used: the percentage of a core that it has used since then.
cpu_begin() { CPU_PID=$1 CPU_TICKS=$(ticks "$1") CPU_SINCE=$EPOCHREALTIME; }
cpu_used() {
	awk -v t=$(($(ticks "$CPU_PID") - CPU_TICKS)) -v hz="$(getconf CLK_TCK)" -v a="$CPU_SINCE" -v b="$EPOCHREALTIME" \
		'BEGIN { printf "%.1f", t / hz / (b - a) * 100 }'
}
# percentiles WHAT < lines "TOTAL WRITE" of cluster.py: in force after TOTAL ms, the write answered after WRITE ms.
percentiles() {
	cat >"$KUBE/times"
	awk '{ print $1 }' "$KUBE/times" | percentile "$1, from before the write until in force"
	awk '{ print ($1 > $2 ? $1 - $2 : 0) }' "$KUBE/times" | percentile "$1, from the answer to the write until in force"
}
percentile() {
	sort -n | awk -v what="$1" '{ v[NR] = $1 } END { printf "%s: %d steps, p50 %.1f ms, p99 %.1f ms, highest %.1f ms\n", what, NR,
		v[int((NR + 1) / 2)], v[int(NR * .99 + .5)], v[NR] }'
}
