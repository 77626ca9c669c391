/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/rules.h"
#include "kern/devices.h"
#include "kern/kern.h"
#include "kern/upstream.h"

#define WAIT_MS lab_patience_ms(5000)
#define GRAY 1
#define AGENT_FDS 1024 /* more than an agent of the lab has */

static struct lab {
	char cgroup[256], bpffs[64];
	struct lw_kern *kern;
	pid_t agent;
} lab;

static void lab_dump(void);

bool lab_has_fentry(void)
{
	/* return 0, on a function that kernels have for trying this */
	const struct bpf_insn program[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K },
					    { .code = BPF_JMP | BPF_EXIT } };
	int id = libbpf_find_vmlinux_btf_id("bpf_fentry_test1", BPF_TRACE_FENTRY), fd = -1;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);

	if (id > 0) {
		opts.attach_btf_id = (__u32)id;
		fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "try_fentry", "GPL", program, 2, &opts);
	}
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool lab_counts_bytes(void)
{
	uint32_t noticed;

	return !(lw_kern_keeps(lab.kern, &noticed) & LW_KEEP_FIONREAD);
}

bool lab_requests_pass_by(void)
{
	return lw_kern_past(lab.kern) == LW_PAST_ALL;
}

int lab_patience_ms(int ms)
{
	const char *slow = getenv("LW_SLOW");

	return slow ? ms * atoi(slow) : ms;
}

#define CHECK(cond, ...)                                             \
	do {                                                         \
		if (!(cond)) {                                       \
			fprintf(stderr, __VA_ARGS__);                \
			fprintf(stderr, " (%s)\n", strerror(errno)); \
			lab_dump();                                  \
			if (getenv("LAB_ABORT"))                     \
				abort();                             \
			fail();                                      \
		}                                                    \
	} while (0)

static struct lw_addr addr(const char *ip)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(ip, &a), 0);
	return a;
}

static void put(struct lw_image *image, enum lw_table_id t, const void *key, const void *value)
{
	assert_int_equal(lw_image_put(image, t, key, value), 0);
}

/* The group of a workload's pod addresses; the next one is of its Services. */
static uint32_t group_of(uint32_t workload)
{
	return 2 * workload - 1;
}

static uint32_t workload_of(const struct lab_pod *pod)
{
	return pod->workload ? pod->workload : LAB_WORKLOAD;
}

static bool serves(const struct lab_pod *pod)
{
	return !pod->unready && !pod->terminating;
}

static void put_pod(struct lw_image *image, const struct lab_pod *p)
{
	struct lw_pod_key pk = { .addr = addr(p->ip) };
	struct lw_pod pod = { .workload = workload_of(p),
			      .lane = p->lane,
			      .uid_hash = p->uid ? p->uid : pk.addr.ip[15] };
	struct lw_dest_key dk = { .addr = pk.addr };
	struct lw_dest dest = { .workload = pod.workload, .group = group_of(pod.workload) };

	pod.flags = (p->unready ? 0 : LW_POD_READY) | (p->terminating ? LW_POD_TERMINATING : 0) |
		    (p->local ? LW_POD_LOCAL : 0) | (p->untrusted ? LW_POD_UNTRUSTED : 0) |
		    (p->old ? LW_POD_OLD : 0) | (p->base_too ? LW_POD_BASE : 0);
	put(image, LW_TABLE_PODS, &pk, &pod);
	put(image, LW_TABLE_DESTS, &dk, &dest);
}

/* The endpoints of one workload and lane, those of this node first. */
static void put_groups(struct lw_image *image, const struct lab_state *s, uint32_t workload,
		       uint16_t lane)
{
	for (uint32_t vip = 0; vip < 2; vip++) {
		struct lw_group_key gk = { .group = group_of(workload) + vip, .lane = lane };
		struct lw_group group = { 0 };

		for (int local = 1; local >= 0; local--)
			for (const struct lab_pod *p = s->pods; p->ip; p++) {
				struct lw_endpoint_key ek = { .group = gk.group,
							      .lane = lane,
							      .idx = group.count };
				struct lw_endpoint ep = { .addr = addr(p->ip),
							  .port = vip ? LAB_PORT : 0 };

				if (workload_of(p) != workload ||
				    (p->lane != lane && !(p->base_too && !lane)) ||
				    p->local != local || !serves(p))
					continue;
				put(image, LW_TABLE_ENDPOINTS, &ek, &ep);
				group.count++;
				group.local += local;
			}
		if (group.count)
			put(image, LW_TABLE_GROUPS, &gk, &group);
	}
}

