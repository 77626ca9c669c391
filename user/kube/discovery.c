/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/source_kube_internal.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define RETRY_MS 15000
/* Kruise Rollouts may be put up to date, and with it the versions that there are: v1alpha1 has no paths and parameters. */
#define AGAIN_S 600

static int on_document(const char *type, struct json_object *document, void *arg)
{
	struct lw_kube_discovery *discovery = arg;
	struct json_object *versions = NULL, *value = NULL;

	(void)type;
	if (json_object_object_get_ex(document, "message", &value))
		(void)lw_str_copy(discovery->message, sizeof(discovery->message),
				  json_object_get_string(value));
	if (!json_object_object_get_ex(document, "versions", &versions) ||
	    !json_object_is_type(versions, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(versions); i++) {
		struct json_object *item = json_object_array_get_idx(versions, i);
		const char *name;

		if (!json_object_is_type(item, json_type_object) ||
		    !json_object_object_get_ex(item, "version", &value))
			continue;
		name = json_object_get_string(value);
		discovery->v1beta1 |= name && strcmp(name, "v1beta1") == 0;
		discovery->v1alpha1 |= name && strcmp(name, "v1alpha1") == 0;
	}
	return 0;
}

static int on_discovery_head(long status, void *arg)
{
	struct lw_source_kube *source = arg;

	if (status < 500)
		lw_kube_note_contact(source);
	source->discovery.status = status;
	return lw_stream_new(LW_STREAM_DOCUMENT, on_document, &source->discovery,
			     &source->discovery.stream);
}

static int on_discovery_data(const char *data, size_t len, void *arg)
{
	struct lw_source_kube *source = arg;

	return source->discovery.stream ? lw_stream_feed(source->discovery.stream, data, len) :
					  -EBADMSG;
}

static void on_discovery_done(const char *trouble, unsigned int retry_after_s, void *arg)
{
	struct lw_source_kube *source = arg;
	struct lw_kube_discovery *discovery = &source->discovery;
	char text[400];

	discovery->request = NULL;
	discovery->due_ns = UINT64_MAX;
	lw_stream_free(&discovery->stream);
	if (!trouble && discovery->status == 200 && (discovery->v1beta1 || discovery->v1alpha1)) {
		const char *version = discovery->v1beta1 ? "v1beta1" : "v1alpha1";

		discovery->due_ns = lw_clock_ns() + AGAIN_S * LW_NS_PER_SEC;
		if (source->version && strcmp(source->version, version) == 0 &&
		    source->has_shared == discovery->v1alpha1) {
			lw_kube_schedule(source);
			return;
		}
		if (source->version)
			lw_info("API group " LW_KUBE_GROUP
				": the versions have changed, Rollouts are read as %s",
				version);
		source->error[0] = '\0';
		source->version = version;
		source->has_shared = discovery->v1alpha1;
		lw_kube_replan(source);
		return;
	}
	if (trouble)
		(void)snprintf(text, sizeof(text), "ask for API group " LW_KUBE_GROUP ": %s",
			       trouble);
	else if (discovery->status == 404)
		(void)snprintf(text, sizeof(text),
			       "the API server has no API group " LW_KUBE_GROUP
			       ": are the CRDs of Kruise Rollouts installed?");
	else if (discovery->status == 200)
		(void)snprintf(text, sizeof(text),
			       "API group " LW_KUBE_GROUP " has neither v1beta1 nor v1alpha1");
	else
		(void)snprintf(text, sizeof(text),
			       "ask for API group " LW_KUBE_GROUP
			       ": the API server answers %ld: %s",
			       discovery->status,
			       discovery->message[0] ? discovery->message : "no reason given");
	lw_kube_note_trouble(source, text, trouble || discovery->status >= 500);
	discovery->due_ns = lw_clock_ns() + retry_after_s * LW_NS_PER_SEC +
			    (200 + lw_clock_ns() % (trouble ? 2000 : RETRY_MS)) * LW_NS_PER_MS;
	lw_kube_schedule(source);
}

void lw_kube_discover_by(struct lw_source_kube *source, uint64_t due_ns)
{
	if (!source->discovery.request && due_ns < source->discovery.due_ns)
		source->discovery.due_ns = due_ns;
}

void lw_kube_discover(struct lw_source_kube *source)
{
	static const struct lw_http_callbacks callbacks = { on_discovery_head, on_discovery_data,
							    on_discovery_done };
	struct lw_kube_discovery *discovery = &source->discovery;

	*discovery = (struct lw_kube_discovery){ .due_ns = UINT64_MAX };
	if (lw_http_get(source->http, "/apis/" LW_KUBE_GROUP, LW_KUBE_LIST_SILENT_S,
			LW_HTTP_ANSWER_S, LW_KUBE_LIST_SILENT_S, &callbacks, source,
			&discovery->request) < 0)
		discovery->due_ns = lw_clock_ns() + LW_NS_PER_SEC;
}
