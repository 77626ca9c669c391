# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the fault tests share: the world of tests/netns/lib.sh, a load beside every fault, and a line of figures for each.
#
# FAULT_SCALE multiplies how long loads run, and how many connections there are where a case says so (1).
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

: "${FAULT_SCALE:=1}"
FAULT_NAME=$(basename "$0" .sh)
FAULT_TABLE=$LWT_BUILD/faults/$FAULT_NAME.tsv
FAULT_SEED=${FAULT_SEED:-1}
LOAD_THREADS=8 # of the load in each of its two namespaces, each with one request at a time
declare -A LOAD_PIDS LOAD_FILES
TAG='x-mse-tag: gray'

# case_wanted WORD: FAULT_CASE picks cases by the words of their name.
case_wanted() { [ -z "${FAULT_CASE:-}" ] || [[ $1 == *"$FAULT_CASE"* ]]; }

# world [HOP OPTIONS]: app web with base b1, b2 and canaries c1, c2 (lane gray), two namespaces of clients.
world() {
	need jq
	setup
	mkdir -p "$LWT_BUILD/faults"
	: >"$FAULT_TABLE"
	app web gray
	local i
	for i in 1 2; do
		pod "b$i" web base "$@"
		pod "c$i" web canary "$@"
	done
	pod_ns client1
	pod_ns client2
	open_lane
	B1=http://${POD_IP[b1]}:$LWT_PORT
}
open_lane() {
	release web web <<-END
		matches: [{headers: [{name: x-user, value: xiaoming}]}]
		requestHeaderModifier:
		  set: [{name: x-mse-tag, value: gray}, {name: x-set, value: new}]
		  add: [{name: x-add, value: more}]
		  remove: [x-secret]
	END
}
# rollout_step STEP STATE [REASON [PHASE]]: Rollout ro-web of version v1beta1, which routes by itself: of its steps, read from standard input as
# lines of each behind "- ", STEP is in STATE.
rollout_step() {
	{
		obj_rollout_v1beta1 ro-web web <<<"" | sed '/^ *steps:/,$d'
		printf '      steps:\n'
		indent 6
		obj_rollout_status "$(hash_of web)" "$(hash_of web-x7k2q)" "${4:-Progressing}" "${3:-InRolling}" "$2" "$1"
		printf '  currentStepIndex: %s\n  currentStepState: %s\n' "$1" "$2"
	} | put rollout-web
}

