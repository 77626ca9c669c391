# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests in namespaces, the demo, the benchmark and the soak share. Source it, call `setup`.
#
# A pod is a network namespace lwt<pid>-<name> with an IPv4 and an IPv6 address, on a bridge of the host.
# Everything of one run is named by its pid and found again by that: namespaces lwt<pid>-*, devices
# lwv<pid>x*, bridge lwb<pid> (lwc<pid> for a second one), cgroup lwt<pid>, and a temporary folder with the bpffs, the state folder,
# the agent's socket and all logs. Every process lives in the cgroup: the end of the run kills what is in
# it. The agent is attached to its child `in` and to nothing else of the machine; `outside` runs a command
# in its child `out`.
#
# No function waits for a fixed time; `until_ok` polls a condition.
set -euo pipefail

LWT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LWT_BUILD=$(cd "$LWT_ROOT" && mkdir -p "${BUILD:-build}" && cd "${BUILD:-build}" && pwd)
LANEWAY=$(realpath -m "${LANEWAY:-$LWT_BUILD/laneway}")
HOP=$LWT_BUILD/tests/hop
LWT_PORT=8080
# By how much deadlines are stretched, where a machine is slow: all of them are for hangs, none is a measure.
LWT_SLOW=${LW_SLOW:-1}
# shellcheck source=tests/netns/objects.sh
. "$LWT_ROOT/tests/netns/objects.sh"
# shellcheck source=tests/netns/proxies.sh
. "$LWT_ROOT/tests/netns/proxies.sh"

declare -A POD_IP POD_IP6 POD_APP POD_REV POD_PID POD_PORT APP_LANE APP_VIP APP_VIP6
LWT_COUNT=0 LWT_PODS=() AGENT_PID="" LWT_STDERR=""

say() { printf '%s\n' "$*"; }
fail() {
	# what until_ok polls is silent, but for the end of it all, and for what the clean-up says of it
	[ -z "$LWT_STDERR" ] || [ "$BASHPID" != $$ ] || exec 2>&"$LWT_STDERR"
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}
# A missing feature skips the test; where nothing may be skipped it fails it.
skip() {
	[ "${LW_NO_SKIP:-0}" = 1 ] && fail "must not be skipped: $*"
	printf 'SKIP: %s\n' "$*" >&2
	exit 77
}
# A test that only makes sense where the agent steers. On a kernel that is known to have mode "none" (LW_MODE) that is told,
# with the reason, and is no failure; run.sh fails it anywhere else.
not_here() {
	[ "${LW_MODE:-}" = none ] || fail "$*"
	printf '%s\n' "$*" >&2
	exit 78
}
need() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# until_ok SECONDS WHAT COMMAND...: polls COMMAND until it succeeds.
until_ok() {
	local end=$((${EPOCHREALTIME/./} + $1 * LWT_SLOW * 1000000)) what=$2 outer=$LWT_STDERR
	shift 2
	[ -n "$outer" ] || exec {LWT_STDERR}>&2
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || fail "waited in vain for $what"
		sleep 0.02
	done
	[ -n "$outer" ] || { exec {LWT_STDERR}>&- && LWT_STDERR=""; }
}

# ---- set-up and clean-up ----

cgroup2_root() { awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts; }

net_is_free() { [ -z "$(ip -4 route show to root "$1.0/24")" ] && [ -z "$(ip -4 addr show to "$1.0/24")" ]; }

. "$LWT_ROOT/tests/kernel_log.sh"

