# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# nginx and HAProxy as the tests, the demo and the benchmark run them: one worker, in the foreground.

# nginx_conf FOLDER: its configuration, with the http block's lines on standard input; all that it writes is in the folder, which is
# made. Leaves the command that runs it in NGINX.
nginx_conf() {
	mkdir -p "$1"
	cat >"$1/nginx.conf" <<-END
		user root;
		daemon off;
		worker_processes 1;
		worker_rlimit_nofile 16384;
		pid $1/nginx.pid;
		events { worker_connections 8192; }
		http {
			access_log off;
			client_body_temp_path $1/body;
			proxy_temp_path $1/proxy;
			fastcgi_temp_path $1/f;
			uwsgi_temp_path $1/u;
			scgi_temp_path $1/s;
			keepalive_requests 100000000;
			$(cat)
		}
	END
	# shellcheck disable=SC2034
	NGINX=(nginx -c "$1/nginx.conf" -e "$1/error.log")
}
# haproxy_conf FILE: HAProxy's, as a gateway that pools connections, with its proxies on standard input. Leaves the command in HAPROXY.
haproxy_conf() {
	cat >"$1" <<-END
		global
			nbthread 1
		defaults
			mode http
			timeout connect 5s
			timeout client 20s
			timeout server 20s
			http-reuse always
		$(cat)
	END
	# shellcheck disable=SC2034
	HAPROXY=(haproxy -q -f "$1")
}
