/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the programs have learned of requests that arrived at pods (bpf/lib/evidence.h), for whoever asks. */
#include <stdbool.h>
#include <stdint.h>

#include "laneway/abi.h"

struct lw_kern;

/*
 * *ret_inbound: requests that arrive are read; *ret_reads: who reads and answers them is known; *ret_pods: --pod-evidence; how many are
 * not counted.
 */
void lw_learned_state(const struct lw_kern *kern, bool *ret_inbound, bool *ret_reads,
		      bool *ret_pods, uint64_t *ret_uncounted);
/* Of which lane the requests were that arrived with a trace id. 0, -ENOENT, or another -errno. */
int lw_learned_trace(const struct lw_kern *kern, const struct lw_trace_key *key,
		     struct lw_trace *ret);
/* Every process that is at work on a request; where some end meanwhile, one may be told twice. */
void lw_learned_each_process(const struct lw_kern *kern,
			     void (*cb)(const struct lw_task_key *key, const struct lw_task *task,
					void *arg),
			     void *arg);
