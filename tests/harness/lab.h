/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A laboratory in one process: a network namespace and a cgroup of its own, loopback addresses as pods, the
 * kernel side loaded for real with a state built by hand, and the agent's upstream sockets in a child.
 * One workload: base pods 127.0.0.11 and .12, gray pod .21, all on LAB_PORT; ClusterIP 127.0.0.100:80. Entry rule:
 * User-Agent is exactly xiaoming. Tag: x-mse-tag: gray.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/image.h"
#include "core/rules.h"

struct lw_kern;
struct tcp_info;

#define LAB_PORT 8080
#define LAB_BASE "127.0.0.11"
#define LAB_BASE2 "127.0.0.12"
#define LAB_GRAY "127.0.0.21"
#define LAB_VIP "127.0.0.100"
#define LAB_VIP_PORT 80

/* A state of one's own. Workload w is "lab/Deployment/w<w>"; its pods serve any port. */
struct lab_pod {
	const char *ip;
	uint16_t lane; /* 0: base */
	bool unready, terminating, local;
	uint32_t uid; /* 0: the last byte of ip */
	uint32_t workload; /* 0: LAB_WORKLOAD */
	bool untrusted, old;
	bool base_too; /* of its lane, and takes base requests */
};
/* Lane id: its place in the list, from 1. */
struct lab_lane {
	const char *name, *header, *value;
};
struct lab_state {
	const struct lab_pod *pods; /* the last one has no ip */
	const struct lab_lane *lanes; /* the last one has no name */
	const struct lw_rules_entry *entries; /* of the first workload */
	size_t nentries;
	const char *const *vips; /* likewise, port LAB_VIP_PORT; NULL-terminated; NULL: none */
	bool unpinned; /* the vips' Service has canaries among its pods */
	bool baggage; /* lanes go on in the baggage, too */
	uint32_t first; /* the workloads before it are not there, 0: LAB_WORKLOAD */
};
#define LAB_WORKLOAD 1

struct lab_options {
	bool fail_closed;
	bool no_gray; /* the gray pod is not ready */
	bool no_agent; /* no child: nothing answers punts, and the heartbeat is old */
	bool prefer_local;
	bool no_bypass; /* so too where LAB_NO_BYPASS is set */
	bool guard; /* the FIN guard on the loopback device */
	const struct lab_state *state; /* NULL: the one above */
};

/* Stops the test with a message on any failure. */
void lab_start(const struct lab_options *options);
void lab_stop(void);
/* Makes another state the one in force. */
void lab_publish(const struct lab_state *state);
/* What lab_publish() publishes. */
struct lw_image *lab_image(const struct lab_state *state);
struct lw_kern *lab_kern(void);
/* Gives the loopback device one more address, IPv6. Before it is listened on. */
void lab_add_address(const char *ip);
/* kill -9, and its sockets are closed when this returns. */
void lab_kill_agent(void);
/* Does nothing until it is told to go on. What is said of its heartbeat is the test's. */
void lab_pause_agent(void);
void lab_resume_agent(void);

/* Whether this kernel, or who guards it, lets fentry programs be loaded: what some tests hold others up with. */
bool lab_has_fentry(void);
/* Whether FIONREAD counts steered bytes on this kernel. The lab enrols sockets of who asks in any case. After lab_start(). */
bool lab_counts_bytes(void);
/* Whether requests may pass TCP by on this kernel; responses do in any case. After lab_start(). */
bool lab_requests_pass_by(void);
/* How long to wait for something, where ms are plenty on a machine of its own: LW_SLOW stretches it. */
int lab_patience_ms(int ms);

/* Addresses with a colon are IPv6, with a socket of that family: "::ffff:127.0.0.11" too. */

/* A listening socket on ip:LAB_PORT. lab_stop() closes it, or lab_unlisten() before that. */
int lab_listen(const char *ip);
void lab_unlisten(int listener);
/* The server's end of c. Connections that came before it are kept for lab_accept_request(). */
int lab_accept(int listener, int c);
/* The next connection that sends something: the agent may have opened others ahead of demand. */
int lab_accept_request(int listener);
/* Closes what neither of the two has returned. */
void lab_drain(int listener);
/* For cmocka: lab_drain() of all listeners, so that no connection is left for the next test; lab_stop(). */
int lab_clean(void **state);
int lab_teardown(void **state);
/* A connection to ip:port. */
int lab_connect(const char *ip, uint16_t port);
/* Connects from an address of its own, such as a pod's. */
int lab_connect_from(const char *from, const char *ip, uint16_t port);

/* n bytes, the same ones for the same seed; for free(). */
char *lab_noise(size_t n, unsigned int seed);
void lab_send(int fd, const char *text);
void lab_send_n(int fd, const void *data, size_t n);
/* Waits until what was received is exactly text. */
void lab_expect(int fd, const char *text);
/* Waits for n bytes. */
void lab_recv_n(int fd, void *buf, size_t n);
/* Nothing has come. Only after something that would have come later has been seen. */
void lab_expect_nothing(int fd);
/* End of file, or a reset. */
void lab_expect_eof(int fd);
void lab_expect_reset(int fd);

/* Decisions counted with this reason, all lanes and evidence. */
uint64_t lab_count(unsigned int reason);
/* Likewise by evidence. */
uint64_t lab_count_evidence(unsigned int evidence);
/* What the kernel says of its connection. */
struct tcp_info lab_tcp_info(int fd);
/* There is a row of this upstream socket, and it has not been let go of. */
bool lab_has_upstream(uint64_t cookie);
/* The flow of the connection whose local port is fd's. */
bool lab_flow(int fd, struct lw_flow *ret);
/* Waits until its last request has an upstream socket; the last byte of that one's address. */
unsigned int lab_bound_to(int fd);
/* A descriptor of the upstream socket that its last request has, the agent's own one; for close(). */
int lab_upstream(int fd);
/* Until the kernel has noticed that all its upstream sockets were ended by their pods: a FIN takes its time on a busy machine. */
void lab_wait_ups_ended(int fd);
