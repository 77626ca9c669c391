/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kern/devices.h"
#include "kern/internal.h"
#include "kern/leftover.h"
#include "kern/needs.h"

#define PIN_DIR "laneway"
#define OLD_DIR "laneway_old" /* no dot: bpffs keeps those names for itself */
/* The agent beats ten times as often. */
#define HEARTBEAT_MAX_NS LW_NS_PER_SEC
/* A fixed buffer ends the kernel's own tuning: only where it is no less than that would reach. The kernel doubles them. */
#define DOWN_RCVBUF (4u << 20)
#define DOWN_SNDBUF (2u << 20)

static int on_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	/* libbpf's warnings repeat what the failing call returns, with the verifier's log: for debugging */
	if (level != LIBBPF_DEBUG && lw_log_enabled(LW_LOG_DEBUG))
		lw_logv(LW_LOG_DEBUG, format, args);
	return 0;
}

static char *find_cgroup2(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	char *path = NULL;

	if (!f)
		return NULL;
	while (!path && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			path = strdup(m->mnt_dir);
	endmntent(f);
	return path;
}

static int mount_bpffs(const char *path, bool *ret_mounted)
{
	struct statfs s;

	*ret_mounted = false;
	if (statfs(path, &s))
		return -errno;
	if (s.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return -errno;
	*ret_mounted = true;
	return 0;
}

/* Unlinks what is pinned in dir, and dir. How many pins, or -errno. */
static int unpin_dir(const char *dir)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0))
			return -errno;
		n++;
	}
	if (rmdir(dir))
		return -errno;
	return n;
}

int lw_kern_cleanup(const char *bpffs)
{
	static const char *const dirs[] = { PIN_DIR, OLD_DIR };
	int n = 0;

	libbpf_set_print(on_libbpf);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *dir = NULL;
		int r;

		if (asprintf(&dir, "%s/%s", bpffs ? bpffs : "/sys/fs/bpf", dirs[i]) < 0)
			return -ENOMEM;
		lw_leftover_end(dir, true);
		r = unpin_dir(dir);
		if (r < 0)
			return r;
		n += r;
	}
	return n + lw_devices_cleanup();
}

/*
 * Ends what an agent that was killed has left. With --fail-closed its pins, hooks among them, are put aside until our first
 * state is in force, which may take long: those hooks go on refusing.
 */
static int put_aside(struct lw_kern *kern, const char *bpffs)
{
	int r;

	if (asprintf(&kern->old_dir, "%s/" OLD_DIR, bpffs) < 0) {
		kern->old_dir = NULL;
		return -ENOMEM;
	}
	if (!access(kern->pin_dir, F_OK)) {
		/* a start that did not get as far as lw_kern_end_old() */
		r = unpin_dir(kern->old_dir);
		if (r >= 0 && rename(kern->pin_dir, kern->old_dir))
			r = -errno;
		if (r < 0) {
			lw_error("put aside what an earlier agent left in '%s': %s", kern->pin_dir, strerror(-r));
			return r;
		}
	}
	/* who waits for an answer of that agent is told now, in any case */
	lw_leftover_end(kern->old_dir, !kern->fail_closed);
	if (!kern->fail_closed)
		lw_kern_end_old(kern);
	return 0;
}

void lw_kern_end_old(struct lw_kern *kern)
{
	int r;

	if (!kern->old_dir)
		return;
	r = unpin_dir(kern->old_dir);
	if (r < 0)
		lw_warn("remove what an earlier agent left in '%s': %s", kern->old_dir, strerror(-r));
	else if (r > 0)
		lw_info("removed %d pins that an earlier agent left in '%s'", r, kern->old_dir);
	free(kern->old_dir);
	kern->old_dir = NULL;
}

static int pin_maps(struct lw_kern *kern)
{
	struct bpf_map *map;

	if (mkdir(kern->pin_dir, 0700) && errno != EEXIST)
		return -errno;
	bpf_object__for_each_map(map, kern->skel->obj) {
		_cleanup_free_ char *path = NULL;
		const char *name = bpf_map__name(map);
		int r;

		if (strncmp(name, "lw_", 3) || !strncmp(name, "lw_lanes.", 9))
			continue;
		if (asprintf(&path, "%s/%s", kern->pin_dir, name + 3) < 0)
			return -ENOMEM;
		r = bpf_map__pin(map, path);
		if (r)
			return r;
	}
	return 0;
}

