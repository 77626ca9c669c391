/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells of the state in force by Kubernetes Events: what is to be told (daemon/reports.h) goes to the API server
 * (kube/events.h). What fails is said once in the log, and hinders nothing.
 */
#include "core/listing.h"
#include "daemon/findings.h"

struct ev_loop;
struct lw_kube_config;
struct lw_announcer;

/* node: this one. config and loop must outlive it. 0 or -errno. */
int lw_announcer_new(struct ev_loop *loop, struct lw_kube_config *config, const char *node,
		     struct lw_announcer **ret);
/* Takes NULL; sets *announcer to NULL. */
void lw_announcer_free(struct lw_announcer **announcer);
/*
 * version: of the Rollouts, "v1beta1". Of an object with many findings there is news for each of them, and all Rollouts are looked
 * through: so it is taken up once, at the end of the loop's turn. What is pointed to must live until the next call, or the end.
 */
void lw_announcer_update(struct lw_announcer *announcer, const char *version,
			 const struct lw_listing *listing, const struct lw_findings *source,
			 const struct lw_findings *build);
