# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Kubernetes objects as `kubectl get -o yaml` would print them in the course of a release with Kruise
# Rollouts, written into the agent's state folder. Sourced by lib.sh. The obj_* functions print an object.

# put NAME: standard input becomes $LWT_STATE/NAME.yaml, all at once.
put() {
	cat >"$LWT_TMP/put.tmp"
	mv "$LWT_TMP/put.tmp" "$LWT_STATE/$1.yaml"
}
del() { rm -f "$LWT_STATE/$1.yaml"; }

# indent N: of standard input.
indent() { sed "s/^/$(printf "%$1s" '')/"; }

# A hash as a ReplicaSet's label would have it; the same for the same text.
hash_of() { printf %s "$1" | cksum | awk '{ printf "%09x", $1 }'; }

# obj_service NAME CLUSTER_IPS(comma) PORT TARGET_PORT APP
obj_service() {
	cat <<-END
		apiVersion: v1
		kind: Service
		metadata: {name: $1, namespace: default, uid: svc-$1}
		spec:
		  type: ClusterIP
		  clusterIP: "${2%%,*}"
		  clusterIPs: ["${2//,/\", \"}"]
		  ports:
		  - {name: http, port: $3, protocol: TCP, targetPort: $4}
		  selector: {app: $5}
	END
}

# obj_deployment NAME APP REPLICAS [LINES OF METADATA]
obj_deployment() {
	cat <<-END
		apiVersion: apps/v1
		kind: Deployment
		metadata:
		  name: $1
		  namespace: default
		  uid: deploy-$1
		  generation: 2
	END
	printf '%s' "${4:-}" | indent 2
	cat <<-END

		spec:
		  replicas: $3
		  selector:
		    matchLabels: {app: $2}
		  template:
		    metadata:
		      labels: {app: $2}
		    spec:
		      containers:
		      - {name: main, image: "example.org/$2:latest", ports: [{name: http, containerPort: $LWT_PORT}]}
		status: {observedGeneration: 2, replicas: $3, readyReplicas: $3}
	END
}

# What the extra Deployment of a canary-style release carries. obj_canary_meta APP ROLLOUT
obj_canary_meta() {
	cat <<-END
		labels: {rollouts.kruise.io/canary-deployment: $1}
		annotations:
		  batchrelease.rollouts.kruise.io/control-info: '{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"BatchRelease","name":"$2","uid":"br-$2","controller":true,"blockOwnerDeletion":true}'
		ownerReferences:
		- {apiVersion: rollouts.kruise.io/v1beta1, kind: BatchRelease, name: $2, uid: br-$2, controller: true, blockOwnerDeletion: true}
	END
}
obj_in_progress_meta() {
	cat <<-END
		annotations:
		  rollouts.kruise.io/in-progressing: '{"rolloutName":"$1"}'
	END
}

# obj_replicaset DEPLOYMENT APP HASH REPLICAS
obj_replicaset() {
	cat <<-END
		apiVersion: apps/v1
		kind: ReplicaSet
		metadata:
		  name: $1-$3
		  namespace: default
		  uid: rs-$1-$3
		  labels: {app: $2, pod-template-hash: "$3"}
		  ownerReferences:
		  - {apiVersion: apps/v1, kind: Deployment, name: $1, uid: deploy-$1, controller: true, blockOwnerDeletion: true}
		spec:
		  replicas: $4
		  selector:
		    matchLabels: {app: $2, pod-template-hash: "$3"}
		  template:
		    metadata:
		      labels: {app: $2, pod-template-hash: "$3"}
		status: {replicas: $4, readyReplicas: $4}
	END
}

# obj_pod NAME APP REPLICASET HASH IPS(comma) LANE(or "") [PORT]. POD_READY=False makes it unready,
# POD_DELETED=1 terminating.
obj_pod() {
	local gone="" lane=""
	[ -z "${POD_DELETED:-}" ] || gone="deletionTimestamp: \"2026-01-02T03:05:05Z\""
	[ -z "$6" ] || lane=", alicloud.service.tag: $6, opensergo.io/canary-$6: $6"
	cat <<-END
		apiVersion: v1
		kind: Pod
		metadata:
		  name: $1
		  namespace: default
		  uid: pod-$1-$$
		  labels: {app: $2, pod-template-hash: "$4"$lane}
		  ownerReferences:
		  - {apiVersion: apps/v1, kind: ReplicaSet, name: $3, uid: rs-$3, controller: true, blockOwnerDeletion: true}
		  creationTimestamp: "2026-01-02T03:04:05Z"
		  $gone
		spec:
		  nodeName: node-1
		  containers:
		  - {name: main, image: "example.org/$2:latest", ports: [{name: http, containerPort: ${7:-$LWT_PORT}, protocol: TCP}]}
		status:
		  phase: Running
		  podIP: "${5%%,*}"
		  podIPs: [{ip: "${5//,/\"\}, \{ip: \"}"}]
		  conditions:
		  - {type: Initialized, status: "True"}
		  - {type: Ready, status: "${POD_READY:-True}"}
		  - {type: ContainersReady, status: "${POD_READY:-True}"}
	END
}