int lw_kern_note_attached(struct lw_kern *kern, const char *format, ...)
{
	va_list args;
	int n;

	if (kern->nattached >= LW_KERN_ATTACHED)
		return -E2BIG;
	va_start(args, format);
	n = vasprintf(&kern->attached[kern->nattached], format, args);
	va_end(args);
	if (n < 0) {
		kern->attached[kern->nattached] = NULL;
		return -ENOMEM;
	}
	kern->nattached++;
	return 0;
}

static int attach_map(struct lw_kern *kern, struct bpf_program *prog, struct bpf_map *map, enum bpf_attach_type type,
		      const char *what)
{
	if (bpf_prog_attach(bpf_program__fd(prog), bpf_map__fd(map), type, 0))
		return -errno;
	return lw_kern_note_attached(kern, "%s (%s on map %s)", bpf_program__name(prog), what, bpf_map__name(map));
}

static int attach(struct lw_kern *kern, const char *cgroup)
{
	struct lw_lanes_bpf *s = kern->skel;
	struct bpf_program *progs[LW_KERN_LINKS] = {
		s->progs.lw_sockops, s->progs.lw_getpeername4, s->progs.lw_getpeername6,
		s->progs.lw_connect4, s->progs.lw_connect6, /* last: from here on sockets are noted */
	};
	_cleanup_close_ int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = attach_map(kern, s->progs.lw_msg, s->maps.lw_down_socks, BPF_SK_MSG_VERDICT, "sk_msg");
	if (!r && kern->mode == LW_KERN_MODE_VERDICT)
		r = attach_map(kern, s->progs.lw_native, s->maps.lw_down_socks, BPF_SK_SKB_VERDICT, "sk_skb");
	if (!r)
		r = attach_map(kern, s->progs.lw_reply, s->maps.lw_up_socks, BPF_SK_SKB_VERDICT, "sk_skb");
	/* what holds for downstream sockets holds for the pods' ends: both send natively and receive past TCP */
	if (!r)
		r = attach_map(kern, s->progs.lw_far_msg, s->maps.lw_far_socks, BPF_SK_MSG_VERDICT, "sk_msg");
	if (!r && kern->mode == LW_KERN_MODE_VERDICT)
		r = attach_map(kern, s->progs.lw_native, s->maps.lw_far_socks, BPF_SK_SKB_VERDICT, "sk_skb");
	for (size_t i = 0; !r && i < LW_KERN_LINKS; i++) {
		kern->links[i] = bpf_program__attach_cgroup(progs[i], fd);
		if (!kern->links[i])
			return -errno;
		if (kern->config->flags & LW_CONF_FAIL_CLOSED) {
			/* outlives a killed agent, so that what it would have steered is refused, not passed */
			_cleanup_free_ char *path = NULL;

			if (asprintf(&path, "%s/link_%s", kern->pin_dir, bpf_program__name(progs[i]) + 3) < 0)
				return -ENOMEM;
			r = bpf_link__pin(kern->links[i], path);
			if (r)
				return r;
		}
		r = lw_kern_note_attached(kern, "%s (%s on %s)", bpf_program__name(progs[i]),
					  bpf_program__section_name(progs[i]), cgroup);
	}
	return r;
}

/* Every upstream socket is a descriptor of the agent's. */
static void raise_nofile(void)
{
	struct rlimit l;

	if (!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

/* The size of a buffer of downstream sockets; 0 where the system allows less, and what that means is said. */
static uint32_t down_buffer(const char *sysctl, uint32_t size, const char *else_what)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long max = 0;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/core/%s", sysctl);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%lu", &max) != 1) {
		/* Linux 6.1 shows it to the machine's first network namespace alone */
		lw_warn("net.core.%s cannot be read in the agent's network namespace: %s", sysctl, else_what);
		return 0;
	}
	if (max >= size)
		return size;
	lw_warn("net.core.%s is %lu, less than %u: %s; set it before the agent starts", sysctl, max, size, else_what);
	return 0;
}

/* What is known to ask FIONREAD: it need not hang a first time. */
static const char *const ask_fionread[] = { "nginx", "openresty", NULL };

