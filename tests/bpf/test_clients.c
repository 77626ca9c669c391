/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways in which clients use their sockets, each with a base and with a steered request: what works without
 * the product works with it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "laneway/reasons.h"
#include "both_ways.h"
#include "turns.h"
#include "two_pods.h"

#define WAIT_MS lab_patience_ms(5000)
/* Heads of the two lanes, and of an answer with n body bytes. */
#define PUT_BASE "PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
#define PUT_GRAY "PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

/* A connection, its own peer b and the gray pod's end g; s[lane] is who serves the lane. */
struct conn {
	int c, s[2];
};

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ .guard = true });
}

static struct conn conn_open(void)
{
	struct conn k = { .s[1] = -1 };

	open_pair(LAB_BASE, base, &k.c, &k.s[0]);
	gray_turn(k.c, gray, &k.s[1]);
	return k;
}

static void conn_close(struct conn *k)
{
	close(k->c);
	close(k->s[0]);
	close(k->s[1]);
}

/* A request in the lane has arrived, the answer is yet to come. */
static int ask(struct conn *k, int lane)
{
	lab_send(k->c, lane ? GRAY_REQUEST : BASE_REQUEST);
	lab_expect(k->s[lane], lane ? GRAY_TAGGED : BASE_REQUEST);
	return k->s[lane];
}

static void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

/* Waits until n bytes are there to be read, by FIONREAD alone. */
static void wait_fionread(int fd, int n)
{
	int got = -1;

	for (int ms = 0; ms < WAIT_MS; ms++) {
		assert_int_equal(ioctl(fd, FIONREAD, &got), 0);
		if (got == n)
			return;
		assert_true(got < n);
		poll(NULL, 0, 1);
	}
	assert_int_equal(got, n);
}

/* Of an answer in the lane. Some kernels tell of no steered byte; who asks is not enrolled there, but for these tests. */
static void wait_count(int fd, int lane, int n)
{
	int got = -1;

	if (!lane || !n || lab_counts_bytes()) {
		wait_fionread(fd, n);
		return;
	}
	wait_for(fd, POLLIN);
	assert_int_equal(ioctl(fd, FIONREAD, &got), 0);
	assert_int_equal(got, 0);
}

/* A socket may connect again after a try that failed: what was noted for the first address does not hold for the second. */
static void second_try_elsewhere(void **state)
{
	int other = lab_listen("127.0.0.99"), c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(LAB_PORT) };
	socklen_t len = sizeof(a);
	struct lw_flow f;

	(void)state;
	a.sin_addr.s_addr = inet_addr(LAB_BASE2); /* nobody listens */
	assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	a.sin_addr.s_addr = inet_addr("127.0.0.99");
	assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	s = lab_accept(other, c);
	assert_int_equal(getpeername(c, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(a.sin_addr.s_addr, inet_addr("127.0.0.99"));
	turn(c, s, GRAY_REQUEST, GRAY_REQUEST, OK(4, "else"));
	assert_false(lab_flow(c, &f));
	close(c);
	close(s);
	lab_unlisten(other);
}

static void fionread_counts(void **state)
{
	static const int sizes[] = { 1, 100, 4096, 70000 };
	struct conn k = conn_open();
	char *body = lab_noise(70000, 1), *got = malloc(70000);

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		int n = sizes[i / 2], lane = i % 2, s = ask(&k, lane), head;
		char text[64];

		wait_count(k.c, lane, 0);
		head = snprintf(text, sizeof(text), ANSWER, n);
		lab_send(s, text);
		wait_count(k.c, lane, head);
		lab_send_n(s, body, (size_t)n);
		wait_count(k.c, lane, head + n);
		lab_expect(k.c, text);
		wait_count(k.c, lane, n);
		lab_recv_n(k.c, got, 1);
		wait_count(k.c, lane, n - 1);
		lab_recv_n(k.c, got + 1, (size_t)n - 1);
		assert_memory_equal(got, body, (size_t)n);
		wait_count(k.c, lane, 0);
	}
	conn_close(&k);
	free(body);
	free(got);
}

