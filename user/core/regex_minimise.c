/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hopcroft's algorithm.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/regex_minimise.h"

#define NIL UINT16_MAX

/* Blocks of states, as ranges of one permutation: Hopcroft's partition. */
struct partition {
	uint16_t *elems, *where; /* the permutation and its inverse */
	uint16_t *first, *size, *marked; /* of a block; its marked elements stand in front */
	uint16_t *touched, *todo, *members;
	unsigned nblocks, ntouched, ntodo;
	uint16_t *block; /* by state; not ours */
	uint16_t *inv_head, *inv_next; /* lists of predecessors: [class * n + state] */
};

static void partition_done(struct partition *p)
{
	free(p->elems);
	free(p->inv_head);
}

static int partition_init(struct partition *p, unsigned n, unsigned nclasses)
{
	p->elems = calloc(8 * (size_t)n, sizeof(*p->elems));
	p->inv_head = malloc(2 * (size_t)n * nclasses * sizeof(*p->inv_head));
	if (!p->elems || !p->inv_head)
		return -ENOMEM;
	p->where = p->elems + n;
	p->first = p->elems + 2 * n;
	p->size = p->elems + 3 * n;
	p->marked = p->elems + 4 * n;
	p->touched = p->elems + 5 * n;
	p->todo = p->elems + 6 * n;
	p->members = p->elems + 7 * n;
	p->inv_next = p->inv_head + (size_t)n * nclasses;
	memset(p->inv_head, 0xff, (size_t)n * nclasses * sizeof(*p->inv_head));
	return 0;
}

static void partition_mark(struct partition *p, uint16_t state)
{
	uint16_t block = p->block[state], at = p->where[state];
	uint16_t to = p->first[block] + p->marked[block], other = p->elems[to];

	if (!p->marked[block]++)
		p->touched[p->ntouched++] = block;
	p->elems[at] = other;
	p->where[other] = at;
	p->elems[to] = state;
	p->where[state] = to;
}

/*
 * Makes the smaller of a block's marked and unmarked parts a block of its own, to be split by:
 * right whether the rest is still to be split by or has been.
 */
static void partition_split(struct partition *p, uint16_t block)
{
	uint16_t marked = p->marked[block], rest = p->size[block] - marked, new;

	p->marked[block] = 0;
	if (!marked || !rest)
		return;
	new = p->nblocks++;
	p->size[new] = marked < rest ? marked : rest;
	p->first[new] = marked < rest ? p->first[block] : p->first[block] + marked;
	if (marked < rest)
		p->first[block] += marked;
	p->size[block] -= p->size[new];
	for (unsigned i = 0; i < p->size[new]; i++)
		p->block[p->elems[p->first[new] + i]] = new;
	p->todo[p->ntodo++] = new;
}

int lw_regex_minimise(const uint16_t *next, const uint8_t *accept, unsigned n, unsigned nclasses,
		      uint16_t *ret_block)
{
	_cleanup_(partition_done) struct partition p = { .block = ret_block };
	int r;

	r = partition_init(&p, n, nclasses);
	if (r < 0)
		return r;
	memset(ret_block, 0, n * sizeof(*ret_block));
	for (unsigned state = 0; state < n; state++) {
		p.elems[state] = p.where[state] = state;
		for (unsigned cls = 0; cls < nclasses; cls++) {
			uint16_t *head =
				&p.inv_head[(size_t)cls * n + next[state * nclasses + cls]];

			p.inv_next[(size_t)cls * n + state] = *head;
			*head = state;
		}
	}
	p.nblocks = 1;
	p.size[0] = n;
	p.todo[p.ntodo++] = 0;
	for (unsigned state = 0; state < n; state++)
		if (accept[state])
			partition_mark(&p, state);
	partition_split(&p, 0);

	while (p.ntodo) {
		uint16_t block = p.todo[--p.ntodo], nmembers = p.size[block];

		/* The block may be split while its members are gone through: keep them. */
		memcpy(p.members, &p.elems[p.first[block]], nmembers * sizeof(*p.members));
		for (unsigned cls = 0; cls < nclasses; cls++) {
			const uint16_t *head = &p.inv_head[(size_t)cls * n],
				       *link = &p.inv_next[(size_t)cls * n];

			p.ntouched = 0;
			for (unsigned i = 0; i < nmembers; i++)
				for (uint16_t s = head[p.members[i]]; s != NIL; s = link[s])
					partition_mark(&p, s);
			for (unsigned i = 0; i < p.ntouched; i++)
				partition_split(&p, p.touched[i]);
		}
	}
	return p.nblocks;
}
