/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/objects.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "conf/fields.h"
#include "conf/yaml_tree.h"

#define ROLLOUTS_GROUP "rollouts.kruise.io"
#define ITEMS_MAX 4096 /* of lists that nobody bounds: containers, ports, addresses */

/* Where the group ends: "apps" of "apps/v1", "" of "v1". */
static size_t group_len(const char *api_version)
{
	const char *slash = strchr(api_version, '/');

	return slash ? (size_t)(slash - api_version) : 0;
}

static const char *group_of(struct lw_fields *fields, const char *api_version)
{
	const char *group = lw_arena_strndup(fields->arena, api_version, group_len(api_version));

	if (!group)
		fields->failed = fields->no_memory = true;
	return group ? group : "";
}

/* ---- metadata ---- */

static void read_owner(struct lw_fields *fields, struct json_object *meta,
		       struct lw_k8s_owner *owner)
{
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	size_t n;

	array = lw_fields_array(fields, meta, "ownerReferences", ITEMS_MAX, &n);
	outer = lw_fields_enter(fields, array, "ownerReferences");
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		inner = lw_fields_enter_index(fields, item, i);
		if (lw_fields_bool(fields, item, "controller")) {
			owner->group = group_of(fields,
						lw_fields_string(fields, item, "apiVersion", true));
			owner->kind = lw_fields_string(fields, item, "kind", true);
			owner->name = lw_fields_string(fields, item, "name", true);
			owner->uid = lw_fields_string(fields, item, "uid", false);
		}
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void read_meta(struct lw_fields *fields, struct json_object *root, struct lw_k8s_meta *meta)
{
	struct json_object *map = lw_fields_map(fields, root, "metadata", true);
	struct lw_fields_mark mark = lw_fields_enter(fields, map, "metadata");
	const char *ns;

	meta->name = lw_fields_string(fields, map, "name", true);
	ns = lw_fields_string(fields, map, "namespace", false);
	if (ns[0])
		meta->ns = ns;
	meta->uid = lw_fields_string(fields, map, "uid", false);
	meta->generation = lw_fields_int(fields, map, "generation", 0, INT64_MAX, 0);
	meta->deleting = lw_fields_string(fields, map, "deletionTimestamp", false)[0];
	meta->labels = lw_fields_pairs(fields, map, "labels", NULL);
	meta->annotations = lw_fields_pairs(fields, map, "annotations", ROLLOUTS_GROUP "/");
	meta->finalizers =
		lw_fields_strings(fields, map, "finalizers", ITEMS_MAX, &meta->nfinalizers);
	if (meta->nfinalizers > 1)
		qsort((void *)meta->finalizers, meta->nfinalizers, sizeof(meta->finalizers[0]),
		      compare_strings);
	read_owner(fields, map, &meta->owner);
	lw_fields_leave(fields, mark);
}

/* ---- Pod ---- */

static bool has_address(const struct lw_addr *ips, size_t n, const struct lw_addr *addr)
{
	for (size_t i = 0; i < n; i++) {
		if (memcmp(&ips[i], addr, sizeof(*addr)) == 0)
			return true;
	}
	return false;
}

/* Adds the address in member key, or value itself if key is NULL; "" and "None" are none. */
static void add_address(struct lw_fields *fields, struct json_object *value, const char *key,
			struct lw_addr *ips, size_t *nips)
{
	struct json_object *field = key ? lw_fields_get(value, key) : value;
	struct lw_fields_mark mark = { strlen(fields->path), fields->line };
	struct lw_addr addr;
	const char *s;