# setup [NET]: NET is the first three bytes of the IPv4 addresses, "10.77.<n>" with a free n by default.
setup() {
	local n
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -x "$HOP" ] || fail "$HOP is not built"
	need ip nsenter curl
	LWT_TMP=$(mktemp -d "${TMPDIR:-/tmp}/lwt$$.XXXXXX")
	LWT_STATE=$LWT_TMP/state LWT_BPFFS=$LWT_TMP/bpffs LWT_SOCKET=$LWT_TMP/laneway.sock
	trap 'teardown $?' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	trap 'exit 141' PIPE
	mkdir "$LWT_STATE" "$LWT_BPFFS"
	LWT_CGROUP_HOME=$(cgroup2_root)$(sed -n 's/^0:://p' /proc/self/cgroup)
	[ -d "$LWT_CGROUP_HOME" ] || skip "no cgroup2 here"
	LWT_CGROUP_TOP=$(cgroup2_root)/lwt$$ LWT_CGROUP=$(cgroup2_root)/lwt$$/in
	mkdir "$LWT_CGROUP_TOP" "$LWT_CGROUP" "$LWT_CGROUP_TOP/out"
	echo $$ >"$LWT_CGROUP/cgroup.procs"
	LWT_MARK=$(kernel_log_mark netns) || [ "${LW_NO_SKIP:-0}" != 1 ] || fail "the kernel log is not to be had, and nothing may be skipped"
	mount -t bpf "lwt$$" "$LWT_BPFFS"

	n=$(($$ % 200 + 20))
	LWT_NET=${1:-10.77.$n}
	while [ $# = 0 ] && ! net_is_free "$LWT_NET"; do
		n=$((n % 250 + 1))
		LWT_NET=10.77.$n
	done
	net_is_free "$LWT_NET" || skip "$LWT_NET.0/24 is in use on this machine"
	LWT_NET6=fd00:77:0:$(printf %x $(($$ % 65536))):
	ip link add "lwb$$" type bridge forward_delay 0 mcast_snooping 0
	ip addr add "$LWT_NET.1/24" dev "lwb$$"
	! has_ipv6 || ip -6 addr add "$LWT_NET6:1/64" dev "lwb$$" nodad
	ip link set "lwb$$" up
}

# Lines of the kernel log since setup that no run may leave behind.
kernel_complaints() {
	[ -n "${LWT_MARK:-}" ] || return 0
	kernel_complaints_since "$LWT_MARK"
}

# Reads the lists without a child of its own, which would be in them. 1: some do not end.
cgroup_kill() {
	local pid left=1 pids more end=$((SECONDS + 30 * LWT_SLOW))
	while [ "$left" = 1 ]; do
		# what the kernel does not let go is no reason to hang
		[ "$SECONDS" -lt "$end" ] || { say "FAIL: processes that do not end: ${pids[*]} ${more[*]}" >&2 && return 1; }
		left=0
		mapfile -t pids <"$LWT_CGROUP/cgroup.procs"
		mapfile -t more <"$LWT_CGROUP_TOP/out/cgroup.procs"
		for pid in "${pids[@]}" "${more[@]}"; do
			[ "$pid" = $$ ] || { left=1 && kill -9 "$pid" 2>/dev/null || true; }
		done
		[ "$left" = 0 ] || sleep 0.01
	done
}

