/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/notice.h"

#include <string.h>

#include "kern/internal.h"
#include "lw_notice.skel.h"

static const struct {
	const char *program;
	uint32_t what; /* enum lw_keep */
	bool syscalls;
} hooks[] = {
	{ "lw_see_ioctl", LW_KEEP_FIONREAD, false },
	{ "lw_see_splice", LW_KEEP_SPLICE, false },
	{ "lw_enter_splice", LW_KEEP_SPLICE, true },
};
#define NHOOKS (sizeof(hooks) / sizeof(hooks[0]))

struct lw_notice {
	struct lw_notice_bpf *skels[NHOOKS]; /* each with its one program */
	struct bpf_link *links[NHOOKS];
};

/* A kernel that lacks the hook refuses to load its program, or to attach it. */
static bool attach_hook(const struct lw_kern *kern, struct lw_notice *notice, size_t i)
{
	struct lw_notice_bpf *skel = lw_notice_bpf__open();
	struct bpf_program *prog, *mine = NULL;

	notice->skels[i] = skel;
	if (!skel)
		return false;
	bpf_object__for_each_program(prog, skel->obj)
	{
		bool it_is = strcmp(bpf_program__name(prog), hooks[i].program) == 0;

		bpf_program__set_autoload(prog, it_is);
		if (it_is)
			mine = prog;
	}
	if (!mine || (kern && lw_kern_share_maps(kern, skel->obj)) || lw_notice_bpf__load(skel))
		return false;
	notice->links[i] = bpf_program__attach(mine);
	return notice->links[i];
}

uint32_t lw_notice_start(struct lw_kern *kern, uint32_t what, bool syscalls, struct lw_notice **ret)
{
	struct lw_notice *notice = calloc(1, sizeof(*notice));
	uint32_t noticed = 0;

	for (size_t i = 0; notice && i < NHOOKS; i++) {
		if (!(hooks[i].what & what & ~noticed) || (hooks[i].syscalls && !syscalls))
			continue;
		if (attach_hook(kern, notice, i)) {
			noticed |= hooks[i].what;
			if (kern)
				(void)lw_kern_note_attached(kern, "%s", hooks[i].program);
		} else {
			lw_notice_bpf__destroy(notice->skels[i]);
			notice->skels[i] = NULL;
		}
	}
	if (!noticed)
		lw_notice_stop(&notice);
	*ret = notice;
	return noticed;
}

void lw_notice_stop(struct lw_notice **notice)
{
	if (!*notice)
		return;
	for (size_t i = 0; i < NHOOKS; i++) {
		bpf_link__destroy((*notice)->links[i]);
		lw_notice_bpf__destroy((*notice)->skels[i]);
	}
	free(*notice);
	*notice = NULL;
}
