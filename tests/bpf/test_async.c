/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that give their calls to the kernel (io_uring), have it send without a copy (MSG_ZEROCOPY), or throw away what they get
 * (MSG_TRUNC): what works without the product works with it, or is refused and does no harm (docs/limits.md).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "laneway/reasons.h"
#include "both_ways.h"
#include "leave_out.h"
#include "turns.h"
#include "two_pods.h"

#define WAIT_MS lab_patience_ms(5000)
#define PUT_BASE "PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
#define PUT_GRAY "PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ .guard = true });
}

/* ---- io_uring ---- */

/* Where there is none the case is over. */
static void ring_open(struct io_uring *ring)
{
	int r = io_uring_queue_init(16, ring, 0);

	assert_true(!r || r == -ENOSYS || r == -EPERM);
	if (r == -ENOSYS)
		NOT_HERE("a kernel built without io_uring");
	if (r == -EPERM)
		SKIP_CASE("io_uring is forbidden (kernel.io_uring_disabled)");
}

static struct io_uring_cqe *next_done(struct io_uring *ring)
{
	struct __kernel_timespec t = { .tv_sec = WAIT_MS / 1000 };
	struct io_uring_cqe *cqe = NULL;

	assert_int_equal(io_uring_wait_cqe_timeout(ring, &cqe, &t), 0);
	return cqe;
}

/* What the next call that is through has returned. */
static int done(struct io_uring *ring)
{
	struct io_uring_cqe *cqe = next_done(ring);
	int r = cqe->res;

	io_uring_cqe_seen(ring, cqe);
	return r;
}

static void ring_send(struct io_uring *ring, int fd, const char *data, size_t n)
{
	io_uring_prep_send(io_uring_get_sqe(ring), fd, data, n, MSG_WAITALL);
	assert_int_equal(io_uring_submit(ring), 1);
	assert_int_equal(done(ring), n);
}

/* An enrolled socket has no such calls (sock_replace_proto() takes SOCK_SUPPORT_ZC from it): nothing is sent, and it goes on without. */
static void ring_send_zc(struct io_uring *ring, int fd, const char *data, size_t n)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	bool more;

	io_uring_prep_send(sqe, fd, data, n, MSG_WAITALL);
	sqe->opcode = IORING_OP_SEND_ZC;
	assert_int_equal(io_uring_submit(ring), 1);
	cqe = next_done(ring);
	assert_int_equal(cqe->res, -EOPNOTSUPP);
	more = cqe->flags & IORING_CQE_F_MORE;
	io_uring_cqe_seen(ring, cqe);
	/* the bytes are the caller's again */
	if (more)
		(void)done(ring);
	ring_send(ring, fd, data, n);
}

/* The call is made before the answer is there: it waits in the kernel. */
static void ring_expect(struct io_uring *ring, int fd, int server, const char *answer)
{
	size_t n = strlen(answer), at = 0;
	char got[256];

	assert_true(n < sizeof(got));
	for (bool sent = false; at < n; sent = true) {
		int r;

		io_uring_prep_recv(io_uring_get_sqe(ring), fd, got + at, sizeof(got) - at, 0);
		assert_int_equal(io_uring_submit(ring), 1);
		if (!sent)
			lab_send(server, answer);
		r = done(ring);
		assert_true(r > 0);
		at += (size_t)r;
	}
	assert_int_equal(at, n);
	assert_memory_equal(got, answer, n);
}

static void uring_turns(void (*send)(struct io_uring *ring, int fd, const char *data, size_t n))
{
	struct io_uring ring;
	int c, b, g = -1;

	ring_open(&ring);
	open_pair(LAB_BASE, base, &c, &b);
	for (int i = 0; i < 6; i++) {
		bool lane = i % 2;

		send(&ring, c, lane ? GRAY_REQUEST : BASE_REQUEST,
		     strlen(lane ? GRAY_REQUEST : BASE_REQUEST));
		if (lane && g < 0)
			g = lab_accept_request(gray);
		lab_expect(lane ? g : b, lane ? GRAY_TAGGED : BASE_REQUEST);
		ring_expect(&ring, c, lane ? g : b, lane ? OK(4, "lane") : OK(4, "base"));
	}
	io_uring_queue_exit(&ring);
	close(c);
	close(b);
	close(g);
}

static void uring(void **state)
{
	(void)state;
	uring_turns(ring_send);
}

static void uring_zero_copy(void **state)
{
	(void)state;
	uring_turns(ring_send_zc);
}