	if (!field)
		return;
	if (key)
		mark = lw_fields_enter(fields, field, key);
	s = json_object_is_type(field, json_type_string) ? json_object_get_string(field) : NULL;
	if (!s || (s[0] && strcmp(s, "None") != 0 && lw_addr_parse(s, &addr) < 0))
		lw_fields_fail(fields, field, "an IP address");
	else if (s[0] && strcmp(s, "None") != 0 && !has_address(ips, *nips, &addr))
		ips[(*nips)++] = addr;
	lw_fields_leave(fields, mark);
}

static void read_addresses(struct lw_fields *fields, struct json_object *parent, const char *list,
			   const char *list_key, const char *single, struct lw_addr **ret,
			   size_t *ret_n)
{
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	struct lw_addr *ips;
	size_t n;

	array = lw_fields_array(fields, parent, list, 64, &n);
	ips = lw_fields_new(fields, struct lw_addr, n + 1);
	if (!ips)
		return;
	*ret = ips;
	outer = lw_fields_enter(fields, array, list);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		inner = lw_fields_enter_index(fields, item, i);
		add_address(fields, item, list_key, ips, ret_n);
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	if (n == 0)
		add_address(fields, parent, single, ips, ret_n);
}

/* What has no name is told by its number, which needs no port that is known. */
static void leave_out(struct lw_fields *fields, const struct lw_k8s_container_port *port,
		      bool *left_out)
{
	char text[200];

	if (!port->name[0] || fields->failed)
		return;
	*left_out = true;
	(void)snprintf(
		text, sizeof(text),
		"a pod has %d TCP ports at most: names from here on are none, and no targetPort of a Service finds them; "
		"give the Service their numbers",
		LW_K8S_PORTS_MAX);
	lw_fields_flaw(fields, text);
}

/* Those of a pod that have a name, and those that have none, which are no more than shown: each is kept so many of. */
struct ports {
	struct lw_k8s_container_port *ports;
	size_t n;
	size_t kept[2]; /* with a name, without */
	bool left_out;
};

static void read_container_ports(struct lw_fields *fields, struct json_object *container,
				 struct ports *ports)
{
	static const char *const protocols[] = { "TCP", "UDP", "SCTP", NULL };
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	size_t n;

	array = lw_fields_array(fields, container, "ports", ITEMS_MAX, &n);
	outer = lw_fields_enter(fields, array, "ports");
	for (size_t i = 0; i < n && !ports->left_out; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		struct lw_k8s_container_port port;

		inner = lw_fields_enter_index(fields, item, i);
		port.name = lw_fields_string(fields, item, "name", false);
		port.number = (uint16_t)lw_fields_int(fields, item, "containerPort", 1, 65535, 0);
		if (port.number == 0 && !lw_fields_get(item, "containerPort"))
			lw_fields_complain(fields, "expected containerPort, got nothing");
		if (lw_fields_enum(fields, item, "protocol", protocols, 0) == 0) {
			if (ports->kept[!port.name[0]]++ < LW_K8S_PORTS_MAX)
				ports->ports[ports->n++] = port;
			else
				leave_out(fields, &port, &ports->left_out);
		}
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
}

static int compare_ports(const void *a, const void *b)
{
	const struct lw_k8s_container_port *x = *(const struct lw_k8s_container_port *const *)a;
	const struct lw_k8s_container_port *y = *(const struct lw_k8s_container_port *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x > y) - (x < y);
}

static void sort_names(struct lw_fields *fields, struct lw_k8s_pod *pod)
{
	size_t n = 0;

	for (size_t i = 0; i < pod->nports; i++)
		n += pod->ports[i].name[0] != '\0';
	pod->named = lw_fields_new(fields, const struct lw_k8s_container_port *, n);
	if (!pod->named || n == 0)
		return;
	n = 0;
	for (size_t i = 0; i < pod->nports; i++)
		if (pod->ports[i].name[0])
			pod->named[n++] = &pod->ports[i];
	qsort(pod->named, n, sizeof(pod->named[0]), compare_ports);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(pod->named[i]->name, pod->named[i - 1]->name) != 0)
			pod->named[pod->nnamed++] = pod->named[i];
}

/* How many ports the containers name. */
static size_t count_ports(struct json_object *containers, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *ports =
			lw_fields_get(json_object_array_get_idx(containers, i), "ports");

		if (json_object_is_type(ports, json_type_array))
			count += json_object_array_length(ports);
	}
	return count;
}

static void read_containers(struct lw_fields *fields, struct json_object *spec,
			    struct lw_k8s_pod *pod)
{
	/* An init container that is restarted always is a sidecar, and serves. */
	static const char *const lists[] = { "containers", "initContainers" };
	struct lw_fields_mark outer, inner;
	struct ports ports = { 0 };
	size_t n[2], room = 0;

