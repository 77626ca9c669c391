/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/host_pods.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/pod_cgroup.h"
#include "kern/internal.h"

/* Containers come and go; where each has a folder beside its pod's there are new ones to find. */
#define LOOK_S 10.
/* A pod that is reported running has its cgroup; the report may be the older one, or the other way round. */
#define LOOK_SOON_S 1.
#define SOON_S 60

struct pod {
	char uid[LW_POD_UID_LEN];
	char *name; /* namespace/name */
	uint64_t key;
	uint64_t since_ns;
	bool found, told;
};

struct cgroup {
	uint64_t id, key;
};

struct lw_host_pods {
	struct lw_kern *kern;
	struct ev_loop *loop;
	ev_timer timer;
	struct pod *pods;
	size_t n, found;
	bool full; /* and that has been told */
};

/* What a walk over the cgroups has found. */
struct walk {
	struct lw_host_pods *pods;
	struct cgroup *items;
	size_t n, room;
	bool failed;
};

static void free_pods(struct pod *pods, size_t n)
{
	for (size_t i = 0; pods && i < n; i++)
		free(pods[i].name);
	free(pods);
}

static struct pod *find_pod(struct lw_host_pods *pods, const char *uid)
{
	for (size_t i = 0; i < pods->n; i++)
		if (strcmp(pods->pods[i].uid, uid) == 0)
			return &pods->pods[i];
	return NULL;
}

static void note(struct walk *walk, int fd, struct pod *pod)
{
	struct stat st;

	if (fstat(fd, &st))
		return;
	if (walk->n == walk->room) {
		size_t room = walk->room ? walk->room * 2 : 16;
		struct cgroup *items = reallocarray(walk->items, room, sizeof(*items));

		if (!items) {
			walk->failed = true;
			return;
		}
		walk->items = items;
		walk->room = room;
	}
	/* a cgroup's number is that of its folder */
	walk->items[walk->n++] = (struct cgroup){ st.st_ino, pod->key };
	pod->found = true;
}

/* What is below a pod's folder is its own. */
static void look_in(struct walk *walk, int fd, int level)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	char uid[LW_POD_UID_LEN];
	struct dirent *e;

	if (!dir) {
		(void)close(fd);
		return;
	}
	while (level <= LW_HOST_POD_LEVELS && (e = readdir(dir))) {
		struct pod *pod;
		bool is_pods;
		int sub;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		is_pods = lw_pod_cgroup(e->d_name, uid);
		pod = is_pods ? find_pod(walk->pods, uid) : NULL;
		if (is_pods && !pod)
			continue;
		sub = openat(dirfd(dir), e->d_name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub < 0)
			continue; /* gone meanwhile */
		if (pod) {
			note(walk, sub, pod);
			(void)close(sub);
		} else {
			look_in(walk, sub, level + 1);
		}
	}
}

