/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/successor.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kube/answer.h"
#include "kube/http.h"

/* The supervisor waits for this agent to end. */
#define TOTAL_S 3

/* The DaemonSet is asked for, and its namespace: where that is deleted, pods may go before the DaemonSet does. */
enum { DAEMONSET, NAMESPACE, ASKED };

struct question {
	struct lw_kube_successor *ask;
	struct lw_http_request *request;
	const char *resource, *group;
	char what[600]; /* "DaemonSet laneway/laneway" */
	struct lw_answer answer;
};

struct lw_kube_successor {
	struct lw_http *http;
	struct question questions[ASKED];
	unsigned int open;
	bool gone; /* one of them is */
	char why[1024];
	void (*done)(bool follows, const char *why, void *arg);
	void *arg;
};

static int on_head(long status, void *arg)
{
	((struct question *)arg)->answer.status = status;
	return 0;
}

static int on_data(const char *data, size_t len, void *arg)
{
	return lw_answer_add(&((struct question *)arg)->answer, data, len);
}

static bool is_being_deleted(const char *answer)
{
	struct json_object *o = answer ? json_tokener_parse(answer) : NULL, *meta, *since;
	bool deleted = json_object_object_get_ex(o, "metadata", &meta) &&
		       json_object_object_get_ex(meta, "deletionTimestamp", &since);

	(void)json_object_put(o);
	return deleted;
}

/* What the answer says against a successor in text; false: nothing, and text is what it says at all. */
static bool is_gone(const struct question *q, const char *trouble, char *text, size_t size)
{
	if (trouble) {
		(void)snprintf(text, size, "whether %s is there cannot be asked: %s", q->what,
			       trouble);
		return false;
	}
	if (q->answer.status == 200 && is_being_deleted(q->answer.text)) {
		(void)snprintf(text, size, "%s is being deleted", q->what);
		return true;
	}
	if (q->answer.status == 200) {
		(void)snprintf(text, size, "%s is there", q->what);
		return false;
	}
	if (q->answer.status == 404) {
		(void)snprintf(text, size, "%s is gone", q->what);
		return true;
	}
	/* of a role or account that goes with the DaemonSet, or was never given */
	if (q->answer.status == 401 || q->answer.status == 403) {
		(void)snprintf(
			text, size,
			"%s may not be read: grant the verb \"get\" on resource \"%s\" of API group \"%s\"",
			q->what, q->resource, q->group);
		return true;
	}
	(void)snprintf(text, size,
		       "whether %s is there cannot be asked: the API server answers %ld", q->what,
		       q->answer.status);
	return false;
}

static void on_done(const char *trouble, unsigned int retry_after_s, void *arg)
{
	struct question *q = arg;
	struct lw_kube_successor *ask = q->ask;
	char text[sizeof(ask->why)];
	bool gone = is_gone(q, trouble, text, sizeof(text));

	(void)retry_after_s;
	q->request = NULL;
	/* what is against it has the word, then what is said of the DaemonSet */
	if (q == &ask->questions[DAEMONSET] ? gone || !ask->gone : gone && !ask->gone)
		memcpy(ask->why, text, sizeof(text));
	ask->gone |= gone;
	if (--ask->open == 0)
		ask->done(!ask->gone, ask->why, ask->arg);
}

static const struct lw_http_callbacks callbacks = { on_head, on_data, on_done };

int lw_kube_successor_ask(struct ev_loop *loop, struct lw_kube_config *config, const char *ns,
			  const char *name, void (*done)(bool follows, const char *why, void *arg),
			  void *arg, struct lw_kube_successor **ret)
{
	_cleanup_(lw_kube_successor_free) struct lw_kube_successor *ask = calloc(1, sizeof(*ask));
	char target[1024];
	int r;

	if (!ask)
		return -ENOMEM;
	ask->done = done;
	ask->arg = arg;
	r = lw_http_new(loop, config, &ask->http);
	for (int i = 0; r == 0 && i < ASKED; i++) {
		struct question *q = &ask->questions[i];

		q->ask = ask;
		q->resource = i == DAEMONSET ? "daemonsets" : "namespaces";
		q->group = i == DAEMONSET ? "apps" : "";
		if (i == DAEMONSET) {
			(void)snprintf(q->what, sizeof(q->what), "DaemonSet %s/%s", ns, name);
			(void)snprintf(target, sizeof(target),
				       "/apis/apps/v1/namespaces/%s/daemonsets/%s", ns, name);
		} else {
			(void)snprintf(q->what, sizeof(q->what), "namespace %s", ns);
			(void)snprintf(target, sizeof(target), "/api/v1/namespaces/%s", ns);
		}
		r = lw_http_get(ask->http, target, TOTAL_S, TOTAL_S, TOTAL_S, &callbacks, q,
				&q->request);
		ask->open += r == 0;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(ask);
	return 0;
}

void lw_kube_successor_free(struct lw_kube_successor **ask_ptr)
{
	struct lw_kube_successor *ask = *ask_ptr;

	*ask_ptr = NULL;
	if (!ask)
		return;
	for (int i = 0; i < ASKED; i++) {
		lw_http_cancel(&ask->questions[i].request);
		lw_answer_free(&ask->questions[i].answer);
	}
	lw_http_free(&ask->http);
	free(ask);
}
