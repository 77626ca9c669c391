/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A kernel side made up, for what asks one questions: user/daemon/query.c and what stands on it. Include it in one file of a program that
 * does not link user/kern. lw_learned_trace() is the includer's.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "kern/devices.h"
#include "kern/host_pods.h"
#include "kern/kern.h"
#include "kern/learned.h"
#include "kern/leaves.h"
#include "laneway/reasons.h"

#define FAKE_WORKLOAD "default/Deployment/spring-cloud-a"

static void fake_check(bool holds)
{
	if (!holds)
		abort();
}

struct lw_kern {
	enum lw_kern_mode mode;
	uint64_t generation;
	unsigned char header; /* of flows' last decision */
	size_t flows;
	size_t left_alone; /* pods */
	int error;
};

static const struct lw_selftest_result tests_seen[] = {
	{ .name = "one", .about = "it is so", .ok = true, .detail = "as it should be" },
	{ .name = "two", .about = "it splices", .detail = "not at all", .keeps = LW_KEEP_SPLICE },
	{},
};

uint64_t lw_kern_generation(const struct lw_kern *kern)
{
	return kern->generation;
}

void lw_kern_heartbeat(struct lw_kern *kern)
{
	(void)kern;
}

enum lw_kern_mode lw_kern_mode(const struct lw_kern *kern)
{
	return kern->mode;
}

const char *lw_kern_mode_name(enum lw_kern_mode mode)
{
	return mode == LW_KERN_MODE_NONE ? "none" : "msg";
}

const struct lw_selftest_result *lw_kern_selftests(const struct lw_kern *kern)
{
	(void)kern;
	return tests_seen;
}

uint32_t lw_kern_selftests_us(const struct lw_kern *kern)
{
	(void)kern;
	return 123456;
}

enum lw_past lw_kern_past(const struct lw_kern *kern)
{
	(void)kern;
	return LW_PAST_RESPONSES;
}

uint32_t lw_kern_keeps(const struct lw_kern *kern, uint32_t *ret_noticed)
{
	(void)kern;
	*ret_noticed = LW_KEEP_FIONREAD;
	return LW_KEEP_FIONREAD | LW_KEEP_SPLICE;
}

void lw_host_pods_count(const struct lw_host_pods *pods, size_t *ret_n, size_t *ret_found)
{
	(void)pods;
	*ret_n = 3;
	*ret_found = 2;
}

size_t lw_kern_kept_pods(const struct lw_kern *kern)
{
	(void)kern;
	return 5;
}

bool lw_kern_keeps_pod(const struct lw_kern *kern, const struct lw_addr *addr)
{
	struct lw_addr kept;

	(void)kern;
	return lw_addr_parse("192.0.2.7", &kept) == 0 && memcmp(&kept, addr, sizeof(kept)) == 0;
}

