/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an agent that has failed leaves with: whoever starts it again (systemd's RestartPreventExitStatus=) is to know whether that
 * can help.
 */
#include <stdbool.h>

#include "daemon/cmd.h"

/*
 * -errno of the kernel side, as lw_agent_exit() wants it: -EOPNOTSUPP where the system or the kernel cannot do it, else r. tried: of
 * lw_kern_begin(), before which lw_kern_prepare() has found all that is needed.
 */
int lw_agent_kern_error(int r, bool tried);
/* 0 or -errno of lw_agent_run(). */
enum lw_exit lw_agent_exit(int r);
