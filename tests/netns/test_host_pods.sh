#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients on the host network share an address, and are told apart by their cgroups: as kubelet makes them with both its drivers,
# for containerd and CRI-O, in version 2, which is the same tree where version 1 is in use beside it.
. "$(dirname "$0")/lib.sh"
need jq bpftool
setup
two_pods
tag='x-mse-tag: gray' node_ip=$LWT_NET.1
id=0bc5eac79e3ae7a0c2651f14722aa10fa333eb2325c2ca97da33aa284cda81b0
uid() { printf '0b7632a2-a56e-4278-987a-22de1800%04x' "$1"; }
# host_pod NAME N LABELS [METADATA]: on the host network of this node.
host_pod() {
	put "$1" <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: edge, uid: $(uid "$2"), labels: {$3}${4:-}}
		spec: {nodeName: node-1, hostNetwork: true, containers: [{name: main}]}
		status: {phase: Running, podIPs: [{ip: $node_ip}], conditions: [{type: Ready, status: "True"}]}
	END
}
# in_cgroup DIR COMMAND...
in_cgroup() {
	mkdir -p "$LWT_CGROUP/$1"
	(echo "$BASHPID" >"$LWT_CGROUP/$1/cgroup.procs" && exec "${@:2}")
}
# asks DIR [HEADER [POD]]: which pod answers a process there, in the host's network or that of POD.
asks() { in_cgroup "$1" nsenter --net="$(net_of "${3:-host}")" curl -sS --max-time $((20 * LWT_SLOW)) -o /dev/null -w '%header{x-pod}\n' ${2:+-H "$2"} "$B1/id" | names_only; }
net_of() { [ "$1" = host ] && echo /proc/self/ns/net || echo "/run/netns/$(ns_of "$1")"; }
known() { pinned host_pods | jq length; }
known_are() { [ "$(known)" = "$1" ]; }
log() { cat "$LWT_TMP/agent.log"; }

expect_like "the host's address is this" "$node_ip" "$(in_pod host ip -4 -o addr show to "$node_ip" | grep -o "$node_ip" | head -n 1)"
agent_start --node node-1 --untrusted edge/app=gateway
expect_eq "a process of the host" c1gray "$(asks plain "$tag")"

# Where the pods' processes are: each way that kubelet and a runtime name cgroups.
u=$(uid 1) && u1=${u//-/_} && u=$(uid 2) && u2=${u//-/_} && u=$(uid 5) && u5=${u//-/_} && u=$(uid 6) && u6=${u//-/_}
dirs=(
	"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$u1.slice/cri-containerd-$id.scope"
	"kubepods.slice/kubepods-pod$u2.slice/crio-$id.scope"
	"kubepods/besteffort/pod$(uid 3)/$id"
	"kubepods/burstable/pod$(uid 4)/crio-$id"
	"system.slice/kubepods-burstable-pod$u5.slice:cri-containerd:$id"
	"kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod$u6.slice/cri-containerd-$id.scope"
)
say "pods that are not believed, and one that is, at one address"
other="kubepods/burstable/pod$(uid 9)/$id"
mkdir -p "$LWT_CGROUP/$other"
for i in "${!dirs[@]}"; do
	mkdir -p "$LWT_CGROUP/${dirs[$i]}"
	host_pod "gateway-$i" $((i + 1)) "app: gateway"
done
host_pod other 9 "app: other"
state_sync
expect_eq "cgroups that are known" 7 "$(known)"
expect_eq "status" "7 7" "$(lw status -o json | jq -r '"\(.host_pods.found) \(.host_pods.pods)"')"
expect_like "status" "*7 of 7 on the host network are told apart*" "$(lw status)"
for dir in "${dirs[@]}"; do
	expect_like "not believed: $dir" 'b[12]' "$(asks "$dir" "$tag")"
	expect_eq "by rule: $dir" c1gray "$(asks "$dir" 'x-user: xiaoming')"
done
expect_eq "another pod" c1gray "$(asks "$other" "$tag")"
expect_eq "deeper in the other pod" c1gray "$(asks "$other/init.scope" "$tag")"
# who has entered a pod's network sends from that pod
expect_eq "in a pod's network" c1gray "$(asks "${dirs[0]}" "$tag" client)"
# of whom nothing is known the address counts
expect_like "a process of the host" 'b[12]' "$(asks plain "$tag")"
expect_like "a pod that the agent does not know" 'b[12]' "$(asks "kubepods/burstable/pod$(uid 77)/$id" "$tag")"

say "of another node, or over, it counts no more"
sed -i 's/nodeName: node-1/nodeName: node-2/' "$LWT_STATE"/gateway-[0-4].yaml
state_sync
expect_eq "cgroups that are known" 2 "$(known)"
rm "$LWT_STATE"/gateway-[0-5].yaml
until_ok 20 "the gateways to be forgotten" known_are 1
expect_eq "a process of the host" c1gray "$(asks plain "$tag")"
for dir in "${dirs[@]}"; do
	expect_eq "believed: $dir" c1gray "$(asks "$dir" "$tag")"
done

say "kept out by annotation"
host_pod other 9 "app: other" ', annotations: {laneway.io/keep-out: "true"}'
state_sync
expect_like "kept out" 'b[12]' "$(asks "$other" "$tag")"
expect_eq "counted" 1 "$(counted kept-pod)"
expect_eq "its neighbours" c1gray "$(asks plain "$tag")"
host_pod other 9 "app: other"
state_sync
expect_eq "no longer" c1gray "$(asks "$other" "$tag")"

say "a canary on the host network: what it sends is in its lane"
app hosted gray
base_dir="kubepods/burstable/pod$(uid 20)/$id" canary_dir="kubepods/burstable/pod$(uid 21)/$id"
mkdir -p "$LWT_CGROUP/$base_dir" "$LWT_CGROUP/$canary_dir"
pod h1 hosted base
pod h2 hosted canary
release hosted hosted <<-END
	matches:
	- headers:
	  - {type: Exact, name: x-nobody, value: "1"}
	requestHeaderModifier:
	  set:
	  - {name: x-mse-tag, value: gray}
END
for name in h1 h2; do
	n=20
	[ $name = h1 ] || n=21
	sed -i -e "s/uid: pod-$name-.*/uid: $(uid $n)/" -e 's/^  nodeName: node-1/  hostNetwork: true\n&/' "$LWT_STATE/pod-$name.yaml"
done
state_sync
expect_eq "its base pod" 3 "$(known)"
expect_like "the base pod sends" 'b[12]' "$(asks "$base_dir")"
expect_eq "the canary sends" c1gray "$(asks "$canary_dir")"
expect_like "a process of the host sends" 'b[12]' "$(asks plain)"

say "a container that starts anew where the runtime has no folder for a pod; a pod without a cgroup"
host_pod late 30 "app: gateway"
state_sync
expect_like "status" "*3 of 4 on the host network are told apart*" "$(lw status)"
expect_like "not there yet: as the address says" 'b[12]' "$(asks plain "$tag")"
late=$(uid 30) && late="system.slice/kubepods-burstable-pod${late//-/_}.slice:cri-containerd"
mkdir -p "$LWT_CGROUP/$late:1"
until_ok 20 "the first container to be found" known_are 4
mkdir "$LWT_CGROUP/$late:2"
until_ok 30 "the second container to be found" known_are 5
rmdir "$LWT_CGROUP/$late:1"
until_ok 30 "the first to be forgotten" known_are 4
agent_stop
say ok
