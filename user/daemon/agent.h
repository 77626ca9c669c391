/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The agent: state source, kernel side, upstream sockets and control socket on one event loop.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "daemon/source.h"

struct lw_agent_options {
	struct lw_source_options source;
	const char *socket;
	const char *cgroup; /* NULL: found */
	const char *bpffs; /* NULL: /sys/fs/bpf */
	const char *const *devices; /* NULL-terminated patterns; NULL: none */
	const char *node; /* NULL: the host's name */
	const char *tag_header, *lane_label, *lane_label_prefix; /* NULL: the default */
	bool baggage, enrol_ahead;
	const char *const *untrusted; /* NULL-terminated "NAMESPACE/LABEL=VALUE"; NULL: none */
	bool fail_closed, prefer_local, no_bypass, watch_syscalls;
	bool take_over; /* from an agent that is at work here */
	/* On SIGTERM what is pinned is left to the next agent: always, or if this DaemonSet is going to start one. */
	bool leave_hooks;
	char daemonset_ns[64], daemonset[254]; /* "": always */
	bool no_inbound, pod_evidence;
	uint64_t leaf_after; /* requests that a pod has answered and called nothing: it is left alone; 0: none is */
	const char *const *keep_out; /* NULL-terminated names of programs; NULL: none */
	unsigned int pool_max; /* 0: the default */
};

/*
 * Steers until SIGTERM or SIGINT, then takes everything away (leave_hooks: or not). SIGHUP puts the state in force anew. 0, or
 * -errno with one line logged; -EBUSY: another agent is at work; -EOPNOTSUPP: the system or the kernel cannot do it.
 */
int lw_agent_run(const struct lw_agent_options *options);

/* One agent at a time: on a socket path, on a bpffs, and on a cgroup. */
struct lw_agent_locks {
	int socket_fd, bpffs_fd, cgroup_fd;
	bool cgroup_busy; /* another has it */
};
#define LW_AGENT_LOCKS_INIT                                      \
	{                                                        \
		.socket_fd = -1, .bpffs_fd = -1, .cgroup_fd = -1 \
	}

/* Without the cgroup's: for what touches none. bpffs may be NULL. 0, -EBUSY while an agent runs, or -errno. */
int lw_agent_lock(const char *socket, const char *bpffs, struct lw_agent_locks *ret);
void lw_agent_unlock(struct lw_agent_locks *locks);
