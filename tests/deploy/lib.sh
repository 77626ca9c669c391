# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The agent as the DaemonSet runs it, by an OCI runtime, in the world of tests/netns/lib.sh. Source it (or that of
# tests/kube first), call `setup` and `deploy_setup`.
[ -n "${LWT_ROOT:-}" ] || . "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
DEPLOY_HERE=$LWT_ROOT/tests/deploy
CONTAINER_PID="" NODE_PID=""

# deploy_image: the image, built and unpacked to $DEPLOY/rootfs.
deploy_image() {
	DEPLOY=$LWT_TMP/deploy
	mkdir -p "$DEPLOY/volumes"
	need python3 strip dpkg-query
	IMAGE_TAR=$DEPLOY/image.tar
	(cd "$LWT_ROOT" && deploy/image/build.py "$LANEWAY" "${LW_VERSION:-0}" "$IMAGE_TAR") >"$DEPLOY/build.log" 2>&1 ||
		fail "make image: $(cat "$DEPLOY/build.log")"
	IMAGE_NAME=$("$DEPLOY_HERE/unpack.py" "$IMAGE_TAR" "$DEPLOY/rootfs" "$DEPLOY/volumes/image.json")
}

# deploy_setup: the image, the manifests, and stand-ins for what the node has.
deploy_setup() {
	need crun kubectl
	[ -e /usr/share/containers/seccomp.json ] || skip "no /usr/share/containers/seccomp.json"
	deploy_image
	kubectl kustomize "$LWT_ROOT/deploy" >"$DEPLOY/manifests.yaml"
	node_start
	LWT_SOCKET=$DEPLOY/volumes/run/agent.sock
}

# A mount namespace that looks like a node's: the test's own cgroup and bpffs are where a node has its own.
node_start() {
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c 'mount --bind "$1" /sys/fs/bpf && mount --bind "$2" /sys/fs/cgroup &&
		touch "$3" && exec sleep infinity' - "$LWT_BPFFS" "$LWT_CGROUP" "$DEPLOY/node" &
	NODE_PID=$!
	CRUN=(nsenter --mount="/proc/$NODE_PID/ns/mnt" --wd="$LWT_ROOT" crun --cgroup-manager=disabled --root "$DEPLOY/crun")
	until_ok 10 "the node's mounts" test -e "$DEPLOY/node"
}

podspec() { "$DEPLOY_HERE/podspec.py" "$DEPLOY/manifests.yaml" "$DEPLOY/bundle" "$@"; }
# container ARGS...: the OCI runtime, on the node. It is to leave cgroups alone: the container stays in the test's.
container() { timeout $((60 * LWT_SLOW)) "${CRUN[@]}" "$@"; }

# container_start [PODSPEC OPTIONS...]: the DaemonSet's container runs, whether it answers or not. Devices of other runs are
# left alone.
container_start() {
	rm -rf "$DEPLOY/volumes/run"
	podspec --rootfs "$DEPLOY/rootfs" --volumes "$DEPLOY/volumes" --node node-1 --host /sys/fs/bpf --host /sys/fs/cgroup \
		--no-option device --option "device lwv$$x*" "$@"
	rm -f "$DEPLOY/pid"
	"${CRUN[@]}" run --bundle "$DEPLOY/bundle" --pid-file "$DEPLOY/pid" "lwt$$" \
		>>"$LWT_TMP/agent.log" 2>&1 </dev/null &
	CONTAINER_PID=$!
}
# The same with the folder $LWT_STATE as the source.
container_start_state() {
	container_start --arg=--kube=--state=/state --no-arg=--leave-hooks --mount "$LWT_STATE:/state" --no-option events "$@"
}
# container_up: until it answers.
container_up() {
	until_ok 30 "the container" container_is_settled
	[ -S "$LWT_SOCKET" ] || fail "the container ended: $(tail -n 5 "$LWT_TMP/agent.log")"
	AGENT_PID=$(cat "$DEPLOY/pid")
}
container_is_settled() { ! kill -0 "$CONTAINER_PID" || { [ -S "$LWT_SOCKET" ] && [ -s "$DEPLOY/pid" ]; }; }
# container_ends: waits for its end; leaves its exit code in CONTAINER_CODE.
container_ends() {
	CONTAINER_CODE=0
	timeout $((30 * LWT_SLOW)) tail --pid="$CONTAINER_PID" -f /dev/null || fail "the container did not end"
	wait "$CONTAINER_PID" || CONTAINER_CODE=$?
	AGENT_PID=
	container delete --force "lwt$$" >/dev/null 2>&1 || true
}
container_stop() {
	kill -TERM "$AGENT_PID"
	container_ends
	expect_eq "exit code of the container" 0 "$CONTAINER_CODE"
}
# probe NAME: the probe's command, run in the container as a kubelet does; its exit code.
probe() {
	local command
	mapfile -t command < <(podspec --print "containers.0.$1")
	container exec "lwt$$" "${command[@]}"
}
# cap_names HEX: names of a set of capabilities, sorted, with commas.
cap_names() { capsh --decode="$1" | sed 's/.*=//' | tr , '\n' | sort | paste -sd,; }
