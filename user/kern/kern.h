/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The kernel side as the daemon sees it: programs loaded, attached and pinned, state published, maps
 * read. The only module that sees libbpf. Not thread-safe.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/image.h"

struct lw_kern;

/* How sockets may be enrolled on this kernel, as the self-tests found. */
enum lw_kern_mode {
	LW_KERN_MODE_NONE, /* nothing safe: nothing is enrolled */
	LW_KERN_MODE_MSG, /* sk_msg alone */
	LW_KERN_MODE_VERDICT, /* sk_msg and a pass-all verdict */
};

/* What may pass TCP by between two pods of a node, as the self-tests found. */
enum lw_past {
	LW_PAST_NONE,
	LW_PAST_RESPONSES, /* not requests: whoever reads them may ask FIONREAD, which tells him of nothing that has */
	LW_PAST_ALL,
};

struct lw_kern_options {
	const char *cgroup; /* cgroup2 root; NULL: found in /proc/self/mounts */
	const char *bpffs; /* bpffs root; NULL: /sys/fs/bpf, mounted if it is not */
	const char *socket; /* where the agent can be asked, for the next one; NULL: nowhere */
	bool fail_closed;
	bool prefer_local;
	bool no_bypass; /* steered bytes take TCP also between two pods of this node */
	/* names of programs, as in /proc/PID/comm, that are not enrolled; ends with NULL; NULL: none */
	const char *const *keep_out;
	bool watch_syscalls; /* notice clients that splice also by a hook that makes every system call slower */
	bool no_inbound; /* requests that arrive at pods are not read: what a pod sends for them has no evidence but its own */
	bool pod_evidence; /* what all of a pod is at work on counts for those of its processes that read no requests */
	bool beside; /* another agent is at work here */
	bool no_notice; /* for tests: whatever a client does, it is enrolled */
};

struct lw_selftest_result {
	const char *name; /* "msg-fionread-native" */
	const char *about; /* what holds if it is ok, in words */
	bool ok;
	uint32_t keeps; /* enum lw_keep: if not ok, clients that do this are kept out; 0: the mode is not used */
	bool past; /* of what passes TCP by: if not ok, some or all does not, and that is all */
	char detail[160]; /* what was seen; what it means for the mode */
};

/* What the self-tests found. */
struct lw_selftest {
	struct lw_selftest_result *tests; /* ends with a NULL name; for free() */
	enum lw_kern_mode mode;
	uint32_t keeps; /* enum lw_keep: clients that must not be enrolled in this mode */
	enum lw_past past;
	uint32_t took_us; /* by an earlier agent of this build, if that ran them */
};

/*
 * Runs the self-tests, and loads. Nothing is attached or changed yet, so that an earlier agent can go on meanwhile. The
 * options' pointers must outlive kern. 0, or -errno with one line logged.
 *
 * Where an earlier agent of the same build has left its pins, or has them still, its maps, programs and hooks are used
 * again: what it had enrolled is steered on. Anything else it left is ended. See docs/adr/0014.
 */
int lw_kern_prepare(const struct lw_kern_options *options, struct lw_kern **ret);
/*
 * Makes it ours: pins below <bpffs>/laneway, attaches. Steers from the first lw_kern_publish() on. other: an agent that
 * has agreed to end, and lives (lw_kern_other_gone()); 0: what is there is a dead one's. 0, or -errno with one line logged.
 */
int lw_kern_begin(struct lw_kern *kern, pid_t other);
/* Both. */
int lw_kern_open(const struct lw_kern_options *options, struct lw_kern **ret);
/* The other agent has ended: what it left half done is ended, too. */
void lw_kern_other_gone(struct lw_kern *kern);
/*
 * Another agent takes over. shared: it goes on with our maps, and what is new is its; else it has its own, and ours serve the
 * connections that are enrolled. From here on lw_kern_close() leaves what is pinned alone.
 */
