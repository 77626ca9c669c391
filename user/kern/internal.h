/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of kern/ know of each other. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "kern/kern.h"
#include "kern/notice.h"
#include "kern/reads.h"
#include "lw_lanes.skel.h"

#define LW_PIN_DIR "laneway"
#define LW_KERN_LINKS 6
/* How the pins of the hooks begin; behind it the program's name without lw_. */
#define LW_LINK_PIN "link_"
#define LW_TO_POD_PIN "prog_to_pod"
#define LW_KERN_ATTACHED 24
/* Without a sign of life for longer the agent is taken for gone. It beats ten times as often. */
#define LW_HEARTBEAT_MAX_NS LW_NS_PER_SEC

/* What the agent has had of the machine until some moment, in nanoseconds. */
struct lw_share {
	uint64_t at_ns;
	bool known;
	uint64_t worked_ns, waited_ns; /* on a processor, and ready for one */
};

struct lw_kern {
	struct lw_lanes_bpf *skel;
	struct lw_kern_options options; /* of lw_kern_prepare(); its pointers are the caller's */
	char *cgroup;
	struct bpf_link *links[LW_KERN_LINKS];
	struct lw_config *config; /* mmapped */
	char *pin_dir;
	char *old_dir; /* what an earlier agent has pinned, until our first state is in force, or it has ended; NULL: nothing */
	bool begun; /* what is pinned and attached is ours */
	bool adopts; /* the maps and hooks are those of an earlier agent of this build */
	bool unknown[2]; /* a slot holds what an earlier agent has put there */
	bool superseded; /* another agent has what is pinned */
	bool left; /* what is pinned is left to the next agent */
	bool shared; /* superseded by one of this build, which goes on with the same maps */
	pid_t other; /* the agent we have taken over from, while it lives; 0: none */
	uint32_t number; /* lw_config.agent, once the first state is in force */
	int to_pod; /* lw_to_pod: of the earlier agent's, or our own once it is loaded; -1: not yet */
	uint32_t record_id; /* of the map that was found, if adopts */
	bool fail_closed;
	char *bpffs_mounted; /* we mounted it */
	struct lw_selftest found;
	uint32_t noticed; /* enum lw_keep: who is noticed, of those whom the mode would hurt */
	struct lw_addr *kept_pods; /* addresses, of the last call that succeeded */
	size_t nkept_pods; /* SIZE_MAX: the one since has not */
	struct lw_base_counts *base; /* rows.c; NULL: nobody has asked */
	struct lw_notice *notice;
	struct lw_reads *reads; /* NULL: what threads are at work on is not known */
	uint32_t reads_before; /* lw_config.reads of the agent that it is gone on from; 0: none counted */
	uint64_t reads_before_ns; /* until when it did */
	bool no_inbound;
	int cgroup_fd; /* what the hooks are attached to */
	char *attached[LW_KERN_ATTACHED + 1];
	size_t nattached;
	struct lw_image *slots[2]; /* what is in each; NULL: nothing */
	bool waited; /* no program reads the slot that is not in force */
	int wait_map, wait_inner; /* wait.c */
	uint64_t in_force_ns;
	bool beats; /* this process serves what the programs hand over, and says so; others only look */
	uint64_t beat_ns; /* the last sign of life */
	bool tcp_short; /* LW_CONF_TCP_SHORT */
	bool tcp_looked; /* and what an earlier agent has marked for it is marked no more */
	struct lw_share share; /* at some beat not long before it */
};

/* wait.c: what waiting needs. 0 or -errno; closed by lw_wait_close() in any case. */
int lw_wait_open(struct lw_kern *kern);
void lw_wait_close(struct lw_kern *kern);
/* Returns when all programs have ended that run now. 0; or -errno: they may run still. */
int lw_wait_for_programs(const struct lw_kern *kern);

/* Runs the self-tests. 0 or -errno. */
int lw_selftest_run(struct lw_selftest *ret);

/* The test of that name, as far as it is known before it is run. */
bool lw_selftest_name(const char *name, struct lw_selftest_result *ret);
/* adopt.c: what is pinned in kern->pin_dir can be gone on with, with the hooks that are on `cgroup`. */
bool lw_adopt_can(struct lw_kern *kern, const char *cgroup);
/* Before the programs are loaded: only those that the agent runs itself, on the maps that are pinned. 0 or -errno. */
int lw_adopt_open(struct lw_kern *kern);
/* Goes on where the earlier agent ended, or has stopped (kern->other). 0 or -errno. */
int lw_adopt_begin(struct lw_kern *kern);
/* Puts the program in the place of the one that kern->other has there, and pins the hook as ours. 0 or -errno. */
int lw_adopt_link(struct lw_kern *kern, const char *name, int prog);

/* pins.c: mounts a bpffs there, if none is. 0 or -errno. */
int lw_pins_mount(const char *path, bool *ret_mounted);
/* Pins the maps in kern->pin_dir, and lw_to_pod. 0 or -errno. */
int lw_pins_make(struct lw_kern *kern);
/*
 * Ends what an agent that was killed has left, where it is not to be adopted. With --fail-closed its pins, hooks among them,
 * are put aside until our first state is in force: those hooks go on refusing. So they are where it lives on for a while.
 */
int lw_pins_put_aside(struct lw_kern *kern, const char *bpffs);
/* Unlinks what is pinned in dir, if prefix is how its name begins, and dir if all is. How many pins, or -errno. */
int lw_kern_unpin(const char *dir, const char *prefix);
/* Takes away what an earlier agent has left, now that we decide. */
void lw_kern_end_old(struct lw_kern *kern);
/* tcp_memory.c: looks how much memory TCP has left, and acts by it. Of the agent that decides. */
void lw_tcp_memory_tick(struct lw_kern *kern);
/* kept_out.c: whom this kernel would hurt is not enrolled: by name, and by what a process does. 0, or -errno with one line logged. */
int lw_kept_out_start(struct lw_kern *kern);
/* Sets or clears a flag of lw_config: in force for the programs at once. Another agent may have the same map. */
void lw_kern_set_flag(struct lw_kern *kern, enum lw_config_flags flag, bool yes);
/* libbpf's own messages are for debugging. */
void lw_kern_hush_libbpf(void);
int lw_kern_map_fd(const struct lw_kern *kern, enum lw_table_id table);
/* Makes another object, not loaded yet, use the maps of these names. 0 or -errno. */
int lw_kern_share_maps(const struct lw_kern *kern, struct bpf_object *obj);
/*
 * rows.c: all rows of a hash map whose keys and values have these sizes, by whole buckets: rows may come and go meanwhile. kern (may be
 * NULL) is alive through it. 0, what cb has returned, or -errno.
 */
typedef int (*lw_row_cb)(const void *key, const void *value, void *arg);
int lw_rows_each(struct lw_kern *kern, int fd, size_t key_size, size_t size, lw_row_cb cb,
		 void *arg);
/* Adds to what lw_kern_attached() says. */
int lw_kern_note_attached(struct lw_kern *kern, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Runs one of the programs of agent_calls.h. Its return value, or -errno. */
int lw_kern_call(const struct bpf_program *prog, void *args, size_t size);
