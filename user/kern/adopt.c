/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on with the maps, programs and hooks of an earlier agent of the same build. The hooks are pinned links and the
 * programs of sockets hang on the pinned maps: nothing of that is loaded or attached again. What dies with an agent, its
 * upstream sockets and the requests on them, is told from ours by lw_config.agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/internal.h"
#include "kern/leaves.h"
#include "kern/leftover.h"
#include "kern/record.h"

#define TO_POD "lw_to_pod"
static const char *const hooks[] = { "connect4",     "connect6", "getpeername4",
				     "getpeername6", "sockops",	 "setsockopt" };
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* How many of them there are: the last one in one mode alone. */
static size_t nhooks(const struct lw_kern *kern)
{
	return COUNT(hooks) - (kern->found.mode != LW_KERN_MODE_VERDICT);
}

static int open_in(const struct lw_kern *kern, const char *prefix, const char *name)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/%s%s", kern->pin_dir, prefix, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static bool is_pinned(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return !strncmp(name, "lw_", 3) && strncmp(name, "lw_lanes.", 9) != 0;
}

bool lw_adopt_can(struct lw_kern *kern, const char *cgroup)
{
	struct lw_record record;
	uint32_t id;

	if (lw_record_read(kern->pin_dir, &record, &id) || record.build != lw_record_build() ||
	    record.cgroup != lw_record_cgroup(cgroup) || record.mode != kern->found.mode)
		return false;
	if (kern->record_id && kern->record_id != id)
		return false; /* not those any more that we hold */
	for (size_t i = 0; i < nhooks(kern); i++) {
		_cleanup_close_ int fd = open_in(kern, LW_LINK_PIN, hooks[i]);

		if (fd < 0)
			return false;
	}
	kern->record_id = id;
	return true;
}

int lw_adopt_open(struct lw_kern *kern)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	/*
	 * To load this one takes longer than all the rest. Beside another agent, though, it must be one of our own: the same
	 * program cannot be on a device twice.
	 */
	if (!kern->options.beside)
		kern->to_pod = open_in(kern, "", LW_TO_POD_PIN);
	/* what the agent runs itself, or attaches to devices that come and go; all others are attached already */
	bpf_object__for_each_program(prog, kern->skel->obj) bpf_program__set_autoload(
		prog, bpf_program__type(prog) == BPF_PROG_TYPE_SYSCALL ||
			      (kern->to_pod < 0 && !strcmp(bpf_program__name(prog), TO_POD)));
	bpf_object__for_each_map(map, kern->skel->obj)
	{
		_cleanup_close_ int fd = -1;

		if (!is_pinned(map))
			continue;
		fd = open_in(kern, "", bpf_map__name(map) + 3);
		if (fd < 0)
			return fd;
		if (bpf_map__reuse_fd(map, fd)) /* which keeps a copy */
			return -errno;
	}
	return 0;
}

static int ignore_event(void *arg, void *data, size_t size)
{
	(void)arg;
	(void)data;
	(void)size;
	return 0;
}

/* Of sockets that are gone: what we begin with is read from the maps. */
static int drop_events(struct lw_kern *kern)
{
	struct ring_buffer *ring =
		ring_buffer__new(bpf_map__fd(kern->skel->maps.lw_events), ignore_event, NULL, NULL);

	if (!ring)
		return -errno;
	(void)ring_buffer__consume(ring);
	ring_buffer__free(ring);
	return 0;
}

static void empty_map(const struct bpf_map *map)
{
	char key[64], next[64];
	int fd = bpf_map__fd(map), r;

	if (bpf_map__key_size(map) > sizeof(key))
		return;
	r = bpf_map_get_next_key(fd, NULL, next);
	while (!r) {
		memcpy(key, next, bpf_map__key_size(map));
		r = bpf_map_get_next_key(fd, key, next); /* before the key may go */
		(void)bpf_map_delete_elem(fd, key);
	}
}

/*
 * What is known of requests that pods are at work on: much of it may have ended unseen, as no device has been looked at since. The
 * earlier agent's hooks go, and as long as they have not gone they are told to count nothing: who holds what is void, and nobody
 * may take anything off counts that begin anew. By no count is a request in a lane meanwhile.
 */
static int forget_inbound(struct lw_kern *kern)
{
	const struct bpf_map *maps[] = {
		kern->skel->maps.lw_inbound,	kern->skel->maps.lw_in_heads,
		kern->skel->maps.lw_traces,	kern->skel->maps.lw_older,
		kern->skel->maps.lw_threads,	kern->skel->maps.lw_procs,
		kern->skel->maps.lw_at_pods,	kern->skel->maps.lw_older_work,
		kern->skel->maps.lw_older_pods, kern->skel->maps.lw_leaf_addrs
	};
	const struct bpf_map *counters[] = { kern->skel->maps.lw_uncounted,
					     kern->skel->maps.lw_at_lanes,
					     kern->skel->maps.lw_at_unseen };
	uint64_t none = 0;
	int r;

	lw_kern_set_flag(kern, LW_CONF_READS, false);
	/* what it holds of connections is read once more (older.c) */
	kern->reads_before = kern->config->reads;
	kern->reads_before_ns = lw_clock_ns();
	__atomic_store_n(&kern->config->reads, 0, __ATOMIC_RELEASE);
	r = lw_reads_unpin(kern);
	if (!r)
		r = lw_wait_for_programs(kern);
	if (r)
		return r;
	for (size_t i = 0; i < COUNT(maps); i++)
		empty_map(maps[i]);
	for (size_t i = 0; i < COUNT(counters); i++)
		for (uint32_t k = 0; k < bpf_map__max_entries(counters[i]); k++)
			(void)bpf_map_update_elem(bpf_map__fd(counters[i]), &k, &none, BPF_ANY);
	/* who calls is known on: there are connections that say so no more */
	return lw_leaves_forget(kern);
}

