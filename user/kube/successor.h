/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whether another agent will follow on this node: whether the DaemonSet that started this one, and its namespace, are
 * there and not on their way out.
 */
#include <stdbool.h>

struct ev_loop;
struct lw_kube_config;
struct lw_kube_successor;

/*
 * ns, name: the DaemonSet; must outlive it, as loop and config must. done is called once, from the event loop, within
 * seconds; why: in words, valid in the call. An API server that cannot be asked says nothing against it. 0 or -errno.
 */
int lw_kube_successor_ask(struct ev_loop *loop, struct lw_kube_config *config, const char *ns,
			  const char *name, void (*done)(bool follows, const char *why, void *arg),
			  void *arg, struct lw_kube_successor **ret);
/* What is under way ends without a word. Takes NULL; sets *ask to NULL. Not from within done(). */
void lw_kube_successor_free(struct lw_kube_successor **ask);