struct lw_image *lab_image(const struct lab_state *s)
{
	struct lw_image *image;
	struct lw_rules *rules;
	uint32_t first = s->first ? s->first : LAB_WORKLOAD, workloads = first;
	uint16_t lanes = 0;
	char err[256] = "";

	assert_int_equal(lw_image_new(&image), 0);
	assert_int_equal(lw_rules_new(&rules), 0);
	if (s->baggage)
		assert_int_equal(lw_rules_use_baggage(rules), 0);
	for (const struct lab_lane *l = s->lanes; l && l->name; l++)
		CHECK(!lw_rules_lane(rules, ++lanes, l->name, l->header, l->value, err,
				     sizeof(err)),
		      "lane %s: %s", l->name, err);
	for (const struct lab_pod *p = s->pods; p->ip; p++) {
		put_pod(image, p);
		if (workload_of(p) > workloads)
			workloads = workload_of(p);
	}
	for (uint32_t id = first; id <= workloads; id++) {
		struct lw_slot_key wk = { .id = id };
		struct lw_workload w = { 0 };

		snprintf(w.name, sizeof(w.name), "lab/Deployment/w%u", id);
		w.name_hash = lw_name_hash(w.name);
		if (id == first)
			CHECK(!lw_rules_workload(rules, s->entries, s->nentries, &w.entry, err,
						 sizeof(err)),
			      "rules: %s", err);
		put(image, LW_TABLE_WORKLOADS, &wk, &w);
		for (uint16_t lane = 0; lane <= lanes; lane++)
			put_groups(image, s, id, lane);
	}
	for (const char *const *vip = s->vips; vip && *vip; vip++) {
		struct lw_dest_key vk = { .addr = addr(*vip), .port = LAB_VIP_PORT };
		struct lw_dest dest = { .workload = first,
					.group = group_of(first) + 1,
					.flags = LW_DEST_SERVICE |
						 (s->unpinned ? LW_DEST_UNPINNED : 0) };

		put(image, LW_TABLE_DESTS, &vk, &dest);
	}
	assert_int_equal(lw_rules_finish(rules, image), 0);
	lw_rules_free(&rules);
	assert_int_equal(lw_image_seal(image), 0);
	return image;
}

static struct lw_image *build(const struct lab_options *o)
{
	static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "User-Agent",
						   "xiaoming" };
	static const struct lw_rules_mod set = { "x-mse-tag", "gray" };
	static const struct lw_rules_entry entry = {
		.conds = &cond,
		.nconds = 1,
		.lane = GRAY,
		.set = &set,
		.nset = 1,
		.source = "lab match 1",
	};
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, { 0 } };
	static const char *const vips[] = { LAB_VIP, NULL };
	const struct lab_pod pods[] = {
		{ .ip = LAB_BASE },
		{ .ip = LAB_BASE2 },
		{ .ip = LAB_GRAY, .lane = GRAY, .unready = o->no_gray },
		{ 0 },
	};
	const struct lab_state standard = {
		.pods = pods, .lanes = lanes, .entries = &entry, .nentries = 1, .vips = vips
	};

	return lab_image(o->state ? o->state : &standard);
}

void lab_publish(const struct lab_state *state)
{
	struct lw_image *image = lab_image(state);

	CHECK(!lw_kern_publish(lab.kern, image), "publish");
	lw_image_free(&image);
}

struct lw_kern *lab_kern(void)
{
	return lab.kern;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write '%s'",
	      path);
	close(fd);
}

/* Of runs that were killed before they could take theirs away. */
static void sweep_cgroups(const char *root)
{
	DIR *d = opendir(root);
	struct dirent *e;
	char path[512];
	int pid;

	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, "lwlab.%d", &pid) == 1 && kill(pid, 0) && errno == ESRCH) {
			snprintf(path, sizeof(path), "%s/%s", root, e->d_name);
			rmdir(path);
		}
	if (d)
		closedir(d);
}