static int keep_names(struct lw_kern *kern, const char *const *names)
{
	const uint32_t why = LW_KEEP_NAME;

	for (; names && *names; names++) {
		struct lw_kept_name key = {};

		/* the kernel cuts names there, too */
		(void)strncpy(key.comm, *names, sizeof(key.comm) - 1);
		if (bpf_map_update_elem(bpf_map__fd(kern->skel->maps.lw_kept_names), &key, &why, BPF_ANY)) {
			lw_error("keep '%s' out: %s; at most %d names can be", *names, strerror(errno), LW_MAX_KEPT_NAMES);
			return -errno;
		}
		kern->config->flags |= LW_CONF_KEEPS_OUT;
	}
	return 0;
}

/* Whom this kernel would hurt is not enrolled: by name, and by what a process does. */
static int keep_out(struct lw_kern *kern, const struct lw_kern_options *options)
{
	int r = keep_names(kern, options->keep_out);

	if (!r && (kern->keeps & LW_KEEP_FIONREAD))
		r = keep_names(kern, ask_fionread);
	if (r || options->no_notice)
		return r;
	kern->noticed = lw_notice_start(kern, kern->keeps, options->watch_syscalls, &kern->notice);
	if (kern->noticed)
		kern->config->flags |= LW_CONF_KEEPS_OUT;
	if ((kern->keeps & LW_KEEP_FIONREAD) && !(kern->noticed & LW_KEEP_FIONREAD)) {
		lw_error("attach to tcp_ioctl, to keep clients out that ask FIONREAD: %s", strerror(EOPNOTSUPP));
		return -EOPNOTSUPP;
	}
	if ((kern->keeps & LW_KEEP_SPLICE) && !(kern->noticed & LW_KEEP_SPLICE))
		lw_info("clients that read with splice(2) are not noticed on this kernel: name them with --keep-out, or see --watch-syscalls");
	return 0;
}

int lw_kern_selftest(struct lw_selftest_result **ret_tests, enum lw_kern_mode *ret_mode, uint32_t *ret_keeps)
{
	int r;

	libbpf_set_print(on_libbpf);
	r = lw_needs_check(NULL);
	if (r)
		return r;
	r = lw_selftest_run(ret_tests, ret_mode, ret_keeps);
	if (r)
		lw_error("run the self-tests: %s", strerror(-r));
	return r;
}

int lw_kern_open(const struct lw_kern_options *options, struct lw_kern **ret)
{
	_cleanup_(lw_kern_close) struct lw_kern *kern = NULL;
	_cleanup_free_ char *found = NULL;
	const char *cgroup = options->cgroup, *bpffs = options->bpffs ? options->bpffs : "/sys/fs/bpf";
	bool mounted;
	int r;

	libbpf_set_print(on_libbpf);
	if (!cgroup) {
		cgroup = found = find_cgroup2();
		if (!cgroup) {
			lw_error("find the cgroup2 root: none is mounted; mount one (mount -t cgroup2 none DIR) and name it with --cgroup");
			return -ENOENT;
		}
	}
	r = lw_needs_check(cgroup);
	if (r)
		return r;
	raise_nofile();
	kern = calloc(1, sizeof(*kern));
	if (!kern)
		return -ENOMEM;
	r = lw_selftest_run(&kern->tests, &kern->mode, &kern->keeps);
	if (r) {
		lw_error("run the self-tests: %s", strerror(-r));
		return r;
	}
	if (kern->mode == LW_KERN_MODE_NONE) {
		*ret = TAKE_PTR(kern);
		return 0;
	}
	r = mount_bpffs(bpffs, &mounted);
	if (r) {
		lw_error("use '%s' as bpffs: %s", bpffs, strerror(-r));
		return r;
	}
	if (mounted) {
		kern->bpffs_mounted = strdup(bpffs);
		if (!kern->bpffs_mounted)
			return -ENOMEM;
	}
	if (asprintf(&kern->pin_dir, "%s/" PIN_DIR, bpffs) < 0) {
		kern->pin_dir = NULL;
		return -ENOMEM;
	}
	kern->fail_closed = options->fail_closed;
	r = put_aside(kern, bpffs);
	if (r)
		return r;

	kern->skel = lw_lanes_bpf__open();
	if (!kern->skel)
		return -errno;
	r = lw_lanes_bpf__load(kern->skel);
	if (r) {
		lw_error("load the programs: %s (--log-level debug shows the kernel's reasons)", strerror(-r));
		return r;
	}
	kern->config = mmap(NULL, sizeof(*kern->config), PROT_READ | PROT_WRITE, MAP_SHARED,
			    bpf_map__fd(kern->skel->maps.lw_config), 0);
	if (kern->config == MAP_FAILED) {
		kern->config = NULL;
		return -errno;
	}
	kern->config->abi = LW_ABI_VERSION;
	kern->config->flags = (options->fail_closed ? LW_CONF_FAIL_CLOSED : 0) |
			      (options->prefer_local ? LW_CONF_PREFER_LOCAL : 0) |
			      (options->no_bypass ? 0 : LW_CONF_BYPASS) |
			      (kern->mode == LW_KERN_MODE_VERDICT ? LW_CONF_NATIVE_VERDICT : 0);
	kern->config->heartbeat_max_ns = HEARTBEAT_MAX_NS;
	kern->config->down_rcvbuf = down_buffer("rmem_max", DOWN_RCVBUF, "large steered responses are slow");
	kern->config->down_sndbuf = down_buffer("wmem_max", DOWN_SNDBUF,
						"a client that sends a large body and waits in a blocking recv() may get EAGAIN");
	lw_kern_heartbeat(kern);
	r = keep_out(kern, options);
	if (r)
		return r;
	r = pin_maps(kern);
	if (r) {
		lw_error("pin the maps in '%s': %s", kern->pin_dir, strerror(-r));
		return r;
	}
	r = attach(kern, cgroup);
	if (r) {
		lw_error("attach to '%s': %s", cgroup, strerror(-r));
		return r;
	}
	*ret = TAKE_PTR(kern);
	return 0;
}

