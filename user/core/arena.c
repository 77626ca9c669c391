/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN sizeof(max_align_t)
#define FIRST_BYTES 960
#define CHUNK_MAX (64u << 10)

struct chunk {
	struct chunk *next;
	size_t size;
	size_t used;
	max_align_t data[];
};

struct lw_arena {
	struct chunk *chunks; /* the one in use first */
	size_t next_size;
};

int lw_arena_new(struct lw_arena **ret)
{
	struct lw_arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		return -ENOMEM;
	arena->next_size = FIRST_BYTES;
	*ret = arena;
	return 0;
}

void lw_arena_free(struct lw_arena **arena)
{
	struct chunk *chunk, *next;

	if (!*arena)
		return;
	for (chunk = (*arena)->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(*arena);
	*arena = NULL;
}

static struct chunk *add_chunk(struct lw_arena *arena, size_t need)
{
	size_t size = need > arena->next_size ? need : arena->next_size;
	struct chunk *chunk = calloc(1, sizeof(*chunk) + size);

	if (!chunk)
		return NULL;
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	if (arena->next_size < CHUNK_MAX)
		arena->next_size *= 2;
	return chunk;
}

void lw_arena_reset(struct lw_arena *arena)
{
	struct chunk *chunk = arena->chunks, *keep = chunk, *next;
	size_t total = 0;

	/* One chunk for all that was needed, so that the next time there is no other. */
	for (; chunk; chunk = next) {
		next = chunk->next;
		total += chunk->size;
		if (chunk != keep)
			free(chunk);
	}
	arena->chunks = NULL;
	if (!keep)
		return;
	if (total == keep->size) {
		memset(keep->data, 0, keep->used);
		keep->used = 0;
		arena->chunks = keep;
		return;
	}
	free(keep);
	/* Without memory there is none to keep. */
	(void)add_chunk(arena, total);
}

struct lw_arena_mark lw_arena_mark(const struct lw_arena *arena)
{
	return (struct lw_arena_mark){ arena->chunks, arena->chunks ? arena->chunks->used : 0 };
}

void lw_arena_back(struct lw_arena *arena, struct lw_arena_mark mark)
{
	struct chunk *chunk = arena->chunks, *next;

	for (; chunk != mark.chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	arena->chunks = chunk;
	if (!chunk)
		return;
	memset((char *)chunk->data + mark.used, 0, chunk->used - mark.used);
	chunk->used = mark.used;
}

void *lw_arena_alloc(struct lw_arena *arena, size_t count, size_t size)
{
	struct chunk *chunk = arena->chunks;
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (!chunk || chunk->size - chunk->used < bytes)
		chunk = add_chunk(arena, bytes);
	if (!chunk)
		return NULL;
	p = (char *)chunk->data + chunk->used;
	chunk->used += bytes;
	return p;
}

char *lw_arena_strndup(struct lw_arena *arena, const char *s, size_t len)
{
	char *copy = lw_arena_alloc(arena, len + 1, 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

char *lw_arena_strdup(struct lw_arena *arena, const char *s)
{
	return lw_arena_strndup(arena, s, strlen(s));
}

char *lw_arena_printf(struct lw_arena *arena, const char *format, ...)
{
	va_list args;
	char *s = NULL;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len >= 0)
		s = lw_arena_alloc(arena, (size_t)len + 1, 1);
	if (!s)
		return NULL;
	va_start(args, format);
	(void)vsnprintf(s, (size_t)len + 1, format, args);
	va_end(args);
	return s;
}
