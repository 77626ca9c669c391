/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Memory that is given back all at once. Zeroed, aligned for any type.
 */
#include <stddef.h>

struct lw_arena;

/* 0 or -ENOMEM. */
int lw_arena_new(struct lw_arena **ret);
/* Takes NULL; sets *arena to NULL. */
void lw_arena_free(struct lw_arena **arena);

/* Takes back all that was given out; keeps the memory for what comes next. */
void lw_arena_reset(struct lw_arena *arena);

/* Takes back what was given out since the mark. */
struct lw_arena_mark {
	void *chunk;
	size_t used;
};
struct lw_arena_mark lw_arena_mark(const struct lw_arena *arena);
void lw_arena_back(struct lw_arena *arena, struct lw_arena_mark mark);

/* NULL when out of memory, or when count * size overflows. count 0 gives a valid pointer. */
void *lw_arena_alloc(struct lw_arena *arena, size_t count, size_t size);
/* A copy of s, or NULL when out of memory. */
char *lw_arena_strdup(struct lw_arena *arena, const char *s);
char *lw_arena_strndup(struct lw_arena *arena, const char *s, size_t len);
char *lw_arena_printf(struct lw_arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define lw_arena_new_array(arena, type, count) ((type *)lw_arena_alloc(arena, count, sizeof(type)))