	for (size_t l = 0; l < 2; l++) {
		struct json_object *array =
			lw_fields_array(fields, spec, lists[l], ITEMS_MAX, &n[l]);

		room += count_ports(array, n[l]);
	}
	if (room > 2 * (size_t)LW_K8S_PORTS_MAX)
		room = 2 * (size_t)LW_K8S_PORTS_MAX;
	ports.ports = lw_fields_new(fields, struct lw_k8s_container_port, room);
	pod->ports = ports.ports;
	for (size_t l = 0; l < 2 && ports.ports; l++) {
		struct json_object *array = lw_fields_get(spec, lists[l]);

		outer = lw_fields_enter(fields, array, lists[l]);
		for (size_t i = 0; i < n[l]; i++) {
			struct json_object *item = json_object_array_get_idx(array, i);

			inner = lw_fields_enter_index(fields, item, i);
			if (l == 0 || strcmp(lw_fields_string(fields, item, "restartPolicy", false),
					     "Always") == 0)
				read_container_ports(fields, item, &ports);
			lw_fields_leave(fields, inner);
		}
		lw_fields_leave(fields, outer);
	}
	pod->nports = ports.n;
	if (ports.ports)
		sort_names(fields, pod);
}

/* status.conditions: is the one of the type True? */
static bool condition(struct lw_fields *fields, struct json_object *status, const char *type)
{
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	bool is_true = false;
	size_t n;

	array = lw_fields_array(fields, status, "conditions", ITEMS_MAX, &n);
	outer = lw_fields_enter(fields, array, "conditions");
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		inner = lw_fields_enter_index(fields, item, i);
		if (strcmp(lw_fields_string(fields, item, "type", true), type) == 0)
			is_true =
				strcmp(lw_fields_string(fields, item, "status", true), "True") == 0;
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	return is_true;
}

static const char *annotation(struct lw_fields *fields, struct json_object *meta, const char *key)
{
	struct json_object *map = lw_fields_map(fields, meta, "annotations", false);
	struct lw_fields_mark mark = lw_fields_enter(fields, map, "annotations");
	const char *value = lw_fields_string(fields, map, key, false);

	lw_fields_leave(fields, mark);
	return value;
}

static void read_pod(struct lw_fields *fields, struct json_object *root, struct lw_k8s_pod *pod)
{
	struct json_object *spec = lw_fields_map(fields, root, "spec", false);
	struct json_object *status = lw_fields_map(fields, root, "status", false), *meta;
	struct lw_fields_mark mark = lw_fields_enter(fields, spec, "spec");

	pod->node = lw_fields_string(fields, spec, "nodeName", false);
	pod->host_network = lw_fields_bool(fields, spec, "hostNetwork");
	read_containers(fields, spec, pod);
	lw_fields_leave(fields, mark);

	meta = lw_fields_map(fields, root, "metadata", false);
	mark = lw_fields_enter(fields, meta, "metadata");
	pod->keep_out = annotation(fields, meta, "laneway.io/keep-out");
	lw_fields_leave(fields, mark);

	mark = lw_fields_enter(fields, status, "status");
	pod->phase = lw_fields_string(fields, status, "phase", false);
	pod->ready = condition(fields, status, "Ready");
	read_addresses(fields, status, "podIPs", "ip", "podIP", &pod->ips, &pod->nips);
	lw_fields_leave(fields, mark);
}

/* ---- Service ---- */

static void read_target(struct lw_fields *fields, struct json_object *item,
			struct lw_k8s_service_port *port)
{
	struct json_object *target = lw_fields_get(item, "targetPort");

	port->target_name = "";
	if (json_object_is_type(target, json_type_string)) {
		port->target_name = lw_fields_string(fields, item, "targetPort", false);
		if (port->target_name[0])
			return;
	}
	if (!target || json_object_is_type(target, json_type_string))
		port->target = port->port;
	else
		/* 0 is what Go leaves of an absent one. */
		port->target = (uint16_t)lw_fields_int(fields, item, "targetPort", 0, 65535, 0);
	if (port->target == 0)
		port->target = port->port;
}

static void read_service_ports(struct lw_fields *fields, struct json_object *spec,
			       struct lw_k8s_service *service)
{
	static const char *const protocols[] = { "TCP", "UDP", "SCTP", NULL };
	struct lw_k8s_service_port *ports;
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	bool left_out = false;
	char text[200];
	size_t n;

