/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `laneway agent --self-test`: the self-tests alone, each line explained. */
#include "daemon/cmd.h"

struct lw_selftest_result;

/* Their results, as member "selftests" of data. */
void lw_self_test_json(const struct lw_selftest_result *tests, struct json_object *data);
/* Prints, as a table or as JSON. LW_EXIT_OK if there is a safe way of enrolling sockets here, else LW_EXIT_SYSTEM. */
enum lw_exit lw_self_test_run(bool json);
