/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that are not enrolled, because this kernel would hurt them, they ask one pod and no other, or somebody says so: by name,
 * by what a process does, and by pod.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/internal.h"

/*
 * kubelet, as it is called by itself, in MicroK8s and in k3s: whom it asks whether it is well, or tells that it is to end, is to
 * answer itself. A base pod that did it for a canary would make that ready, or end in its place.
 */
static const char *const ask_one_pod[] = { "kubelet",	 "kubelite",  "k3s",
					   "k3s-server", "k3s-agent", NULL };

/* What is known to ask FIONREAD: it need not hang a first time. */
static const char *const ask_fionread[] = { "nginx", "openresty", NULL };

static int keep_names(struct lw_kern *kern, const char *const *names)
{
	const uint32_t why = LW_KEEP_NAME;

	for (; names && *names; names++) {
		struct lw_kept_name key = {};

		/* the kernel cuts names there, too */
		(void)strncpy(key.comm, *names, sizeof(key.comm) - 1);
		if (bpf_map_update_elem(bpf_map__fd(kern->skel->maps.lw_kept_names), &key, &why,
					BPF_ANY)) {
			lw_error("keep '%s' out: %s; at most %d names can be", *names,
				 strerror(errno), LW_MAX_KEPT_NAMES);
			return -errno;
		}
		lw_kern_set_flag(kern, LW_CONF_KEEPS_OUT, true);
	}
	return 0;
}

int lw_kept_out_start(struct lw_kern *kern)
{
	const struct lw_kern_options *options = &kern->options;
	int r = keep_names(kern, options->keep_out);

	if (!r)
		r = keep_names(kern, ask_one_pod);
	if (!r && (kern->found.keeps & LW_KEEP_FIONREAD))
		r = keep_names(kern, ask_fionread);
	if (r || options->no_notice)
		return r;
	kern->noticed =
		lw_notice_start(kern, kern->found.keeps, options->watch_syscalls, &kern->notice);
	if (kern->noticed)
		lw_kern_set_flag(kern, LW_CONF_KEEPS_OUT, true);
	if ((kern->found.keeps & LW_KEEP_FIONREAD) && !(kern->noticed & LW_KEEP_FIONREAD)) {
		lw_error("attach to tcp_ioctl, to keep clients out that ask FIONREAD: %s",
			 strerror(EOPNOTSUPP));
		return -EOPNOTSUPP;
	}
	if ((kern->found.keeps & LW_KEEP_SPLICE) && !(kern->noticed & LW_KEEP_SPLICE))
		lw_info("clients that read with splice(2) are not noticed on this kernel: name them with --keep-out, or see --watch-syscalls");
	return 0;
}

uint32_t lw_kern_keeps(const struct lw_kern *kern, uint32_t *ret_noticed)
{
	*ret_noticed = kern->noticed;
	return kern->found.keeps;
}

static int compare_addr(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lw_addr));
}

/* What there is after a call that failed, or of an earlier agent, is not known: of that, deletes all but these. */
static int forget_other_pods(struct lw_kern *kern, int fd, const struct lw_addr *addrs, size_t n)
{
	_cleanup_free_ struct lw_addr *gone = NULL;
	struct lw_addr next;
	size_t ngone = 0, room = 0;
	int r = bpf_map_get_next_key(fd, NULL, &next);

	for (; !r; r = bpf_map_get_next_key(fd, &next, &next)) {
		lw_kern_heartbeat(kern);
		if (n && bsearch(&next, addrs, n, sizeof(next), compare_addr))
			continue;
		if (ngone == room) {
			struct lw_addr *more =
				realloc(gone, (room = 2 * room + 64) * sizeof(*gone));

			if (!more)
				return -ENOMEM;
			gone = more;
		}
		gone[ngone++] = next;
	}
	for (size_t i = 0; i < ngone; i++) {
		lw_kern_heartbeat(kern);
		if (bpf_map_delete_elem(fd, &gone[i]) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int lw_kern_keep_pods(struct lw_kern *kern, const struct lw_addr *addrs, size_t n)
{
	_cleanup_free_ struct lw_addr *copy = NULL;
	const uint32_t yes = 1;
	size_t i = 0, j = 0, m;
	bool unknown;
	int fd, r;

	if (!kern->skel)
		return 0;
	fd = bpf_map__fd(kern->skel->maps.lw_kept_pods);
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, addrs, n * sizeof(*addrs));
	unknown = kern->nkept_pods == SIZE_MAX;
	m = unknown ? 0 : kern->nkept_pods;
	kern->nkept_pods = SIZE_MAX;
	while (i < m || j < n) {
		int c = i == m ? 1 :
			j == n ? -1 :
				 memcmp(&kern->kept_pods[i], &addrs[j], sizeof(*addrs));

		lw_kern_heartbeat(kern);
		if (c < 0 && bpf_map_delete_elem(fd, &kern->kept_pods[i]) && errno != ENOENT)
			return -errno;
		if (c > 0 && bpf_map_update_elem(fd, &addrs[j], &yes, BPF_ANY)) {
			r = -errno;
			/* of those that nobody wants there may be too many: the next try finds room */
			if (unknown)
				(void)forget_other_pods(kern, fd, addrs, n);
			return r;
		}
		i += c <= 0;
		j += c >= 0;
	}
	r = unknown ? forget_other_pods(kern, fd, addrs, n) : 0;
	if (r)
		return r;
	free(kern->kept_pods);
	kern->kept_pods = TAKE_PTR(copy);
	kern->nkept_pods = n;
	lw_kern_set_flag(kern, LW_CONF_KEEPS_PODS, n);
	return 0;
}

size_t lw_kern_kept_pods(const struct lw_kern *kern)
{
	return kern->nkept_pods == SIZE_MAX ? 0 : kern->nkept_pods;
}

bool lw_kern_keeps_pod(const struct lw_kern *kern, const struct lw_addr *addr)
{
	size_t n = lw_kern_kept_pods(kern);

	return n > 0 && bsearch(addr, kern->kept_pods, n, sizeof(*addr), compare_addr);
}
