#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What Laneway costs beside a direct connection, and what HAProxy and nginx cost with the same rule. One run,
# one client (wrk), one kind of server (hop), rounds in turn over all variants, so that whatever the machine does
# meets all of them. Prints a table and writes $BUILD/bench.json.
#
#   direct     by a device and from a cgroup the agent does not know: as if there were no agent
#   untouched  the agent runs; the address is in no release
#   base       the address is a base pod's of a workload in release; no tag: stays where it is
#   steered    the same with the tag: answered by the canary
#   rule       the same without the tag, by an entry rule, so that the tag is put on too
#   haproxy, nginx  the proxy in front, over the direct network; a header that its rule sends to the canary
#
# BENCH_ROUNDS (4), BENCH_SECONDS (1) a round and variant, BENCH_CASES ("1 16 256 close"), BENCH_SIZES ("small 1MB"),
# BENCH_VARIANTS, BENCH_AGENT (more options of the agent); BENCH_NO_AGENT=1 leaves Laneway out (to try the rest).
# BENCH_INBOUND: a file that inbound.sh has written: its rows are in the table and in the JSON, too, as `make bench` wants it.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/settle.sh"
need wrk haproxy nginx python3
DIR=$LWT_ROOT/tests/bench
ROUNDS=${BENCH_ROUNDS:-4} SECONDS_EACH=${BENCH_SECONDS:-1}
read -ra CASES <<<"${BENCH_CASES:-1 16 256 close}"
read -ra SIZES <<<"${BENCH_SIZES:-small 1MB}"
read -ra VARIANTS <<<"${BENCH_VARIANTS:-direct untouched base steered rule haproxy nginx}"
OUT_PORT=8090

setup
PLAIN=${LWT_NET/10.77./10.78.}
net_is_free "$PLAIN" || skip "$PLAIN.0/24 is in use on this machine"

