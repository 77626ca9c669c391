/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/at_work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/process.h"
#include "daemon/words.h"
#include "kern/kern.h"
#include "kern/learned.h"

#define PATH_LEN 64
/* Namespaces remembered in one search; processes of further ones are looked at one by one. */
#define NAMESPACES_MAX 256

struct search {
	const struct lw_addr *at;
	struct lw_at_work *ret;
	struct {
		ino_t ino;
		bool has;
	} namespaces[NAMESPACES_MAX];
	size_t nnamespaces;
};

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[PATH_LEN];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

/* "|-- 10.0.0.7", and of the local ones "/32 host LOCAL" below it. */
static bool has_ipv4(pid_t pid, const struct lw_addr *at)
{
	_cleanup_fclose_ FILE *f = open_proc(pid, "net/fib_trie");
	char line[256], text[64];
	struct lw_addr addr = {};

	while (f && fgets(line, sizeof(line), f)) {
		const char *leaf = strstr(line, "|-- ");

		if (leaf && (sscanf(leaf, "|-- %63s", text) != 1 || lw_addr_parse(text, &addr) < 0))
			addr = (struct lw_addr){};
		else if (!leaf && strstr(line, "/32 host LOCAL") &&
			 memcmp(&addr, at, sizeof(addr)) == 0)
			return true;
	}
	return false;
}

/* Lines that begin with the address, as 32 hexadecimal digits. */
static bool has_ipv6(pid_t pid, const struct lw_addr *at)
{
	_cleanup_fclose_ FILE *f = open_proc(pid, "net/if_inet6");
	char line[256], hex[33];

	for (size_t i = 0; i < sizeof(at->ip); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", at->ip[i]);
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, hex, 32) == 0)
			return true;
	return false;
}

/* Whether the address is in the process's namespace. -errno: there is no such process here. */
static int is_at(struct search *s, pid_t pid)
{
	char path[PATH_LEN];
	struct stat st;
	bool has;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(path, &st) < 0)
		return -errno;
	for (size_t i = 0; i < s->nnamespaces; i++)
		if (s->namespaces[i].ino == st.st_ino)
			return s->namespaces[i].has;
	has = has_ipv4(pid, s->at) || has_ipv6(pid, s->at);
	if (s->nnamespaces < NAMESPACES_MAX) {
		s->namespaces[s->nnamespaces].ino = st.st_ino;
		s->namespaces[s->nnamespaces++].has = has;
	}
	return has;
}

static void on_process(const struct lw_task_key *key, const struct lw_task *task, void *arg)
{
	struct search *s = arg;
	struct lw_explain_work *w;
	_cleanup_fclose_ FILE *f = NULL;
	int r = is_at(s, (pid_t)key->tid);

	for (size_t i = 0; i < s->ret->n; i++)
		if (s->ret->work[i].pid == (pid_t)key->tid)
			return;
	if (r < 0)
		s->ret->nowhere++;
	if (r <= 0 || s->ret->total++ >= LW_AT_WORK_MAX)
		return;
	w = &s->ret->work[s->ret->n++];
	*w = (struct lw_explain_work){ .pid = (pid_t)key->tid, .task = *task };
	f = open_proc(w->pid, "comm");
	if (!f || !fgets(w->program, sizeof(w->program), f))
		w->program[0] = '\0';
	w->program[strcspn(w->program, "\n")] = '\0';
}

int lw_at_work_find(const struct lw_kern *kern, const struct lw_addr *at, struct lw_at_work *ret)
{
	_cleanup_free_ struct search *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	ret->n = ret->total = ret->nowhere = 0;
	s->at = at;
	s->ret = ret;
	lw_learned_each_process(kern, on_process, s);
	return 0;
}

struct kept_search {
	struct search namespaces;
	char *text;
	size_t size;
};

static void on_kept(const struct lw_kept_key *key, const struct lw_kept *kept, void *arg)
{
	char program[sizeof(kept->comm) + 1] = "";
	struct kept_search *s = arg;

	if (*s->text || !lw_process_is((pid_t)key->pid, key->started) ||
	    is_at(&s->namespaces, (pid_t)key->pid) <= 0)
		return;
	memcpy(program, kept->comm, sizeof(kept->comm));
	(void)snprintf(s->text, s->size, "%s[%u] (%s)", program, key->pid, lw_word_keep(kept->why));
}

bool lw_at_work_kept(struct lw_kern *kern, const struct lw_addr *at, char *text, size_t size)
{
	_cleanup_free_ struct kept_search *s = calloc(1, sizeof(*s));

	*text = '\0';
	if (!s)
		return false;
	s->namespaces.at = at;
	s->text = text;
	s->size = size;
	(void)lw_kern_each_kept(kern, on_kept, s);
	return *text != '\0';
}
