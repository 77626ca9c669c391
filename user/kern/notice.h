/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Notices clients that the kernel at hand would hurt, by what they do: bpf/hook_notice.h. */
#include <stdbool.h>
#include <stdint.h>

struct lw_kern;
struct lw_notice;

/*
 * what: enum lw_keep, of FIONREAD and SPLICE. syscalls: a hook that makes every system call of the machine slower may be
 * used where there is no other. kern NULL: for trying whether it can be done. What is noticed from here on; *ret is for
 * lw_notice_stop(), NULL where it is nothing.
 */
uint32_t lw_notice_start(struct lw_kern *kern, uint32_t what, bool syscalls,
			 struct lw_notice **ret);
/* Takes NULL; sets *notice to NULL. */
void lw_notice_stop(struct lw_notice **notice);
