/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of source_kube.h share; included by these only. source_kube.c has the loop's turns, held.c the objects, plan.c
 * which watches there are to be, follow.c each watch and its request, discovery.c which version of the API there is.
 */
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytemap.h"
#include "core/k8s.h"
#include "kube/http.h"
#include "kube/source_kube.h"
#include "kube/stream.h"
#include "kube/watch.h"

#define LW_KUBE_GROUP "rollouts.kruise.io"
/* A list in one answer: the server reads its cache, and the agent parses as it comes. */
#define LW_KUBE_LIST_TOTAL_S 180
#define LW_KUBE_LIST_SILENT_S 30

/* An object that a watch holds, and perhaps others. */
struct lw_kube_held {
	struct lw_kube_held *next, *prev; /* Rollouts only */
	enum lw_k8s_kind kind;
	unsigned int refs;
	uint64_t version;
	const struct lw_kube_follow *from; /* whose watch brought it; NULL: one that is over */
	bool bad; /* its newest version, or a part of it */
	struct lw_k8s_object *waiting; /* a Rollout whose objects are not complete yet */
	bool loaded; /* a Rollout in release whose objects were complete */
	char *ns, *name; /* behind the struct */
};

/* What becomes of the objects of a watch. */
enum lw_kube_role { LW_KUBE_OBJECTS, LW_KUBE_WORKLOAD };

/* A watch, and the request it has under way. */
struct lw_kube_follow {
	struct lw_kube_follow *next;
	struct lw_source_kube *source;
	enum lw_kube_role role;
	enum lw_k8s_kind kind; /* LW_K8S__MAX: of a workload that the model does not keep */
	struct lw_watch *watch;
	struct lw_http_request *request;
	char *key; /* path, selectors */
	char *selector; /* LW_KUBE_WORKLOAD: of its pods; NULL: none, or not known */
	bool root, wanted;
	uint64_t unwanted_ns;
	bool was_synced;
	unsigned int lists; /* root: complete ones, when its last request ended */
};

struct lw_kube_discovery {
	struct lw_http_request *request;
	struct lw_stream *stream;
	long status;
	uint64_t due_ns; /* UINT64_MAX: being asked */
	bool v1beta1, v1alpha1;
	char message[256];
};

struct lw_source_kube {
	struct lw_source_kube_options o;
	struct lw_http *http;
	struct lw_kube_discovery discovery;
	const char *version; /* of the Rollouts; NULL: not known */
	bool has_shared; /* TrafficRoutings */
	struct lw_kube_follow *follows;
	struct lw_bytemap by_key; /* struct lw_kube_follow */
	struct lw_bytemap helds; /* by kind, namespace, name */
	struct lw_kube_held *rollouts;
	size_t bad, waiting;
	ev_timer due, soon;
	bool replan, changed, ready;
	bool leftovers; /* of a release that was rolled back: when they have gone there is less to watch */
	bool news; /* for state() */
	uint64_t away_ns, heard_ns;
	char error[512]; /* of the last request that failed */
};

/* What a watch is to be. */
struct lw_kube_aim {
	enum lw_kube_role role;
	enum lw_k8s_kind kind;
	const char *api_version, *kind_name;
	const char *path, *labels, *fields;
	bool root;
};

/* source_kube.c. The next turn of the loop, without and with a look at which watches there are to be; the timer of what is due next. */
void lw_kube_soon(struct lw_source_kube *source);
void lw_kube_replan(struct lw_source_kube *source);
void lw_kube_schedule(struct lw_source_kube *source);
/* The server has answered, and not with an error of its own. */
void lw_kube_note_contact(struct lw_source_kube *source);
/* For status; is_away: the server has not answered, or with an error of its own. */
void lw_kube_note_trouble(struct lw_source_kube *source, const char *text, bool is_away);

/* held.c. It is in release, and can steer requests at all. */
bool lw_kube_is_in_release(const struct lw_k8s_object *rollout);
/* It was rolled back, and the model has pods of the abandoned version. */
bool lw_kube_has_leftovers(const struct lw_source_kube *source,
			   const struct lw_k8s_object *rollout);
/* Takes the object into the model, and ownership of it. */
void lw_kube_upsert(struct lw_source_kube *source, struct lw_k8s_object *object);
/* The newest version that the server has told of; NULL: it was never well-formed. */
const struct lw_k8s_object *lw_kube_newest(const struct lw_source_kube *source,
					   const struct lw_kube_held *held);
/* What becomes of the objects of a watch. */
struct lw_watch_callbacks lw_kube_held_callbacks(struct lw_kube_follow *follow);
void lw_kube_free_helds(struct lw_source_kube *source);

/* follow.c. The watch for it, made if need be, and wanted from here on. NULL when out of memory. */
struct lw_kube_follow *lw_kube_want(struct lw_source_kube *source, const struct lw_kube_aim *aim);
/* Begins its next request. */
void lw_kube_begin(struct lw_kube_follow *follow);
/* Of those that nobody has wanted for LW_SOURCE_LINGER_S. */
void lw_kube_close_unwanted(struct lw_source_kube *source, uint64_t now);
void lw_kube_free_follows(struct lw_source_kube *source);

/* plan.c. Wants the watches that there are to be, and puts Rollouts in the model whose objects are complete. */
void lw_kube_plan(struct lw_source_kube *source);

/* discovery.c. Asks which versions of the API there are; an answer that is new leads to lw_kube_replan(). */
void lw_kube_discover(struct lw_source_kube *source);
/* Then at the latest. */
void lw_kube_discover_by(struct lw_source_kube *source, uint64_t due_ns);
