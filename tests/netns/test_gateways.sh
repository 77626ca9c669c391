#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nginx and HAProxy as gateways: proxies that pool connections, with responses far over their buffers, both lanes.
. "$(dirname "$0")/lib.sh"
need nginx haproxy
setup
two_pods
pod_ns gateway
agent_start

nginx_conf "$LWT_TMP/nginx" <<-END
	client_max_body_size 0;
	upstream web { server ${POD_IP[b1]}:$LWT_PORT; server ${POD_IP[b2]}:$LWT_PORT; keepalive 8; }
	server {
		listen 8081;
		location / { proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
END
haproxy_conf "$LWT_TMP/haproxy.cfg" <<-END
	listen web
		bind :8082
		server b1 ${POD_IP[b1]}:$LWT_PORT
		server b2 ${POD_IP[b2]}:$LWT_PORT
END
exec_pod gateway "${NGINX[@]}" &
exec_pod gateway "${HAPROXY[@]}" &
wait_port gateway 8081
wait_port gateway 8082

"$HOP" --pattern 2000000 >"$LWT_TMP/body"
five=$("$HOP" --pattern 5000000 | sha256sum) up=$(sha256sum <"$LWT_TMP/body")
# Where the kernel miscounts steered bytes, nginx is left alone by its name: base for all it carries, and nothing stalls.
fionread=$(lw status -o json | jq -r .kept_out.fionread)
for port in 8081 8082; do
	gray=c1gray
	[ "$port $fionread" != "8081 true" ] || gray='b[12]'
	url=http://${POD_IP[gateway]}:$port
	for i in 1 2 3 4; do
		for header in 'x-user: xiaoming' 'x-user: other' 'x-mse-tag: gray'; do
			want='b[12]\[*'
			[ "$header" = 'x-user: other' ] || want="$gray\\[*"
			expect_like "gateway at $port, $header" "$want" "$(who client "$url/id" -H "$header")"
			for path in size chunked close; do
				expect_eq "gateway at $port, $header, $path of 5 MB" "$five" \
					"$(sum client -H "$header" "$url/$path/5000000")"
			done
			expect_eq "gateway at $port, $header, upload" "$up" \
				"$(sum client -H "$header" --data-binary "@$LWT_TMP/body" "$url/echo")"
		done
	done
	# Many at once over the gateway's pool.
	in_pod client curl -sS -Z --parallel-max 16 --max-time $((60 * LWT_SLOW)) -o /dev/null -w '%{http_code} %header{x-pod}\n' \
		-H 'x-user: xiaoming' "$url/size/100000?[1-200]" >"$LWT_TMP/many"
	expect_eq "gateway at $port: in parallel" 200 "$(grep -c "^200 $gray" "$LWT_TMP/many" || true)"
done
if [ "$fionread" = true ]; then
	[ "$(counted kept-name)" -gt 0 ] || fail "nginx is kept out, and not counted"
fi
say ok
