/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * lw_msg: what is put on a steered request, and taken off it.
 */

/* First look at a head; longer ones cost a second, larger copy. Power of two. */
#define LW_HEAD_LOOK 2048

struct lw_strip_ctx {
	struct sk_msg_md *msg;
	struct lw_head *head;
	__u64 mask[4]; /* headers whose lines go */
	__u32 lines; /* captures that go */
	__u32 cut; /* bytes of the baggage go, as head->bag says */
	__u32 removed;
	__u32 failed;
};

/* Lines of all tags. */
#define LW_STRIP_TAGS ((2ull << LW_HDR_TAG_LAST) - (1ull << LW_HDR_TAG_FIRST))

/* From the last line to the first, so that the offsets of those before stay true. */
static long lw_strip_cb(__u32 i, void *arg)
{
	struct lw_strip_ctx *c = arg;
	const struct lw_capture *cap;
	__u32 k, at, len;

	if (i >= c->head->caps.n)
		return 1;
	k = (c->head->caps.n - 1 - i) & (LW_CAPTURES - 1);
	cap = &c->head->caps.at[k];
	at = cap->line;
	len = cap->line_len;
	if (!(c->mask[cap->header >> 6 & 3] >> (cap->header & 63) & 1) && !(c->lines >> k & 1)) {
		if (!c->cut || c->head->bag.cut_line != k)
			return 0;
		at = c->head->bag.cut;
		len = c->head->bag.cut_len;
	}
	if (bpf_msg_pop_data(c->msg, at, len, 0)) {
		c->failed = 1;
		return 1;
	}
	c->removed += len;
	return 0;
}

struct lw_block {
	__u64 w[LW_BLOCK_LEN / 8];
};

/*
 * Puts bytes from..from + len of a block there; len_from: len | from << 16. 0, or -1 if the message was left without its
 * header, or -2 if it must not go out at all.
 */
__noinline int lw_put_block(struct sk_msg_md *msg, struct lw_run *r, __u32 at,
			    const struct lw_block *block, __u32 len_from)
{
	__u32 i, len = len_from & 0xffff, word = len_from >> 19;
	void *p, *end;

	if (!r || !block || len < 8 || len > LW_BLOCK_LEN)
		return -1;
	if (bpf_msg_push_data(msg, at, len, 0))
		return -1;
	r->grown += len;
	if (bpf_msg_pull_data(msg, at, at + len, 0))
		return -2;
	p = (void *)(long)msg->data;
	end = (void *)(long)msg->data_end;
	/* the pushed bytes hold whatever the page held: write every one */
	for (i = 0; i < LW_BLOCK_LEN / 8; i++) {
		if (i * 8 >= len)
			return 0;
		if (p + 8 > end)
			return -2;
		*(__u64 *)p = block->w[(word + i) & (LW_BLOCK_LEN / 8 - 1)];
		p += 8;
	}
	return 0;
}

/* What goes with a request of a lane: len | from << 16 of its block's bytes. `bare`: the baggage it has will be gone. */
static __always_inline __u32 lw_block_part(struct lw_flow *f, struct lw_head *h,
					   const struct lw_decision *d, struct lw_strip_ctx *c,
					   __u32 tag_len, __u32 baggage_len, __u32 bare)
{
	__u32 len = d->tagged ? 0 : tag_len, from = d->tagged ? tag_len : 0;
	enum lw_baggage_todo todo;

	if (!baggage_len)
		return len;
	todo = bare ? LW_BAGGAGE_ADD : lw_baggage_todo(&h->bag, d->lane, baggage_len);
	if (todo == LW_BAGGAGE_HAVE)
		return len;
	if (todo == LW_BAGGAGE_LEAVE) {
		lw_count(f->workload_hash, d->lane, d->evidence, LW_REASON_BAGGAGE);
		return len;
	}
	c->cut = todo == LW_BAGGAGE_REPLACE;
	return (len + baggage_len) | from << 16;
}

/* 0, or -2 as above. */
__noinline int lw_modify(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
			 struct lw_head *h, const struct lw_decision *d)
{
	struct lw_strip_ctx c = { .msg = msg };
	const struct lw_block *block = NULL;
	const struct lw_lane *lane;
	__u32 part = 0, i, bare;
	int err = 0;

	if (!f || !r || !h || !d)
		return -2;
	c.head = h;
	if (d->strip) {
		c.mask[0] = LW_STRIP_TAGS;
		c.lines = h->bag.ours;
	}
	if (d->rule) {
		const struct lw_rule *rule = lw_get_rule(r->slot, d->rule & ~LW_STEP_ENTER);

		if (!rule)
			return 0;
		for (i = 0; i < LW_MODS_REMOVE; i++) {
			if (i >= rule->nremove)
				break;
			c.mask[rule->remove[i] >> 6 & 3] |= 1ull << (rule->remove[i] & 63);
		}
		bare = c.mask[0] >> LW_HDR_BAGGAGE & 1;
		block = (const struct lw_block *)rule->block;
		part = lw_block_part(f, h, d, &c, rule->block_len, rule->baggage_len, bare);
	} else if (d->lane) {
		lane = lw_get_lane(r->slot, d->lane);
		if (lane) {
			block = (const struct lw_block *)lane->block;
			part = lw_block_part(f, h, d, &c, lane->block_len, lane->baggage_len, 0);
			/* one that names no open lane would stand beside it, and whoever joins the two has a value that names none either */
			if (!d->tagged && h->caps.first[lane->tag_header & (LW_HDR__MAX - 1)])
				c.mask[0] |= 1ull << (lane->tag_header & 63);
		}
	}
	if (c.mask[0] | c.mask[1] | c.mask[2] | c.mask[3] | c.lines | c.cut)
		bpf_loop(LW_CAPTURES, lw_strip_cb, &c, 0);
	r->grown -= c.removed;
	if (c.failed)
		err = -1;
	else if (block && (part & 0xffff))
		err = lw_put_block(msg, r, h->scan.fields, block, part);
	if (err == -1)
		lw_count(f->workload_hash, d->lane, d->evidence, LW_REASON_PUSH);
	if (err == -2)
		return -2;
	/* each fragment would be a packet of its own (tcp_bpf_push()): make the head one again */
	if (r->grown && h->scan.pos <= LW_HEAD_LOOK)
		bpf_msg_pull_data(msg, 0, h->scan.pos + r->grown, 0);
	return 0;
}
