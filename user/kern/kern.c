/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kern/cgroup2.h"
#include "kern/internal.h"
#include "kern/needs.h"
#include "kern/record.h"
#include "laneway/reasons.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

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

void lw_kern_hush_libbpf(void)
{
	libbpf_set_print(on_libbpf);
}

int lw_kern_share_maps(const struct lw_kern *kern, struct bpf_object *obj)
{
	struct bpf_map *map;
	int r;

	bpf_object__for_each_map(map, obj)
	{
		const struct bpf_map *with =
			bpf_object__find_map_by_name(kern->skel->obj, bpf_map__name(map));

		r = with ? bpf_map__reuse_fd(map, bpf_map__fd(with)) : 0;
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

static int attach_map(struct lw_kern *kern, struct bpf_program *prog, struct bpf_map *map,
		      enum bpf_attach_type type, const char *what)
{
	if (bpf_prog_attach(bpf_program__fd(prog), bpf_map__fd(map), type, 0))
		return -errno;
	return lw_kern_note_attached(kern, "%s (%s on map %s)", bpf_program__name(prog), what,
				     bpf_map__name(map));
}

static int attach(struct lw_kern *kern)
{
	struct lw_lanes_bpf *s = kern->skel;
	struct bpf_program *progs[LW_KERN_LINKS] = {
		s->progs.lw_sockops,
		s->progs.lw_getpeername4,
		s->progs.lw_getpeername6,
		s->progs.lw_setsockopt,
		/* last: from here on sockets are noted */
		s->progs.lw_connect4,
		s->progs.lw_connect6,
	};
	int r, fd = kern->cgroup_fd = open(kern->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	r = attach_map(kern, s->progs.lw_msg, s->maps.lw_down_socks, BPF_SK_MSG_VERDICT, "sk_msg");
	if (!r && kern->found.mode == LW_KERN_MODE_VERDICT)
		r = attach_map(kern, s->progs.lw_native, s->maps.lw_down_socks, BPF_SK_SKB_VERDICT,
			       "sk_skb");
	if (!r)
		r = attach_map(kern, s->progs.lw_reply, s->maps.lw_up_socks, BPF_SK_SKB_VERDICT,
			       "sk_skb");
	/* what holds for downstream sockets holds for the pods' ends: both send natively and receive past TCP */
	if (!r)
		r = attach_map(kern, s->progs.lw_far_msg, s->maps.lw_far_socks, BPF_SK_MSG_VERDICT,
			       "sk_msg");
	if (!r && kern->found.mode == LW_KERN_MODE_VERDICT)
		r = attach_map(kern, s->progs.lw_native, s->maps.lw_far_socks, BPF_SK_SKB_VERDICT,
			       "sk_skb");
	for (size_t i = 0; !r && i < LW_KERN_LINKS; i++) {
		_cleanup_free_ char *path = NULL;

		if (!bpf_program__autoload(progs[i]))
			continue;
		/* outlives a killed agent: connections that come and go meanwhile are the next one's to know */
		if (asprintf(&path, "%s/" LW_LINK_PIN "%s", kern->pin_dir,
			     bpf_program__name(progs[i]) + 3) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		/* in the other agent's place at once, so that no connect() is missed; but the ends of what is enrolled it is to see */
		if (!kern->other || progs[i] == s->progs.lw_sockops ||
		    lw_adopt_link(kern, strrchr(path, '/') + 1, bpf_program__fd(progs[i]))) {
			kern->links[i] = bpf_program__attach_cgroup(progs[i], fd);
			if (!kern->links[i])
				return -errno;
			r = bpf_link__pin(kern->links[i], path);
			if (r)
				return r;
		}
		r = lw_kern_note_attached(kern, "%s (%s on %s)", bpf_program__name(progs[i]),
					  bpf_program__section_name(progs[i]), kern->cgroup);
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
		lw_warn("net.core.%s cannot be read in the agent's network namespace: %s", sysctl,
			else_what);
		return 0;
	}
	if (max >= size)
		return size;
	lw_warn("net.core.%s is %lu, less than %u: %s; set it before the agent starts", sysctl, max,
		size, else_what);
	return 0;
}

/* What pods' threads are at work on. A kernel without the hooks has trace ids alone for evidence. */
static int start_reads(struct lw_kern *kern)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	_cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		return -errno;
	kern->config->netns = cookie;
	r = lw_reads_start(kern, &kern->reads);
	if (r == -EOPNOTSUPP) {
		lw_info("this kernel does not tell who reads a request: of what pods send, the lane is known by tags and trace ids alone");
		return 0;
	}
	if (r)
		lw_error("attach the hooks that tell who reads a request: %s", strerror(-r));
	else
		lw_kern_set_flag(kern, LW_CONF_READS, true);
	return r;
}

static void add_older(struct lw_kern *kern)
{
	int r = kern->reads ? lw_reads_add_older(kern) : 0;

	if (!r)
		return;
	/* what is read on a connection that is not known would be missing */
	lw_warn("list the connections that pods have accepted: %s; of what pods send, the lane is known by tags and trace ids alone",
		strerror(-r));
	lw_kern_set_flag(kern, LW_CONF_READS, false);
	lw_reads_stop(&kern->reads);
	(void)lw_reads_unpin(kern);
}

int lw_kern_selftest(struct lw_selftest *ret)
{
	int r;

	lw_kern_hush_libbpf();
	r = lw_needs_check(NULL);
	if (r)
		return r;
	r = lw_selftest_run(ret);
	if (r)
		lw_error("run the self-tests: %s", strerror(-r));
	return r;
}

/* What another try might mend. */
static bool is_restricted(const struct lw_selftest *found)
{
	return (found->keeps & LW_KEEP_FIONREAD) || found->past != LW_PAST_ALL;
}

/* Not another mode without need: what is enrolled in the one that is there would end. */
static bool is_better(const struct lw_selftest *that, const struct lw_selftest *than)
{
	if (that->mode != than->mode)
		return that->mode != LW_KERN_MODE_NONE && (than->keeps & LW_KEEP_FIONREAD) &&
		       !(that->keeps & LW_KEEP_FIONREAD);
	return !(that->keeps & ~than->keeps) && that->past >= than->past;
}

/*
 * The self-tests, or what the agent found that was here before us, if it was this very program, and it found nothing that may have been the
 * machine's state of that moment. It was this kernel: what passed then counts.
 */
static int choose_mode(struct lw_kern *kern)
{
	struct lw_selftest before = {};
	struct lw_record record;
	uint32_t id;
	int r;

	if (!lw_record_read(kern->pin_dir, &record, &id) && record.build == lw_record_build() &&
	    record.program && record.program == lw_record_program()) {
		before = (struct lw_selftest){
			.tests = lw_record_get_tests(&record),
			.mode = (enum lw_kern_mode)record.mode,
			.keeps = record.keeps,
			.past = (enum lw_past)record.past,
			.took_us = record.took_us,
		};
		if (before.tests && !is_restricted(&before)) {
			kern->found = before;
			return 0;
		}
	}
	r = lw_selftest_run(&kern->found);
	if (r)
		lw_error("run the self-tests: %s", strerror(-r));
	if (before.tests && (r || !is_better(&kern->found, &before))) {
		free(kern->found.tests);
		kern->found = before;
		return 0;
	}
	free(before.tests);
	return r;
}

static int load(struct lw_kern *kern)
{
	int r, cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	kern->adopts = lw_adopt_can(kern, kern->cgroup);
	kern->skel = lw_lanes_bpf__open();
	if (!kern->skel)
		return -errno;
	(void)bpf_map__set_max_entries(kern->skel->maps.lw_scratch,
				       LW_SCRATCH_SPARE + (uint32_t)cpus * LW_SCRATCH_CPU);
	bpf_program__set_autoload(kern->skel->progs.lw_setsockopt,
				  kern->found.mode == LW_KERN_MODE_VERDICT);
	r = kern->adopts ? lw_adopt_open(kern) : 0;
	if (!r)
		r = lw_lanes_bpf__load(kern->skel);
	if (r) {
		lw_error("load the programs: %s (--log-level debug shows the kernel's reasons)",
			 strerror(-r));
		return r;
	}
	kern->config = mmap(NULL, sizeof(*kern->config), PROT_READ | PROT_WRITE, MAP_SHARED,
			    bpf_map__fd(kern->skel->maps.lw_config), 0);
	if (kern->config == MAP_FAILED) {
		kern->config = NULL;
		return -errno;
	}
	if (kern->to_pod < 0)
		kern->to_pod =
			fcntl(bpf_program__fd(kern->skel->progs.lw_to_pod), F_DUPFD_CLOEXEC, 3);
	if (kern->to_pod < 0)
		return -errno;
	r = lw_wait_open(kern);
	if (r)
		lw_error("make a map of maps: %s", strerror(-r));
	return r;
}

static void unload(struct lw_kern *kern)
{
	if (kern->config)
		(void)munmap(kern->config, sizeof(*kern->config));
	kern->config = NULL;
	kern->to_pod = lw_close(kern->to_pod);
	lw_wait_close(kern);
	if (kern->skel)
		lw_lanes_bpf__destroy(kern->skel);
	kern->skel = NULL;
}

int lw_kern_prepare(const struct lw_kern_options *options, struct lw_kern **ret)
{
	_cleanup_(lw_kern_close) struct lw_kern *kern = NULL;
	const char *bpffs = options->bpffs ? options->bpffs : "/sys/fs/bpf";
	bool mounted;
	int r;

	lw_kern_hush_libbpf();
	kern = calloc(1, sizeof(*kern));
	if (!kern)
		return -ENOMEM;
	kern->cgroup_fd = -1;
	kern->to_pod = -1;
	kern->wait_map = kern->wait_inner = -1;
	kern->options = *options;
	kern->fail_closed = options->fail_closed;
	kern->no_inbound = options->no_inbound;
	kern->cgroup = lw_cgroup2_find(options->cgroup);
	if (!kern->cgroup) {
		lw_error(
			"find the cgroup2 root: none is mounted; mount one (mount -t cgroup2 none DIR) and name it with --cgroup");
		return -ENOENT;
	}
	r = lw_needs_check(kern->cgroup);
	if (r)
		return r;
	raise_nofile();
	if (asprintf(&kern->pin_dir, "%s/" LW_PIN_DIR, bpffs) < 0) {
		kern->pin_dir = NULL;
		return -ENOMEM;
	}
	r = choose_mode(kern);
	if (r)
		return r;
	if (kern->found.mode == LW_KERN_MODE_NONE) {
		*ret = TAKE_PTR(kern);
		return 0;
	}
	r = lw_pins_mount(bpffs, &mounted);
	if (r == -ENOTEMPTY)
		lw_error(
			"'%s' is no bpffs, and no empty folder to mount one on: name one with --bpffs",
			bpffs);
	else if (r)
		lw_error("use '%s' as bpffs: %s", bpffs, strerror(-r));
	if (r)
		return r;
	if (mounted) {
		kern->bpffs_mounted = strdup(bpffs);
		if (!kern->bpffs_mounted)
			return -ENOMEM;
	}
	r = load(kern);
	if (r)
		return r;
	*ret = TAKE_PTR(kern);
	return 0;
}

void lw_kern_set_flag(struct lw_kern *kern, enum lw_config_flags flag, bool yes)
{
	if (yes)
		(void)__atomic_fetch_or(&kern->config->flags, flag, __ATOMIC_RELEASE);
	else
		(void)__atomic_fetch_and(&kern->config->flags, ~(uint32_t)flag, __ATOMIC_RELEASE);
}

static void configure(struct lw_kern *kern)
{
	const struct lw_kern_options *o = &kern->options;
	/* pods that are kept out are so for the whole of a takeover (lw_kern_keep_pods()) */
	uint32_t goes_on = kern->adopts ? kern->config->flags & LW_CONF_KEEPS_PODS : 0;

	kern->config->abi = LW_ABI_VERSION;
	kern->config->flags =
		goes_on | (o->fail_closed ? LW_CONF_FAIL_CLOSED : 0) |
		(o->prefer_local ? LW_CONF_PREFER_LOCAL : 0) |
		(lw_kern_past(kern) >= LW_PAST_RESPONSES ? LW_CONF_BYPASS : 0) |
		(lw_kern_past(kern) == LW_PAST_RESPONSES ? LW_CONF_WIRE_REQUESTS : 0) |
		(o->pod_evidence ? LW_CONF_POD_EVIDENCE : 0) |
		(kern->found.mode == LW_KERN_MODE_VERDICT ? LW_CONF_NATIVE_VERDICT : 0);
	kern->config->heartbeat_max_ns = LW_HEARTBEAT_MAX_NS;
	kern->config->other_pid = (__u32)kern->other;
	kern->config->down_rcvbuf =
		down_buffer("rmem_max", DOWN_RCVBUF, "large steered responses are slow");
	kern->config->down_sndbuf = down_buffer(
		"wmem_max", DOWN_SNDBUF,
		"a client that sends a large body and waits in a blocking recv() may get EAGAIN");
}

static int begin_anew(struct lw_kern *kern)
{
	_cleanup_free_ char *bpffs =
		strndup(kern->pin_dir, strlen(kern->pin_dir) - strlen("/" LW_PIN_DIR));
	int r = bpffs ? lw_pins_put_aside(kern, bpffs) : -ENOMEM;

	if (r)
		return r;
	configure(kern);
	kern->number = kern->config->agent = kern->config->reads = kern->config->reads_last = 1;
	__atomic_store_n(&kern->config->heartbeat_ns, lw_clock_ns(), __ATOMIC_RELEASE);
	r = lw_kept_out_start(kern);
	if (r)
		return r;
	kern->begun = true;
	r = lw_pins_make(kern);
	if (r) {
		lw_error("pin the maps in '%s': %s", kern->pin_dir, strerror(-r));
		return r;
	}
	r = kern->no_inbound ? 0 : start_reads(kern);
	if (r)
		return r;
	r = attach(kern);
	if (r == -EPERM) {
		/* attached without BPF_F_ALLOW_MULTI there or above: the kernel tolerates no second one */
		lw_error(
			"attach to '%s': another program is attached there or above and stands alone; 'bpftool cgroup tree' shows which",
			kern->cgroup);
		return r;
	}
	if (r) {
		lw_error("attach to '%s': %s", kern->cgroup, strerror(-r));
		return r;
	}
	add_older(kern);
	return 0;
}

static int begin_adopted(struct lw_kern *kern)
{
	int r = lw_adopt_begin(kern);

	if (r) {
		lw_error("go on with what an earlier agent has pinned in '%s': %s", kern->pin_dir,
			 strerror(-r));
		return r;
	}
	kern->begun = true;
	configure(kern);
	r = lw_kept_out_start(kern);
	if (r || kern->no_inbound)
		return r;
	/* what was counted before is not known to be so still: it has ended, or begun, unseen */
	kern->config->reads = ++kern->config->reads_last;
	r = start_reads(kern);
	if (!r)
		add_older(kern);
	return r;
}

static int leave_record(struct lw_kern *kern)
{
	_cleanup_free_ struct lw_record *record = calloc(1, sizeof(*record));
	int r;

	if (!record)
		return -ENOMEM;
	record->build = lw_record_build();
	record->program = lw_record_program();
	record->cgroup = lw_record_cgroup(kern->cgroup);
	record->pid = (uint32_t)getpid();
	record->mode = kern->found.mode;
	record->keeps = kern->found.keeps;
	record->past = kern->found.past;
	record->took_us = kern->found.took_us;
	if (kern->options.socket)
		(void)snprintf(record->socket, sizeof(record->socket), "%s", kern->options.socket);
	lw_record_put_tests(record, kern->found.tests);
	r = lw_record_write(kern->pin_dir, record);
	if (r)
		lw_error("leave word in '%s': %s", kern->pin_dir, strerror(-r));
	return r;
}

/* A row for each reason, so that there is one for what finds the map full. */
static int add_reasons(const struct lw_kern *kern)
{
	_cleanup_free_ struct lw_stat *none = NULL;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	none = calloc((size_t)cpus, sizeof(*none));
	if (!none)
		return -ENOMEM;
	for (uint32_t reason = 0; reason < LW_REASON__MAX; reason++) {
		struct lw_stat_key key = { .reason = reason };

		if (bpf_map_update_elem(bpf_map__fd(kern->skel->maps.lw_stats), &key, none,
					BPF_NOEXIST) &&
		    errno != EEXIST)
			return -errno;
	}
	return 0;
}

int lw_kern_begin(struct lw_kern *kern, pid_t other)
{
	int r;

	if (kern->found.mode == LW_KERN_MODE_NONE)
		return 0;
	kern->other = other;
	if (kern->adopts && !lw_adopt_can(kern, kern->cgroup)) {
		/* whoever had it has taken it away, while we came up */
		unload(kern);
		r = load(kern);
		if (r)
			return r;
	}
	r = add_reasons(kern);
	if (r) {
		lw_error("make the counters: %s", strerror(-r));
		return r;
	}
	r = kern->adopts ? begin_adopted(kern) : begin_anew(kern);
	return r ? r : leave_record(kern);
}

int lw_kern_open(const struct lw_kern_options *options, struct lw_kern **ret)
{
	_cleanup_(lw_kern_close) struct lw_kern *kern = NULL;
	int r = lw_kern_prepare(options, &kern);

	if (!r)
		r = lw_kern_begin(kern, 0);
	if (!r)
		*ret = TAKE_PTR(kern);
	return r;
}

void lw_kern_supersede(struct lw_kern *kern, bool shared)
{
	kern->shared = shared;
	/* the thread of devices looks */
	__atomic_store_n(&kern->superseded, true, __ATOMIC_RELEASE);
	/* whoever follows takes away what is pinned of them, and begins to count anew */
	if (shared)
		lw_reads_stop(&kern->reads);
}

bool lw_kern_adopts(const struct lw_kern *kern)
{
	return kern->adopts;
}

int lw_kern_who(const char *bpffs, pid_t *ret_pid, char ret_socket[128])
{
	_cleanup_free_ struct lw_record *record = calloc(1, sizeof(*record));
	_cleanup_free_ char *dir = NULL;
	uint32_t id;
	int r;

	if (!record || asprintf(&dir, "%s/" LW_PIN_DIR, bpffs ? bpffs : "/sys/fs/bpf") < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	r = lw_record_read(dir, record, &id);
	if (r)
		return r;
	*ret_pid = (pid_t)record->pid;
	memcpy(ret_socket, record->socket, sizeof(record->socket));
	return 0;
}

void lw_kern_stop_steering(struct lw_kern *kern)
{
	if (kern->config && !kern->left)
		lw_kern_set_flag(kern, LW_CONF_STOPPED, true);
}

/*
 * Not LW_CONF_STOPPED: where a request ends would not be followed any more, and the next agent would take the rest of one
 * for a head. With another number no request is given to our sockets; those under way end there.
 */
void lw_kern_leave(struct lw_kern *kern)
{
	if (!kern->config || !kern->begun || kern->superseded)
		return;
	lw_kern_take_punts(kern, false);
	__atomic_store_n(&kern->config->agent, kern->number + 1, __ATOMIC_RELEASE);
	kern->left = true;
}

void lw_kern_take_punts(struct lw_kern *kern, bool yes)
{
	if (kern->config && !kern->left)
		lw_kern_set_flag(kern, LW_CONF_NO_PUNT, !yes);
}

void lw_kern_close(struct lw_kern **kern_)
{
	struct lw_kern *kern = *kern_;
	bool ours;
	int r;

	*kern_ = NULL;
	if (!kern)
		return;
	ours = kern->begun && !kern->superseded && !kern->left;
	if (ours && (r = lw_kern_unpin(kern->pin_dir, LW_LINK_PIN)) < 0)
		lw_warn("detach what is pinned in '%s': %s, left behind", kern->pin_dir,
			strerror(-r));
	for (size_t i = LW_KERN_LINKS; i-- > 0;)
		if (kern->links[i])
			(void)bpf_link__destroy(kern->links[i]);
	/* connections that are still enrolled go on with their own peers until they close */
	if (kern->begun && !kern->shared)
		lw_kern_stop_steering(kern);
	if (ours) {
		r = lw_kern_unpin(kern->pin_dir, "");
		if (r < 0)
			lw_warn("remove '%s': %s, left behind", kern->pin_dir, strerror(-r));
	}
	lw_notice_stop(&kern->notice);
	lw_reads_stop(&kern->reads);
	unload(kern);
	if (kern->bpffs_mounted && !kern->superseded && !kern->left && umount(kern->bpffs_mounted))
		lw_warn("unmount '%s': %s, left behind", kern->bpffs_mounted, strerror(errno));
	lw_image_free(&kern->slots[0]);
	lw_image_free(&kern->slots[1]);
	for (size_t i = 0; i < kern->nattached; i++)
		free(kern->attached[i]);
	(void)lw_close(kern->cgroup_fd);
	free(kern->bpffs_mounted);
	free(kern->cgroup);
	free(kern->pin_dir);
	free(kern->old_dir);
	free(kern->found.tests);
	free(kern->kept_pods);
	free(kern->base);
	free(kern);
}

uint64_t lw_kern_in_force_ns(const struct lw_kern *kern)
{
	return kern->in_force_ns;
}

uint64_t lw_kern_generation(const struct lw_kern *kern)
{
	return kern->config ? kern->config->generation : 0;
}

enum lw_past lw_kern_past(const struct lw_kern *kern)
{
	return kern->options.no_bypass ? LW_PAST_NONE : kern->found.past;
}

enum lw_kern_mode lw_kern_mode(const struct lw_kern *kern)
{
	return kern->found.mode;
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
	return kern->found.tests;
}

uint32_t lw_kern_selftests_us(const struct lw_kern *kern)
{
	return kern->found.took_us;
}

const char *const *lw_kern_attached(const struct lw_kern *kern)
{
	return (const char *const *)kern->attached;
}

int lw_kern_call(const struct bpf_program *prog, void *args, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = (__u32)size);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		return -errno;
	return (int)opts.retval;
}