/* A call that is there for good, with buffers that the kernel chooses from; it ends with the connection. */
static void uring_multishot(void **state)
{
	static char buffers[8][256];
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	int c, b, g = -1, r;

	(void)state;
	ring_open(&ring);
	io_uring_prep_provide_buffers(io_uring_get_sqe(&ring), buffers, sizeof(buffers[0]), 8, 1,
				      0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(done(&ring), 0);
	open_pair(LAB_BASE, base, &c, &b);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv_multishot(sqe, c, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 1;
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 4; i++) {
		const char *answer = i % 2 ? OK(4, "lane") : OK(4, "base");
		size_t at = 0;

		lab_send(c, i % 2 ? GRAY_REQUEST : BASE_REQUEST);
		if (i % 2 && g < 0)
			g = lab_accept_request(gray);
		lab_expect(i % 2 ? g : b, i % 2 ? GRAY_TAGGED : BASE_REQUEST);
		lab_send(i % 2 ? g : b, answer);
		while (at < strlen(answer)) {
			struct io_uring_cqe *cqe = next_done(&ring);
			const char *got = buffers[cqe->flags >> IORING_CQE_BUFFER_SHIFT];

			assert_true(cqe->res > 0 && (cqe->flags & IORING_CQE_F_BUFFER));
			assert_true(cqe->flags & IORING_CQE_F_MORE);
			assert_memory_equal(got, answer + at, cqe->res);
			at += (size_t)cqe->res;
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	close(b);
	close(g);
	r = done(&ring);
	assert_int_equal(r, 0);
	io_uring_queue_exit(&ring);
	close(c);
}

/* ---- MSG_ZEROCOPY ---- */

/* Sends of one socket that are said to be through. */
static unsigned int told(int fd)
{
	struct cmsghdr *m;
	char control[256];
	struct msghdr h = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct sock_extended_err e;

	if (recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	m = CMSG_FIRSTHDR(&h);
	assert_non_null(m);
	memcpy(&e, CMSG_DATA(m), sizeof(e));
	assert_int_equal(e.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
	return e.ee_data - e.ee_info + 1;
}

/* Such a socket is not enrolled: its completions would be too many for base requests, and none for others. */
static void zero_copy(void **state)
{
	enum { BODY = 60000, TURNS = 3 };
	char *body = lab_noise(BODY, 3), *got = malloc(BODY);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), b, on = 1;
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(LAB_PORT),
				 .sin_addr.s_addr = inet_addr(LAB_BASE) };
	uint64_t before = lab_count(LW_REASON_KEPT_ZEROCOPY);
	unsigned int sends = 0, through = 0;
	struct lw_flow f;

	(void)state;
	assert_int_equal(setsockopt(c, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	b = lab_accept(base, c);
	assert_false(lab_flow(c, &f));
	assert_int_equal(lab_count(LW_REASON_KEPT_ZEROCOPY), before + 1);
	for (int i = 0; i < TURNS; i++) {
		char head[128];
		size_t at = 0;

		(void)snprintf(head, sizeof(head), i == 1 ? PUT_GRAY : PUT_BASE, BODY);
		lab_send(c, head);
		while (at < BODY) {
			ssize_t n = send(c, body + at, BODY - at, MSG_ZEROCOPY | MSG_NOSIGNAL);

			assert_true(n > 0);
			at += (size_t)n;
			sends++;
		}
		lab_expect(b, head);
		lab_recv_n(b, got, BODY);
		assert_memory_equal(got, body, BODY);
		lab_send(b, OK(4, "done"));
		lab_expect(c, OK(4, "done"));
	}
	for (int ms = 0; through < sends && ms < WAIT_MS; ms++) {
		through += told(c);
		poll(NULL, 0, 1);
	}
	assert_int_equal(through, sends);
	free(body);
	free(got);
	close(c);
	close(b);
}

/* Nor is a pod's end whose server has asked for it: it was told of no send that went past TCP. */
static void zero_copy_by_the_pod(void **state)
{
	enum { BODY = 60000 };
	char *body = lab_noise(BODY, 4), *got = malloc(BODY), head[64];
	unsigned int sends = 0, through = 0;
	int c, b, g, on = 1, off = 0;

	(void)state;
	lab_drain(gray); /* the pool's are from before */
	assert_int_equal(setsockopt(gray, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)), 0);
	for (int i = 0; i < 4; i++) {
		size_t at = 0;

		open_pair(LAB_BASE, base, &c, &b);
		g = -1;
		gray_turn(c, gray, &g);
		lab_send(c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
		(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
			       BODY);
		lab_send(g, head);
		while (at < BODY) {
			ssize_t n = send(g, body + at, BODY - at, MSG_ZEROCOPY | MSG_NOSIGNAL);

			assert_true(n > 0);
			at += (size_t)n;
			sends++;
		}
		lab_expect(c, head);
		lab_recv_n(c, got, BODY);
		assert_memory_equal(got, body, BODY);
		for (int ms = 0; through < sends && ms < WAIT_MS; ms++) {
			through += told(g);
			poll(NULL, 0, 1);
		}
		assert_int_equal(through, sends);
		close(c);
		close(b);
		close(g);
	}
	assert_int_equal(setsockopt(gray, SOL_SOCKET, SO_ZEROCOPY, &off, sizeof(off)), 0);
	free(body);
	free(got);
}

/* ---- MSG_TRUNC ---- */

static void thrown_away(void **state)
{
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (int i = 0; i < 4; i++) {
		const char *answer = i % 2 ? OK(4, "lane") : OK(4, "base");

		lab_send(c, i % 2 ? GRAY_REQUEST : BASE_REQUEST);
		if (i % 2 && g < 0)
			g = lab_accept_request(gray);
		lab_expect(i % 2 ? g : b, i % 2 ? GRAY_TAGGED : BASE_REQUEST);
		lab_send(i % 2 ? g : b, answer);
		assert_int_equal(poll(&(struct pollfd){ .fd = c, .events = POLLIN }, 1, WAIT_MS),
				 1);
		/* what TCP's own queue does not have cannot be thrown away unseen: it stays */
		if (recv(c, NULL, strlen(answer), MSG_TRUNC | MSG_DONTWAIT) < 0) {
			assert_int_equal(errno, EFAULT);
			lab_expect(c, answer);
		}
	}
	close(c);
	close(b);
	close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(uring, lab_clean),
		cmocka_unit_test_teardown(uring_zero_copy, lab_clean),
		cmocka_unit_test_teardown(uring_multishot, lab_clean),
		cmocka_unit_test_teardown(zero_copy, lab_clean),
		cmocka_unit_test_teardown(zero_copy_by_the_pod, lab_clean),
		cmocka_unit_test_teardown(thrown_away, lab_clean),
	};

	return RUN_BOTH_WAYS("async", tests, setup, lab_teardown);
}