static void peek_takes_nothing(void **state)
{
	static const char answer[] = OK(6, "abcdef");
	struct conn k = conn_open();
	char got[sizeof(answer)] = "";

	(void)state;
	for (int i = 0; i < 4; i++) {
		lab_send(ask(&k, i % 2), answer);
		wait_for(k.c, POLLIN);
		assert_int_equal(recv(k.c, got, 8, MSG_PEEK | MSG_WAITALL), 8);
		assert_memory_equal(got, answer, 8);
		assert_int_equal(recv(k.c, got, 3, MSG_PEEK), 3);
		assert_memory_equal(got, answer, 3);
		lab_recv_n(k.c, got, 2);
		assert_int_equal(recv(k.c, got, 3, MSG_PEEK), 3);
		assert_memory_equal(got, answer + 2, 3);
		lab_expect(k.c, answer + 2);
	}
	conn_close(&k);
}

struct sending {
	int fd;
	const char *data;
	size_t n, piece;
};

static void *send_pieces(void *arg)
{
	struct sending *s = arg;

	for (size_t at = 0; at < s->n; at += s->piece)
		lab_send_n(s->fd, s->data + at, s->n - at < s->piece ? s->n - at : s->piece);
	return NULL;
}

/*
 * recv(2) with MSG_WAITALL. On a socket with a verdict the kernel returns what is there (tcp_bpf_recvmsg_parser()
 * does not look at the flag), so callers see what a signal could have shown them: short reads, of the right bytes.
 */
static void waitall_reads_in_order(void **state)
{
	enum { N = 200000 };
	struct conn k = conn_open();
	char *body = lab_noise(N, 2), *got = malloc(N), head[64];
	int reads = 0;

	(void)state;
	snprintf(head, sizeof(head), ANSWER, N);
	for (int i = 0; i < 4; i++) {
		int s = ask(&k, i % 2);
		struct sending sending = { s, body, N, 3333 };
		pthread_t t;

		lab_send(s, head);
		lab_expect(k.c, head);
		assert_int_equal(pthread_create(&t, NULL, send_pieces, &sending), 0);
		for (size_t n = 0; n < N; reads++) {
			ssize_t r = recv(k.c, got + n, N - n, MSG_WAITALL);

			assert_true(r > 0);
			n += (size_t)r;
		}
		pthread_join(t, NULL);
		assert_memory_equal(got, body, N);
	}
	print_message("%d reads for 4 answers\n", reads);
	conn_close(&k);
	free(body);
	free(got);
}

static void byte_by_byte(void **state)
{
	enum { N = 3000 };
	struct conn k = conn_open();
	char *body = lab_noise(N, 3), *got = malloc(N), head[96];

	(void)state;
	for (int i = 0; i < 4; i++) {
		int s = k.s[i % 2];

		snprintf(head, sizeof(head), i % 2 ? PUT_GRAY : PUT_BASE, N);
		for (const char *p = head; *p; p++)
			lab_send_n(k.c, p, 1);
		for (int j = 0; j < N; j++)
			lab_send_n(k.c, body + j, 1);
		lab_expect(s, head);
		lab_recv_n(s, got, N);
		assert_memory_equal(got, body, N);
		snprintf(head, sizeof(head), ANSWER, N);
		lab_send(s, head);
		lab_send_n(s, body, N);
		lab_expect(k.c, head);
		for (int j = 0; j < N; j++) {
			wait_for(k.c, POLLIN);
			assert_int_equal(recv(k.c, got, 1, 0), 1);
			assert_int_equal(got[0], body[j]);
		}
	}
	conn_close(&k);
	free(body);
	free(got);
}

