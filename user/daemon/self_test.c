/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/self_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "daemon/json.h"
#include "daemon/show.h"
#include "kern/kern.h"

static const char *keep_text(uint32_t why)
{
	return why & LW_KEEP_FIONREAD ? "ask FIONREAD" : "read with splice(2)";
}

static void print_one(const struct lw_selftest_result *t)
{
	(void)printf("%-3s  %-24s %s\n", t->ok ? "ok" : "no", t->name, t->about);
	(void)printf("     %-24s %s", "", t->detail);
	if (!t->ok && t->past)
		(void)printf(": %s take TCP between two pods of a node",
			     t->keeps & LW_KEEP_FIONREAD ? "requests" : "steered bytes");
	else if (!t->ok && t->keeps)
		(void)printf(": clients that %s are kept out", keep_text(t->keeps));
	else if (!t->ok)
		(void)printf(": sockets are not enrolled this way here");
	(void)printf("\n");
}

static void print_json(const struct lw_selftest *found, const char *kernel)
{
	_cleanup_json_ struct json_object *data = lw_json_new_object(NULL, NULL);
	enum lw_kern_mode mode = found->mode;
	uint32_t keeps = found->keeps;
	struct json_object *kept;

	lw_json_add_str(data, "kernel", kernel);
	lw_json_add_str(data, "mode", lw_kern_mode_name(mode));
	lw_json_add_bool(data, "safe", mode != LW_KERN_MODE_NONE);
	/* who is, and why: as the self-tests' "concerns" have it */
	kept = lw_json_new_array(data, "keeps_out");
	if (mode != LW_KERN_MODE_NONE && keeps & LW_KEEP_FIONREAD)
		lw_json_add_str(kept, NULL, "fionread");
	if (mode != LW_KERN_MODE_NONE && keeps & LW_KEEP_SPLICE)
		lw_json_add_str(kept, NULL, "splice");
	lw_json_add_int(data, "selftests_us", found->took_us);
	lw_self_test_json(found->tests, data);
	lw_show_json(data);
}

static void print_table(const struct lw_selftest *found, const char *kernel)
{
	enum lw_kern_mode mode = found->mode;
	uint32_t keeps = found->keeps;

	(void)printf(
		"kernel %s; \"msg-\": sockets with an sk_msg program, \"verdict-\": with a pass-all sk_skb verdict besides\n\n",
		kernel);
	for (const struct lw_selftest_result *t = found->tests; t->name; t++)
		print_one(t);
	(void)printf("\nin %.1f ms", (double)found->took_us / 1000);
	(void)printf("\nmode %s: ", lw_kern_mode_name(mode));
	if (mode == LW_KERN_MODE_NONE)
		(void)printf(
			"no way of enrolling sockets is safe on this kernel; nothing would be attached\n");
	else if (!keeps)
		(void)printf("every client can be enrolled\n");
	else
		(void)printf("clients that %s%s%s are kept out\n", keep_text(keeps),
			     keeps == (LW_KEEP_FIONREAD | LW_KEEP_SPLICE) ? " or " : "",
			     keeps == (LW_KEEP_FIONREAD | LW_KEEP_SPLICE) ?
				     keep_text(LW_KEEP_SPLICE) :
				     "");
}

enum lw_exit lw_self_test_run(bool json)
{
	_cleanup_free_ struct lw_selftest_result *tests = NULL;
	struct lw_selftest found = {};
	struct utsname uts = {};

	if (lw_kern_selftest(&found) < 0)
		return LW_EXIT_SYSTEM;
	tests = found.tests;
	(void)uname(&uts);
	(json ? print_json : print_table)(&found, uts.release);
	return found.mode == LW_KERN_MODE_NONE ? LW_EXIT_SYSTEM : LW_EXIT_OK;
}
