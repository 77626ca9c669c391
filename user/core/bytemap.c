/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bytemap.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_BUCKETS 64

struct lw_bytemap_node {
	struct lw_bytemap_node *next;
	void *value;
	uint64_t hash;
	size_t len;
	unsigned char key[]; /* every part with its length before it */
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t lw_bytes_hash(const void *data, size_t len, uint64_t seed)
{
	const unsigned char *p = data;
	uint64_t h = seed ^ (len * 0x9e3779b97f4a7c15ull), word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = mix(h ^ word, 0xd6e8feb86659fd93ull);
	}
	word = 0;
	memcpy(&word, p, len);
	return mix(h ^ word, 0xa0761d6478bd642full);
}

static uint64_t hash_key(const struct lw_bytes *key, size_t nparts, size_t *ret_len)
{
	uint64_t h = 0x243f6a8885a308d3ull;
	size_t len = 0;

	for (size_t i = 0; i < nparts; i++) {
		h = lw_bytes_hash(key[i].data, key[i].len, h);
		len += sizeof(size_t) + key[i].len;
	}
	*ret_len = len;
	return h;
}

static bool key_equals(const struct lw_bytemap_node *node, const struct lw_bytes *key,
		       size_t nparts)
{
	const unsigned char *p = node->key;

	for (size_t i = 0; i < nparts; i++) {
		if (memcmp(p, &key[i].len, sizeof(size_t)) != 0)
			return false;
		p += sizeof(size_t);
		if (memcmp(p, key[i].data, key[i].len) != 0)
			return false;
		p += key[i].len;
	}
	return true;
}

/* Where the pointer to the node is, or would be; NULL only in a map without buckets. */
static struct lw_bytemap_node **find(const struct lw_bytemap *map, const struct lw_bytes *key,
				     size_t nparts, uint64_t *ret_hash, size_t *ret_len)
{
	struct lw_bytemap_node **at;

	*ret_hash = hash_key(key, nparts, ret_len);
	if (map->nbuckets == 0)
		return NULL;
	for (at = &map->buckets[*ret_hash & (map->nbuckets - 1)]; *at; at = &(*at)->next) {
		if ((*at)->hash == *ret_hash && (*at)->len == *ret_len &&
		    key_equals(*at, key, nparts))
			break;
	}
	return at;
}

void *lw_bytemap_get(const struct lw_bytemap *map, const struct lw_bytes *key, size_t nparts)
{
	struct lw_bytemap_node **at;
	uint64_t hash;
	size_t len;

	at = find(map, key, nparts, &hash, &len);
	return at && *at ? (*at)->value : NULL;
}

static int grow(struct lw_bytemap *map)
{
	size_t nbuckets = map->nbuckets ? map->nbuckets * 2 : FIRST_BUCKETS;
	struct lw_bytemap_node **buckets = calloc(nbuckets, sizeof(struct lw_bytemap_node *));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < map->nbuckets; i++) {
		struct lw_bytemap_node *node = map->buckets[i], *next;

		for (; node; node = next) {
			next = node->next;
			node->next = buckets[node->hash & (nbuckets - 1)];
			buckets[node->hash & (nbuckets - 1)] = node;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->nbuckets = nbuckets;
	return 0;
}

int lw_bytemap_put(struct lw_bytemap *map, const struct lw_bytes *key, size_t nparts, void *value)
{
	struct lw_bytemap_node **at, *node;
	unsigned char *p;
	uint64_t hash;
	size_t len;

	if (map->count >= map->nbuckets && grow(map) < 0)
		return -ENOMEM;
	at = find(map, key, nparts, &hash, &len);
	if (*at) {
		(*at)->value = value;
		return 0;
	}
	node = malloc(sizeof(*node) + len);
	if (!node)
		return -ENOMEM;
	*node = (struct lw_bytemap_node){ .value = value, .hash = hash, .len = len };
	p = node->key;
	for (size_t i = 0; i < nparts; i++) {
		memcpy(p, &key[i].len, sizeof(size_t));
		p += sizeof(size_t);
		memcpy(p, key[i].data, key[i].len);
		p += key[i].len;
	}
	*at = node;
	map->count++;
	return 0;
}

void *lw_bytemap_remove(struct lw_bytemap *map, const struct lw_bytes *key, size_t nparts)
{
	struct lw_bytemap_node **at, *node;
	uint64_t hash;
	void *value;
	size_t len;

	at = find(map, key, nparts, &hash, &len);
	if (!at || !*at)
		return NULL;
	node = *at;
	value = node->value;
	*at = node->next;
	free(node);
	map->count--;
	return value;
}

void lw_bytemap_filter(struct lw_bytemap *map, bool (*keep)(void *value, void *arg), void *arg)
{
	for (size_t i = 0; i < map->nbuckets; i++) {
		struct lw_bytemap_node **at = &map->buckets[i], *node;

		while ((node = *at)) {
			if (keep(node->value, arg)) {
				at = &node->next;
				continue;
			}
			*at = node->next;
			free(node);
			map->count--;
		}
	}
}

static bool keep_none(void *value, void *arg)
{
	(void)value;
	(void)arg;
	return false;
}

void lw_bytemap_clear(struct lw_bytemap *map)
{
	lw_bytemap_filter(map, keep_none, NULL);
	free(map->buckets);
	*map = (struct lw_bytemap){};
}