static int compare_ids(const void *a, const void *b)
{
	const struct cgroup *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static bool was_found(const struct walk *walk, uint64_t id)
{
	const struct cgroup key = { .id = id };

	return walk->n && bsearch(&key, walk->items, walk->n, sizeof(key), compare_ids);
}

/* Where there is not room for all it is the oldest that have it. */
static void put_in_force(struct lw_host_pods *pods, const struct walk *walk)
{
	struct lw_kern *kern = pods->kern;
	uint64_t at, next, *from = NULL;
	int fd = bpf_map__fd(kern->skel->maps.lw_host_pods);
	bool full = false;

	if (walk->n > 1)
		qsort(walk->items, walk->n, sizeof(walk->items[0]), compare_ids);
	while (!bpf_map_get_next_key(fd, from, &next)) {
		if (was_found(walk, next) || (bpf_map_delete_elem(fd, &next) && errno != ENOENT)) {
			at = next;
			from = &at;
		}
	}
	for (size_t i = 0; i < walk->n && !full; i++)
		full = bpf_map_update_elem(fd, &walk->items[i].id, &walk->items[i].key, BPF_ANY);
	if (full && !pods->full)
		lw_warn("note the %zu cgroups of pods on the host network: %s, at most %d can be; the others are told by the node's address",
			walk->n, strerror(errno), LW_MAX_HOST_PODS);
	pods->full = full;
	lw_kern_set_flag(kern, LW_CONF_HOST_PODS, walk->n);
}

static void look(struct lw_host_pods *pods)
{
	struct walk walk = { .pods = pods };
	uint64_t now = lw_clock_ns();
	bool is_soon = false;
	int fd;

	if (pods->kern->superseded)
		return; /* the maps are another agent's */
	for (size_t i = 0; i < pods->n; i++)
		pods->pods[i].found = false;
	fd = pods->n ? openat(pods->kern->cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0)
		look_in(&walk, fd, 1);
	if (!walk.failed)
		put_in_force(pods, &walk);
	free(walk.items);
	pods->found = 0;
	for (size_t i = 0; i < pods->n; i++) {
		struct pod *pod = &pods->pods[i];

		pods->found += pod->found;
		if (pod->found)
			continue;
		if (now - pod->since_ns < SOON_S * LW_NS_PER_SEC) {
			is_soon = true;
		} else if (!pod->told) {
			pod->told = true;
			lw_warn("pod %s is on the host network, and no cgroup below '%s' has its UID %s: it is told by its node's address",
				pod->name, pods->kern->cgroup, pod->uid);
		}
	}
	ev_timer_stop(pods->loop, &pods->timer);
	if (pods->n == 0)
		return;
	ev_timer_set(&pods->timer, is_soon ? LOOK_SOON_S : LOOK_S, 0.);
	ev_timer_start(pods->loop, &pods->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	look(w->data);
}

int lw_host_pods_start(struct lw_kern *kern, struct ev_loop *loop, struct lw_host_pods **ret)
{
	struct lw_host_pods *pods;

	*ret = NULL;
	if (lw_kern_mode(kern) == LW_KERN_MODE_NONE)
		return 0;
	pods = calloc(1, sizeof(*pods));
	if (!pods)
		return -ENOMEM;
	pods->kern = kern;
	pods->loop = loop;
	ev_timer_init(&pods->timer, on_timer, 0., 0.);
	pods->timer.data = pods;
	*ret = pods;
	return 0;
}

void lw_host_pods_stop(struct lw_host_pods **pods_)
{
	struct lw_host_pods *pods = *pods_;

	*pods_ = NULL;
	if (!pods)
		return;
	ev_timer_stop(pods->loop, &pods->timer);
	free_pods(pods->pods, pods->n);
	free(pods);
}

static bool is_same(const struct lw_host_pods *pods, const struct lw_host_pod *list, size_t n)
{
	if (n != pods->n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (list[i].key != pods->pods[i].key || strcmp(list[i].uid, pods->pods[i].uid) != 0)
			return false;
	return true;
}

int lw_host_pods_set(struct lw_host_pods *pods, const struct lw_host_pod *list, size_t n)
{
	struct pod *items;

	if (!pods || is_same(pods, list, n))
		return 0;
	items = calloc(n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct pod *before = find_pod(pods, list[i].uid);

		if (before)
			items[i] = *before;
		else
			items[i].since_ns = lw_clock_ns();
		(void)strncpy(items[i].uid, list[i].uid, sizeof(items[i].uid) - 1);
		items[i].key = list[i].key;
		if (asprintf(&items[i].name, "%s/%s", list[i].ns, list[i].name) < 0) {
			items[i].name = NULL;
			free_pods(items, i);
			return -ENOMEM;
		}
	}
	free_pods(pods->pods, pods->n);
	pods->pods = items;
	pods->n = n;
	look(pods);
	return 0;
}

void lw_host_pods_count(const struct lw_host_pods *pods, size_t *ret_n, size_t *ret_found)
{
	*ret_n = pods ? pods->n : 0;
	*ret_found = pods ? pods->found : 0;
}