/* Reads until there is no more; the next event must then come by itself. */
static size_t read_all(int fd, char *to)
{
	size_t n = 0;
	ssize_t r;

	while ((r = recv(fd, to + n, 100, MSG_DONTWAIT)) > 0)
		n += (size_t)r;
	assert_int_equal(r, -1);
	assert_int_equal(errno, EAGAIN);
	return n;
}

static void epoll_edges(void **state)
{
	struct conn k = conn_open();
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(0);
	char got[8192];

	(void)state;
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, k.c, &e), 0);
	for (int i = 0; i < 20; i++) {
		int s = ask(&k, i % 2);
		const char *const parts[] = { "HTTP/1.1 200 OK\r\n",
					      "Content-Length: 1006\r\n\r\nfirst,", NULL };

		for (int p = 0; p < 3; p++) {
			char long_part[1001];
			const char *part = parts[p];
			size_t n = 0;

			if (!part) {
				memset(long_part, 'a' + i, 1000);
				long_part[1000] = 0;
				part = long_part;
			}
			lab_send(s, part);
			while (n < strlen(part)) {
				assert_int_equal(epoll_wait(ep, &e, 1, WAIT_MS), 1);
				n += read_all(k.c, got + n);
			}
			assert_int_equal(n, strlen(part));
			assert_memory_equal(got, part, n);
		}
	}
	close(ep);
	conn_close(&k);
}

/* The client says that it has no more to ask; the answer comes all the same, and then the end. */
static void half_close(void **state)
{
	(void)state;
	for (int lane = 0; lane < 2; lane++) {
		struct conn k = conn_open();
		int s = ask(&k, lane);

		assert_int_equal(shutdown(k.c, SHUT_WR), 0);
		/* its own peer closes, having nothing to answer */
		lab_expect_eof(k.s[0]);
		if (lane)
			close(k.s[0]);
		lab_send(s, OK(3, "end"));
		lab_expect(k.c, OK(3, "end"));
		if (!lane)
			close(k.s[0]);
		lab_expect_eof(k.c);
		close(k.c);
		lab_expect_eof(k.s[1]);
		close(k.s[1]);
	}
}

static void connect_without_waiting(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(LAB_PORT) };
	int err = -1, g = -1, b, c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(err);

	(void)state;
	a.sin_addr.s_addr = inet_addr(LAB_BASE);
	assert_true(!connect(c, (struct sockaddr *)&a, sizeof(a)) || errno == EINPROGRESS);
	wait_for(c, POLLOUT);
	assert_int_equal(getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	assert_int_equal(err, 0);
	b = lab_accept(base, c);
	for (int i = 0; i < 3; i++) {
		gray_turn(c, gray, &g);
		base_turn(c, b);
	}
	close(c);
	close(b);
	close(g);
}