void lw_kern_stop_steering(struct lw_kern *kern)
{
	if (kern->config)
		__atomic_store_n(&kern->config->flags, kern->config->flags | LW_CONF_STOPPED, __ATOMIC_RELEASE);
}

void lw_kern_take_punts(struct lw_kern *kern, bool yes)
{
	uint32_t flags;

	if (!kern->config)
		return;
	flags = kern->config->flags & ~LW_CONF_NO_PUNT;
	__atomic_store_n(&kern->config->flags, yes ? flags : flags | LW_CONF_NO_PUNT, __ATOMIC_RELEASE);
}

void lw_kern_heartbeat(struct lw_kern *kern)
{
	if (kern->config)
		__atomic_store_n(&kern->config->heartbeat_ns, lw_clock_ns(), __ATOMIC_RELEASE);
}

void lw_kern_close(struct lw_kern **kern_)
{
	struct lw_kern *kern = *kern_;
	int r;

	*kern_ = NULL;
	if (!kern)
		return;
	for (size_t i = LW_KERN_LINKS; i-- > 0;)
		if (kern->links[i])
			(void)bpf_link__destroy(kern->links[i]);
	if (kern->config) {
		/* connections that are still enrolled go on with their own peers until they close */
		lw_kern_stop_steering(kern);
		(void)munmap(kern->config, sizeof(*kern->config));
	}
	if (kern->pin_dir) {
		r = unpin_dir(kern->pin_dir);
		if (r < 0)
			lw_warn("remove '%s': %s, left behind", kern->pin_dir, strerror(-r));
	}
	lw_notice_stop(&kern->notice);
	if (kern->skel)
		lw_lanes_bpf__destroy(kern->skel);
	if (kern->bpffs_mounted && umount(kern->bpffs_mounted))
		lw_warn("unmount '%s': %s, left behind", kern->bpffs_mounted, strerror(errno));
	lw_image_free(&kern->slots[0]);
	lw_image_free(&kern->slots[1]);
	for (size_t i = 0; i < kern->nattached; i++)
		free(kern->attached[i]);
	free(kern->bpffs_mounted);
	free(kern->pin_dir);
	free(kern->old_dir);
	free(kern->tests);
	free(kern);
}

uint32_t lw_kern_keeps(const struct lw_kern *kern, uint32_t *ret_noticed)
{
	*ret_noticed = kern->noticed;
	return kern->keeps;
}

int lw_kern_each_kept(const struct lw_kern *kern,
		      void (*cb)(const struct lw_kept_key *key, const struct lw_kept *kept, void *arg), void *arg)
{
	struct lw_kept_key key, next, *at = NULL;
	int fd;

	if (!kern->skel)
		return 0;
	fd = bpf_map__fd(kern->skel->maps.lw_kept);
	while (!bpf_map_get_next_key(fd, at, &next)) {
		struct lw_kept kept;

		key = next;
		at = &key;
		if (!bpf_map_lookup_elem(fd, &key, &kept))
			cb(&key, &kept, arg);
	}
	return 0;
}