	array = lw_fields_array(fields, spec, "ports", ITEMS_MAX, &n);
	ports = lw_fields_new(fields, struct lw_k8s_service_port,
			      n < LW_K8S_PORTS_MAX ? n : LW_K8S_PORTS_MAX);
	service->ports = ports;
	outer = lw_fields_enter(fields, array, "ports");
	for (size_t i = 0; ports && i < n && !left_out; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		struct lw_k8s_service_port port = {};

		inner = lw_fields_enter_index(fields, item, i);
		port.name = lw_fields_string(fields, item, "name", false);
		port.port = (uint16_t)lw_fields_int(fields, item, "port", 1, 65535, 0);
		if (port.port == 0 && !lw_fields_get(item, "port"))
			lw_fields_complain(fields, "expected port, got nothing");
		read_target(fields, item, &port);
		if (lw_fields_enum(fields, item, "protocol", protocols, 0) == 0) {
			left_out = service->nports == LW_K8S_PORTS_MAX;
			if (!left_out)
				ports[service->nports++] = port;
		}
		if (left_out && !fields->failed) {
			(void)snprintf(
				text, sizeof(text),
				"a Service has %d TCP ports at most: those from here on are left to kube-proxy, which knows no lanes; "
				"make another Service of them",
				LW_K8S_PORTS_MAX);
			lw_fields_flaw(fields, text);
		}
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
}

static void read_service(struct lw_fields *fields, struct json_object *root,
			 struct lw_k8s_service *service)
{
	struct json_object *spec = lw_fields_map(fields, root, "spec", true);
	struct lw_fields_mark mark = lw_fields_enter(fields, spec, "spec");

	service->external =
		strcmp(lw_fields_string(fields, spec, "type", false), "ExternalName") == 0;
	service->sticky =
		strcmp(lw_fields_string(fields, spec, "sessionAffinity", false), "ClientIP") == 0;
	service->selector = lw_fields_pairs(fields, spec, "selector", NULL);
	read_addresses(fields, spec, "clusterIPs", NULL, "clusterIP", &service->ips,
		       &service->nips);
	read_service_ports(fields, spec, service);
	lw_fields_leave(fields, mark);
}

/* ---- Deployment, ReplicaSet ---- */

static void read_selector(struct lw_fields *fields, struct json_object *spec,
			  struct lw_k8s_selector *selector)
{
	static const char *const ops[] = { "In", "NotIn", "Exists", "DoesNotExist", NULL };
	struct json_object *map = lw_fields_map(fields, spec, "selector", false), *array;
	struct lw_fields_mark outermost = lw_fields_enter(fields, map, "selector"), outer, inner;
	struct lw_k8s_pairs labels = lw_fields_pairs(fields, map, "matchLabels", NULL);
	struct lw_k8s_selector_term *terms;
	const char **values;
	size_t n;

	array = lw_fields_array(fields, map, "matchExpressions", ITEMS_MAX, &n);
	terms = lw_fields_new(fields, struct lw_k8s_selector_term, labels.n + n);
	values = lw_fields_new(fields, const char *, labels.n);
	selector->terms = terms;
	for (size_t i = 0; terms && values && i < labels.n; i++) {
		values[i] = labels.items[i].value;
		terms[selector->n++] = (struct lw_k8s_selector_term){ labels.items[i].key,
								      LW_K8S_IN, &values[i], 1 };
	}
	outer = lw_fields_enter(fields, array, "matchExpressions");
	for (size_t i = 0; terms && i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		struct lw_k8s_selector_term *term = &terms[selector->n++];

		inner = lw_fields_enter_index(fields, item, i);
		term->key = lw_fields_string(fields, item, "key", true);
		term->op =
			(enum lw_k8s_selector_op)lw_fields_enum(fields, item, "operator", ops, 4);
		if ((int)term->op == 4)
			lw_fields_complain(fields, "expected operator, got nothing");
		term->values = lw_fields_strings(fields, item, "values", ITEMS_MAX, &term->nvalues);
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	lw_fields_leave(fields, outermost);
}

static void read_workload(struct lw_fields *fields, struct json_object *root,
			  struct lw_k8s_workload *workload)
{
	struct json_object *spec = lw_fields_map(fields, root, "spec", true);
	struct lw_fields_mark mark = lw_fields_enter(fields, spec, "spec");

