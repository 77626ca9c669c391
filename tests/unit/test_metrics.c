/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus text from the answers of the control socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/json.h"
#include "daemon/metrics.h"

static const char status_text[] =
	"{\"version\": \"1.2\", \"kernel\": \"6.1\", \"mode\": \"msg\", \"steering\": true, \"uptime_ms\": 65000, \"generation\": 7,"
	" \"source\": {\"kind\": \"kube\", \"errors\": 2, \"warnings\": 1, \"connected\": false, \"away_ms\": 90000, \"heard_ms_ago\": 95400,"
	"  \"waiting\": 3}, \"counts\": {\"lanes\": 1, \"flows\": 30},"
	" \"selftests\": [{\"name\": \"msg-epoll\", \"ok\": true, \"concerns\": \"\"},"
	"  {\"name\": \"msg-fionread-steered\", \"ok\": false, \"concerns\": \"fionread\"}],"
	" \"kept_out\": {\"fionread\": true, \"splice\": true, \"fionread_noticed\": true, \"splice_noticed\": false, \"pod_addresses\": 6,"
	"  \"processes\": [{\"why\": \"name\", \"alive\": true}, {\"why\": \"name\", \"alive\": false},"
	"  {\"why\": \"fionread\", \"alive\": true}, {\"why\": \"fionread\", \"alive\": true}]}, \"devices\": {\"patterns\": 4, \"attached\": 9}, \"left_alone\": 5,"
	" \"others\": [{\"where\": \"tc egress\", \"program\": \"a\\\"b\\\\c\\n\", \"before\": true, \"count\": 3}]}";
static const char stats_text[] =
	"{\"stats\": [{\"workload\": \"shop/Deployment/web\", \"lane\": \"gray\", \"evidence\": \"tag\", \"reason\": \"ok\", \"count\": 12, \"outcome\": true},"
	" {\"workload\": \"-\", \"lane\": \"base\", \"evidence\": \"none\", \"reason\": \"kept-fionread\", \"count\": 4, \"outcome\": false}]}";

static char *text_of(const char *status, const char *stats)
{
	_cleanup_json_ struct json_object *a = json_tokener_parse(status),
					  *b = json_tokener_parse(stats);
	char *text;

	assert_non_null(a);
	assert_non_null(b);
	text = lw_metrics_text(a, b);
	assert_non_null(text);
	return text;
}

static void has_line(const char *text, const char *line)
{
	for (const char *at = strstr(text, line); at; at = strstr(at + 1, line))
		if ((at == text || at[-1] == '\n') && at[strlen(line)] == '\n')
			return;
	fail_msg("no line '%s' in\n%s", line, text);
}

static void tells_what_is_there(void **state)
{
	_cleanup_free_ char *text = text_of(status_text, stats_text);

	(void)state;
	has_line(text, "laneway_info{version=\"1.2\",kernel=\"6.1\",mode=\"msg\"} 1");
	has_line(text, "laneway_steering 1");
	has_line(text, "laneway_uptime_seconds 65");
	has_line(text, "laneway_generation 7");
	has_line(text, "laneway_source_connected 0");
	has_line(text, "laneway_source_heard_seconds 95");
	has_line(text, "laneway_rollouts_waiting 3");
	has_line(text, "laneway_findings{severity=\"error\"} 2");
	has_line(text, "laneway_objects{kind=\"flows\"} 30");
	has_line(text, "laneway_selftest_ok{test=\"msg-epoll\",concerns=\"\"} 1");
	has_line(text,
		 "laneway_selftest_ok{test=\"msg-fionread-steered\",concerns=\"fionread\"} 0");
	has_line(text, "laneway_kept_out_habit{habit=\"fionread\",noticed=\"true\"} 1");
	has_line(text, "laneway_kept_out_habit{habit=\"splice\",noticed=\"false\"} 1");
	has_line(text, "laneway_kept_out_processes{why=\"name\"} 1");
	has_line(text, "laneway_kept_out_processes{why=\"fionread\"} 2");
	has_line(text, "laneway_kept_out_processes{why=\"splice\"} 0");
	has_line(text, "laneway_kept_out_pod_addresses 6");
	has_line(text, "laneway_devices 9");
	has_line(text, "laneway_pods_left_alone 5");
	has_line(
		text,
		"laneway_other_programs{where=\"tc egress\",program=\"a\\\"b\\\\c\\n\",before=\"true\"} 3");
	has_line(
		text,
		"laneway_decisions_total{workload=\"shop/Deployment/web\",lane=\"gray\",evidence=\"tag\",reason=\"ok\",outcome=\"true\"} 12");
	has_line(
		text,
		"laneway_decisions_total{workload=\"-\",lane=\"base\",evidence=\"none\",reason=\"kept-fionread\",outcome=\"false\"} 4");
}

/* What a scraper insists on: HELP and TYPE once a family, in front of its samples, and a number at the end of each. */
static void is_well_formed(void **state)
{
	_cleanup_free_ char *text = text_of(status_text, stats_text);
	char family[128] = "", help[160], *save = NULL;
	size_t samples = 0;

	(void)state;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *end;

		if (strncmp(line, "# HELP ", 7) == 0) {
			(void)snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "),
				       line + 7);
			(void)snprintf(help, sizeof(help), "# HELP %s ", family);
			assert_null(strstr(save, help));
			continue;
		}
		if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
			continue;
		}
		assert_int_equal(strcspn(line, "{ "), strlen(family));
		assert_int_equal(strncmp(line, family, strlen(family)), 0);
		end = strrchr(line, ' ');
		assert_non_null(end);
		assert_true(strlen(end) > 1 && strspn(end + 1, "0123456789") == strlen(end + 1));
		samples++;
	}
	assert_int_equal(samples, 24);
}

static void has_none(const char *text, const char *family)
{
	if (strstr(text, family))
		fail_msg("'%s' in\n%s", family, text);
}

/* A folder is not connected to, and before the first word there is none to count from. */
static void tells_of_an_api_server_only(void **state)
{
	_cleanup_free_ char *folder =
		text_of("{\"source\": {\"path\": \"/x\", \"gone\": false}}", "{}");
	_cleanup_free_ char *early = text_of(
		"{\"source\": {\"kind\": \"kube\", \"connected\": false, \"heard_ms_ago\": -1}}",
		"{}");

	(void)state;
	has_none(folder, "\n# TYPE laneway_source_");
	has_none(folder, "# TYPE laneway_rollouts_waiting");
	has_line(early, "laneway_source_connected 0");
	has_none(early, "# TYPE laneway_source_heard_seconds");
}

/* An agent of another version leaves things out. */
static void takes_nothing_for_granted(void **state)
{
	_cleanup_free_ char *text = text_of("{}", "{}");

	(void)state;
	has_line(text, "laneway_steering 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_is_there),
		cmocka_unit_test(is_well_formed),
		cmocka_unit_test(tells_of_an_api_server_only),
		cmocka_unit_test(takes_nothing_for_granted),
	};

	return !!cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
