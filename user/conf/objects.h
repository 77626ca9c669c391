/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From trees to typed, checked objects (core/k8s.h). What is read is checked against the CRDs of
 * openkruise/rollouts (config/crd/bases) and the Kubernetes API; what is not read is ignored, so
 * anything `kubectl get -o yaml` prints will do. The header name canary-by-cookie means a cookie,
 * as in upstream's Ingress scripts (lua_configuration/trafficrouting_ingress): its value is the
 * cookie's name, and it holds where the cookie's value is "always", which is what those scripts
 * leave ingress-nginx to do.
 */
#include "core/finding.h"
#include "core/k8s.h"

struct json_object;

struct lw_objects_reader {
	const char *file; /* for findings and lw_k8s_meta.origin */
	size_t document; /* 0: it comes from no file, and has no lines; file says where from */
	lw_finding_cb finding; /* may be NULL */
	/* Takes the object. Returning non-zero ends the reading. */
	int (*object)(struct lw_k8s_object *object, void *arg);
	/* Says of which object a finding was. name NULL: it could not even be told. May be NULL. */
	void (*bad)(enum lw_k8s_kind kind, const char *ns, const char *name, void *arg);
	void *arg; /* of all three */
};

/*
 * Reads one document: an object, or a List of them. Kinds that are not of core/k8s.h are passed
 * over. A bad object is one finding, and the rest goes on. 0, -ENOMEM, or what object() returned.
 */
int lw_objects_read(const struct lw_objects_reader *reader, struct json_object *root,
		    unsigned int line);
