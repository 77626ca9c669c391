/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "pattern.h"

struct options opt = { .name = "A", .color = "", .threads = 1, .ids = -1 };

void die(const char *what)
{
	fprintf(stderr, "hop: %s: %s\n", what, strerror(errno));
	exit(1);
}

bool parse_endpoint(const char *text, struct endpoint *ret)
{
	char host[128] = "";
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	struct sockaddr_in *v4 = (void *)&ret->addr;
	struct sockaddr_in6 *v6 = (void *)&ret->addr;

	memset(ret, 0, sizeof(*ret));
	if (colon)
		snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (host[0] == '[') {
		memmove(host, host + 1, strlen(host));
		host[strcspn(host, "]")] = 0;
	}
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		ret->len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, host[0] ? host : "::", &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(port));
		ret->len = sizeof(*v6);
		return true;
	}
	fprintf(stderr, "hop: '%s': expected IP:PORT or [IP]:PORT\n", text);
	return false;
}

static void usage(FILE *out)
{
	fputs("usage: hop --listen [IP]:PORT ... [--name A] [--color gray] [--config base] [--ip SHOWN]\n"
	      "           [--next IP:PORT ... | --registry FILE] [--forward HEADER ...] [--idle MS] [--threads N] [--as-asked]\n"
	      "           [--ids FILE] [--bytes]\n"
	      "       hop --pattern N [--seed S]      writes the body of /size/N?seed=S to standard output\n"
	      "\n"
	      "--next may be given several times: the pods of the next service, asked in turn over\n"
	      "connections kept alive; --registry names a file of such lines, read again when it changes.\n"
	      "--forward names a header that is handed on; the first is the tag.\n"
	      "--as-asked asks the next service for the same target; without it, for \"/\".\n"
	      "--ids adds each request's X-Id to a file, which several pods may share.\n"
	      "--idle closes a connection that has been quiet between requests for so long.\n"
	      "--bytes sends all there is to send byte by byte, a segment each where there is room for it.\n"
	      "\n"
	      "/              the example's line, with the next hop's behind it\n"
	      "/id            \"A[ip]\", no next hop\n"
	      "/size/N        N bytes with Content-Length      /chunked/N   chunked (?trailer, ?ext)\n"
	      "/close/N       until end of file                /short/N     half a body, then end of file\n"
	      "/reset/N       half a body, then a reset        /drip/N/MS   N times 16 bytes, MS between\n"
	      "/slowly/N/K    N bytes with Content-Length, at K kB/s\n"
	      "/echo          the request's body (?hash: its length and FNV-1a 64)\n"
	      "/head          the request's head as received   /slow/MS     an answer after MS\n"
	      "/status/CODE   that status                      /continue    as /echo?hash\n"
	      "/early         103, then 200                    /upgrade     101, then an echo\n"
	      "?cork puts the end of file of /close into one packet with its last bytes.\n"
	      "?seed=S moves the pattern of /size, /slowly, /chunked and /close. CONNECT is an echo too.\n"
	      "?kbps=K reads the request's body at K kB/s.\n"
	      "Every answer has X-Pod, X-Lane-Seen (the tag) and the request's own X-Id.\n",
	      out);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", 1, 0, 'l' },
		{ "name", 1, 0, 'n' },
		{ "color", 1, 0, 'c' },
		{ "config", 1, 0, 'C' },
		{ "next", 1, 0, 'x' },
		{ "forward", 1, 0, 'f' },
		{ "threads", 1, 0, 't' },
		{ "idle", 1, 0, 'i' },
		{ "pattern", 1, 0, 'p' },
		{ "seed", 1, 0, 's' },
		{ "ip", 1, 0, 'a' },
		{ "help", 0, 0, 'h' },
		{ "registry", 1, 0, 'r' },
		{ "as-asked", 0, 0, 'A' },
		{ "ids", 1, 0, 'I' },
		{ "bytes", 0, 0, 'b' },
		{ 0 },
	};
	uint64_t pattern = UINT64_MAX, seed = 0;
	pthread_t threads[THREADS_MAX];
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'l':
			if (opt.nlisten == LISTS_MAX ||
			    !parse_endpoint(optarg, &opt.listen[opt.nlisten++]))
				return 1;
			break;
		case 'x':
			if (opt.nnext == LISTS_MAX ||
			    !parse_endpoint(optarg, &opt.next[opt.nnext++]))
				return 1;
			break;
		case 'f':
			if (opt.nforward < LISTS_MAX)
				opt.forward[opt.nforward++] = optarg;
			break;
		case 'r':
			opt.registry = optarg;
			break;
		case 'A':
			opt.as_asked = true;
			break;
		case 'b':
			opt.bytes = true;
			break;
		case 'I':
			opt.ids = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
			if (opt.ids < 0)
				die(optarg);
			break;
		case 'n':
			opt.name = optarg;
			break;
		case 'c':
			opt.color = optarg;
			break;
		case 'C':
			opt.config = optarg;
			break;
		case 'a':
			opt.ip = optarg;
			break;
		case 't':
			opt.threads = atoi(optarg);
			break;
		case 'i':
			opt.idle_ms = atol(optarg);
			break;
		case 'p':
			pattern = strtoull(optarg, NULL, 10);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 1;
		}
	}
	lw_pattern_init();
	for (uint64_t at = 0; pattern != UINT64_MAX && at < pattern;) {
		size_t n = pattern - at < LW_PATTERN_RUN ? (size_t)(pattern - at) : LW_PATTERN_RUN;

		n = fwrite(lw_pattern_at(seed, at), 1, n, stdout);
		if (!n)
			die("write");
		at += n;
	}
	if (pattern != UINT64_MAX)
		return fflush(stdout) ? 1 : 0;
	if (!opt.nlisten || opt.threads < 1 || opt.threads > THREADS_MAX) {
		usage(stderr);
		return 1;
	}
	if (!opt.nforward)
		opt.forward[opt.nforward++] = "x-mse-tag";
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < opt.threads; i++) {
		struct worker *w = calloc(1, sizeof(*w));

		if (!w)
			die("memory");
		memcpy(w->next, opt.next, sizeof(w->next));
		w->nnext = opt.nnext;
		w->ep = epoll_create1(EPOLL_CLOEXEC);
		if (w->ep < 0)
			die("epoll");
		if (i == opt.threads - 1)
			worker_run(w);
		else if (pthread_create(&threads[i], NULL, worker_run, w))
			die("thread");
	}
	return 0;
}
