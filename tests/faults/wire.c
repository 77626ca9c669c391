/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: a bad cable between two network devices, for kernels without netem. Frames that come in on one go out on the
 * other: some lost, late, out of order, twice, or with one bit turned over, as drawn from a seed. Ends at SIGTERM and
 * then prints what it did as one line of JSON.
 *   wire A B [--seed N] [--loss P] [--dup P] [--corrupt P] [--delay MS] [--jitter MS] [--reorder P]
 *   wire --plain DEVICE    no segmentation or checksum is left to the device: what is sent is what would be on a cable
 * P is in per mille. Late frames keep their order but for --jitter; --reorder holds a frame back 5 ms more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../harness/tool.h"

#define FRAME_MAX 65536
#define REORDER_US 5000

struct frame {
	struct frame *next;
	uint64_t due_us;
	int to;
	size_t len;
	unsigned char data[];
};

static uint64_t rng = 1;
static struct frame *late; /* by due_us */
static struct {
	unsigned long passed, lost, twice, corrupted, reordered;
} did;
static volatile sig_atomic_t over;

static void on_term(int signal)
{
	(void)signal;
	over = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t draw(uint64_t below)
{
	return (next_random(&rng) >> 11) % below;
}

static bool chance(unsigned int per_mille)
{
	return per_mille && draw(1000) < per_mille;
}

static void plain(const char *device)
{
	static const uint32_t off[] = { ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_STXCSUM };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		struct ethtool_value value = { .cmd = off[i] };
		struct ifreq ifr = { .ifr_data = (char *)&value };

		snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
		if (ioctl(fd, SIOCETHTOOL, &ifr))
			die(device);
	}
	close(fd);
}

static int packet_socket(const char *device)
{
	struct sockaddr_ll sa = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(device) };
	struct packet_mreq all = { .mr_ifindex = sa.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1,
	    size = 32 << 20;

	if (fd < 0 || !sa.sll_ifindex ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die(device);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

static void put(int to, const unsigned char *data, size_t len, uint64_t delay_us)
{
	struct frame *f, **at = &late;

	if (!delay_us) {
		(void)!send(to, data, len, 0); /* a full queue loses, as a cable's end would */
		return;
	}
	f = malloc(sizeof(*f) + len);
	if (!f)
		die("memory");
	f->due_us = now_us() + delay_us;
	f->to = to;
	f->len = len;
	memcpy(f->data, data, len);
	while (*at && (*at)->due_us <= f->due_us)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
}

static int send_due(void)
{
	while (late && late->due_us <= now_us()) {
		struct frame *f = late;

		late = f->next;
		(void)!send(f->to, f->data, f->len, 0);
		free(f);
	}
	return late ? (int)((late->due_us - now_us()) / 1000) + 1 : 200;
}

int main(int argc, char **argv)
{
	enum { LOSS, DUP, CORRUPT, DELAY, JITTER, REORDER, N };
	static const struct option options[] = {
		{ "loss", 1, 0, LOSS },	  { "dup", 1, 0, DUP },	      { "corrupt", 1, 0, CORRUPT },
		{ "delay", 1, 0, DELAY }, { "jitter", 1, 0, JITTER }, { "reorder", 1, 0, REORDER },
		{ "plain", 1, 0, 'p' },	  { "seed", 1, 0, 's' },      { 0 }
	};
	static unsigned char buf[FRAME_MAX];
	unsigned int set[N] = { 0 };
	struct pollfd p[2];
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'p') {
			plain(optarg);
			return 0;
		}
		if (o == 's')
			rng = strtoull(optarg, NULL, 10) * 0x9e3779b97f4a7c15ull + 1;
		else if (o < N)
			set[o] = (unsigned int)atoi(optarg);
		else
			return 2;
	}
	if (argc - optind != 2)
		return 2;
	signal(SIGTERM, on_term);
	for (int i = 0; i < 2; i++)
		p[i] = (struct pollfd){ .fd = packet_socket(argv[optind + i]), .events = POLLIN };
	fprintf(stderr, "wire: ready\n");
	while (!over) {
		if (poll(p, 2, send_due()) < 0 && errno != EINTR)
			die("poll");
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			for (int burst = 0;
			     burst < 64 && (n = recv(p[i].fd, buf, sizeof(buf), 0)) > 0; burst++) {
				uint64_t delay = set[DELAY] * 1000ull +
						 (set[JITTER] ? draw(set[JITTER] * 1000ull) : 0);

				if (chance(set[LOSS])) {
					did.lost++;
					continue;
				}
				if (n > 100 && chance(set[CORRUPT])) {
					buf[14 + draw((uint64_t)n - 14)] ^=
						(unsigned char)(1u << draw(8));
					did.corrupted++;
				}
				if (chance(set[REORDER])) {
					delay += REORDER_US;
					did.reordered++;
				}
				put(p[!i].fd, buf, (size_t)n, delay);
				did.passed++;
				if (chance(set[DUP])) {
					put(p[!i].fd, buf, (size_t)n, delay + 1000);
					did.twice++;
				}
			}
		}
	}
	printf("{\"passed\": %lu, \"lost\": %lu, \"twice\": %lu, \"corrupted\": %lu, \"reordered\": %lu}\n",
	       did.passed, did.lost, did.twice, did.corrupted, did.reordered);
	return 0;
}
