/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes an image the state in force: writes what differs into the idle slot, then flips the generation.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kern/internal.h"

/* Rows, and bytes of values, in one call. */
#define BATCH_ROWS 4096
#define BATCH_BYTES (4 << 20)

int lw_kern_map_fd(const struct lw_kern *kern, enum lw_table_id table)
{
	struct bpf_map *maps[LW_TABLE__MAX] = {
		[LW_TABLE_DESTS] = kern->skel->maps.lw_dests,
		[LW_TABLE_PODS] = kern->skel->maps.lw_pods,
		[LW_TABLE_WORKLOADS] = kern->skel->maps.lw_workloads,
		[LW_TABLE_LANES] = kern->skel->maps.lw_lanes,
		[LW_TABLE_TAGS] = kern->skel->maps.lw_tags,
		[LW_TABLE_GROUPS] = kern->skel->maps.lw_groups,
		[LW_TABLE_ENDPOINTS] = kern->skel->maps.lw_endpoints,
		[LW_TABLE_STEPS] = kern->skel->maps.lw_steps,
		[LW_TABLE_RULES] = kern->skel->maps.lw_rules,
		[LW_TABLE_DFAS] = kern->skel->maps.lw_dfas,
		[LW_TABLE_NAMES] = kern->skel->maps.lw_names,
	};

	return bpf_map__fd(maps[table]);
}

/* Rows collected for one batch call. */
struct batch {
	struct lw_kern *kern;
	int fd;
	const struct lw_table_info *info;
	uint32_t slot;
	char *keys, *values;
	uint32_t n, max;
};

static int batch_flush(struct batch *b, bool del)
{
	uint32_t n = b->n;
	int r;

	if (!n)
		return 0;
	/* there may be a hundred thousand rows: the agent is alive meanwhile */
	lw_kern_heartbeat(b->kern);
	b->n = 0;
	r = del ? bpf_map_delete_batch(b->fd, b->keys, &n, NULL) :
		  bpf_map_update_batch(b->fd, b->keys, b->values, &n, NULL);
	return r ? -errno : 0;
}

static int batch_add(struct batch *b, const void *key, const void *value)
{
	char *k = b->keys + b->n * b->info->key_size;

	memcpy(k, key, b->info->key_size);
	memcpy(k + b->info->slot_offset, &b->slot, sizeof(b->slot));
	if (value)
		memcpy(b->values + b->n * b->info->value_size, value, b->info->value_size);
	return ++b->n == b->max ? batch_flush(b, !value) : 0;
}

/* What the kernel has is old (NULL: nothing). del: takes away what is no longer there; else: puts what is new or differs. */
static int sync_pass(struct batch *b, const struct lw_image *old, const struct lw_image *image,
		     enum lw_table_id t, bool del)
{
	size_t i = 0, j = 0, m = old ? lw_image_rows(old, t) : 0, n = lw_image_rows(image, t);
	int r = 0;

	while (!r && (i < m || j < n)) {
		int c;

		if (i == m)
			c = 1;
		else if (j == n)
			c = -1;
		else
			c = memcmp(lw_image_key(old, t, i), lw_image_key(image, t, j),
				   b->info->key_size);
		if (c < 0) {
			if (del)
				r = batch_add(b, lw_image_key(old, t, i), NULL);
			i++;
		} else if (c > 0) {
			if (!del)
				r = batch_add(b, lw_image_key(image, t, j),
					      lw_image_value(image, t, j));
			j++;
		} else {
			if (!del && memcmp(lw_image_value(old, t, i), lw_image_value(image, t, j),
					   b->info->value_size))
				r = batch_add(b, lw_image_key(image, t, j),
					      lw_image_value(image, t, j));
			i++;
			j++;
		}
	}
	return r ? r : batch_flush(b, del);
}

/* The slot holds what an earlier agent has put there: takes it all away. 0 or -ENOMEM: some may be left. */
static int slot_reset(struct lw_kern *kern, uint32_t slot)
{
	for (size_t t = 0; t < LW_TABLE__MAX; t++) {
		const struct lw_table_info *info = &lw_tables[t];
		int fd = lw_kern_map_fd(kern, t);
		_cleanup_free_ char *key = malloc(info->key_size), *next = malloc(info->key_size);
		_cleanup_free_ char *found = NULL;
		size_t n = 0, room = 0;
		bool first = true;
		uint32_t s;

		if (!key || !next)
			return -ENOMEM;
		/* first all of them, then away: a walk that deletes loses its place, and begins again at every row */
		while (!bpf_map_get_next_key(fd, first ? NULL : key, next)) {
			first = false;
			lw_kern_heartbeat(kern);
			memcpy(key, next, info->key_size);
			memcpy(&s, key + info->slot_offset, sizeof(s));
			if (s != slot)
				continue;
			if (n == room) {
				char *grown =
					realloc(found, (room ? 2 * room : 256) * info->key_size);

				if (!grown)
					return -ENOMEM;
				found = grown;
				room = room ? 2 * room : 256;
			}
			memcpy(found + n++ * info->key_size, key, info->key_size);
		}
		while (n-- > 0) {
			lw_kern_heartbeat(kern);
			(void)bpf_map_delete_elem(fd, found + n * info->key_size);
		}
	}
	kern->unknown[slot] = false;
	return 0;
}