/* A reset of the client's, in the middle of an answer: everything of it goes, nothing of others. */
static void reset_by_the_client(void **state)
{
	struct conn other = conn_open();

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct conn k = conn_open();
		struct linger l = { .l_onoff = 1 };
		int s = ask(&k, i % 2);

		lab_send(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
		if (i < 4)
			lab_expect(k.c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
		else
			wait_for(k.c, POLLIN); /* unread */
		setsockopt(k.c, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		close(k.c);
		lab_expect_reset(k.s[0]);
		/* the agent closes its own: an end or a reset */
		wait_for(k.s[1], POLLIN);
		assert_true(recv(k.s[1], &(char){ 0 }, 1, 0) <= 0);
		close(k.s[0]);
		close(k.s[1]);
		base_turn(other.c, other.s[0]);
		gray_turn(other.c, gray, &other.s[1]);
	}
	conn_close(&other);
}

static void many_iovecs(void **state)
{
	enum { N = 1000 };
	struct conn k = conn_open();
	char *body = lab_noise(N, 5), *got = malloc(N), head[96];
	struct iovec iov[1024];

	(void)state;
	for (int i = 0; i < 4; i++) {
		int s = k.s[i % 2], n = 0;
		ssize_t total = N;
		const char *p;

		/* the head in a few, the body in single bytes, all in one call */
		snprintf(head, sizeof(head), i % 2 ? PUT_GRAY : PUT_BASE, N);
		total += (ssize_t)strlen(head);
		for (p = head; strlen(p) > 9; p += 9)
			iov[n++] = (struct iovec){ (void *)(uintptr_t)p, 9 };
		iov[n++] = (struct iovec){ (void *)(uintptr_t)p, strlen(p) };
		for (int j = 0; j < N; j++)
			iov[n++] = (struct iovec){ body + j, 1 };
		assert_int_equal(writev(k.c, iov, n), total);
		lab_expect(s, head);
		lab_recv_n(s, got, N);
		assert_memory_equal(got, body, N);
		lab_send(s, OK(0, ""));
		lab_expect(k.c, OK(0, ""));
	}
	conn_close(&k);
	free(body);
	free(got);
}

struct receiving {
	int fd;
	char *to;
	size_t n;
};

static void *receive(void *arg)
{
	struct receiving *r = arg;

	lab_recv_n(r->fd, r->to, r->n);
	return NULL;
}

/* Bodies out of a file: by length, and in chunks whose framing has to be read in the file's pages. */
static void send_file(void **state)
{
	enum { N = 3000000, CHUNK = 5000 };
	struct conn k = conn_open();
	char *body = lab_noise(N, 6), *got = malloc(2 * N), head[128];
	int fd[2] = { memfd_create("length", 0), memfd_create("chunks", 0) };
	off_t size[2] = { N, 0 };

	(void)state;
	assert_int_equal(write(fd[0], body, N), N);
	for (int at = 0; at < N; at += CHUNK) {
		size[1] += dprintf(fd[1], "%x;n=%d\r\n", CHUNK, at);
		assert_int_equal(write(fd[1], body + at, CHUNK), CHUNK);
		size[1] += CHUNK + dprintf(fd[1], "\r\n");
	}
	size[1] += dprintf(fd[1], "0\r\n\r\n");
	for (int i = 0; i < 8; i++) {
		int s = k.s[i % 2], chunked = i / 4;
		struct receiving r = { s, got, (size_t)size[chunked] };
		char *want = mmap(NULL, r.n, PROT_READ, MAP_SHARED, fd[chunked], 0);
		off_t at = 0;
		pthread_t t;

		if (chunked)
			snprintf(head, sizeof(head),
				 "PUT / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n",
				 i % 2 ? "x-mse-tag: gray\r\n" : "");
		else
			snprintf(head, sizeof(head), i % 2 ? PUT_GRAY : PUT_BASE, N);
		lab_send(k.c, head);
		lab_expect(s, head);
		assert_int_equal(pthread_create(&t, NULL, receive, &r), 0);
		while (at < size[chunked])
			assert_true(sendfile(k.c, fd[chunked], &at, (size_t)(size[chunked] - at)) >
				    0);
		pthread_join(t, NULL);
		assert_memory_equal(got, want, r.n);
		munmap(want, r.n);
		lab_send(s, OK(0, ""));
		lab_expect(k.c, OK(0, ""));
	}
	base_turn(k.c, k.s[0]);
	gray_turn(k.c, gray, &k.s[1]);
	close(fd[0]);
	close(fd[1]);
	conn_close(&k);
	free(body);
	free(got);
}

static void msg_more(void **state)
{
	struct conn k = conn_open();

	(void)state;
	for (int i = 0; i < 6; i++) {
		const char *head =
			i % 2 ? "POST / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: 10\r\n\r\n" :
				"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n";
		size_t n = strlen(head), cut = i < 2 ? n : 20;

		assert_int_equal(send(k.c, head, cut, MSG_MORE | MSG_NOSIGNAL), cut);
		if (cut < n)
			assert_int_equal(send(k.c, head + cut, n - cut, MSG_MORE | MSG_NOSIGNAL),
					 n - cut);
		assert_int_equal(send(k.c, "01234", 5, MSG_MORE | MSG_NOSIGNAL), 5);
		assert_int_equal(send(k.c, "56789", 5, MSG_NOSIGNAL), 5);
		lab_expect(k.s[i % 2], head);
		lab_expect(k.s[i % 2], "0123456789");
		lab_send(k.s[i % 2], OK(0, ""));
		lab_expect(k.c, OK(0, ""));
	}
	conn_close(&k);
}

static void *many_turns(void *arg)
{
	struct conn *k = arg;

	for (int i = 0; i < 1500; i++) {
		base_turn(k->c, k->s[0]);
		gray_turn(k->c, gray, &k->s[1]);
	}
	return NULL;
}

static void two_threads(void **state)
{
	struct conn k[2] = { conn_open(), conn_open() };
	pthread_t t[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many_turns, &k[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		conn_close(&k[i]);
	}
}

/* Memory of all TCP sockets, bytes. */
static long tcp_memory(void)
{
	FILE *f = fopen("/proc/net/sockstat", "r");
	char line[256];
	long pages = -1;

	while (f && fgets(line, sizeof(line), f)) {
		const char *mem = !strncmp(line, "TCP:", 4) ? strstr(line, " mem ") : NULL;

		if (mem)
			pages = strtol(mem + 5, NULL, 10);
	}
	if (f)
		fclose(f);
	assert_true(pages >= 0);
	return pages * sysconf(_SC_PAGESIZE);
}

/*
 * The kernel wakes who sleeps in recv(2) also when a buffer that was full has room again, and with a verdict the call
 * then returns EAGAIN (tcp_bpf_recvmsg_parser() waits once): 20 of 500,000 requests of a soak that sent 200 kB. So the
 * buffer is made large enough for an upload.
 */
static void room_for_an_upload(void **state)
{
	struct conn k = conn_open();
	unsigned long max = 0;
	FILE *f = fopen("/proc/sys/net/core/wmem_max", "r");
	int size = 0;
	socklen_t len = sizeof(size);

	(void)state;
	/* Linux 6.1 shows it to the first network namespace alone: there the agent cannot know what is allowed */
	assert_true(f || errno == ENOENT);
	if (f) {
		assert_int_equal(fscanf(f, "%lu", &max), 1);
		fclose(f);
	}
	assert_int_equal(getsockopt(k.c, SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
	/* a system that allows less keeps its own tuning */
	if (max >= 2 << 20)
		assert_int_equal(size, 4 << 20);
	else
		assert_in_range(size, 1, (4 << 20) - 1);
	conn_close(&k);
}

/* The server sends on until nothing more is taken. How much was. */
static size_t fill(int s, const char *data, size_t n)
{
	struct pollfd p = { .fd = s, .events = POLLOUT };
	size_t out = 0;

	while (out < n && poll(&p, 1, 500) == 1) {
		ssize_t k = send(s, data + out, n - out, MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(k > 0 || errno == EAGAIN);
		if (k > 0)
			out += (size_t)k;
	}
	return out;
}

/* Nobody reads an answer of 80 MB: it waits at the server, not in the kernel's memory. */
static void slow_reader(void **state)
{
	enum { N = 80000000 };
	char *body = lab_noise(N, 8), *got = malloc(N), head[64];

	(void)state;
	snprintf(head, sizeof(head), ANSWER, N);
	for (int lane = 0; lane < 2; lane++) {
		struct conn k = conn_open();
		int s = ask(&k, lane);
		struct sending sending = { .fd = s, .piece = 100000 };
		long before = tcp_memory(), grown;
		size_t out;
		pthread_t t;

		lab_send(s, head);
		out = fill(s, body, N);
		grown = tcp_memory() - before;
		print_message("lane %d: %zu of %d bytes taken unread, %ld bytes of memory\n", lane,
			      out, N, grown);
		assert_true(out < N - 1000000);
		/* the machine's, all of it: what others give back in the meantime counts as less */
		assert_true(grown <= 32 << 20);
		sending.data = body + out;
		sending.n = N - out;
		assert_int_equal(pthread_create(&t, NULL, send_pieces, &sending), 0);
		lab_expect(k.c, head);
		lab_recv_n(k.c, got, N);
		pthread_join(t, NULL);
		assert_memory_equal(got, body, N);
		base_turn(k.c, k.s[0]);
		gray_turn(k.c, gray, &k.s[1]);
		conn_close(&k);
	}
	free(body);
	free(got);
}

/* Its answer ends by end of file, which comes behind all the bytes. */
static void slow_reader_of_an_answer_without_length(void **state)
{
	enum { N = 80000000 };
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	char *body = lab_noise(N, 9), *got = malloc(N);
	struct conn k = conn_open();
	int s = ask(&k, 1);
	struct sending sending = { .fd = s, .piece = 100000 };
	size_t out;
	pthread_t t;

	(void)state;
	lab_send(s, head);
	out = fill(s, body, N);
	assert_true(out < N - 1000000);
	sending.data = body + out;
	sending.n = N - out;
	assert_int_equal(pthread_create(&t, NULL, send_pieces, &sending), 0);
	lab_expect(k.c, head);
	lab_recv_n(k.c, got, N);
	pthread_join(t, NULL);
	assert_memory_equal(got, body, N);
	shutdown(s, SHUT_WR);
	lab_expect_eof(k.c);
	conn_close(&k);
	free(body);
	free(got);
}

/* It goes away instead; so does what waited for it. */
static void closes_with_steered_bytes_unread(void **state)
{
	enum { N = 30000000 };
	char *body = lab_noise(N, 9), head[64];
	long before = tcp_memory();

	(void)state;
	snprintf(head, sizeof(head), ANSWER, N);
	for (int i = 0; i < 4; i++) {
		struct conn k = conn_open();
		int s = ask(&k, 1);

		lab_send(s, head);
		assert_true(fill(s, body, N) > 1000000);
		close(k.c);
		wait_for(k.s[0], POLLIN);
		wait_for(k.s[1], POLLIN);
		assert_true(recv(k.s[1], &(char){ 0 }, 1, 0) <= 0);
		close(k.s[0]);
		close(k.s[1]);
	}
	for (int ms = 0; tcp_memory() > before + (4 << 20); ms++) {
		assert_in_range(ms, 0, WAIT_MS);
		poll(NULL, 0, 1);
	}
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(second_try_elsewhere, lab_clean),
		cmocka_unit_test_teardown(fionread_counts, lab_clean),
		cmocka_unit_test_teardown(peek_takes_nothing, lab_clean),
		cmocka_unit_test_teardown(waitall_reads_in_order, lab_clean),
		cmocka_unit_test_teardown(byte_by_byte, lab_clean),
		cmocka_unit_test_teardown(epoll_edges, lab_clean),
		cmocka_unit_test_teardown(half_close, lab_clean),
		cmocka_unit_test_teardown(connect_without_waiting, lab_clean),
		cmocka_unit_test_teardown(reset_by_the_client, lab_clean),
		cmocka_unit_test_teardown(many_iovecs, lab_clean),
		cmocka_unit_test_teardown(send_file, lab_clean),
		cmocka_unit_test_teardown(msg_more, lab_clean),
		cmocka_unit_test_teardown(two_threads, lab_clean),
		cmocka_unit_test_teardown(room_for_an_upload, lab_clean),
		cmocka_unit_test_teardown(slow_reader, lab_clean),
		cmocka_unit_test_teardown(slow_reader_of_an_answer_without_length, lab_clean),
		cmocka_unit_test_teardown(closes_with_steered_bytes_unread, lab_clean),
	};

	return RUN_BOTH_WAYS("clients", tests, setup, lab_teardown);
}