uint64_t lw_kern_in_force_ns(const struct lw_kern *kern)
{
	return kern->in_force_ns;
}

uint64_t lw_kern_generation(const struct lw_kern *kern)
{
	return kern->config ? kern->config->generation : 0;
}

enum lw_kern_mode lw_kern_mode(const struct lw_kern *kern)
{
	return kern->mode;
}

const char *lw_kern_mode_name(enum lw_kern_mode mode)
{
	switch (mode) {
	case LW_KERN_MODE_MSG:
		return "msg";
	case LW_KERN_MODE_VERDICT:
		return "verdict";
	case LW_KERN_MODE_NONE:
		break;
	}
	return "none";
}

const struct lw_selftest_result *lw_kern_selftests(const struct lw_kern *kern)
{
	return kern->tests;
}

const char *const *lw_kern_attached(const struct lw_kern *kern)
{
	return (const char *const *)kern->attached;
}

int lw_kern_each_flow(struct lw_kern *kern, int (*cb)(uint64_t cookie, const struct lw_flow *flow, void *arg), void *arg)
{
	int fd, r = 0;
	uint64_t key, *at = NULL;
	struct lw_flow flow;

	if (!kern->skel)
		return 0;
	fd = bpf_map__fd(kern->skel->maps.lw_flows);
	while (!r && !bpf_map_get_next_key(fd, at, &key)) {
		at = &key;
		if (!bpf_map_lookup_elem(fd, &key, &flow))
			r = cb(key, &flow, arg);
	}
	return r;
}

int lw_kern_each_up(struct lw_kern *kern, int (*cb)(uint64_t cookie, const struct lw_up *up, void *arg), void *arg)
{
	int fd, r = 0;
	uint64_t key, *at = NULL;
	struct lw_up up;

	if (!kern->skel)
		return 0;
	fd = bpf_map__fd(kern->skel->maps.lw_ups);
	while (!r && !bpf_map_get_next_key(fd, at, &key)) {
		at = &key;
		if (!bpf_map_lookup_elem(fd, &key, &up))
			r = cb(key, &up, arg);
	}
	return r;
}

/* Base requests that wait in flows to be counted, by workload. */
struct waiting {
	struct {
		uint32_t hash;
		uint64_t count;
	} at[LW_MAX_WORKLOADS];
	size_t n;
};

static int add_waiting(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	struct waiting *w = arg;
	size_t i = 0;

	(void)cookie;
	if (!flow->base_ok)
		return 0;
	while (i < w->n && w->at[i].hash != flow->workload_hash)
		i++;
	if (i == LW_MAX_WORKLOADS)
		return 0;
	if (i == w->n) {
		w->at[i].hash = flow->workload_hash;
		w->n++;
	}
	w->at[i].count += flow->base_ok;
	return 0;
}

int lw_kern_each_stat(struct lw_kern *kern, int (*cb)(const struct lw_stat_key *key, uint64_t count, void *arg), void *arg)
{
	_cleanup_free_ struct lw_stat *values = NULL;
	_cleanup_free_ struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct lw_stat_key key, *at = NULL;
	int fd, r = 0, cpus = libbpf_num_possible_cpus();

	if (!kern->skel)
		return 0;
	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values || !waiting)
		return -ENOMEM;
	(void)lw_kern_each_flow(kern, add_waiting, waiting);
	fd = bpf_map__fd(kern->skel->maps.lw_stats);
	while (!r && !bpf_map_get_next_key(fd, at, &key)) {
		uint64_t sum = 0;

		at = &key;
		if (bpf_map_lookup_elem(fd, &key, values))
			continue;
		for (int i = 0; i < cpus; i++)
			sum += values[i].count;
		for (size_t i = 0; !key.lane && !key.evidence && !key.reason && i < waiting->n; i++)
			if (waiting->at[i].hash == key.workload_hash) {
				sum += waiting->at[i].count;
				waiting->at[i].count = 0;
			}
		r = cb(&key, sum, arg);
	}
	for (size_t i = 0; !r && i < waiting->n; i++) {
		struct lw_stat_key only = { .workload_hash = waiting->at[i].hash };

		if (waiting->at[i].count)
			r = cb(&only, waiting->at[i].count, arg);
	}
	return r;
}

int lw_kern_call(const struct bpf_program *prog, void *args, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = (__u32)size);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		return -errno;
	return (int)opts.retval;
}