static void enter(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	char root[128] = "", path[512], pid[32];
	FILE *f = fopen("/proc/self/mounts", "r");
	char dir[128], type[64];
	int fd;

	while (f && fscanf(f, "%*s %127s %63s %*[^\n]", dir, type) == 2)
		if (!strcmp(type, "cgroup2"))
			strcpy(root, dir);
	if (f)
		fclose(f);
	CHECK(root[0], "find the cgroup2 root");
	sweep_cgroups(root);
	snprintf(lab.cgroup, sizeof(lab.cgroup), "%s/lwlab.%d", root, (int)getpid());
	CHECK(!mkdir(lab.cgroup, 0755), "make '%s'", lab.cgroup);
	snprintf(path, sizeof(path), "%s/cgroup.procs", lab.cgroup);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	write_file(path, pid);
	CHECK(!unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make mounts private");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(!ioctl(fd, SIOCSIFFLAGS, &ifr), "loopback up");
	close(fd);
	strcpy(lab.bpffs, "/tmp/lwlab.XXXXXX");
	CHECK(mkdtemp(lab.bpffs), "make a bpffs");
	CHECK(!mount("bpf", lab.bpffs, "bpf", 0, NULL), "mount a bpffs");
}

static bool is_bindable(const struct in6_addr *addr)
{
	const struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = *addr };
	uint64_t until = lw_clock_ns() + (uint64_t)WAIT_MS * LW_NS_PER_MS;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	while ((r = bind(fd, (const struct sockaddr *)&a, sizeof(a))) && lw_clock_ns() < until)
		sched_yield();
	close(fd);
	return !r;
}

void lab_add_address(const char *ip)
{
	struct {
		struct in6_addr addr;
		uint32_t prefix_len;
		int ifindex;
	} req = {
		.prefix_len = 128
	}; /* struct in6_ifreq, whose header does not go with the C library's */
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !ioctl(fd, SIOCGIFINDEX, &ifr), "find lo");
	req.ifindex = ifr.ifr_ifindex;
	assert_int_equal(inet_pton(AF_INET6, ip, &req.addr), 1);
	CHECK(!ioctl(fd, SIOCSIFADDR, &req), "give lo the address %s", ip);
	close(fd);
	/* a worker of the kernel's takes "tentative" off it (addrconf_dad_work()); until then nothing can be bound to it */
	CHECK(is_bindable(&req.addr), "use the address %s", ip);
}

static void agent_child(int ready, const struct lab_options *options)
{
	static const char *const guarded[] = { "lo", NULL };
	struct lw_devices *devices;
	struct lw_upstreams *ups;
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* as the agent itself does (agent.c) */
	if (lw_upstreams_start(
		    lab.kern, loop,
		    &(struct lw_upstreams_options){ .fail_closed = options->fail_closed }, &ups))
		_exit(1);
	if (options->guard && lw_devices_start(lab.kern, guarded, &devices))
		_exit(1);
	lw_kern_heartbeat(lab.kern); /* the first turn of the loop may be late */
	if (write(ready, "r", 1) != 1)
		_exit(1);
	ev_run(loop, 0);
	_exit(0);
}

void lab_start(const struct lab_options *options)
{
	struct lw_image *image;
	int fds[2];
	char c;

	enter();
	if (getenv("LAB_DEBUG"))
		lw_log_set_level(LW_LOG_DEBUG);
	CHECK(!lw_kern_open(
		      &(struct lw_kern_options){ .cgroup = lab.cgroup,
						 .bpffs = lab.bpffs,
						 .fail_closed = options->fail_closed,
						 .prefer_local = options->prefer_local,
						 .no_bypass = options->no_bypass ||
							      getenv("LAB_NO_BYPASS"),
						 /* the tests are one process, and do everything */
						 .no_notice = true },
		      &lab.kern),
	      "open the kernel side");
	CHECK(lw_kern_mode(lab.kern) != LW_KERN_MODE_NONE, "this kernel fails the self-tests");
	image = build(options);
	CHECK(!lw_kern_publish(lab.kern, image), "publish");
	lw_image_free(&image);
	if (options->no_agent)
		return;
	CHECK(!pipe(fds), "pipe");
	lab.agent = fork();
	if (!lab.agent)
		agent_child(fds[1], options);
	close(fds[1]);
	CHECK(read(fds[0], &c, 1) == 1, "start the agent");
	close(fds[0]);
}

void lab_kill_agent(void)
{
	if (lab.agent <= 0)
		return;
	kill(lab.agent, SIGKILL);
	waitpid(lab.agent, NULL, 0);
	lab.agent = 0;
}