# obj_rollout_status STABLE_HASH CANARY_HASH PHASE REASON STEP_STATE [STEP]: of either version
obj_rollout_status() {
	local progressing=True
	[ "$4" != Completed ] || progressing=False
	cat <<-END
		status:
		  observedGeneration: 1
		  phase: $3
		  conditions:
		  - {type: Progressing, status: "$progressing", reason: $4, message: ""}
		  canaryStatus:
		    observedWorkloadGeneration: 2
		    rolloutHash: rh1
		    stableRevision: "$1"
		    canaryRevision: "cr$2"
		    podTemplateHash: "$2"
		    canaryReplicas: 1
		    canaryReadyReplicas: 1
		    currentStepIndex: ${6:-1}
		    nextStepIndex: -1
		    finalisingStep: ""
		    currentStepState: $5
	END
}

# obj_rollout_v1alpha1 NAME DEPLOYMENT TRAFFICROUTING: without status
obj_rollout_v1alpha1() {
	cat <<-END
		apiVersion: rollouts.kruise.io/v1alpha1
		kind: Rollout
		metadata:
		  name: $1
		  namespace: default
		  uid: ro-$1
		  generation: 1
		  annotations: {rollouts.kruise.io/trafficrouting: $3, rollouts.kruise.io/hash: rh1}
		spec:
		  objectRef:
		    workloadRef: {apiVersion: apps/v1, kind: Deployment, name: $2}
		  strategy:
		    canary:
		      steps:
		      - {pause: {}, replicas: 1}
	END
}

# obj_rollout_v1beta1 NAME DEPLOYMENT [TRAFFICROUTING]: without status; lines of step 1 (matches: ..., traffic: ...)
# on standard input and a trafficRoutings entry for the Service $2 make it route by itself.
obj_rollout_v1beta1() {
	cat <<-END
		apiVersion: rollouts.kruise.io/v1beta1
		kind: Rollout
		metadata:
		  name: $1
		  namespace: default
		  uid: ro-$1
		  generation: 1
		  annotations: {rollouts.kruise.io/hash: rh1${3:+, rollouts.kruise.io/trafficrouting: $3}}
		spec:
		  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: $2}
		  strategy:
		    canary:
		      enableExtraWorkloadForCanary: true
	END
	if [ -n "${3:-}" ]; then
		printf '      steps:\n      - {pause: {}, replicas: 1}\n'
	else
		printf '      trafficRoutings:\n      - {service: %s, ingress: {classType: nginx, name: %s}}\n' "$2" "$2"
		printf '      steps:\n      - pause: {}\n        replicas: 1\n'
		indent 8
	fi
}

# obj_trafficrouting NAME SERVICE PHASE "ROLLOUTS IN PROGRESS" < lines of spec.strategy
obj_trafficrouting() {
	local rollout
	cat <<-END
		apiVersion: rollouts.kruise.io/v1alpha1
		kind: TrafficRouting
		metadata:
		  name: $1
		  namespace: default
		  uid: tr-$1
		  generation: 1
		  finalizers:
		  - rollouts.kruise.io/trafficrouting
	END
	for rollout in $4; do
		echo "  - progressing.rollouts.kruise.io/$rollout"
	done
	cat <<-END
		spec:
		  objectRef:
		  - {service: $2, ingress: {classType: mse, name: $2}}
		  strategy:
	END
	indent 4
	cat <<-END
		status: {observedGeneration: 1, phase: $3, message: ""}
	END
}

# ---- whole releases, of the apps and pods lib.sh knows ----

pod_ips() { echo "${POD_IP[$1]},${POD_IP6[$1]}"; }

