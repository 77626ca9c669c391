/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree -> Thompson NFA -> DFA by subsets -> smallest DFA (Hopcroft) -> equivalence classes of
 * bytes. An anchor is an edge of the NFA that may be taken at the start, or at the end of the value
 * only.
 */
#include "core/regex.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/regex_minimise.h"
#include "core/regex_parse.h"
#include "core/regex_set.h"
#include "laneway/dfa.h"

/* Bounds on the way to the automaton; each reached means -E2BIG. */
#define NFA_MAX 16384 /* instructions, and visits while repetitions are unrolled */
#define RAW_MAX 16384 /* states before minimising */
#define RAW_TRANS_MAX (1 << 20) /* transitions before minimising */
#define POOL_MAX (1 << 21) /* NFA instructions in all states together */
#define WORK_MAX (1 << 24) /* elementary steps of the subset construction: some 50 ms */
/* In the same measure: of the smallest pattern, and of each transition before minimising. */
#define WORK_LEAST (1 << 14)
#define WORK_A_CELL 16
#define HASH_SIZE (2 * RAW_MAX) /* power of two */
#define NIL UINT16_MAX /* no block */

enum inst_kind {
	INST_MATCH,
	INST_SET,
	INST_BOL,
	INST_EOL,
	INST_SPLIT,
};

struct inst {
	uint8_t kind;
	uint16_t set;
	uint16_t a, b; /* where to go on; b: SPLIT only */
};

struct raw_state {
	uint32_t first; /* of its instructions in pool, in ascending order */
	uint16_t n;
};

struct compiler {
	struct lw_regex_tree tree;
	struct inst *insts;
	unsigned ninsts;
	unsigned visits;

	unsigned nclasses;
	uint8_t class_of[256];
	uint8_t byte_of[256]; /* one byte of each class */

	struct raw_state *raw;
	uint8_t *accept; /* by raw state */
	unsigned nraw;
	uint16_t *next; /* [state * nclasses + cls] */
	size_t next_size;
	uint16_t *pool;
	size_t npool, pool_size;
	uint16_t *hash; /* raw state, 0: free; the dead state is not in it */
	uint64_t *members; /* bit set over instructions: the closure being built */
	uint64_t *seen; /* instructions visited for it, those that only lead on included */
	uint16_t *stack;
	size_t work;

	uint16_t *block; /* by raw state */
	unsigned nblocks;
};

static void compiler_done(struct compiler *c)
{
	lw_regex_tree_free(&c->tree);
	free(c->insts);
	free(c->raw);
	free(c->accept);
	free(c->next);
	free(c->pool);
	free(c->hash);
	free(c->members);
	free(c->seen);
	free(c->stack);
	free(c->block);
}

/* ---- NFA ---- */

static int inst_new(struct compiler *c, struct inst inst)
{
	if (c->ninsts == NFA_MAX)
		return -E2BIG;
	c->insts[c->ninsts] = inst;
	return c->ninsts++;
}

static int emit(struct compiler *c, uint32_t node, int next);

static int emit_repeat(struct compiler *c, const struct lw_regex_node *node, int next)
{
	int split, body;

	if (node->max == LW_REGEX_INF) {
		split = inst_new(c, (struct inst){ INST_SPLIT, 0, 0, next });
		if (split < 0)
			return split;
		body = emit(c, node->last, split);
		if (body < 0)
			return body;
		c->insts[split].a = body;
		next = node->min ? body : split;
	} else {
		int end = next;

		for (unsigned i = node->min; i < node->max && next >= 0; i++) {
			body = emit(c, node->last, next);
			next = body < 0 ? body :
					  inst_new(c, (struct inst){ INST_SPLIT, 0, body, end });
		}
	}
	for (unsigned i = node->max == LW_REGEX_INF ? 1 : 0; i < node->min && next >= 0; i++)
		next = emit(c, node->last, next);
	return next;
}

/*
 * The first instruction of node when next follows it, or -E2BIG. Recursion: four levels a group,
 * LW_REGEX_DEPTH_MAX of them.
 */