void lab_pause_agent(void)
{
	int status;

	CHECK(!kill(lab.agent, SIGSTOP) && waitpid(lab.agent, &status, WUNTRACED) == lab.agent &&
		      WIFSTOPPED(status),
	      "pause the agent");
}

void lab_resume_agent(void)
{
	CHECK(!kill(lab.agent, SIGCONT), "have the agent go on");
}

static socklen_t sockaddr(const char *ip, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){ .ss_family = strchr(ip, ':') ? AF_INET6 : AF_INET };
	if (ret->ss_family == AF_INET6) {
		assert_int_equal(inet_pton(AF_INET6, ip, &a6->sin6_addr), 1);
		a6->sin6_port = htons(port);
		return sizeof(*a6);
	}
	assert_int_equal(inet_pton(AF_INET, ip, &a4->sin_addr), 1);
	a4->sin_port = htons(port);
	return sizeof(*a4);
}

static int listeners[16];
static size_t nlisteners;

int lab_listen(const char *ip)
{
	struct sockaddr_storage a;
	socklen_t len = sockaddr(ip, LAB_PORT, &a);
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CHECK(!bind(fd, (struct sockaddr *)&a, len) && !listen(fd, 1024), "listen on %s", ip);
	CHECK(nlisteners < sizeof(listeners) / sizeof(listeners[0]), "too many listeners");
	listeners[nlisteners++] = fd;
	return fd;
}

static void wait_readable(int fd, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK(poll(&p, 1, WAIT_MS) == 1, "wait for %s", what);
}

/* Accepted, and not asked for yet. */
static struct waiting {
	int listener, fd;
} waiting[1024];
static size_t nwaiting;

static int take_waiting(size_t i)
{
	int fd = waiting[i].fd;

	waiting[i] = waiting[--nwaiting];
	return fd;
}

static void accept_one(int listener)
{
	int fd = accept(listener, NULL, NULL);

	CHECK(fd >= 0, "accept");
	CHECK(nwaiting < sizeof(waiting) / sizeof(waiting[0]), "too many connections");
	waiting[nwaiting++] = (struct waiting){ listener, fd };
}

static uint16_t port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (name(fd, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port :
					       ((struct sockaddr_in *)&a)->sin_port);
}

int lab_accept(int listener, int c)
{
	uint16_t port = port_of(c, getsockname);

	for (;;) {
		for (size_t i = 0; i < nwaiting; i++)
			if (waiting[i].listener == listener &&
			    port_of(waiting[i].fd, getpeername) == port)
				return take_waiting(i);
		wait_readable(listener, "a connection");
		accept_one(listener);
	}
}

int lab_accept_request(int listener)
{
	struct pollfd p[1025];
	char c;

	for (;;) {
		size_t n = 0, at[1025];

		p[n++] = (struct pollfd){ .fd = listener, .events = POLLIN };
		for (size_t i = 0; i < nwaiting; i++)
			if (waiting[i].listener == listener) {
				at[n] = i;
				p[n++] = (struct pollfd){ .fd = waiting[i].fd, .events = POLLIN };
			}
		CHECK(poll(p, n, WAIT_MS) > 0, "wait for a request");
		for (size_t i = 1; i < n; i++) {
			if (!p[i].revents)
				continue;
			if (recv(p[i].fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
				return take_waiting(at[i]);
			close(take_waiting(at[i])); /* opened ahead, not used */
			break;
		}
		if (p[0].revents)
			accept_one(listener);
	}
}

void lab_drain(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	while (poll(&p, 1, 0) == 1)
		accept_one(listener);
	for (size_t i = nwaiting; i-- > 0;)
		if (waiting[i].listener == listener)
			close(take_waiting(i));
}

int lab_clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < nlisteners; i++)
		lab_drain(listeners[i]);
	return 0;
}

void lab_unlisten(int listener)
{
	lab_drain(listener);
	close(listener);
	for (size_t i = 0; i < nlisteners; i++)
		if (listeners[i] == listener) {
			listeners[i] = listeners[--nlisteners];
			return;
		}
	CHECK(false, "not a listener");
}