	workload->replicas = (int32_t)lw_fields_int(fields, spec, "replicas", 0, INT32_MAX, 1);
	read_selector(fields, spec, &workload->selector);
	lw_fields_leave(fields, mark);
}

/* ---- documents ---- */

static const struct {
	const char *group;
	const char *kind;
	const char *versions[3];
	enum lw_k8s_kind is;
} kinds[] = {
	{ ROLLOUTS_GROUP, "Rollout", { "v1beta1", "v1alpha1", NULL }, LW_K8S_ROLLOUT },
	{ ROLLOUTS_GROUP, "TrafficRouting", { "v1alpha1", NULL }, LW_K8S_TRAFFIC_ROUTING },
	{ "", "Pod", { "v1", NULL }, LW_K8S_POD },
	{ "", "Service", { "v1", NULL }, LW_K8S_SERVICE },
	{ "apps", "Deployment", { "v1", NULL }, LW_K8S_DEPLOYMENT },
	{ "apps", "ReplicaSet", { "v1", NULL }, LW_K8S_REPLICA_SET },
};

struct document {
	const struct lw_objects_reader *reader;
	unsigned int line;
};

static void report(const struct document *document, unsigned int line, const char *what,
		   const char *text)
{
	const struct lw_objects_reader *reader = document->reader;

	if (reader->document == 0) {
		lw_finding_emit(reader->finding, reader->arg, LW_FINDING_ERROR, "%s: %s%s%s",
				reader->file, what, what[0] ? ": " : "", text);
		return;
	}
	lw_finding_emit(reader->finding, reader->arg, LW_FINDING_ERROR,
			"%s:%u: document %zu: %s%s%s", reader->file, line ? line : document->line,
			reader->document, what, what[0] ? ": " : "", text);
}

static void report_flaws(const struct document *document, const char *what,
			 const struct lw_fields *fields)
{
	char more[64];

	for (const struct lw_fields_flaw *flaw = fields->flaws; flaw; flaw = flaw->next)
		report(document, flaw->line, what, flaw->text);
	if (fields->nflaws <= LW_FINDINGS_EACH)
		return;
	(void)snprintf(more, sizeof(more), "and %zu more", fields->nflaws - LW_FINDINGS_EACH);
	report(document, 0, what, more);
}

static void say_bad(const struct document *document, enum lw_k8s_kind kind, const char *ns,
		    const char *name)
{
	if (document->reader->bad)
		document->reader->bad(kind, ns, name, document->reader->arg);
}

/* Index in kinds[] of the group and kind, or -1. */
static int find_kind(const char *api_version, const char *kind)
{
	size_t len = group_len(api_version);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].kind, kind) == 0 && strlen(kinds[i].group) == len &&
		    strncmp(kinds[i].group, api_version, len) == 0)
			return (int)i;
	}
	return -1;
}

static void check_version(struct lw_fields *fields, struct json_object *root, size_t kind,
			  const char *version)
{
	struct lw_fields_mark mark;
	char expected[100] = "";

	for (size_t i = 0; kinds[kind].versions[i]; i++) {
		size_t len = strlen(expected);

		if (strcmp(kinds[kind].versions[i], version) == 0)
			return;
		(void)snprintf(expected + len, sizeof(expected) - len, "%s%s%s%s", i ? " or " : "",
			       kinds[kind].group, kinds[kind].group[0] ? "/" : "",
			       kinds[kind].versions[i]);
	}
	mark = lw_fields_enter(fields, NULL, "apiVersion");
	lw_fields_fail(fields, lw_fields_get(root, "apiVersion"), expected);
	lw_fields_leave(fields, mark);
}