# A second device for a pod, on a bridge of its own, with a name that the agent's --device does not match.
declare -A PLAIN_IP
plain_device() {
	local ns last=${POD_IP[$1]##*.}
	ns=$(ns_of "$1")
	ip link add "lwp$$x$last" type veth peer name eth1 netns "$ns"
	ip link set "lwp$$x$last" master "lwc$$" up
	ip -n "$ns" addr add "$PLAIN.$last/24" dev eth1
	ip -n "$ns" link set eth1 up
	in_pod "$1" sysctl -qw net.ipv4.ip_local_port_range="2000 65535" net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_max_syn_backlog=8192 \
		net.core.somaxconn=8192
	PLAIN_IP[$1]=$PLAIN.$last
}
ip link add "lwc$$" type bridge forward_delay 0 mcast_snooping 0
ip link set "lwc$$" up

app web gray
for pod in b1 c1; do
	rev=base
	[ $pod = b1 ] || rev=canary
	pod $pod web $rev
	plain_device $pod
	# A second, equal server outside of the agent's cgroup, for the variants that know no agent.
	(outside exec_pod $pod "$HOP" --listen "[::]:$OUT_PORT" --name $pod) &
	wait_port $pod $OUT_PORT
done
for pod in client proxy; do
	pod_ns $pod
	plain_device $pod
done
# An address of b1's that no object names.
ip -n "$(ns_of b1)" addr add "$LWT_NET.240/24" dev eth0
release_by_user web

cat >"$LWT_TMP/haproxy.cfg" <<-END
	global
		nbthread 1
		maxconn 4000
	defaults
		mode http
		timeout connect 5s
		timeout client 30s
		timeout server 30s
		http-reuse always
	frontend web
		bind :8081
		acl gray hdr(x-mse-tag) gray
		acl user hdr(x-user) xiaoming
		http-request set-header x-mse-tag gray if user
		use_backend canary if gray or user
		default_backend base
	backend base
		server b1 ${PLAIN_IP[b1]}:$OUT_PORT
	backend canary
		server c1 ${PLAIN_IP[c1]}:$OUT_PORT
END
nginx_conf "$LWT_TMP/nginx" <<-END
	upstream base { server ${PLAIN_IP[b1]}:$OUT_PORT; keepalive 512; keepalive_requests 100000000; }
	upstream canary { server ${PLAIN_IP[c1]}:$OUT_PORT; keepalive 512; keepalive_requests 100000000; }
	map "\$http_x_mse_tag:\$http_x_user" \$lane { default base; ~^gray: canary; ~:xiaoming\$ canary; }
	map \$lane \$tag { default \$http_x_mse_tag; canary gray; }
	server {
		listen 8082 backlog=4096;
		location / {
			proxy_pass http://\$lane;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header x-mse-tag \$tag;
		}
	}
END
(outside exec_pod proxy haproxy -q -f "$LWT_TMP/haproxy.cfg") &
(outside exec_pod proxy "${NGINX[@]}") &
wait_port proxy 8081
wait_port proxy 8082
[ -n "${BENCH_NO_AGENT:-}" ] || agent_start ${BENCH_AGENT:-}
# what an agent's start waits for: the median of five
selftests_us() { for _ in 1 2 3 4 5; do { "$LANEWAY" agent --self-test -o json || true; } | jq .selftests_us; done | sort -n | sed -n 3p; }
BENCH_SELFTESTS_US=$(selftests_us)
export BENCH_SELFTESTS_US

declare -A URL=(
	[direct]=http://${PLAIN_IP[b1]}:$OUT_PORT [untouched]=http://$LWT_NET.240:$LWT_PORT
	[base]=http://${POD_IP[b1]}:$LWT_PORT [steered]=http://${POD_IP[b1]}:$LWT_PORT [rule]=http://${POD_IP[b1]}:$LWT_PORT
	[haproxy]=http://${PLAIN_IP[proxy]}:8081 [nginx]=http://${PLAIN_IP[proxy]}:8082
)
# The header of each has the same length, so that all variants send the same bytes.
declare -A HEADER=(
	[direct]='x-mse-tag: none' [untouched]='x-mse-tag: gray' [base]='x-mse-tag: none' [steered]='x-mse-tag: gray'
	[rule]='x-user: xiaoming' [haproxy]='x-mse-tag: gray' [nginx]='x-mse-tag: gray'
)
declare -A WANT=([direct]=b1 [untouched]=b1 [base]=b1 [steered]=c1 [rule]=c1 [haproxy]=c1 [nginx]=c1)
declare -A PATH_OF=([small]=/size/64 [1MB]=/size/1000000)

run_wrk() { # VARIANT CONNECTIONS [WRK OPTIONS]
	local variant=$1 n=$2 where=() seconds=$SECONDS_EACH
	shift 2
	# So many large answers at once take longer than a second each.
	[[ $n -lt 256 || $* != *1000000* ]] || seconds=$((seconds * 3))
	case $variant in untouched | base | steered | rule) ;; *) where=(outside) ;; esac
	("${where[@]}" in_pod client wrk -t 1 -c "$n" -d "${seconds}s" --timeout 10s -s "$DIR/report.lua" \
		-H "${HEADER[$variant]}" "$@") | tail -n 1
}
if [ -n "${BENCH_NO_AGENT:-}" ]; then
	# Against the canary itself: what steering would be with nothing between.
	URL[steered]=http://${POD_IP[c1]}:$LWT_PORT URL[rule]=http://${POD_IP[c1]}:$LWT_PORT
fi
for variant in "${VARIANTS[@]}"; do
	got=$(who client "${URL[$variant]}/id" -H "${HEADER[$variant]}")
	expect_like "$variant is answered by" "${WANT[$variant]}*" "$got"
done
[ -z "$AGENT_PID" ] || settle "${URL[base]}/size/64" "${URL[untouched]}/size/64"

results=$LWT_TMP/results
for round in $(seq 1 "$ROUNDS"); do
	for size in "${SIZES[@]}"; do
		for case in "${CASES[@]}"; do
			# Each round begins with another variant: none is always behind the same one.
			for i in "${!VARIANTS[@]}"; do
				variant=${VARIANTS[(i + round) % ${#VARIANTS[@]}]}
				if [ "$case" = close ]; then
					json=$(run_wrk "$variant" 16 -H 'Connection: close' "${URL[$variant]}${PATH_OF[$size]}")
				else
					json=$(run_wrk "$variant" "$case" "${URL[$variant]}${PATH_OF[$size]}")
				fi
				printf '%s\t%s\t%s\t%s\t%s\n' "$round" "$size" "$case" "$variant" "$json" >>"$results"
			done
		done
	done
	[ ! -t 2 ] || printf '\rround %d of %d' "$round" "$ROUNDS" >&2
done
[ ! -t 2 ] || printf '\n' >&2
[ -z "$AGENT_PID" ] || lw stats -o json >"$LWT_TMP/stats.json" || true
python3 -B "$DIR/table.py" "$results" "$LWT_BUILD/bench.json" "$LWT_TMP/stats.json" ${BENCH_INBOUND:+"$BENCH_INBOUND"}