void lw_kern_supersede(struct lw_kern *kern, bool shared);
/* Names of the lanes of the state that an earlier agent left in force, by number; "": not in use. All "" if none is adopted. */
void lw_kern_adopted_lanes(const struct lw_kern *kern, char ret[LW_MAX_LANES][LW_LANE_NAME_LEN]);
/* Who pins below bpffs (NULL: the default): its pid, and its control socket as it sees it itself. 0 or -errno. */
int lw_kern_who(const char *bpffs, pid_t *ret_pid, char ret_socket[128]);
/* Does it go on with an earlier agent's maps? */
bool lw_kern_adopts(const struct lw_kern *kern);
/* Detaches and unpins everything. Of what has not begun: nothing. */
void lw_kern_close(struct lw_kern **kern);
/* Removes every pin and program of an agent that is gone, without one. Number of things removed, or -errno. */
int lw_kern_cleanup(const char *bpffs);

/*
 * Makes a sealed image the state in force, all at once, and returns when no program reads the old one any more. 0 or
 * -errno, the old state then stays; -ESHUTDOWN after lw_kern_leave(). Keeps a share of the image.
 */
int lw_kern_publish(struct lw_kern *kern, struct lw_image *image);
/* Is that what is in force, by our doing? */
bool lw_kern_has(const struct lw_kern *kern, const struct lw_image *image);
/* When the state in force became so, lw_clock_ns(). */
uint64_t lw_kern_in_force_ns(const struct lw_kern *kern);
uint64_t lw_kern_generation(const struct lw_kern *kern);
/* A sign of life, of the process that serves what is handed over; without one for a second the programs stop handing anything to it. */
void lw_kern_heartbeat(struct lw_kern *kern);
/* From here on requests follow their own peers, untouched; those under way end where they are. */
void lw_kern_stop_steering(struct lw_kern *kern);
/*
 * Likewise for an agent that another one follows: what is pinned is left to it by lw_kern_close(), as by an agent that was
 * killed. Until it comes the programs go on by the last state as they do without an agent.
 */
void lw_kern_leave(struct lw_kern *kern);

/* Whether requests may be handed to the agent when no upstream socket is ready. */
void lw_kern_take_punts(struct lw_kern *kern, bool yes);

/* Whom the mode would hurt (enum lw_keep), and who of them is noticed by what they do. */
uint32_t lw_kern_keeps(const struct lw_kern *kern, uint32_t *ret_noticed);
/* From here on connections from these addresses are not enrolled, and from no others. Sorted by their bytes. 0 or -errno. */
int lw_kern_keep_pods(struct lw_kern *kern, const struct lw_addr *addrs, size_t n);
size_t lw_kern_kept_pods(const struct lw_kern *kern);
bool lw_kern_keeps_pod(const struct lw_kern *kern, const struct lw_addr *addr);
/* Every process that is kept out. 0 or -errno. */
int lw_kern_each_kept(struct lw_kern *kern,
		      void (*cb)(const struct lw_kept_key *key, const struct lw_kept *kept,
				 void *arg),
		      void *arg);
/* The self-tests alone, no other kernel side. 0, or -errno with one line logged. */
int lw_kern_selftest(struct lw_selftest *ret);
/* What passes TCP by: what may, unless --no-bypass says that nothing does. */
enum lw_past lw_kern_past(const struct lw_kern *kern);

enum lw_kern_mode lw_kern_mode(const struct lw_kern *kern);
const char *lw_kern_mode_name(enum lw_kern_mode mode);
/* Ends with a NULL name. Valid while kern is. */
const struct lw_selftest_result *lw_kern_selftests(const struct lw_kern *kern);
/* How long they took. */
uint32_t lw_kern_selftests_us(const struct lw_kern *kern);
/* "lw_connect4 (cgroup/connect4 on /sys/fs/cgroup)": NULL-terminated, valid while kern is. */
const char *const *lw_kern_attached(const struct lw_kern *kern);

/* Each calls cb for every entry until it returns non-zero, and returns that; -errno on failure. */
int lw_kern_each_flow(struct lw_kern *kern,
		      int (*cb)(uint64_t cookie, const struct lw_flow *flow, void *arg), void *arg);
int lw_kern_each_up(struct lw_kern *kern,
		    int (*cb)(uint64_t cookie, const struct lw_up *up, void *arg), void *arg);
int lw_kern_each_stat(struct lw_kern *kern,
		      int (*cb)(const struct lw_stat_key *key, uint64_t count, void *arg),
		      void *arg);