static int read_object(const struct document *document, struct json_object *root, size_t kind,
		       const char *api_version)
{
	const char *version =
		strrchr(api_version, '/') ? strrchr(api_version, '/') + 1 : api_version;
	const struct lw_objects_reader *reader = document->reader;
	struct lw_k8s_object *object;
	struct lw_fields fields = { .line = lw_tree_line(root) };
	char what[256];
	int r;

	r = lw_k8s_object_new(kinds[kind].is, &object);
	if (r < 0)
		return r;
	fields.arena = object->arena;
	check_version(&fields, root, kind, version);
	read_meta(&fields, root, &object->meta);
	if (reader->document == 0)
		object->meta.origin = lw_arena_strdup(object->arena, reader->file);
	else
		object->meta.origin = lw_arena_printf(object->arena, "%s:%u: document %zu",
						      reader->file, fields.line, reader->document);
	if (!object->meta.origin)
		fields.failed = fields.no_memory = true;

	switch (object->kind) {
	case LW_K8S_ROLLOUT:
		lw_objects_rollout(&fields, root, version, object);
		break;
	case LW_K8S_TRAFFIC_ROUTING:
		lw_objects_traffic_routing(&fields, root, object);
		break;
	case LW_K8S_POD:
		read_pod(&fields, root, &object->pod);
		break;
	case LW_K8S_SERVICE:
		read_service(&fields, root, &object->service);
		break;
	case LW_K8S_DEPLOYMENT:
	case LW_K8S_REPLICA_SET:
		read_workload(&fields, root, &object->workload);
		break;
	case LW_K8S__MAX:
		break;
	}
	(void)snprintf(what, sizeof(what), "%s %s/%s", kinds[kind].kind, object->meta.ns,
		       object->meta.name[0] ? object->meta.name : "?");
	if (!fields.failed) {
		report_flaws(document, what, &fields);
		return reader->object(object, reader->arg);
	}
	if (!fields.no_memory) {
		const char *name = object->meta.name;

		report(document, fields.error_line, what, fields.error);
		say_bad(document, object->kind, object->meta.ns, name[0] ? name : NULL);
	}
	lw_k8s_object_free(&object);
	return fields.no_memory ? -ENOMEM : 0;
}

static int read_any(const struct document *document, struct json_object *root,
		    const char *default_version, const char *default_kind, bool in_list);

static int read_list(const struct document *document, struct json_object *root,
		     const char *api_version, const char *kind)
{
	struct json_object *items = lw_fields_get(root, "items");
	char item_kind[64] = "";
	int r;

	/* Items of a PodList need not say that they are Pods; those of a List must. */
	if (strcmp(kind, "List") != 0)
		(void)snprintf(item_kind, sizeof(item_kind), "%.*s",
			       (int)(strlen(kind) - strlen("List")), kind);
	if (!items)
		return 0;
	if (!json_object_is_type(items, json_type_array)) {
		report(document, lw_tree_line(items), kind, "items: expected a list");
		say_bad(document, LW_K8S__MAX, NULL, NULL);
		return 0;
	}
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		r = read_any(document, json_object_array_get_idx(items, i),
			     item_kind[0] ? api_version : NULL, item_kind[0] ? item_kind : NULL,
			     true);
		if (r != 0)
			return r;
	}
	return 0;
}

static bool is_list(const char *kind, struct json_object *root)
{
	size_t len = strlen(kind);

	return len >= 4 && strcmp(kind + len - 4, "List") == 0 &&
	       (len == 4 || json_object_is_type(lw_fields_get(root, "items"), json_type_array));
}

/* The string member; fallback if there is none, NULL if it is something else. */
static const char *text_of(struct json_object *root, const char *key, const char *fallback)
{
	struct json_object *value = lw_fields_get(root, key);

	if (!value)
		return fallback;
	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static int read_any(const struct document *document, struct json_object *root,
		    const char *default_version, const char *default_kind, bool in_list)
{
	const char *api_version, *kind;
	int known;

	if (!json_object_is_type(root, json_type_object)) {
		report(document, lw_tree_line(root), "",
		       "expected an object with apiVersion and kind");
		say_bad(document, LW_K8S__MAX, NULL, NULL);
		return 0;
	}
	api_version = text_of(root, "apiVersion", default_version);
	kind = text_of(root, "kind", default_kind);
	if (!api_version || !kind) {
		report(document, lw_tree_line(root), "",
		       kind ? "apiVersion: expected a string" : "kind: expected a string");
		say_bad(document, LW_K8S__MAX, NULL, NULL);
		return 0;
	}
	known = find_kind(api_version, kind);
	if (known >= 0)
		return read_object(document, root, (size_t)known, api_version);
	if (!is_list(kind, root))
		return 0;
	if (!in_list)
		return read_list(document, root, api_version, kind);
	report(document, lw_tree_line(root), kind, "expected no List within a List");
	say_bad(document, LW_K8S__MAX, NULL, NULL);
	return 0;
}

int lw_objects_read(const struct lw_objects_reader *reader, struct json_object *root,
		    unsigned int line)
{
	const struct document document = { reader, line };

	return root ? read_any(&document, root, NULL, NULL, false) : 0;
}
