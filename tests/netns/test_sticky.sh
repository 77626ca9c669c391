#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A Service with sessionAffinity: ClientIP keeps each client's pod in a release: its base pod, and its pod of the lane; pods that
# come and go move nobody else. Where its selector names the stable revision the node's own choice stands, with its sessions.
. "$(dirname "$0")/lib.sh"
setup
app web gray
pod b1 web base
pod b2 web base
pod c1 web canary
pod c2 web canary
tag='x-mse-tag: gray' VIP=${APP_VIP[web]} clients=()
for i in $(seq 16); do
	pod_ns "k$i"
	clients+=("k$i")
done
release_by_user web
sed -i 's/^  type: ClusterIP$/&\n  sessionAffinity: ClientIP/' "$LWT_STATE/svc-web.yaml"
agent_start

# asks NAME [HEADER]: the pod that answers four new connections of a client in turn; all four must have the same.
asks() {
	local i pods=()
	for i in 1 2 3 4; do
		pods+=("$(who "$1" "http://$VIP/id" ${2:+-H "$2"} | names_only)")
	done
	[ "$(printf '%s\n' "${pods[@]}" | sort -u | wc -l)" = 1 ] || fail "$1 ${2:-untagged}: ${pods[*]}"
	echo "${pods[0]}"
}
all() { for k in "${clients[@]}"; do echo "$k $(asks "$k" "$1")"; done; }
pods() { awk '{ print $2 }' "$1" | sort -u | paste -sd ' '; }

all '' >"$LWT_TMP/base"
all "$tag" >"$LWT_TMP/gray"
expect_eq "base pods that have clients" "b1 b2" "$(pods "$LWT_TMP/base")"
expect_eq "canary pods that have clients" "c1gray c2gray" "$(pods "$LWT_TMP/gray")"

say "pods come: whoever moves moves to one of them"
new=(b3 b4 b5)
for name in "${new[@]}"; do
	pod "$name" web base
	put_pod "$name"
done
state_sync
all '' >"$LWT_TMP/five"
expect_eq "clients that moved elsewhere" "" "$(join "$LWT_TMP/base" "$LWT_TMP/five" | awk '$2 != $3 && $3 !~ /^b[345]$/')"
# by its hash each moves with three chances in five: that none of sixteen does comes about in one of two million runs
[ "$(join "$LWT_TMP/base" "$LWT_TMP/five" | awk '$2 != $3' | wc -l)" -gt 0 ] || fail "nobody has moved to ${new[*]}"

say "and go: their clients are back where they were"
for name in "${new[@]}"; do
	del "pod-$name"
done
state_sync
all '' >"$LWT_TMP/two"
expect_eq "clients that moved" "" "$(diff "$LWT_TMP/base" "$LWT_TMP/two")"
all "$tag" >"$LWT_TMP/gray2"
expect_eq "clients of the lane that moved" "" "$(diff "$LWT_TMP/gray" "$LWT_TMP/gray2")"

say "the selector names the stable revision: who chose before still does"
for k in "${clients[@]:0:3}"; do
	kube_proxy "$k" "$VIP" 80 b2
done
sed -i "s/^  selector: {app: web}/  selector: {app: web, pod-template-hash: \"$(hash_of web)\"}/" "$LWT_STATE/svc-web.yaml"
state_sync
for k in "${clients[@]:0:3}"; do
	expect_eq "$k, untagged" b2 "$(asks "$k")"
	expect_eq "$k, tagged" "$(awk -v k="$k" '$1 == k { print $2 }' "$LWT_TMP/gray")" "$(asks "$k" "$tag")"
done
say ok