/* Of this process, by /proc, whose clock counts from boot. */
static uint64_t own_start_ns(void)
{
	unsigned long long ticks = 0;
	FILE *f = fopen("/proc/self/stat", "re");

	fake_check(f);
	fake_check(fscanf(f,
			  "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			  " %*s %*s %*s %*s %*s %llu",
			  &ticks) == 1);
	(void)fclose(f);
	return ticks * (LW_NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

int lw_kern_each_kept(struct lw_kern *kern,
		      void (*cb)(const struct lw_kept_key *key, const struct lw_kept *kept,
				 void *arg),
		      void *arg)
{
	/* this process, and two that have ended: of one somebody else has the number */
	const struct lw_kept_key keys[] = {
		{ .pid = (uint32_t)getpid(), .started = own_start_ns() },
		{ .pid = (uint32_t)getpid(), .started = 1 },
		{ .pid = 0x7fffffff, .started = own_start_ns() },
	};
	const struct lw_kept kept = { .connections = 3,
				      .why = LW_KEEP_SPLICE | LW_KEEP_FIONREAD,
				      .comm = "sixteen bytes..!" };

	(void)kern;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		cb(&keys[i], &kept, arg);
	return 0;
}

size_t lw_devices_count(const struct lw_devices *devices, size_t *ret_patterns)
{
	fake_check(devices);
	*ret_patterns = 4;
	return 12;
}

void lw_devices_each_other(struct lw_devices *devices, lw_other_cb cb, void *arg)
{
	(void)devices;
	cb("sockops", "theirs", false, arg);
	for (int i = 0; i < 3; i++)
		cb("tc egress", "theirs", i == 2, arg);
}

const char *const *lw_kern_attached(const struct lw_kern *kern)
{
	static const char *const attached[] = { "lw_send (sk_msg)", NULL };

	(void)kern;
	return attached;
}

int lw_kern_each_flow(struct lw_kern *kern,
		      int (*cb)(uint64_t cookie, const struct lw_flow *flow, void *arg), void *arg)
{
	struct lw_flow flow = {
		.client_port = 40000,
		.asked_port = 8080,
		.peer_port = 8080,
		.workload = 1,
		.route = LW_ROUTE_UP,
		.up = 1,
		.lane = 1,
		.evidence = LW_EVIDENCE_TAG,
		.header = kern->header,
		.gen = kern->generation,
		.reason = LW_REASON_OK,
		.requests = 7,
		.since_ns = lw_clock_ns() - 6 * LW_NS_PER_SEC,
	};
	int r = 0;

	fake_check(lw_addr_parse("10.0.0.7", &flow.client) == 0);
	fake_check(lw_addr_parse("10.96.0.12", &flow.asked) == 0);
	fake_check(lw_addr_parse("10.0.0.11", &flow.peer) == 0);
	fake_check(lw_addr_parse("fd00::12", &flow.ups[1].addr) == 0);
	flow.ups[1].port = 8081;
	for (size_t i = 0; i < kern->flows && r == 0; i++)
		r = cb(i + 1, &flow, arg);
	return r ? r : kern->error;
}

void lw_learned_state(const struct lw_kern *kern, bool *ret_inbound, bool *ret_reads,
		      bool *ret_pods, uint64_t *ret_uncounted)
{
	(void)kern;
	*ret_inbound = true;
	*ret_reads = true;
	*ret_pods = false;
	*ret_uncounted = 0;
}

/* Pods of 198.51.100.0/24 are left alone. */
bool lw_leaves_is(const struct lw_kern *kern, const struct lw_addr *addr)
{
	(void)kern;
	return addr->ip[12] == 198 && addr->ip[13] == 51;
}

size_t lw_leaves_count(struct lw_kern *kern)
{
	return kern->left_alone;
}

/* This process, at 127.0.0.1 like any; one that has ended and one whose number is no process's. */
void lw_learned_each_process(const struct lw_kern *kern,
			     void (*cb)(const struct lw_task_key *key, const struct lw_task *task,
					void *arg),
			     void *arg)
{
	const struct lw_task_key keys[] = { { .tid = (unsigned int)getpid() },
					    { .tid = 0x7fffffff } };
	struct lw_task task = { .total = 3 };

	(void)kern;
	task.n[0] = 1;
	task.n[1] = 2;
	cb(&keys[0], &task, arg);
	cb(&keys[0], &task, arg);
	cb(&keys[1], &task, arg);
}

int lw_kern_each_up(struct lw_kern *kern,
		    int (*cb)(uint64_t cookie, const struct lw_up *up, void *arg), void *arg)
{
	(void)kern;
	return cb(9, &(struct lw_up){}, arg);
}

int lw_kern_each_stat(struct lw_kern *kern,
		      int (*cb)(const struct lw_stat_key *key, uint64_t count, void *arg),
		      void *arg)
{
	static const struct {
		struct lw_stat_key key;
		uint64_t count;
	} stats[] = {
		{ { .lane = 1, .evidence = LW_EVIDENCE_TAG, .reason = LW_REASON_POOL_EMPTY }, 3 },
		{ { .lane = 1, .evidence = LW_EVIDENCE_TAG, .reason = LW_REASON_OK }, 40 },
		{ { .lane = 0, .evidence = LW_EVIDENCE_NONE, .reason = LW_REASON_OK }, 500 },
		{ { .lane = 14, .evidence = 200, .reason = 200, .workload_hash = 1 }, 1 },
	};

	for (size_t i = 0; i < sizeof(stats) / sizeof(*stats); i++) {
		struct lw_stat_key key = stats[i].key;
		int r;

		if (!key.workload_hash)
			key.workload_hash = lw_name_hash(FAKE_WORKLOAD);
		r = cb(&key, stats[i].count, arg);
		if (r)
			return r;
	}
	return kern->error;
}
