/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `laneway agent --self-test`: the self-tests alone, each line explained. */
#include "daemon/cmd.h"

/* Prints. LW_EXIT_OK if there is a safe way of enrolling sockets here, else LW_EXIT_SYSTEM. */
enum lw_exit lw_self_test_run(void);