void lab_stop(void)
{
	char path[512];

	while (nlisteners)
		lab_unlisten(listeners[nlisteners - 1]);
	lab_kill_agent();
	lw_kern_close(&lab.kern);
	umount2(lab.bpffs, MNT_DETACH);
	rmdir(lab.bpffs);
	/* a cgroup goes when its last process has left it */
	snprintf(path, sizeof(path), "%.*s/cgroup.procs",
		 (int)(strrchr(lab.cgroup, '/') - lab.cgroup), lab.cgroup);
	write_file(path, "0");
	rmdir(lab.cgroup);
}

int lab_teardown(void **state)
{
	(void)state;
	lab_stop();
	return 0;
}

int lab_connect_from(const char *from, const char *ip, uint16_t port)
{
	struct sockaddr_storage a, f;
	socklen_t len = sockaddr(ip, port, &a), flen;
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (from) {
		flen = sockaddr(from, 0, &f);
		CHECK(!bind(fd, (struct sockaddr *)&f, flen), "bind to %s", from);
	}
	CHECK(!connect(fd, (struct sockaddr *)&a, len), "connect to %s:%u", ip, port);
	return fd;
}

int lab_connect(const char *ip, uint16_t port)
{
	return lab_connect_from(NULL, ip, port);
}

void lab_send_n(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		CHECK(k > 0, "send %zu bytes", n);
		p += k;
		n -= (size_t)k;
	}
}

char *lab_noise(size_t n, unsigned int seed)
{
	char *p = malloc(n);

	CHECK(p, "%zu bytes", n);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (char)(seed >> 16);
	}
	return p;
}

void lab_send(int fd, const char *text)
{
	lab_send_n(fd, text, strlen(text));
}

void lab_recv_n(int fd, void *buf, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t k;

		wait_readable(fd, "bytes");
		k = recv(fd, (char *)buf + got, n - got, 0);
		CHECK(k > 0, "received %zd after %zu of %zu bytes: '%.*s'", k, got, n, (int)got,
		      (char *)buf);
		got += (size_t)k;
	}
}

void lab_expect(int fd, const char *text)
{
	size_t n = strlen(text);
	char *buf = calloc(1, n + 1);

	lab_recv_n(fd, buf, n);
	assert_string_equal(buf, text);
	free(buf);
}

void lab_expect_nothing(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	CHECK(n < 0 && errno == EAGAIN, "expected nothing, received %zd", n);
}

void lab_expect_eof(int fd)
{
	char c;

	wait_readable(fd, "an end of file");
	CHECK(recv(fd, &c, 1, 0) == 0, "expected an end of file");
}

void lab_expect_reset(int fd)
{
	char c;

	wait_readable(fd, "a reset");
	CHECK(recv(fd, &c, 1, 0) < 0 && (errno == ECONNRESET || errno == ECONNABORTED),
	      "expected a reset");
}

struct counting {
	int reason, evidence; /* -1: any */
	uint64_t sum;
};

static int count_one(const struct lw_stat_key *key, uint64_t count, void *arg)
{
	struct counting *c = arg;

	if ((c->reason < 0 || key->reason == c->reason) &&
	    (c->evidence < 0 || key->evidence == c->evidence))
		c->sum += count;
	return 0;
}

static uint64_t count_all(int reason, int evidence)
{
	struct counting c = { .reason = reason, .evidence = evidence };

	assert_int_equal(lw_kern_each_stat(lab.kern, count_one, &c), 0);
	return c.sum;
}

uint64_t lab_count(unsigned int reason)
{
	return count_all((int)reason, -1);
}

uint64_t lab_count_evidence(unsigned int evidence)
{
	return count_all(-1, (int)evidence);
}

struct finding {
	uint16_t port;
	struct lw_flow *ret;
};

static int find_one(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	struct finding *f = arg;

	(void)cookie;
	if (flow->client_port != f->port)
		return 0;
	*f->ret = *flow;
	return 1;
}

struct tcp_info lab_tcp_info(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	return i;
}

static int is_upstream(uint64_t cookie, const struct lw_up *up, void *arg)
{
	return cookie == *(const uint64_t *)arg && !(up->flags & LW_UP_GONE);
}

bool lab_has_upstream(uint64_t cookie)
{
	return lw_kern_each_up(lab.kern, is_upstream, &cookie) == 1;
}

bool lab_flow(int fd, struct lw_flow *ret)
{
	struct finding f = { .ret = ret, .port = port_of(fd, getsockname) };

	CHECK(f.port, "getsockname");
	return lw_kern_each_flow(lab.kern, find_one, &f) == 1;
}

