/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where the agent's objects come from, a folder or an API server, on its event loop.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/finding.h"
#include "core/listing.h"
#include "core/model.h"
#include "daemon/findings.h"

struct ev_loop;
struct json_object;
struct lw_source;

struct lw_source_options {
	/* One of the three. */
	const char *state_dir;
	bool kube; /* of the pod the agent runs in */
	const char *kubeconfig;
	const char *context; /* of the kubeconfig; NULL: its current one */
	unsigned int silent_s; /* of an API server; 0: the default */
	const char *const *pods; /* of it, as lw_source_kube_options has them */
	bool events; /* to an API server */
	bool enrol_ahead; /* of it, as lw_source_kube_options has it */
	/* This one, as pods have it: whose pods are watched, and who writes Events. NULL: the host's name. */
	const char *node;
};

/*
 * model and loop must outlive it. changed is called from the loop when there may be something to take up: call
 * lw_source_refresh(). 0 or -errno, with one line logged.
 */
int lw_source_open(const struct lw_source_options *options, struct ev_loop *loop,
		   struct lw_model *model, lw_finding_cb finding, lw_finding_forget_cb forget,
		   void (*changed)(void *arg), void *arg, struct lw_source **ret);
/* Tells of the state in force, and of what is wrong, where that is asked for: as lw_announcer_update() does. */
void lw_source_tell(struct lw_source *source, const struct lw_listing *listing,
		    const struct lw_findings *from_source, const struct lw_findings *from_build);
/*
 * Whether another agent is going to follow on this node, as the API server knows of the DaemonSet: kube/successor.h. Once; not
 * of a folder. 0 or -errno.
 */
int lw_source_ask_successor(struct lw_source *source, const char *daemonset_ns,
			    const char *daemonset,
			    void (*done)(bool follows, const char *why, void *arg), void *arg);
/* Takes NULL; sets *source to NULL. */
void lw_source_close(struct lw_source **source);

/*
 * Takes up what has changed. 1 if the model has, 0 if not, -errno with a line logged: part of it may have been taken
 * up, try again later.
 */
int lw_source_refresh(struct lw_source *source);
/* False before the first complete list of an API server: the model is not to be steered by. */
bool lw_source_ready(const struct lw_source *source);
/* False while objects are in the model of which it is known that they may have gone, or changed: a file's, until it is sure, or has been written. */
bool lw_source_settled(const struct lw_source *source);
/* Errors in objects that hold now. */
size_t lw_source_errors(const struct lw_source *source);
/* The members of "source" in the answer to status. */
void lw_source_json(const struct lw_source *source, struct json_object *o);
