/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/json.h"
#include "daemon/self_test.h"
#include "kern/kern.h"

void lw_self_test_json(const struct lw_selftest_result *tests, struct json_object *data)
{
	struct json_object *array = lw_json_new_array(data, "selftests");

	for (; tests->name; tests++) {
		struct json_object *o = lw_json_new_object(array, NULL);

		lw_json_add_str(o, "name", tests->name);
		lw_json_add_bool(o, "ok", tests->ok);
		lw_json_add_str(o, "about", tests->about);
		lw_json_add_str(o, "concerns",
				tests->past			? "bypass" :
				tests->keeps & LW_KEEP_FIONREAD ? "fionread" :
				tests->keeps & LW_KEEP_SPLICE	? "splice" :
								  "");
		lw_json_add_str(o, "detail", tests->detail);
	}
}