teardown() {
	local status=$1 ns complaints end left=0
	trap - EXIT
	trap '' INT TERM HUP PIPE
	set +e
	disown -a
	if [ "$status" != 0 ] && [ "$status" != 77 ] && [ "$status" != 78 ]; then
		[ ! -s "$LWT_TMP/agent.log" ] || { say "--- agent.log" && tail -n 40 "$LWT_TMP/agent.log"; } >&2
		if [ -n "$AGENT_PID" ] && kill -0 "$AGENT_PID" 2>/dev/null; then
			{ say "--- stats, flows" && timeout 5 "$LANEWAY" stats --socket "$LWT_SOCKET" &&
				timeout 5 "$LANEWAY" flows --socket "$LWT_SOCKET" | head -n 20; } >&2
		fi
		[ -z "${LWT_KEEP:-}" ] || cp -r "$LWT_STATE" "$LWT_TMP/agent.log" "$LWT_KEEP" 2>/dev/null
	fi
	if [ -n "$AGENT_PID" ] && kill -TERM "$AGENT_PID" 2>/dev/null; then
		timeout $((5 * LWT_SLOW)) tail --pid="$AGENT_PID" -f /dev/null
	fi
	cgroup_kill || left=1
	rm -rf "${LWT_BPFFS:?}/laneway" 2>/dev/null
	! mountpoint -q "$LWT_BPFFS" || umount "$LWT_BPFFS" || { left=1 && say "FAIL: $LWT_BPFFS is still in use" >&2 && umount -l "$LWT_BPFFS"; }
	for ns in $(ip netns list | awk -v p="lwt$$-" 'index($1, p) == 1 { print $1 }'); do
		ip netns del "$ns"
	done
	ip link del "lwb$$" 2>/dev/null
	ip link del "lwc$$" 2>/dev/null
	complaints=$(kernel_complaints)
	if [ -n "$complaints" ]; then
		printf 'FAIL: the kernel complained:\n%s\n' "$complaints" >&2
		[ "$status" = 77 ] || [ "$status" != 0 ] || status=1
	fi
	echo $$ >"$LWT_CGROUP_HOME/cgroup.procs"
	# What was killed may still be ending, and is then in no list any more; a test may have made some of its own.
	end=$((SECONDS + 10 * LWT_SLOW))
	while find "$LWT_CGROUP_TOP" -depth -type d -exec rmdir {} \; 2>/dev/null; [ -d "$LWT_CGROUP_TOP" ] && [ "$SECONDS" -lt "$end" ]; do
		sleep 0.02
	done
	[ ! -d "$LWT_CGROUP_TOP" ] || { left=1 && say "FAIL: $LWT_CGROUP_TOP is still in use" >&2; }
	rm -rf "$LWT_TMP"
	case $left$status in 10 | 177 | 178) status=1 ;; esac
	exit "$status"
}

# ---- pods ----

# Not on a machine started with ipv6.disable=1.
has_ipv6() { [ -e /proc/sys/net/ipv6 ]; }

ns_of() { echo "lwt$$-$1"; }

# pod_ns NAME [LAST_BYTE]: a namespace with a device on the bridge. The MAC follows from the address: who
# gets the address of a pod that is gone is reached at once.
pod_ns() {
	local name=$1 ns last dev
	LWT_COUNT=$((LWT_COUNT + 1))
	last=${2:-$((LWT_COUNT + 9))} ns=$(ns_of "$name") dev=lwv$$x$LWT_COUNT
	ip netns add "$ns"
	ip link add "$dev" type veth peer name eth0 netns "$ns"
	ip link set "$dev" master "lwb$$" up
	ip -n "$ns" -batch - <<-END
		link set lo up
		link set eth0 address 02:77:$(printf '%02x:%02x:00:%02x' $(($$ / 256 % 256)) $(($$ % 256)) "$last")
		addr add $LWT_NET.$last/24 dev eth0
		$(! has_ipv6 || echo "addr add $LWT_NET6:$(printf %x "$last")/64 dev eth0 nodad")
		link set eth0 up
		route add default via $LWT_NET.1
		$(! has_ipv6 || echo "route add default via $LWT_NET6:1")
	END
	POD_IP[$name]=$LWT_NET.$last
	POD_IP6[$name]=$LWT_NET6:$(printf %x "$last")
}

pod_ns_del() {
	[ -z "${POD_PID[$1]:-}" ] || stop_pid "${POD_PID[$1]}"
	ip netns del "$(ns_of "$1")"
	unset "POD_PID[$1]"
}

# in_pod NAME COMMAND...: "host" is the host's own namespace. exec_pod is for background jobs: $! is COMMAND itself.
in_pod() {
	local name=$1
	shift
	if [ "$name" = host ]; then
		"$@"
	else
		nsenter --net="/run/netns/$(ns_of "$name")" "$@"
	fi
}
exec_pod() {
	local name=$1
	shift
	[ "$name" != host ] || exec "$@"
	exec nsenter --net="/run/netns/$(ns_of "$name")" "$@"
}

# outside COMMAND...: not under the agent's cgroup, as if there were no agent. Replaces the shell it runs in.
outside() {
	echo $BASHPID >"$LWT_CGROUP_TOP/out/cgroup.procs"
	"$@"
}

port_open() { in_pod "$1" bash -c "exec 3<>/dev/tcp/$2/$3"; }
# wait_port NAME PORT [ADDRESS]: until something listens there.
wait_port() { until_ok 15 "$1 to listen on port $2" port_open "$1" "${3:-127.0.0.1}" "$2"; }

