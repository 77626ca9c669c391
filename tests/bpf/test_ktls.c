/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that would let the kernel encrypt, once its handshake is through (TCP_ULP "tls"): its connection, enrolled, goes on as any
 * other, with the kernel's help or, if it refuses a key, without. A kernel may be without altogether (CONFIG_TLS): then there is nothing to see.
 */
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kern/kern.h"
#include "laneway/reasons.h"
#include "leave_out.h"
#include "turns.h"
#include "two_pods.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

/* Their lengths are what TLS' own would be: the bytes mean nothing. */
#define HELLO "\x16\x03\x01\x00\x05hello"
#define HELLO_BACK "\x16\x03\x03\x00\x05hallo"

static bool has_tls;

static int setup(void **state)
{
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	(void)state;
	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	has_tls = !setsockopt(c, IPPROTO_TCP, TCP_ULP, "tls", 3);
	assert_true(has_tls || errno == ENOENT);
	close(c);
	close(l);
	return two_pods_start(&(struct lab_options){ 0 });
}

/*
 * Where there is none the case is over. The module, or the right to load it, may be missing: the kernel is known to have none only where its
 * list of modules, or its configuration, says so.
 */
static void need_tls(void)
{
	if (has_tls)
		return;
	/* grep: 1 where it has read both files, and found nothing */
	if (WEXITSTATUS(system(
		    "cd /; grep -qs /net/tls/tls.ko lib/modules/$(uname -r)/modules.builtin lib/modules/$(uname -r)/modules.dep")) ==
		    1 ||
	    !system("zcat /proc/config.gz 2>/dev/null | grep -qx '# CONFIG_TLS is not set'"))
		NOT_HERE("a kernel built without CONFIG_TLS");
	SKIP_CASE("no TLS in this kernel, or its module cannot be loaded");
}

/* A key a direction, known to both. False: the kernel has none for this socket; whoever wants one encrypts by itself then, as without CONFIG_TLS. */
static bool has_key(int fd, int direction, unsigned char key)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = { .version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128 }
	};

	memset(info.key, key, sizeof(info.key));
	return !setsockopt(fd, SOL_TLS, direction, &info, sizeof(info));
}

static void use_tls(int fd)
{
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3), 0);
}

/* Of an enrolled socket. False: it may not, and is told what a kernel says that cannot. */
static bool may_use_tls(int fd)
{
	int r = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3);

	assert_int_equal(r ? errno : 0,
			 lw_kern_mode(lab_kern()) == LW_KERN_MODE_VERDICT ? ENOENT : 0);
	return !r;
}

static void open_tls(int *c, int *b)
{
	struct lw_flow f;

	open_pair(LAB_BASE, base, c, b);
	/* a hello has zeros in it */
	lab_send_n(*c, HELLO, sizeof(HELLO) - 1);
	lab_send_n(*b, HELLO_BACK, sizeof(HELLO_BACK) - 1);
	for (int i = 0; i < 2; i++) {
		char got[sizeof(HELLO) - 1];

		lab_recv_n(i ? *c : *b, got, sizeof(got));
		assert_memory_equal(got, i ? HELLO_BACK : HELLO, sizeof(got));
	}
	assert_true(lab_flow(*c, &f));
	assert_int_equal(f.reason, LW_REASON_OPAQUE_NOT_HTTP);
}

struct sending {
	int fd;
	const char *data;
	size_t n;
};

static void *send_all(void *arg)
{
	struct sending *s = arg;

	lab_send_n(s->fd, s->data, s->n);
	return NULL;
}

static void carry(int from, int to, size_t n)
{
	char *data = lab_noise(n, (unsigned int)n), *got = malloc(n);
	struct sending s = { .fd = from, .data = data, .n = n };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, send_all, &s), 0);
	for (size_t at = 0; at < n;) {
		size_t part = n - at < 8192 ? n - at : 8192;

		lab_recv_n(to, got + at, part);
		at += part;
	}
	pthread_join(thread, NULL);
	assert_memory_equal(got, data, n);
	free(data);
	free(got);
}

static void both_ways_and_an_end(void **state)
{
	static const size_t sizes[] = { 1, 100, 16384, 16385, 1000000 };
	int c, b;

	(void)state;
	need_tls();
	open_tls(&c, &b);
	if (!may_use_tls(c)) {
		/* nobody else is refused */
		use_tls(b);
	} else if (has_key(c, TLS_TX, 1)) {
		assert_true(has_key(c, TLS_RX, 2));
		use_tls(b);
		assert_true(has_key(b, TLS_RX, 1) && has_key(b, TLS_TX, 2));
	} else {
		print_message("no key for an enrolled socket: %s\n", strerror(errno));
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		carry(c, b, sizes[i]);
		carry(b, c, sizes[i]);
	}
	/* what is sent now looks like a request of the lane, to those who see it in the clear */
	lab_send(c, GRAY_REQUEST);
	lab_expect(b, GRAY_REQUEST);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	shutdown(c, SHUT_WR);
	lab_expect_eof(b);
	lab_send(b, "the last");
	close(b);
	lab_expect(c, "the last");
	lab_expect_eof(c);
	close(c);
}

/* As those of a server that has more to say behind its handshake. */
static void records_before_the_key(void **state)
{
	int c, b;

	(void)state;
	need_tls();
	open_tls(&c, &b);
	use_tls(b);
	assert_true(has_key(b, TLS_TX, 2));
	lab_send(b, "first");
	/* is it there? */
	assert_int_equal(
		poll(&(struct pollfd){ .fd = c, .events = POLLIN }, 1, lab_patience_ms(5000)), 1);
	if (may_use_tls(c) && has_key(c, TLS_RX, 2)) {
		lab_expect(c, "first");
		lab_send(b, "second");
		lab_expect(c, "second");
	} else {
		/* a record, to be understood by itself: header, nonce, "first" and a tag */
		char got[5 + 8 + 5 + 16];

		lab_recv_n(c, got, sizeof(got));
		assert_memory_equal(got, "\x17\x03\x03\x00\x1d", 5);
	}
	close(b);
	lab_expect_eof(c);
	close(c);
}

/* Whoever refuses TLS sees every option, but for what is longer than programs are shown. */
static void other_options(void **state)
{
	int c, b, value[2000] = { 5 }, got = 0;
	socklen_t len = sizeof(got);

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	assert_int_equal(setsockopt(c, IPPROTO_TCP, TCP_KEEPCNT, value, sizeof(*value)), 0);
	assert_int_equal(setsockopt(c, IPPROTO_TCP, TCP_KEEPINTVL, value, sizeof(value)), 0);
	for (int i = 0; i < 2; i++, got = 0) {
		assert_int_equal(
			getsockopt(c, IPPROTO_TCP, i ? TCP_KEEPINTVL : TCP_KEEPCNT, &got, &len), 0);
		assert_int_equal(got, 5);
	}
	assert_int_equal(setsockopt(c, IPPROTO_TCP, TCP_ULP, "none such", 9), -1);
	assert_int_equal(errno, ENOENT);
	close(b);
	close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(other_options, lab_clean),
		cmocka_unit_test_teardown(both_ways_and_an_end, lab_clean),
		cmocka_unit_test_teardown(records_before_the_key, lab_clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return !!cmocka_run_group_tests_name("ktls", tests, setup, lab_teardown);
}
