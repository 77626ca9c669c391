/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/self_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "kern/kern.h"

static const char *keep_text(uint32_t why)
{
	return why & LW_KEEP_FIONREAD ? "ask FIONREAD" : "read with splice(2)";
}

static void print_one(const struct lw_selftest_result *t)
{
	(void)printf("%-3s  %-24s %s\n", t->ok ? "ok" : "no", t->name, t->about);
	(void)printf("     %-24s %s", "", t->detail);
	if (!t->ok && t->keeps)
		(void)printf(": clients that %s are kept out", keep_text(t->keeps));
	else if (!t->ok)
		(void)printf(": sockets are not enrolled this way here");
	(void)printf("\n");
}

enum lw_exit lw_self_test_run(void)
{
	_cleanup_free_ struct lw_selftest_result *tests = NULL;
	enum lw_kern_mode mode;
	struct utsname uts = {};
	uint32_t keeps;

	if (lw_kern_selftest(&tests, &mode, &keeps) < 0)
		return LW_EXIT_SYSTEM;
	(void)uname(&uts);
	(void)printf(
		"kernel %s; \"msg-\": sockets with an sk_msg program, \"verdict-\": with a pass-all sk_skb verdict besides\n\n",
		uts.release);
	for (const struct lw_selftest_result *t = tests; t->name; t++)
		print_one(t);
	(void)printf("\nmode %s: ", lw_kern_mode_name(mode));
	if (mode == LW_KERN_MODE_NONE) {
		(void)printf(
			"no way of enrolling sockets is safe on this kernel; nothing would be attached\n");
		return LW_EXIT_SYSTEM;
	}
	if (!keeps)
		(void)printf("every client can be enrolled\n");
	else
		(void)printf("clients that %s%s%s are kept out\n", keep_text(keeps),
			     keeps == (LW_KEEP_FIONREAD | LW_KEEP_SPLICE) ? " or " : "",
			     keeps == (LW_KEEP_FIONREAD | LW_KEEP_SPLICE) ?
				     keep_text(LW_KEEP_SPLICE) :
				     "");
	return LW_EXIT_OK;
}