static int emit(struct compiler *c, uint32_t idx, int next)
{
	const struct lw_regex_node *node = &c->tree.nodes[idx];
	int first = -1;

	if (next < 0 || ++c->visits > 4 * NFA_MAX)
		return -E2BIG;
	switch (node->kind) {
	case LW_REGEX_SET:
		return inst_new(c, (struct inst){ INST_SET, node->set, next, 0 });
	case LW_REGEX_BOL:
		return inst_new(c, (struct inst){ INST_BOL, 0, next, 0 });
	case LW_REGEX_EOL:
		return inst_new(c, (struct inst){ INST_EOL, 0, next, 0 });
	case LW_REGEX_REPEAT:
		return emit_repeat(c, node, next);
	case LW_REGEX_CAT:
		for (idx = node->last; idx != LW_REGEX_NONE && next >= 0;
		     idx = c->tree.nodes[idx].prev)
			next = emit(c, idx, next);
		return next;
	case LW_REGEX_ALT:
		for (idx = node->last; idx != LW_REGEX_NONE; idx = c->tree.nodes[idx].prev) {
			int branch = emit(c, idx, next);

			if (branch < 0)
				return branch;
			first = first < 0 ?
					branch :
					inst_new(c, (struct inst){ INST_SPLIT, 0, branch, first });
			if (first < 0)
				return first;
		}
		return first;
	}
	return next;
}

/* Bytes that no set of the pattern tells apart. */
static void find_classes(struct compiler *c)
{
	c->nclasses = 1;
	for (size_t i = 0; i < c->tree.nsets; i++) {
		uint16_t split[256]; /* by class: the class of its bytes that are in the set */
		unsigned count[2][256] = {};

		for (unsigned byte = 0; byte < 256; byte++)
			count[lw_regex_set_has(&c->tree.sets[i], byte)][c->class_of[byte]]++;
		for (unsigned cls = 0, n = c->nclasses; cls < n; cls++)
			split[cls] = count[0][cls] && count[1][cls] ? c->nclasses++ : cls;
		for (unsigned byte = 0; byte < 256; byte++)
			if (lw_regex_set_has(&c->tree.sets[i], byte))
				c->class_of[byte] = split[c->class_of[byte]];
	}
	for (unsigned byte = 0; byte < 256; byte++)
		c->byte_of[c->class_of[byte]] = byte;
}

/* ---- subsets ---- */

static unsigned words(const struct compiler *c)
{
	return c->ninsts / 64 + 1;
}

static void closure_begin(struct compiler *c)
{
	memset(c->members, 0, words(c) * sizeof(*c->members));
	memset(c->seen, 0, words(c) * sizeof(*c->seen));
	c->work += words(c) / 4;
}

static void closure_push(struct compiler *c, unsigned *depth, uint16_t inst)
{
	uint64_t bit = 1ull << (inst % 64);

	if (c->seen[inst / 64] & bit)
		return;
	c->seen[inst / 64] |= bit;
	c->stack[(*depth)++] = inst;
}

/* Adds what can be reached from inst without a byte. Each is pushed once, so the stack holds. */
static void closure_add(struct compiler *c, uint16_t inst, bool at_start, bool at_end)
{
	unsigned depth = 0;

	closure_push(c, &depth, inst);
	while (depth) {
		uint16_t i = c->stack[--depth];

		c->work++;
		switch (c->insts[i].kind) {
		case INST_SPLIT:
			closure_push(c, &depth, c->insts[i].b);
			closure_push(c, &depth, c->insts[i].a);
			continue;
		case INST_BOL:
			if (at_start)
				closure_push(c, &depth, c->insts[i].a);
			continue;
		case INST_EOL:
			if (at_end)
				closure_push(c, &depth, c->insts[i].a);
			break;
		}
		c->members[i / 64] |= 1ull << (i % 64);
	}
}

/* Whether the value may end in a state whose instructions are in the pool. Undoes the closure. */
static bool accepts(struct compiler *c, const struct raw_state *state, bool at_start)
{
	bool any = false;

	for (unsigned i = 0; i < state->n; i++) {
		const struct inst *inst = &c->insts[c->pool[state->first + i]];

		if (inst->kind == INST_MATCH)
			return true;
		any |= inst->kind == INST_EOL;
	}
	if (!any)
		return false;
	closure_begin(c);
	for (unsigned i = 0; i < state->n; i++) {
		const struct inst *inst = &c->insts[c->pool[state->first + i]];

		if (inst->kind == INST_EOL)
			closure_add(c, inst->a, at_start, true);
	}
	return c->members[0] & 1; /* INST_MATCH is instruction 0 */
}