stop_pid() {
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

# serve NAME [HOP OPTIONS...]: hop in the pod, on LWT_PORT unless POD_PORT[NAME] says other. Returns once it listens.
serve() {
	local name=$1 port any
	shift
	port=${POD_PORT[$name]:-$LWT_PORT}
	has_ipv6 && any='[::]' || any=0.0.0.0
	exec_pod "$name" "$HOP" --listen "$any:$port" "$@" 2>"$LWT_TMP/$name.log" &
	POD_PID[$name]=$!
	wait_port "$name" "$port"
}

# ---- applications: pods with objects ----

# app NAME [LANE]: a Deployment, the lane of its canary, and the addresses of its Service.
app() {
	APP_LANE[$1]=${2:-gray}
	APP_VIP[$1]=10.96.77.${#APP_LANE[@]}
	APP_VIP6[$1]=fd00:96:77::${#APP_LANE[@]}
}

# pod NAME APP base|canary [HOP OPTIONS...]: namespace, server and, with the next state_write, a Pod object.
pod() {
	local name=$1 app=$2 rev=$3 color=
	shift 3
	pod_ns "$name"
	LWT_PODS+=("$name")
	POD_APP[$name]=$app POD_REV[$name]=$rev
	[ "$rev" = base ] || color=${APP_LANE[$app]}
	serve "$name" --name "$name" --color "$color" "$@"
}

# pods_of APP base|canary: their names.
pods_of() {
	local name
	for name in "${LWT_PODS[@]}"; do
		[ "${POD_APP[$name]}" != "$1" ] || [ "${POD_REV[$name]}" != "$2" ] || echo "$name"
	done
}

# two_pods: the world most tests need. App web with pods b1, b2 (base) and c1 (canary, lane gray), and a
# namespace `client`. See release_by_user for how it is entered.
two_pods() {
	app web gray
	pod b1 web base "$@"
	pod b2 web base "$@"
	pod c1 web canary "$@"
	pod_ns client
	B1=http://${POD_IP[b1]}:$LWT_PORT B2=http://${POD_IP[b2]}:$LWT_PORT C1=http://${POD_IP[c1]}:$LWT_PORT
	release_by_user web
}

# kube_proxy NS VIP PORT POD...: the base answer of a ClusterIP. Where no lane is open Laneway leaves the
# address alone, so something has to stand in for kube-proxy: destination NAT within the client's namespace.
kube_proxy() {
	local ns=$1 vip=$2 port=$3 family=ip map="" i=0 name ip
	shift 3
	need nft
	[ "${vip#*:}" = "$vip" ] || family=ip6
	for name in "$@"; do
		ip=${POD_IP[$name]}
		[ "$family" = ip ] || ip=${POD_IP6[$name]}
		map+="$i : $ip . ${POD_PORT[$name]:-$LWT_PORT}, "
		i=$((i + 1))
	done
	in_pod "$ns" nft -f - <<-END
		add table $family lwt
		add chain $family lwt out { type nat hook output priority -100; }
		flush chain $family lwt out
		add rule $family lwt out $family daddr $vip tcp dport $port dnat $family to numgen inc mod $i map { ${map%, } }
	END
}

# ---- the agent ----

lw() {
	local verb=$1
	shift
	timeout $((30 * LWT_SLOW)) "$LANEWAY" "$verb" --socket "$LWT_SOCKET" --timeout $((5 * LWT_SLOW)) "$@"
}

# How the clients of tests/soak wait. In mode msg a recv() that sleeps has EAGAIN in place of a response's end of file
# (docs/limits.md, "What a client may notice"), which would be lost answers: there they poll, as most clients do.
soak_waits() { [ "$(jq -r .mode "$LWT_TMP/json" 2>/dev/null)" != msg ] || echo --polls; }

# agent_start [OPTIONS...]: returns once it steers by the state.
agent_start() {
	agent_start_any "$@"
	[ "$(jq -r .mode "$LWT_TMP/json")" != none ] || not_here "mode none: the agent steers nothing on $(uname -r), see test_mode.sh"
	state_sync
}
# The same where it may be that it does not steer: leaves the status in $LWT_TMP/json, and its exit code.
agent_start_any() {
	local began
	[ -x "$LANEWAY" ] || fail "$LANEWAY is not built"
	need jq
	began=$(($(date +%s%N) / 1000))
	"$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
		--device "${LWT_DEVICE:-lwv$$x}*" "$@" >>"$LWT_TMP/agent.log" 2>&1 &
	AGENT_PID=$!
	until_ok 20 "the agent's socket" agent_answers
	STATUS_CODE=0
	lw status --wait $((10 * LWT_SLOW)) -o json >"$LWT_TMP/json" || STATUS_CODE=$?
	AGENT_START_US=$(($(date +%s%N) / 1000 - began))
}
agent_answers() {
	kill -0 "$AGENT_PID" 2>/dev/null || fail "the agent ended: $(tail -n 5 "$LWT_TMP/agent.log")"
	[ -S "$LWT_SOCKET" ]
}

# The self-tests take half of the agent's start or less, in one of five tries: else something waits, or is stalled, that passes all
# the same. (A sixteenth is usual, a third under emulation. An agent of mode "none" loads nothing after them: nothing to compare with.)
selftests_are_quick() {
	local us
	us=$(jq -r .selftests_us "$LWT_TMP/json")
	[ "$(jq -r .mode "$LWT_TMP/json")" != none ] || return 0
	for _ in 1 2 3 4; do
		[ $((us * 2)) -gt "$AGENT_START_US" ] || return 0
		us=$({ "$LANEWAY" agent --self-test || true; } | awk '$1 == "in" && $3 == "ms" { printf "%d", $2 * 1000 }')
	done
	[ $((us * 2)) -le "$AGENT_START_US" ] || fail "the self-tests took $us us, all of the agent's start $AGENT_START_US us"
}

agent_stop() {
	local pid=$AGENT_PID
	AGENT_PID=
	kill -TERM "$pid"
	wait "$pid" || fail "the agent's exit code is $?"
}
agent_kill() {
	kill -9 "$AGENT_PID"
	wait "$AGENT_PID" 2>/dev/null || true
	AGENT_PID=
}

# Whether the programs hold the agent for dead by now.
silent() {
	pinned config | jq '.[0].formatted.value | .heartbeat_ns + .heartbeat_max_ns' |
		python3 -c 'import time; raise SystemExit(time.monotonic_ns() < int(input()))'
}

# Until the agent steers by what is in the state folder now.
state_sync() {
	[ -z "$AGENT_PID" ] || lw status --wait $((10 * LWT_SLOW)) >"$LWT_TMP/status" 2>&1 ||
		fail "laneway status --wait: $(cat "$LWT_TMP/status")"
}

# ---- requests and what to expect ----

req() {
	local ns=$1
	shift
	in_pod "$ns" curl -sS --max-time $((${REQ_TIME:-20} * LWT_SLOW)) "$@"
}
# sum NS CURL OPTIONS...: the body's sha256sum, or curl's exit code.
sum() { req "$@" -o "$LWT_TMP/got" && sha256sum <"$LWT_TMP/got" || echo "curl: exit code $?"; }
# who NS URL [CURL OPTIONS]: the pod that answered, e.g. "c1gray[10.77.3.12]".
who() { req "$1" -o /dev/null -w '%header{x-pod}' "${@:3}" "$2"; }
# Pods' names without their addresses: "c1gray[10.77.3.12]" is c1gray.
names_only() { sed 's/\[[^]]*\]//g'; }
# traceparent N: a header with the trace id N.
traceparent() { printf 'traceparent: 00-%032x-00f067aa0ba902b7-01' "$1"; }

# in_turn NS URL HEADER...: one request for each HEADER ("" for none) over one connection; prints a pod a line.
in_turn() {
	local ns=$1 url=$2 header args=() ports
	shift 2
	for header in "$@"; do
		[ ${#args[@]} = 0 ] || args+=(--next)
		args+=(-sS --max-time $((20 * LWT_SLOW)) -o /dev/null -w '%header{x-pod} %{local_port}\n')
		[ -z "$header" ] || args+=(-H "$header")
		args+=("$url")
	done
	in_pod "$ns" curl "${args[@]}" >"$LWT_TMP/turns"
	ports=$(awk '{ print $2 }' "$LWT_TMP/turns" | sort -u | wc -l)
	[ "$ports" = 1 ] || fail "the requests went over $ports connections"
	awk '{ print $1 }' "$LWT_TMP/turns"
}

# hold NAME IP PORT: a client in the pod NAME that keeps one connection. hold_get HEADER|"" PATH prints
# "STATUS POD LENGTH FNV" of the next answer, or the error; hold_send and hold_read do it in two steps.
hold() {
	coproc HOLD { exec_pod "$1" python3 "$LWT_ROOT/tests/netns/clients/hold.py" "$2" "$3"; }
	hold_read >/dev/null
}
hold_send() { printf '%s\t%s\n' "$1" "$2" >&"${HOLD[1]}"; }
hold_read() {
	local line
	IFS= read -r -t $((30 * LWT_SLOW)) line <&"${HOLD[0]}" || fail "the held connection's client is gone"
	printf '%s\n' "$line"
}
hold_get() {
	hold_send "$@"
	hold_read
}
hold_end() {
	local pid=$HOLD_PID fd=${HOLD[1]}
	exec {fd}>&-
	wait "$pid" || fail "the held connection's client failed"
}

# counted REASON: how often the agent counted it, over all lanes.
counted() { lw stats -o json | jq --arg r "$1" '[.. | objects | select(.reason? == $r) | .count] | add // 0'; }

# ---- what the agent and its programs hold ----

# pinned MAP: its rows, as JSON.
pinned() { bpftool -j map dump pinned "$LWT_BPFFS/laneway/$1"; }
# uncounted [OF]: whose work is no evidence, by lw_add_uncounted().
uncounted() { bpftool -j map lookup pinned "$LWT_BPFFS/laneway/uncounted" key "${1:-0}" 0 0 0 | jq '.formatted.value // .value'; }
pins() { find "$LWT_BPFFS/laneway" 2>/dev/null || true; }
# Programs on the agent's cgroup.
hooks() { bpftool cgroup tree "$LWT_CGROUP" | awk '$1 ~ /^[0-9]+$/' || true; }
flow_count() { lw flows --limit 0 -o json | jq .total; }
agent_fds() { find "/proc/$AGENT_PID/fd" -mindepth 1 | wc -l; }
rss_kb() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status"; }
# The kernel's own memory, maps' and sockets' included.
kernel_kb() { awk '/^(SUnreclaim|Percpu|VmallocUsed):/ { n += $2 } END { print n }' /proc/meminfo; }
# A thread of the agent's is where no signal wakes it.
agent_is_stuck() { grep -q '^[^)]*) D ' "/proc/$AGENT_PID/task/"*/stat; }
agent_is_traced() { [ "$(awk '/^TracerPid/ { print $2 }' "/proc/$AGENT_PID/status")" != 0 ]; }
# What strace, writing to $LWT_TMP/strace, was to stop has stopped.
strace_stopped() { grep -q 'stopped by SIGSTOP' "$LWT_TMP/strace"; }

# Another agent at work on this machine. What one that was killed has left pinned is none.
another_agent() { ps -C laneway -o pid=,args= | awk -v own="$AGENT_PID" '$3 == "agent" && $1 != own { n = 1 } END { exit !n }'; }
# kernel_within MOST NOW: the kernel's own memory, of which another agent has 130 MB; with one at work it is not judged, and UNJUDGED says so.
kernel_within() {
	UNJUDGED=
	[ "$2" -le "$1" ] && return
	another_agent && UNJUDGED="another agent is at work on this machine: the kernel's memory, which is that of both, is not judged"
}
say_unjudged() { [ -z "$UNJUDGED" ] || say "$UNJUDGED"; }

expect_eq() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }
# expect_like WHAT GLOB GOT
# shellcheck disable=SC2053
expect_like() { [[ $3 == $2 ]] || fail "$1: expected '$2', got '$3'"; }
