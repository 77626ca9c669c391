/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How one agent takes over from another on the same node: it finds the other by what that has pinned, asks it over its control
 * socket, and each watches the other's process from then on (process_watch.h). The request is {"cmd": "take-over", "pid": P, "shared": BOOL}.
 */
#include <stdbool.h>
#include <sys/types.h>

/*
 * Asks whoever pins below bpffs to end. shared: we go on with its maps. 0: it has agreed, and steers nothing that is new; *ret_pid, and *ret_error stays.
 * -EAGAIN: nobody answers (any more). -EBUSY: it will not, and says why.
 */
int lw_handover_ask(const char *bpffs, bool shared, pid_t *ret_pid, char ret_error[256]);
/* Is it such a request? */
bool lw_handover_is_request(const char *request, pid_t *ret_pid, bool *ret_shared);
/* The answer to one, to be freed: error NULL: yes. NULL: out of memory. */
char *lw_handover_reply(const char *error);

/* Starts this program anew in this process, with the arguments it was started with. Returns only on failure: -errno. */
int lw_handover_restart(void);
