/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What a pod sends, by its first bytes: the answer to a request, or something before it. */
#include "tasks.h"

/* Where the bytes cannot be read: an interim response has no more than that, and no final one that matters less (RFC 9110 15.2.1). */
#define LW_INTERIM_MAX 64

enum lw_says {
	LW_SAYS_UNKNOWN,
	LW_SAYS_INTERIM, /* a response of 1xx begins, after which another one comes; 101 is a last one */
	LW_SAYS_FINAL, /* another one begins */
	LW_SAYS_ELSE, /* none begins */
};

/* What is sent, by its first bytes. msg: a msghdr in the kernel's memory, its bytes in the application's; 0: not at hand. */
static __noinline int lw_says(__u64 msg)
{
	__u64 iter = msg + bpf_core_field_offset(struct msghdr, msg_iter), offset, at, left,
	      part[2] = {};
	static const char begins[] = "HTTP/1.";
	__u8 type = 0;
	char b[12] = {};
	__u32 i;

	if (!msg)
		return LW_SAYS_UNKNOWN;
	bpf_probe_read_kernel(&type, sizeof(type),
			      (void *)iter + bpf_core_field_offset(struct iov_iter, iter_type));
	offset = lw_pointer_at(iter + bpf_core_field_offset(struct iov_iter, iov_offset));
	if (type == bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		at = lw_pointer_at(iter + bpf_core_field_offset(struct iov_iter, ubuf));
		left = lw_pointer_at(iter + bpf_core_field_offset(struct iov_iter, count));
	} else if (type == bpf_core_enum_value(enum iter_type, ITER_IOVEC)) {
		at = bpf_core_field_exists(struct iov_iter, __iov) ?
			     bpf_core_field_offset(struct iov_iter, __iov) :
			     bpf_core_field_offset(struct iov_iter___old, iov);
		/* of struct iovec */
		bpf_probe_read_kernel(part, sizeof(part), (void *)lw_pointer_at(iter + at));
		at = part[0];
		left = part[1] - offset;
	} else {
		return LW_SAYS_UNKNOWN;
	}
	left = LW_AT_MOST(left, sizeof(b));
	if (!left || bpf_probe_read_user(b, left, (void *)at + offset))
		return LW_SAYS_UNKNOWN;
	for (i = 0; i < sizeof(begins) - 1; i++)
		if (i < left && b[i] != begins[i])
			return LW_SAYS_ELSE;
	if (left < sizeof(b))
		return LW_SAYS_UNKNOWN;
	return b[9] == '1' && (b[10] != '0' || b[11] != '1') ? LW_SAYS_INTERIM : LW_SAYS_FINAL;
}