/* Turns the closure into a state, a new one if there is none like it. The first is never shared. */
static int intern(struct compiler *c, bool at_start, uint16_t *ret)
{
	struct raw_state state = { .first = c->npool };
	uint32_t hash = 2166136261u;
	unsigned slot;

	for (unsigned w = 0; w < words(c); w++)
		for (uint64_t bits = c->members[w]; bits; bits &= bits - 1) {
			unsigned i = w * 64 + __builtin_ctzll(bits);

			if (c->npool + state.n == c->pool_size) {
				size_t size = c->pool_size ? 2 * c->pool_size : 4096;
				uint16_t *pool = size <= POOL_MAX ? reallocarray(c->pool, size,
										 sizeof(*pool)) :
								    NULL;

				if (!pool)
					return size <= POOL_MAX ? -ENOMEM : -E2BIG;
				c->pool = pool;
				c->pool_size = size;
			}
			c->pool[c->npool + state.n++] = i;
			hash = (hash ^ i) * 16777619u;
		}
	c->work += words(c) / 4 + state.n;
	if (!state.n) {
		*ret = 0;
		return 0;
	}
	for (slot = (hash ^ hash >> 15) % HASH_SIZE; c->hash[slot]; slot = (slot + 1) % HASH_SIZE) {
		const struct raw_state *other = &c->raw[c->hash[slot]];

		c->work++;
		if (other->n == state.n && c->hash[slot] != 1 &&
		    !memcmp(&c->pool[other->first], &c->pool[state.first],
			    state.n * sizeof(*c->pool))) {
			*ret = c->hash[slot];
			return 0;
		}
	}
	if (c->nraw == RAW_MAX || (c->nraw + 1) * c->nclasses > RAW_TRANS_MAX)
		return -E2BIG;
	if ((c->nraw + 1) * c->nclasses > c->next_size) {
		size_t size = 2 * (c->nraw + 1) * c->nclasses;
		uint16_t *next = reallocarray(c->next, size, sizeof(*next));

		if (!next)
			return -ENOMEM;
		c->next = next;
		c->next_size = size;
	}
	c->npool += state.n;
	c->accept[c->nraw] = accepts(c, &state, at_start);
	c->raw[c->nraw] = state;
	c->hash[slot] = c->nraw;
	*ret = c->nraw++;
	return 0;
}

static int build_subsets(struct compiler *c, uint16_t start)
{
	uint16_t to;
	int r;

	/* Raw state 0 is dead, 1 the start (or there is none: nothing matches). */
	c->raw[0] = (struct raw_state){};
	c->nraw = 1;
	c->next_size = 2 * c->nclasses;
	c->next = calloc(c->next_size, sizeof(*c->next));
	if (!c->next)
		return -ENOMEM;
	closure_begin(c);
	closure_add(c, start, true, false);
	r = intern(c, true, &to);
	if (r < 0)
		return r;
	for (unsigned state = 1; state < c->nraw; state++)
		for (unsigned cls = 0; cls < c->nclasses; cls++) {
			closure_begin(c);
			for (unsigned i = 0; i < c->raw[state].n; i++) {
				const struct inst *inst =
					&c->insts[c->pool[c->raw[state].first + i]];

				if (inst->kind == INST_SET &&
				    lw_regex_set_has(&c->tree.sets[inst->set], c->byte_of[cls]))
					closure_add(c, inst->a, false, false);
			}
			c->work += c->raw[state].n;
			r = intern(c, false, &to);
			if (r < 0)
				return r;
			c->next[state * c->nclasses + cls] = to;
			if (c->work > WORK_MAX)
				return -E2BIG;
		}
	return 0;
}

/* ---- result ---- */

/* Numbers the blocks from the start on, the dead one 0. *ret: one raw state of each. */
static unsigned number(struct compiler *c, uint16_t *of_block, uint16_t *ret)
{
	unsigned n = 1;

	memset(of_block, 0xff, c->nblocks * sizeof(*of_block));
	of_block[c->block[0]] = 0;
	ret[0] = 0;
	if (c->nraw > 1 && of_block[c->block[1]] == NIL) {
		of_block[c->block[1]] = n;
		ret[n++] = 1;
	}
	for (unsigned i = 1; i < n; i++)
		for (unsigned cls = 0; cls < c->nclasses; cls++) {
			uint16_t to = c->next[ret[i] * c->nclasses + cls];

			if (of_block[c->block[to]] == NIL) {
				of_block[c->block[to]] = n;
				ret[n++] = to;
			}
		}
	return n;
}