static struct lw_left left_maps(struct lw_kern *kern)
{
	return (struct lw_left){
		.kern = kern,
		.flows = bpf_map__fd(kern->skel->maps.lw_flows),
		.ups = bpf_map__fd(kern->skel->maps.lw_ups),
		.streams = bpf_map__fd(kern->skel->maps.lw_streams),
		.agent = kern->number,
	};
}

/* Counters of lanes whose names are not known any more: their numbers may be given again. */
static void forget_lanes(struct lw_kern *kern)
{
	int fd = bpf_map__fd(kern->skel->maps.lw_stats), r;
	char lanes[LW_MAX_LANES][LW_LANE_NAME_LEN];
	struct lw_stat_key key, next;

	lw_kern_adopted_lanes(kern, lanes);
	r = bpf_map_get_next_key(fd, NULL, &next);
	while (!r) {
		key = next;
		r = bpf_map_get_next_key(fd, &key, &next);
		if (key.lane && (key.lane >= LW_MAX_LANES || !*lanes[key.lane]))
			(void)bpf_map_delete_elem(fd, &key);
	}
}

int lw_adopt_begin(struct lw_kern *kern)
{
	struct lw_left left;
	int r;

	kern->cgroup_fd = open(kern->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (kern->cgroup_fd < 0)
		return -errno;
	forget_lanes(kern);
	kern->number = kern->config->agent + 1;
	kern->unknown[0] = kern->unknown[1] = true;
	/* those of before count until it is known who is kept out now */
	kern->nkept_pods = SIZE_MAX;
	for (size_t i = 0; i < nhooks(kern); i++) {
		r = lw_kern_note_attached(kern, "lw_%s (adopted, on %s)", hooks[i], kern->cgroup);
		if (r)
			return r;
	}
	/* names are of options, and these are the new agent's */
	empty_map(kern->skel->maps.lw_kept_names);
	empty_map(kern->skel->maps.lw_host_pods);
	kern->config->hop_lanes = 0;
	r = forget_inbound(kern);
	if (r)
		return r;
	if (kern->other)
		return 0; /* it lets go of the rest by itself */
	r = drop_events(kern);
	if (r)
		return r;
	left = left_maps(kern);
	left.agent = 0; /* nothing is ours yet */
	lw_leftover_retire(&left);
	empty_map(kern->skel->maps.lw_pools);
	lw_info("going on with what an earlier agent has pinned in '%s'", kern->pin_dir);
	return 0;
}

void lw_kern_other_gone(struct lw_kern *kern)
{
	struct lw_left left;

	if (!kern->other)
		return;
	kern->other = 0;
	kern->config->other_pid = 0;
	if (kern->adopts) {
		left = left_maps(kern);
		lw_leftover_retire(&left);
		return;
	}
	if (kern->old_dir)
		lw_leftover_end(kern->old_dir, !kern->fail_closed, kern);
	lw_kern_end_old(kern);
}

int lw_adopt_link(struct lw_kern *kern, const char *name, int prog)
{
	_cleanup_free_ char *old = NULL, *new = NULL;
	_cleanup_close_ int fd = -1;
	struct lw_record record;
	uint32_t id;

	if (lw_record_read(kern->old_dir, &record, &id) ||
	    record.cgroup != lw_record_cgroup(kern->cgroup))
		return -EXDEV;
	if (asprintf(&old, "%s/%s", kern->old_dir, name) < 0) {
		old = NULL;
		return -ENOMEM;
	}
	if (asprintf(&new, "%s/%s", kern->pin_dir, name) < 0) {
		new = NULL;
		return -ENOMEM;
	}
	fd = bpf_obj_get(old);
	if (fd < 0 || bpf_link_update(fd, prog, NULL))
		return -errno;
	/* from here on it must be ours, under either name */
	if (rename(old, new))
		lw_warn("rename '%s': %s, it ends with the earlier agent's pins", old,
			strerror(errno));
	return 0;
}

void lw_kern_adopted_lanes(const struct lw_kern *kern, char ret[LW_MAX_LANES][LW_LANE_NAME_LEN])
{
	struct lw_slot_key key;
	struct lw_lane lane;

	memset(ret, 0, LW_MAX_LANES * sizeof(ret[0]));
	if (!kern->adopts)
		return;
	key.slot = kern->config->generation & 1;
	for (key.id = 1; key.id < LW_MAX_LANES; key.id++)
		if (!bpf_map_lookup_elem(bpf_map__fd(kern->skel->maps.lw_lanes), &key, &lane))
			memcpy(ret[key.id], lane.name, sizeof(ret[0]));
}