static void delete_rows(struct lw_kern *kern, uint32_t slot, const struct lw_image *image)
{
	for (enum lw_table_id t = 0; image && t < LW_TABLE__MAX; t++) {
		const struct lw_table_info *info = &lw_tables[t];
		int fd = lw_kern_map_fd(kern, t);
		char key[256];

		for (size_t i = 0; i < lw_image_rows(image, t); i++) {
			memcpy(key, lw_image_key(image, t, i), info->key_size);
			memcpy(key + info->slot_offset, &slot, sizeof(slot));
			lw_kern_heartbeat(kern);
			(void)bpf_map_delete_elem(fd, key);
		}
	}
}

/* Makes a slot hold the image. 0, or -errno: it is empty then. */
static int write_slot(struct lw_kern *kern, uint32_t slot, struct lw_image *image)
{
	int r = 0;

	if (kern->unknown[slot])
		r = slot_reset(kern, slot);
	for (enum lw_table_id t = 0; !r && t < LW_TABLE__MAX; t++) {
		const struct lw_table_info *info = &lw_tables[t];
		uint32_t fit = BATCH_BYTES / info->value_size,
			 max = fit < BATCH_ROWS ? fit : BATCH_ROWS;
		_cleanup_free_ char *keys = malloc(max * info->key_size),
				    *values = malloc(max * info->value_size);
		struct batch b = {
			.kern = kern,
			.fd = lw_kern_map_fd(kern, t),
			.info = info,
			.slot = slot,
			.keys = keys,
			.values = values,
			.max = max,
		};

		if (!keys || !values)
			r = -ENOMEM;
		if (!r)
			r = sync_pass(&b, kern->slots[slot], image, t, true);
		if (!r)
			r = sync_pass(&b, kern->slots[slot], image, t, false);
	}
	if (r && !kern->unknown[slot]) {
		/* some of the one has been taken away, and some of the other put there */
		delete_rows(kern, slot, kern->slots[slot]);
		delete_rows(kern, slot, image);
		lw_image_free(&kern->slots[slot]);
	}
	if (r)
		return r;
	lw_image_free(&kern->slots[slot]);
	kern->slots[slot] = lw_image_ref(image);
	return 0;
}

/* Requests that arrive at pods are read while there is a lane that one could be in. */
static void read_inbound(struct lw_kern *kern, const struct lw_image *image)
{
	bool yes = !kern->no_inbound && lw_image_rows(image, LW_TABLE_LANES);

	/* before the flag: what is known of connections from an earlier time is void, nobody has seen what they did since */
	if (yes && !(kern->config->flags & LW_CONF_INBOUND))
		__atomic_store_n(&kern->config->openings, kern->config->openings + 1,
				 __ATOMIC_RELEASE);
	lw_kern_set_flag(kern, LW_CONF_INBOUND, yes);
}

int lw_kern_publish(struct lw_kern *kern, struct lw_image *image)
{
	uint64_t next;
	uint32_t slot;
	int r = 0;

	if (kern->left) /* to be the agent at work again would give requests to sockets that are about to be closed */
		return -ESHUTDOWN;
	kern->in_force_ns = lw_clock_ns();
	if (kern->found.mode == LW_KERN_MODE_NONE)
		return 0;
	next = kern->config->generation + 1;
	slot = next & 1;
	if (!kern->waited)
		r = lw_wait_for_programs(kern);
	if (!r)
		r = write_slot(kern, slot, image);
	if (r)
		return r;
	if (kern->config->agent != kern->number) {
		/* from here on we are the agent at work. `since` first: a flow of before must not take old numbers for ours */
		__atomic_store_n(&kern->config->since, next, __ATOMIC_RELEASE);
		__atomic_store_n(&kern->config->agent, kern->number, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&kern->config->generation, next, __ATOMIC_RELEASE);
	read_inbound(kern, image);
	kern->in_force_ns = lw_clock_ns();
	if (!kern->other)
		lw_kern_end_old(kern);
	/* programs that began before the store may still read the other slot. The next state shall not wait for them if it need not */
	kern->waited = !lw_wait_for_programs(kern);
	/* nor the second one for all its rows, where a few differ from the first */
	if (kern->waited && !kern->slots[!slot])
		(void)write_slot(kern, !slot, image);
	return 0;
}

bool lw_kern_has(const struct lw_kern *kern, const struct lw_image *image)
{
	uint32_t slot;

	if (kern->found.mode == LW_KERN_MODE_NONE || !kern->config->generation ||
	    kern->config->agent != kern->number)
		return false;
	slot = kern->config->generation & 1;
	return !kern->unknown[slot] && kern->slots[slot] && lw_image_same(kern->slots[slot], image);
}
