/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/lookout.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "daemon/untrusted.h"
#include "daemon/words.h"
#include "kern/devices.h"
#include "kern/kern.h"

/* Of processes that live and are kept out, in one look: each costs a file of /proc. */
#define PROCESSES_MAX 512

struct look {
	const struct lw_lookout *lookout;
	lw_finding_cb cb;
	void *arg;
	size_t processes;
};

bool lw_lookout_pod_uid(FILE *cgroup, char uid[LW_POD_UID_LEN])
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	/* "0::/kubepods.slice/.../kubepods-podUID.slice/cri-containerd-ID.scope", and such a line for each hierarchy of version 1 */
	while (getline(&line, &size, cgroup) > 0) {
		char *save = NULL;

		line[strcspn(line, "\n")] = '\0';
		for (char *name = strtok_r(line, "/", &save); name;
		     name = strtok_r(NULL, "/", &save))
			if (lw_pod_cgroup(name, uid))
				return true;
	}
	return false;
}

static void on_kept(const struct lw_kept_key *key, const struct lw_kept *kept, void *arg)
{
	struct look *look = arg;
	char path[32], uid[LW_POD_UID_LEN], comm[sizeof(kept->comm) + 1] = "";
	_cleanup_fclose_ FILE *f = NULL;
	const struct lw_k8s_object *pod;
	const char *text;

	if (look->processes == PROCESSES_MAX || !lw_process_is((pid_t)key->pid, key->started))
		return;
	look->processes++;
	(void)snprintf(path, sizeof(path), "/proc/%u/cgroup", key->pid);
	f = fopen(path, "re");
	if (!f || !lw_lookout_pod_uid(f, uid))
		return;
	pod = lw_untrusted_pod(look->lookout->model, look->lookout->untrusted, uid, &text);
	if (!pod)
		return;
	memcpy(comm, kept->comm, sizeof(kept->comm));
	/* without the number of the process: many of one pod are one thing */
	lw_finding_emit(
		look->cb, look->arg, LW_FINDING_WARNING,
		"--untrusted %s: '%s' in pod %s/%s is kept out (%s): forged tags on its requests are not taken off",
		text, comm, pod->meta.ns, pod->meta.name, lw_word_keep(kept->why));
}

void lw_lookout_look(const struct lw_lookout *lookout, lw_finding_cb cb, void *arg)
{
	struct look look = { .lookout = lookout, .cb = cb, .arg = arg };
	size_t patterns, n = lw_devices_count(lookout->devices, &patterns);

	if (patterns && !n)
		lw_finding_emit(
			cb, arg, LW_FINDING_WARNING,
			"the program is on no device of this node that --device names: there is no FIN guard, and requests that arrive at its pods are not read");
	if (lookout->untrusted && *lookout->untrusted)
		(void)lw_kern_each_kept(lookout->kern, on_kept, &look);
}