# load NAME [SOAK OPTIONS...]: mixed requests of both lanes from both namespaces until load_end. LOAD_TO: pods whose
# addresses clients connect to (b1 b2). A canary's own address is no target here: where the agent is dead it is just a pod.
# LOAD_OUTSIDE=1: as if there were no agent.
load() {
	local name=$1 i to=()
	shift
	for i in ${LOAD_TO:-b1 b2}; do
		to+=(--target "${POD_IP[$i]}:$LWT_PORT")
		[ -n "${LOAD_V4:-}" ] || to+=(--target "[${POD_IP6[$i]}]:$LWT_PORT")
	done
	LOAD_PIDS[$name]= LOAD_FILES[$name]=
	for i in 1 2; do
		${LOAD_OUTSIDE:+outside} exec_pod "client$i" "$LWT_BUILD/tests/soak" "${to[@]}" --requests 1000000000 --threads "$LOAD_THREADS" --by-rule 50 --pace "$((${LOAD_PACE:-4000} * LWT_SLOW))" \
			--timeout "$((${LOAD_TIMEOUT:-5} * LWT_SLOW))" --seed "$FAULT_SEED$i" --log "$LWT_TMP/$name$i.log" $(soak_waits) "$@" \
			>"$LWT_TMP/$name$i.json" 2>"$LWT_TMP/$name$i.err" &
		LOAD_PIDS[$name]+=" $!" LOAD_FILES[$name]+=" $LWT_TMP/$name$i.json"
	done
}
# load_for SECONDS NAME [SOAK OPTIONS]: the load for so long, and its end.
load_for() {
	local seconds=$1 name=$2
	shift 2
	load "$name" "$@" --seconds "$seconds"
	load_wait "$name"
}
load_wait() {
	local pid f
	for pid in ${LOAD_PIDS[$1]}; do
		wait "$pid" || true # what it found is in its figures
	done
	# one that has died has none, and would be missing from the sum
	for f in ${LOAD_FILES[$1]}; do
		jq -es 'length == 1 and (.[0] | type) == "object"' "$f" >/dev/null || { load_dump; fail "$1: no figures in $(basename "$f")"; }
	done
	# shellcheck disable=SC2086
	jq -s --arg name "$1" 'def add_up: reduce .[] as $o ({}; reduce ($o | keys[]) as $k (.;
		.[$k] = if ($o[$k] | type) == "object" then ([.[$k] // {}, $o[$k]] | add_up)
			elif $k == "slowest_ms" or $k == "seconds" then ([.[$k] // 0, $o[$k]] | max) else (.[$k] // 0) + $o[$k] end)); add_up' \
		${LOAD_FILES[$1]} >"$LWT_TMP/$1.json"
}
load_end() {
	local pid
	for pid in ${LOAD_PIDS[$1]}; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	load_wait "$1"
}
# crowds NAME COUNT CROWD ARGUMENTS: COUNT processes of crowd.c in turn in both namespaces, to the pods CROWD_TO (b1 b2).
crowds() {
	local name=$1 n=$2 i to=()
	shift 2
	for i in ${CROWD_TO:-b1 b2}; do
		to+=(--target "${POD_IP[$i]}:$LWT_PORT" --target "[${POD_IP6[$i]}]:$LWT_PORT")
	done
	LOAD_PIDS[$name]= LOAD_FILES[$name]=
	for i in $(seq "$n"); do
		rm -f "$LWT_TMP/$name$i.in"
		mkfifo "$LWT_TMP/$name$i.in"
		exec_pod "client$((i % 2 + 1))" "$LWT_BUILD/tests/crowd" "$@" "${to[@]}" <>"$LWT_TMP/$name$i.in" >"$LWT_TMP/$name$i.out" 2>"$LWT_TMP/$name$i.err" &
		LOAD_PIDS[$name]+=" $!" LOAD_FILES[$name]+=" $LWT_TMP/$name$i.json"
	done
}
crowds_wait() {
	local pid f
	for pid in ${LOAD_PIDS[$1]}; do
		wait "$pid" || true
	done
	for f in ${LOAD_FILES[$1]}; do
		tail -n 1 "${f%.json}.out" >"$f"
	done
	load_wait "$1"
}
# crowds_held NAME: all of them have their first answers (hold). crowds_go NAME: they may go on.
crowds_held() {
	local f n=0
	for f in ${LOAD_FILES[$1]}; do
		[ "$(head -n 1 "${f%.json}.out")" = held ] || n=1
	done
	[ $n = 0 ]
}
crowds_go() {
	local f
	for f in ${LOAD_FILES[$1]}; do
		echo go >"${f%.json}.in"
	done
}
# load_runs NAME...: a process of theirs does.
load_runs() {
	local name
	for name; do
		# shellcheck disable=SC2086
		! kill -0 ${LOAD_PIDS[$name]} 2>/dev/null || return 0
	done
	return 1
}
# pause SECONDS: how long a fault lasts. Not in place of a condition: the length is the fault.
pause() { sleep "$1"; }

# figure NAME PATH: a number of the load's, e.g. `figure kill base.lost`.
figure() { jq ".$2" "$LWT_TMP/$1.json"; }

# result NAME "WHAT": the line of figures. Columns: fault; base sent, lost, wrong; lane sent, lost, answered by base, wrong; note.
result() {
	jq -r --arg name "$FAULT_NAME" --arg what "$2" --arg note "${3:-}" '[$name, $what, .base.sent, .base.lost, .base.wrong, .lane.sent,
		.lane.lost, .lane.fell_back, .lane.wrong, ([(.lane.how, .base.how | to_entries[] | select(.value > 0))
		| "\(.key) \(.value)"] | join(", ")), $note] | map(tostring) | join("\t")' "$LWT_TMP/$1.json" |
		tee -a "$FAULT_TABLE" | awk -F '\t' '{ printf "%s: base %s sent, %s lost, %s wrong; lane %s sent, %s lost, %s by base, %s wrong",
			$2, $3, $4, $5, $6, $7, $8, $9; if ($10 != "") printf " (%s)", $10; if ($11 != "") printf "; %s", $11; print "" }'
}
# row WHAT BASE_SENT BASE_LOST BASE_WRONG LANE_SENT LANE_LOST LANE_BY_BASE LANE_WRONG [NOTE]: the same, of figures from elsewhere.
row() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\t%s\n' "$FAULT_NAME" "$@" "${9:+}" | cut -f 1-11 >>"$FAULT_TABLE"
	say "$1: base $2 sent, $3 lost, $4 wrong; lane $5 sent, $6 lost, $7 by base, $8 wrong${9:+; $9}"
}

# expect_most WHAT MOST GOT
expect_most() { [ "$3" -le "$2" ] || { load_dump && fail "$1: at most $2 expected, got $3"; }; }
load_dump() { grep -h "^wrong" -A6 "$LWT_TMP"/*.err >&2 || tail -n 12 "$LWT_TMP"/*.err >&2; }
# Always: nothing is ever wrong. nothing_wrong NAME [MOST LOST OF BASE] [MOST LOST OF THE LANE]
judge() {
	local name=$1
	[ "$(figure "$name" base.ok)" -gt 0 ] || { load_dump && fail "$name: no base request was answered"; }
	expect_most "$name: base, wrong" 0 "$(figure "$name" base.wrong)"
	expect_most "$name: lane, wrong" 0 "$(figure "$name" lane.wrong)"
	[ $# -lt 2 ] || expect_most "$name: base, lost" "$2" "$(figure "$name" base.lost)"
	[ $# -lt 3 ] || expect_most "$name: lane, lost" "$3" "$(figure "$name" lane.lost)"
}

# ---- pods' servers: serve_again NAME COLOR ----
serve_again() { serve "$1" --name "$1" --color "$2" "${@:3}"; }
kill_server() { kill -9 "${POD_PID[$1]}" && wait "${POD_PID[$1]}" 2>/dev/null || true; }
# Nothing that ends in that pod from now on is told to anybody.
unplug() { ip -n "$(ns_of "$1")" link set eth0 down; }
reset_all() { in_pod "$1" ss -H -t -K state established "( sport = :$LWT_PORT )" >/dev/null; }

ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# Microseconds, as in the log of a load.
mono() { python3 -c 'import time; print(time.monotonic_ns() // 1000)'; }
# Until a request with the tag is answered by the canary; prints the milliseconds since MS.
steers() { [[ $(REQ_TIME=1 who client1 "$B1/id" -H "$TAG" 2>/dev/null) == c[12]gray* ]]; }

# ---- a bad cable: wire.c. wire_lay POD puts one between the pod and the bridge, which passes everything at first; wire_set POD
# [WIRE OPTIONS] makes it as bad as they say. wire_cut POD: nothing passes. wire_plain POD...: for all that talk to it. ----
declare -A WIRE_PID
wire_plain() { for pod; do in_pod "$pod" "$LWT_BUILD/tests/wire" --plain eth0; done; }
wire_lay() {
	local ns index dev mid
	ns=$(ns_of "$1") mid=$(ns_of "wire-$1")
	index=$(ip -n "$ns" -j link show eth0 | jq '.[0].link_index')
	dev=$(ip -j link show | jq -r --argjson i "$index" '.[] | select(.ifindex == $i) | .ifname')
	ip netns add "$mid"
	ip link set "$dev" netns "$mid"
	ip link add "$dev" type veth peer name bridge netns "$mid"
	ip link set "$dev" master "lwb$$" up
	ip -n "$mid" link set "$dev" name pod
	ip -n "$mid" link set pod up
	ip -n "$mid" link set bridge up
	wire_set "$1"
}
wire_end() {
	[ -z "${WIRE_PID[$1]:-}" ] || stop_pid "${WIRE_PID[$1]}"
	WIRE_PID[$1]=
}
wire_set() {
	wire_end "$1"
	exec_pod "wire-$1" "$LWT_BUILD/tests/wire" pod bridge --seed "$FAULT_SEED" "${@:2}" >"$LWT_TMP/wire-$1.json" 2>"$LWT_TMP/wire-$1.log" &
	WIRE_PID[$1]=$!
	until_ok 5 "the wire" grep ready "$LWT_TMP/wire-$1.log"
}
# What it did, of the last setting, after wire_end.
wire_did() { jq -r '"\(.lost) lost, \(.reordered) out of order, \(.twice) twice, \(.corrupted) corrupted of \(.passed)"' "$LWT_TMP/wire-$1.json"; }