unsigned int lab_bound_to(int fd)
{
	uint64_t until = lw_clock_ns() + (uint64_t)WAIT_MS * LW_NS_PER_MS;
	struct lw_flow f;

	do {
		CHECK(lab_flow(fd, &f), "find the flow");
		if (f.route != LW_ROUTE_PEER && f.ups[f.up].up)
			return f.ups[f.up].addr.ip[15];
		sched_yield();
	} while (lw_clock_ns() < until);
	CHECK(false, "wait for an upstream socket");
	return 0;
}

int lab_upstream(int fd)
{
	int agent = (int)syscall(SYS_pidfd_open, lab.agent, 0), found = -1;
	struct lw_flow f;

	CHECK(agent >= 0, "open the agent");
	CHECK(lab_flow(fd, &f), "find the flow");
	for (int i = 0; found < 0 && i < AGENT_FDS; i++) {
		uint64_t cookie = 0;
		socklen_t len = sizeof(cookie);

		found = (int)syscall(SYS_pidfd_getfd, agent, i, 0);
		if (found >= 0 && (getsockopt(found, SOL_SOCKET, SO_COOKIE, &cookie, &len) ||
				   cookie != f.ups[f.up].up)) {
			close(found);
			found = -1;
		}
	}
	close(agent);
	CHECK(found >= 0, "find the upstream socket");
	return found;
}

struct living {
	uint64_t down;
	unsigned int n;
};

static int count_living(uint64_t cookie, const struct lw_up *up, void *arg)
{
	struct living *l = arg;

	(void)cookie;
	if (up->down == l->down && !(up->flags & LW_UP_DEAD))
		l->n++;
	return 0;
}

void lab_wait_ups_ended(int fd)
{
	uint64_t until = lw_clock_ns() + (uint64_t)WAIT_MS * LW_NS_PER_MS;
	struct living l = { 0 };
	socklen_t len = sizeof(l.down);

	CHECK(!getsockopt(fd, SOL_SOCKET, SO_COOKIE, &l.down, &len), "SO_COOKIE");
	do {
		l.n = 0;
		(void)lw_kern_each_up(lab.kern, count_living, &l);
		if (!l.n)
			return;
		sched_yield();
	} while (lw_clock_ns() < until);
	CHECK(false, "wait for the end of upstream sockets");
}

static int dump_flow(uint64_t cookie, const struct lw_flow *f, void *arg)
{
	(void)arg;
	fprintf(stderr,
		"  flow %llx port %u peer .%u route %u up %u lane %u evidence %u reason %u flags %x requests %llu frame %u/%llu punt %llx\n",
		(unsigned long long)cookie, f->client_port, f->peer.ip[15], f->route, f->up,
		f->lane, f->evidence, f->reason, f->flags, (unsigned long long)f->requests,
		f->frame.state, (unsigned long long)f->frame.left, (unsigned long long)f->punt);
	for (int i = 0; i < LW_FLOW_UPS; i++)
		if (f->ups[i].up)
			fprintf(stderr, "    ups[%d] %llx lane %u .%u\n", i,
				(unsigned long long)f->ups[i].up, f->ups[i].lane,
				f->ups[i].addr.ip[15]);
	return 0;
}

static int dump_up(uint64_t cookie, const struct lw_up *u, void *arg)
{
	(void)arg;
	fprintf(stderr,
		"  up %llx down %llx .%u flags %x req %u resp %u frame %u/%llu bytes %llu\n",
		(unsigned long long)cookie, (unsigned long long)u->down, u->addr.ip[15], u->flags,
		u->req_seq, u->resp_seq, u->frame.state, (unsigned long long)u->frame.left,
		(unsigned long long)u->bytes);
	return 0;
}

static int dump_stat(const struct lw_stat_key *k, uint64_t count, void *arg)
{
	(void)arg;
	fprintf(stderr, "  stat lane %u evidence %u reason %u: %llu\n", k->lane, k->evidence,
		k->reason, (unsigned long long)count);
	return 0;
}

/* What the kernel side holds, beside a failure. */
static void lab_dump(void)
{
	if (!lab.kern)
		return;
	(void)lw_kern_each_flow(lab.kern, dump_flow, NULL);
	(void)lw_kern_each_up(lab.kern, dump_up, NULL);
	(void)lw_kern_each_stat(lab.kern, dump_stat, NULL);
}