static bool same_column(const struct compiler *c, const uint16_t *raw_of, unsigned n, unsigned a,
			unsigned b)
{
	for (unsigned i = 0; i < n; i++)
		if (c->block[c->next[raw_of[i] * c->nclasses + a]] !=
		    c->block[c->next[raw_of[i] * c->nclasses + b]])
			return false;
	return true;
}

/* Classes that the smallest automaton does not tell apart become one: ret[class], ret_kept[new]. */
static unsigned merge_columns(const struct compiler *c, const uint16_t *raw_of, unsigned n,
			      uint8_t *ret, uint8_t *ret_kept)
{
	bool done[256] = {};
	unsigned nkept = 0;

	for (unsigned byte = 0; byte < 256; byte++) {
		unsigned cls = c->class_of[byte], k = 0;

		if (done[cls])
			continue;
		done[cls] = true;
		while (k < nkept && !same_column(c, raw_of, n, ret_kept[k], cls))
			k++;
		if (k == nkept)
			ret_kept[nkept++] = cls;
		ret[cls] = k;
	}
	return nkept;
}

static int write_dfa(struct compiler *c, struct lw_dfa *ret)
{
	_cleanup_free_ uint16_t *of_block = malloc(c->nblocks * sizeof(*of_block));
	_cleanup_free_ uint16_t *raw_of = malloc(c->nblocks * sizeof(*raw_of));
	uint8_t merged[256], kept[256];
	unsigned n, nkept;

	if (!of_block || !raw_of)
		return -ENOMEM;
	n = number(c, of_block, raw_of);
	nkept = merge_columns(c, raw_of, n, merged, kept);
	if (n > LW_DFA_STATES || n * nkept > LW_DFA_TRANS)
		return -E2BIG;

	memset(ret, 0, sizeof(*ret));
	ret->nclasses = nkept;
	ret->nstates = n;
	ret->start = c->nraw > 1 ? of_block[c->block[1]] : 0;
	for (unsigned byte = 0; byte < 256; byte++)
		ret->class_of[byte] = merged[c->class_of[byte]];
	for (unsigned i = 0; i < n; i++) {
		ret->accept[i] = c->accept[raw_of[i]];
		for (unsigned k = 0; k < nkept; k++)
			ret->next[i * nkept + k] =
				of_block[c->block[c->next[raw_of[i] * c->nclasses + kept[k]]]];
	}
	return 0;
}

static int compile(struct compiler *c, struct lw_dfa *ret)
{
	int start, r;

	c->insts = calloc(NFA_MAX, sizeof(*c->insts));
	c->raw = calloc(RAW_MAX, sizeof(*c->raw));
	c->accept = calloc(RAW_MAX, sizeof(*c->accept));
	c->hash = calloc(HASH_SIZE, sizeof(*c->hash));
	if (!c->insts || !c->raw || !c->accept || !c->hash)
		return -ENOMEM;
	(void)inst_new(c, (struct inst){ .kind = INST_MATCH });
	start = emit(c, c->tree.root, 0);
	if (start < 0)
		return start;
	c->members = calloc(words(c), sizeof(*c->members));
	c->seen = calloc(words(c), sizeof(*c->seen));
	c->stack = calloc(c->ninsts, sizeof(*c->stack));
	if (!c->members || !c->seen || !c->stack)
		return -ENOMEM;
	find_classes(c);
	r = build_subsets(c, start);
	if (r < 0)
		return r;
	c->block = malloc(c->nraw * sizeof(*c->block));
	if (!c->block)
		return -ENOMEM;
	r = lw_regex_minimise(c->next, c->accept, c->nraw, c->nclasses, c->block);
	if (r < 0)
		return r;
	c->nblocks = r;
	return write_dfa(c, ret);
}

int lw_regex_compile(const char *pattern, struct lw_dfa *ret, size_t *ret_work, char *err,
		     size_t err_len)
{
	_cleanup_(compiler_done) struct compiler c = {};
	int r;

	r = lw_regex_parse(pattern, &c.tree, err, err_len);
	if (r == 0)
		r = compile(&c, ret);
	if (r == -ENOMEM && err_len)
		snprintf(err, err_len, "out of memory");
	if (r == -E2BIG && err_len)
		snprintf(err, err_len,
			 "its automaton is too large (limit: %zu states, %d transitions)",
			 LW_DFA_STATES, LW_DFA_TRANS);
	if (ret_work)
		*ret_work = WORK_LEAST + c.work + WORK_A_CELL * c.nraw * c.nclasses;
	return r;
}
