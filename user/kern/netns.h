/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Network namespaces by the cookie the kernel knows them by. Descriptors are kept a few seconds at most:
 * an open one keeps the namespace of a deleted pod alive.
 */
#include <stdint.h>
#include <sys/types.h>

struct lw_netns;

/* 0 or -errno. */
int lw_netns_new(struct lw_netns **ret);
void lw_netns_free(struct lw_netns **ns);

/*
 * A socket(2) in the namespace; pid is a process likely to be in it. Close-on-exec and non-blocking.
 * The descriptor, -ENOENT when no such namespace is found or was since the last sweep, or -errno.
 */
int lw_netns_socket(struct lw_netns *ns, uint64_t cookie, pid_t pid, int family, int type,
		    int protocol);

/*
 * Calls cb with such a socket in every network namespace of the machine that a process is in or that has a name, but the
 * agent's own, until it returns other than 0. 0, that, or -errno, such as -EMFILE. One that ends meanwhile is passed over.
 */
int lw_netns_each(struct lw_netns *ns, int family, int type, int protocol,
		  int (*cb)(int sock, void *arg), void *arg);

/* Closes the descriptors not used since the last two calls, and forgets which there were none of. */
void lw_netns_sweep(struct lw_netns *ns);
