/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What agent.c, agent_state.c, place.c and agent_lock.c know of each other. */
#include <ev.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/agent.h"
#include "daemon/findings.h"
#include "daemon/seen.h"

#define LW_AGENT_RETRY_S 1.
/* Between looks at the node, and before the first: pods that come with it have their devices by then. */
#define LW_AGENT_LOOKOUT_S 60.
/* Between looks whether the other agent's place is free. */
#define LW_AGENT_PLACE_S .05

struct agent {
	const struct lw_agent_options *options;
	struct ev_loop *loop;
	struct lw_agent_locks locks;
	char socket[PATH_MAX]; /* absolute */
	bool mounted; /* lw_kern_prepare() mounted the bpffs: lw_kern_close() unmounts it */
	ev_signal sigterm, sigint, sighup;
	ev_timer retry; /* of what failed */
	ev_timer lookout;
	bool anew; /* the next state is put in force also if it is the one that is */
	/* Taking over, and being taken over from: docs/adr/0014. */
	ev_timer place; /* until it is ours */
	uint64_t alone_since_ns; /* nobody has answered from there; 0: somebody does */
	pid_t other; /* whom we have taken over from; 0: nobody, or it has ended */
	pid_t successor; /* who has taken over from us; 0: nobody */
	bool shared; /* and goes on with our maps */
	struct lw_process_watch *watch; /* on one of these */
	bool begun;
	bool leave; /* what is pinned, to the next agent */
	bool stopping; /* a signal has come */
	bool asking; /* whether one follows, before it ends */
	bool ending; /* what is under way is let finish, and nothing else is put in force */
	int failed; /* what the loop was left for; 0: a signal */

	struct lw_model *model;
	struct lw_source *source;
	struct lw_state_builder *builder;
	struct lw_findings source_findings, build_findings;
	struct lw_findings node_findings; /* of the last look (lookout.h) */
	struct lw_findings
		forgotten; /* source's, since the last refresh: one that is found again is not news */
	uint64_t started_ns;
	bool pending; /* the model is ahead of what is in force */

	struct lw_kern *kern;
	struct lw_upstreams *upstreams;
	struct lw_devices *devices;
	struct lw_host_pods *host_pods;
	struct lw_leaves *leaves;
	char node[256]; /* the name of this node, as pods have it */
	struct lw_hops *hops;
	struct lw_tracers *tracers;
	struct lw_control *control;
	/* In force. */
	struct lw_image *image;
	struct lw_listing *listing;
	struct lw_seen seen;
};

/* agent.c: takes up what has changed in the source. */
void lw_agent_refresh(struct agent *agent);
/* The place is ours, and the first state known: from here on we steer. 0, or -errno with one line logged. */
int lw_agent_begin(struct agent *agent);
/* Listens, if the socket's path is ours. 0, or -errno with one line logged. */
int lw_agent_listen(struct agent *agent);

/* agent_state.c: builds from the model and puts it in force. What is in force stays when that fails, and it is tried again. */
int lw_agent_publish(struct agent *agent);
void lw_agent_retry_later(struct agent *agent);
/* For a source: arg is the agent. */
void lw_agent_on_finding(const struct lw_finding *finding, void *arg);
void lw_agent_on_forget(const char *prefix, void *arg);

/* place.c: whose it is to steer on this node; docs/adr/0014. */
bool lw_place_is_ours(const struct agent *agent);
/* As soon as both the place and the first state are there: begins. A failure ends the loop. */
void lw_place_begin_or_end(struct agent *agent);
/* For a timer whose data is the agent. */
void lw_place_on_timer(struct ev_loop *loop, ev_timer *w, int revents);
/* Another agent asks to take over. From the answer on it may take what is ours. For free(). */
char *lw_place_give_way(struct agent *agent, pid_t pid, bool shared);
/* Why this agent does not steer, where it is for another one; NULL. */
const char *lw_place_why_not(const struct agent *agent);

/* agent_lock.c: those that are not ours yet. 0, -EBUSY if one is not to be had (the others may be), or -errno. */
int lw_agent_lock_more(const char *socket, const char *bpffs, const char *cgroup,
		       struct lw_agent_locks *locks);
/* That of a bpffs. 0 with -1 in *ret_fd where none is mounted: there is nobody's pin to protect. */
int lw_agent_lock_bpffs(const char *bpffs, int *ret_fd);
const char *lw_agent_bpffs(const char *bpffs);
