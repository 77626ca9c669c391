#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# start.sh NAME: becomes the program in the middle of that name (see list), in the foreground. It answers GET /… by what
# http://UPSTREAM answers to the same, once it has read the request, and forwards one header at most.
#   PORT, UPSTREAM (IP:PORT)
#   FORWARD   which header of the request it puts on its own: none, trace (traceparent), tag (x-mse-tag), or a name
#   DIR       a folder of its own, for what it writes
#   BUILD     where what had to be compiled is kept
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/netns/proxies.sh
. "$here/../netns/proxies.sh"
name=$1
: "${PORT:?}" "${UPSTREAM:?}" "${DIR:?}" "${BUILD:?}"
case ${FORWARD:=none} in
none) FORWARD= ;;
trace) FORWARD=traceparent ;;
tag) FORWARD=x-mse-tag ;;
esac
export PORT UPSTREAM FORWARD PYTHONDONTWRITEBYTECODE=1

# The others of the caller's headers, which a proxy would pass on by itself.
others() { printf '%s\n' x-mse-tag traceparent b3 x-b3-traceid sw8 uber-trace-id x-request-id | grep -vx "${FORWARD:--}"; }

gunicorn_as() { exec gunicorn --chdir "$here/python" -b "0.0.0.0:$PORT" --backlog 1024 --worker-tmp-dir "$DIR" --log-level warning "$@" wsgi:app; }
case $name in
c-thread) exec "$BUILD/tests/thread" ;;
c-fork) exec "$BUILD/tests/thread" --fork ;;
c-epoll) exec "$BUILD/tests/hop" --listen "$PORT" --name B --next "$UPSTREAM" --as-asked --forward "$FORWARD" ;;
go)
	mkdir -p "$BUILD/runtimes"
	export GOCACHE=$BUILD/runtimes/go-cache GO111MODULE=off GOFLAGS= HOME=$DIR
	go build -o "$DIR/server" "$here/go/server.go"
	exec "$DIR/server"
	;;
node) exec node "$here/node/server.mjs" ;;
python-threads) exec /usr/bin/python3 "$here/python/threading_server.py" ;;
python-cgi) exec /usr/bin/python3 "$here/python/cgi_server.py" ;;
python-sync) gunicorn_as --workers 4 ;;
python-gthread) gunicorn_as --worker-class gthread --threads 64 ;;
python-aiohttp) exec /usr/bin/python3 "$here/python/aiohttp_server.py" ;;
java-fixed | java-handover | java-httpclient)
	exec java -XX:+UseSerialGC -Dsun.net.httpserver.nodelay=true "$here/java/Server.java" "${name#java-}"
	;;
java-tomcat)
	jars=$(find /usr/share/java -name 'tomcat10-*.jar' | paste -sd :)
	exec java -XX:+UseSerialGC -cp "$jars" "$here/java/Servlet.java" "$DIR"
	;;
php-builtin) exec php -q -S "0.0.0.0:$PORT" "$here/php/index.php" ;;
php-fpm | php-fpm-pod)
	fpm=$(find /usr/sbin -name 'php-fpm*' | sort | tail -n 1)
	cat >"$DIR/fpm.conf" <<-END
		[global]
		error_log = $DIR/fpm.log
		daemonize = no
		[www]
		listen = $DIR/fpm.sock
		listen.backlog = 1024
		pm = static
		pm.max_children = 8
		clear_env = no
		catch_workers_output = yes
	END
	nginx_conf "$DIR" <<-END
		server {
			listen $PORT backlog=1024;
			location / {
				fastcgi_pass unix:$DIR/fpm.sock;
				include /etc/nginx/fastcgi_params;
				fastcgi_param SCRIPT_FILENAME $here/php/index.php;
			}
		}
	END
	"$fpm" --nodaemonize --allow-to-run-as-root --fpm-config "$DIR/fpm.conf" &
	exec "${NGINX[@]}"
	;;
ruby-puma) exec puma --quiet -e production -t 16:16 -b "tcp://0.0.0.0:$PORT" "$here/ruby/config.ru" ;;
nginx)
	nginx_conf "$DIR" <<-END
		upstream next { server $UPSTREAM; keepalive 64; keepalive_requests 100000000; }
		server {
			listen $PORT backlog=1024;
			location / {
				proxy_pass http://next;
				proxy_http_version 1.1;
				proxy_set_header Connection "";
				$(others | sed 's/.*/proxy_set_header & "";/')
			}
		}
	END
	exec "${NGINX[@]}"
	;;
haproxy)
	cat >"$DIR/haproxy.cfg" <<-END
		global
		  nbthread 2
		defaults
		  mode http
		  timeout connect 5s
		  timeout client 60s
		  timeout server 60s
		listen web
		  bind :$PORT
		  $(others | sed 's/^/http-request del-header /')
		  server next $UPSTREAM
	END
	exec haproxy -q -f "$DIR/haproxy.cfg"
	;;
*)
	echo "start.sh: there is no '$name'; see $here/list" >&2
	exit 2
	;;
esac