# put_pod NAME: its Pod object; POD_READY and POD_DELETED as in obj_pod.
put_pod() {
	local name=$1 app=${POD_APP[$1]} lane="" deployment
	deployment=$app
	[ "${POD_REV[$name]}" = base ] || lane=${APP_LANE[$app]} deployment=$app-x7k2q
	obj_pod "$name" "$app" "$deployment-$(hash_of "$deployment")" "$(hash_of "$deployment")" "$(pod_ips "$name")" \
		"$lane" "${POD_PORT[$name]:-$LWT_PORT}" | put "pod-$name"
}

# put_app APP IN_RELEASE(0|1): Deployments, ReplicaSets, Pods, and a Service unless the test has written one.
put_app() {
	local app=$1 name meta=""
	[ -e "$LWT_STATE/svc-$app.yaml" ] ||
		obj_service "$app" "${APP_VIP[$app]},${APP_VIP6[$app]}" 80 "$LWT_PORT" "$app" | put "svc-$app"
	[ "$2" = 0 ] || meta=$(obj_in_progress_meta "ro-$app")
	{
		obj_deployment "$app" "$app" "$(pods_of "$app" base | wc -l)" "$meta"
		echo ---
		obj_replicaset "$app" "$app" "$(hash_of "$app")" "$(pods_of "$app" base | wc -l)"
		if [ "$2" = 1 ]; then
			echo ---
			obj_deployment "$app-x7k2q" "$app" "$(pods_of "$app" canary | wc -l)" "$(obj_canary_meta "$app" "ro-$app")"
			echo ---
			obj_replicaset "$app-x7k2q" "$app" "$(hash_of "$app-x7k2q")" "$(pods_of "$app" canary | wc -l)"
		fi
	} | put "app-$app"
	for name in $(pods_of "$app" base) $([ "$2" = 0 ] || pods_of "$app" canary); do
		put_pod "$name"
	done
}

# rollout_status APP PHASE REASON STEP_STATE
rollout_status() { obj_rollout_status "$(hash_of "$1")" "$(hash_of "$1-x7k2q")" "$2" "$3" "$4"; }

# release NAME APP... < lines of a TrafficRouting's strategy: one TrafficRouting tr-NAME, entry at the
# Service of the first APP, with all APPs paused in step 1 of their Rollouts.
release() {
	local name=$1 entry=$2 app rollouts=
	shift
	shift
	set -- "$entry" "$@"
	cat >"$LWT_TMP/strategy-$name"
	for app in "$@"; do
		rollouts+=" ro-$app"
		put_app "$app" 1
		{
			obj_rollout_v1alpha1 "ro-$app" "$app" "tr-$name"
			rollout_status "$app" Progressing InRolling StepPaused
		} | put "rollout-$app"
	done
	obj_trafficrouting "tr-$name" "$entry" Progressing "$rollouts" <"$LWT_TMP/strategy-$name" | put "tr-$name"
}

# release_by_user APP...: one TrafficRouting tr-APP, entered by the header "x-user: xiaoming", and tagged "x-mse-tag: LANE" of the first.
release_by_user() {
	release "$1" "$@" <<-END
		matches:
		- headers:
		  - {type: Exact, name: x-user, value: xiaoming}
		requestHeaderModifier:
		  set:
		  - {name: x-mse-tag, value: ${APP_LANE[$1]}}
	END
}

# takes_part APP NAME: APP belongs to the TrafficRouting tr-NAME, and is between two releases: it has no canary.
takes_part() {
	{
		obj_rollout_v1alpha1 "ro-$1" "$1" "tr-$2"
		rollout_status "$1" Healthy Completed Completed
	} | put "rollout-$1"
	put_app "$1" 0
}

# release_own APP < lines of step 1: a v1beta1 Rollout with its own trafficRoutings, paused in step 1.
release_own() {
	put_app "$1" 1
	{
		obj_rollout_v1beta1 "ro-$1" "$1"
		rollout_status "$1" Progressing InRolling StepPaused
		printf '  currentStepIndex: 1\n  currentStepState: StepPaused\n'
	} | put "rollout-$1"
}

# release_end NAME APP...: the release is over, all objects as a finished one leaves them.
release_end() {
	local name=$1 entry=$2 app canary
	shift
	for app in "$@"; do
		{
			obj_rollout_v1alpha1 "ro-$app" "$app" "tr-$name"
			rollout_status "$app" Healthy Completed Completed
		} | put "rollout-$app"
	done
	obj_trafficrouting "tr-$name" "$entry" Healthy "" <"$LWT_TMP/strategy-$name" | put "tr-$name"
	for app in "$@"; do
		for canary in $(pods_of "$app" canary); do
			del "pod-$canary"
		done
		put_app "$app" 0
	done
}
