# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A real node of a real cluster: kube-apiserver, controller-manager, scheduler, kubelet and kube-proxy on etcd, containerd with
# runc and the bridge CNI plugin, all in the network namespace of the pod "node" (tests/netns/lib.sh) and a mount namespace where the
# test's own cgroup and bpffs are where a node has its own. Source it, call `node_setup`.
#
# Named by the test's pid, as all else is: cgroup lwn<pid> in each hierarchy of version 1. The kubelet sets sysctls of the
# kernel (vm.overcommit_memory, kernel.panic...): they are put back.
. "$(dirname "${BASH_SOURCE[0]}")/../kube/lib.sh"
NODE_HERE=$LWT_ROOT/tests/node
NODE_SYSCTLS=(kernel.panic kernel.panic_on_oops vm.overcommit_memory vm.panic_on_oom kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
NODE_NET=10.88.0 # of pods; nothing outside of the node's namespace ever sees it
NODE_HOLDER="" NODE_PIDS=() NODE_CGROUPS=()

# on_node COMMAND...: in the node's mount and network namespaces.
on_node() { nsenter --mount="/proc/$NODE_HOLDER/ns/mnt" --net="/run/netns/$(ns_of node)" --wd="$LWT_ROOT" "$@"; }
# node_run NAME COMMAND...: in the background, its log in $NODE/NAME.log.
node_run() {
	local name=$1
	shift
	on_node "$@" >>"$NODE/$name.log" 2>&1 </dev/null &
	NODE_PIDS+=($!)
}

# The test's cgroup and bpffs where a node has its own, and own folders where programs have them compiled in.
node_mounts() {
	local v2
	v2=$(cgroup2_root)
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -ec 'mount --bind "$1" /sys/fs/bpf; mount --bind "$2" "$3"
		mkdir -p /run/containerd /run/netns /var/log
		for d in /run/containerd /run/netns /var/log; do mount -t tmpfs node "$d"; done
		touch "$4"; exec sleep infinity' - "$LWT_BPFFS" "$LWT_CGROUP" "$v2" "$NODE/mounted" &
	NODE_HOLDER=$!
	until_ok 10 "the node's mounts" test -e "$NODE/mounted"
}

node_cgroups() {
	local top
	for top in $(awk '$3 == "cgroup" { print $2 }' /proc/self/mounts) "$LWT_CGROUP"; do
		mkdir "$top/lwn$$"
		NODE_CGROUPS+=("$top/lwn$$")
		for file in cpus mems; do
			[ ! -e "$top/lwn$$/cpuset.$file" ] || [ "$top" = "$LWT_CGROUP" ] || cat "$top/cpuset.$file" >"$top/lwn$$/cpuset.$file"
		done
	done
}

# node_image NAME BINARY [VERSION]: an image of it for containerd.
node_image() {
	(cd "$LWT_ROOT" && IMAGE=$1 deploy/image/build.py "$2" "${3:-1}" "$NODE/$1.tar") >"$NODE/$1.log" 2>&1 || fail "image $1: $(cat "$NODE/$1.log")"
	on_node ctr --address "$NODE/containerd.sock" -n k8s.io images import "$NODE/$1.tar" >>"$NODE/$1.log" 2>&1 ||
		fail "image $1: $(cat "$NODE/$1.log")"
}

node_containerd() {
	mkdir -p "$NODE/cni"
	cat >"$NODE/containerd.toml" <<-END
		version = 2
		root = "$NODE/containerd"
		state = "/run/containerd"
		[grpc]
		  address = "$NODE/containerd.sock"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "docker.io/library/pause:1"
		  restrict_oom_score_adj = true # root need not have CAP_SYS_RESOURCE here
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$NODE/cni"
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
	END
	cat >"$NODE/cni/10-bridge.conflist" <<-END
		{"cniVersion": "0.4.0", "name": "pods", "plugins": [
			{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {"type": "host-local",
			 "dataDir": "$NODE/ipam", "ranges": [[{"subnet": "$NODE_NET.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
	END
	node_run containerd containerd --config "$NODE/containerd.toml"
	until_ok 30 "containerd" on_node ctr --address "$NODE/containerd.sock" version
	gcc -O1 -o "$NODE/pause.bin" "$NODE_HERE/pause.c"
	node_image pause "$NODE/pause.bin"
}

node_kubelet() {
	cat >"$NODE/kubelet.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $KUBE/pki/ca.crt}}
		authorization: {mode: AlwaysAllow}
		cgroupDriver: cgroupfs
		cgroupRoot: /lwn$$
		enforceNodeAllocatable: [pods]
		failSwapOn: false
		readOnlyPort: 0
		healthzPort: 0
		nodeStatusUpdateFrequency: 2s
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 1Mi, nodefs.available: 0%, imagefs.available: 0%, nodefs.inodesFree: 0%}
	END
	node_run kubelet "$KUBE_DIR/bin/kubelet" --config="$NODE/kubelet.yaml" --kubeconfig="$KUBE/admin.conf" --hostname-override=node-1 \
		--node-ip="$NODE_IP" --root-dir="$NODE/kubelet" --cert-dir="$NODE/pki" --volume-plugin-dir="$NODE/plugins" \
		--container-runtime=remote --container-runtime-endpoint="unix://$NODE/containerd.sock" --log-file="$NODE/kubelet.log"
}

node_controllers() {
	node_run controllers "$KUBE_DIR/bin/kube-controller-manager" --kubeconfig="$KUBE/admin.conf" --leader-elect=false --port=0 \
		--service-account-private-key-file="$KUBE/pki/sa.key" --root-ca-file="$KUBE/pki/ca.crt" --cert-dir="$NODE/pki" \
		--authentication-skip-lookup --controllers=garbagecollector,namespace,daemonset,deployment,replicaset,endpoint,endpointslice,nodelifecycle,serviceaccount,serviceaccount-token,root-ca-cert-publisher
	node_run scheduler "$KUBE_DIR/bin/kube-scheduler" --kubeconfig="$KUBE/admin.conf" --leader-elect=false --port=0 --cert-dir="$NODE/pki" \
		--authentication-skip-lookup
	cat >"$NODE/proxy.yaml" <<-END
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		clientConnection: {kubeconfig: $KUBE/admin.conf}
		clusterCIDR: $NODE_NET.0/24
		hostnameOverride: node-1
		mode: iptables
		conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	END
	node_run proxy "$KUBE_DIR/bin/kube-proxy" --config="$NODE/proxy.yaml"
}

# node_setup: the cluster has a node that is ready, and Kruise's CRDs.
node_setup() {
	local bin
	need etcd kubectl openssl jq python3 containerd runc ctr iptables
	for bin in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
		[ -x "$KUBE_DIR/bin/$bin" ] || skip "no $KUBE_DIR/bin/$bin: make test-node builds it"
	done
	setup
	trap 'node_teardown $?' EXIT
	KUBE=$LWT_TMP/kube NODE=$LWT_TMP/node
	mkdir -p "$KUBE" "$NODE"
	NODE_WERE=$(sysctl -e "${NODE_SYSCTLS[@]}")
	pod_ns node
	NODE_IP=${POD_IP[node]}
	in_pod node sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
	node_mounts
	node_cgroups
	ETCD=http://127.0.0.1:2379 ETCD_PEER=http://127.0.0.1:2380 API_PORT=6443 API=https://$NODE_IP:6443
	KUBE_ON=(nsenter "--mount=/proc/$NODE_HOLDER/ns/mnt" "--net=/run/netns/$(ns_of node)") KUBE_SAN="IP:$NODE_IP,IP:10.96.0.1,IP:127.0.0.1" KUBE_NO_ADMISSION=""
	kube_pki
	kubeconfig "$KUBE/admin.conf" "$KUBE/pki/ca.crt" "$API" "token: \"$KUBE_TOKEN\""
	etcd_start
	api_start --bind-address=0.0.0.0 --advertise-address="$NODE_IP" --endpoint-reconciler-type=lease --kubelet-preferred-address-types=InternalIP \
		--kubelet-client-certificate="$KUBE/pki/cli.crt" --kubelet-client-key="$KUBE/pki/cli.key"
	node_controllers
	node_containerd
	node_kubelet
	until_ok 60 "the node to be there" k get node node-1
	until_ok 60 "the node to be ready" node_is_ready
	kube_crds
}
# And nothing keeps pods off it.
node_is_ready() { k get node node-1 -o json | jq -e '(.spec.taints // [] | length == 0) and any(.status.conditions[]; .type == "Ready" and .status == "True")'; }

# What runs in containers is in cgroups of its own.
node_procs() { find "${NODE_CGROUPS[@]}" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u; }
# node_pid WORDS: the one process of a container with these in its command line.
node_pid() {
	local pid found=()
	for pid in $(node_procs); do
		[[ $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") != *"$1"* ]] || found+=("$pid")
	done
	[ ${#found[@]} = 1 ] || fail "one process expected with '$1', found: ${found[*]:-none}"
	echo "${found[0]}"
}
node_kill() {
	local pids=1 end=$((SECONDS + 30 * LWT_SLOW))
	while [ -n "$pids" ]; do
		[ "$SECONDS" -lt "$end" ] || { say "FAIL: processes that do not end: $pids" >&2 && return 1; }
		pids=$(node_procs)
		# shellcheck disable=SC2086
		[ -z "$pids" ] || { kill -9 $pids 2>/dev/null && sleep 0.02; }
	done
}
node_teardown() {
	local status=$1 end left=0
	trap '' INT TERM HUP PIPE
	set +e
	disown -a
	if [ "$status" != 0 ] && [ "$status" != 77 ]; then
		for log in containerd kubelet controllers scheduler proxy; do
			[ ! -s "$NODE/$log.log" ] || { say "--- $log.log" && grep -v ' I1\| I0' "$NODE/$log.log" | tail -n 15; } >&2
		done
		k get pods -A -o wide >&2
		k -n laneway logs ds/laneway --tail=20 >&2
		[ -z "${LWT_KEEP:-}" ] || cp -r "$NODE"/*.log "$LWT_KEEP"
	fi
	kill -9 "${NODE_PIDS[@]}" 2>/dev/null
	node_kill || left=1
	[ -z "$NODE_HOLDER" ] || kill -9 "$NODE_HOLDER" 2>/dev/null
	cgroup_kill || left=1
	# where it did not come to that: or find would look here
	[ ${#NODE_CGROUPS[@]} -gt 0 ] || NODE_CGROUPS=("$NODE/none")
	in_use() { find "${NODE_CGROUPS[@]}" -maxdepth 0 2>/dev/null; }
	end=$((SECONDS + 10 * LWT_SLOW))
	while find "${NODE_CGROUPS[@]}" -depth -type d -exec rmdir {} \; 2>/dev/null; [ -n "$(in_use)" ] && [ "$SECONDS" -lt "$end" ]; do
		sleep 0.02
	done
	[ -z "$(in_use)" ] || { left=1 && say "FAIL: still in use: $(in_use)" >&2; }
	sed 's/ *= */=/' <<<"$NODE_WERE" | xargs -n1 sysctl -qw
	case $left$status in 10 | 177 | 178) status=1 ;; esac
	teardown "$status"
}
