/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/source_dir.h"
#include "core/model.h"
#include "core/state_build.h"
#include "daemon/cmd.h"
#include "daemon/findings.h"
#include "daemon/json.h"
#include "daemon/listing_json.h"
#include "daemon/show.h"
#include "daemon/untrusted.h"

struct check {
	struct lw_model *model;
	struct lw_source_dir *source;
	struct lw_state_builder *builder;
	struct lw_image *image;
	struct lw_listing *listing;
	struct lw_findings findings;
	const char *untrusted[LW_CMD_UNTRUSTED_MAX + 1];
};

static void check_free(struct check *check)
{
	lw_source_dir_close(&check->source);
	lw_state_builder_free(&check->builder);
	lw_model_free(&check->model);
	lw_image_free(&check->image);
	lw_listing_free(&check->listing);
	lw_findings_clear(&check->findings);
}

/* What is wrong about them; which they are is an agent's matter. */
static int check_kept(struct check *check)
{
	_cleanup_free_ struct lw_addr *addrs = NULL;
	size_t n;

	return lw_state_kept_pods(check->builder, check->model, lw_findings_add, &check->findings,
				  &addrs, &n);
}

static int read_state(const char *dir, const struct lw_state_options *options, struct check *check)
{
	int r;

	r = lw_model_new(&check->model);
	if (r < 0)
		return r;
	r = lw_state_builder_new(options, &check->builder);
	if (r < 0)
		return r;
	r = lw_source_dir_open(dir, check->model, lw_findings_add, &check->findings,
			       &check->source);
	if (r < 0)
		return r;
	r = lw_state_build(check->builder, check->model, lw_findings_add, &check->findings,
			   &check->image);
	if (r < 0)
		return r;
	lw_untrusted_check(check->model, check->untrusted, lw_findings_add, &check->findings);
	r = check_kept(check);
	if (r < 0)
		return r;
	return lw_state_list(check->builder, &check->listing);
}

static struct json_object *report(const struct check *check)
{
	struct json_object *data = lw_json_new_object(NULL, NULL), *tables;

	lw_json_add_int(data, "errors", (int64_t)check->findings.errors);
	lw_json_add_int(data, "warnings", (int64_t)check->findings.warnings);
	lw_findings_json(&check->findings, lw_json_new_array(data, "findings"));
	lw_json_add_int(data, "findings_truncated", (int64_t)lw_findings_more(&check->findings));
	lw_listing_json_lanes(check->listing, data);
	lw_listing_json_endpoints(check->listing, data);
	tables = lw_json_new_object(data, "maps");
	for (unsigned int i = 0; i < LW_TABLE__MAX; i++)
		lw_json_add_int(tables, lw_tables[i].name, (int64_t)lw_image_rows(check->image, i));
	return data;
}

static void show(const struct check *check, struct json_object *data)
{
	lw_show_findings(data, "");
	if (check->findings.count > 0)
		(void)putchar('\n');
	lw_show_lanes(data);
	if (check->listing->nendpoints > 0) {
		(void)putchar('\n');
		lw_show_endpoints(data);
	}
	(void)printf("\nmap entries:");
	for (unsigned int i = 0; i < LW_TABLE__MAX; i++)
		(void)printf(" %s %zu", lw_tables[i].name, lw_image_rows(check->image, i));
	(void)printf("\nerrors %zu, warnings %zu\n", check->findings.errors,
		     check->findings.warnings);
}

static enum lw_exit run(const struct lw_cmd *cmd, int argc, char **argv)
{
	enum {
		OPT_NODE = LW_OPT_OWN,
		OPT_TAG_HEADER,
		OPT_LANE_LABEL,
		OPT_LANE_LABEL_PREFIX,
		OPT_BAGGAGE,
		OPT_ENROL_AHEAD,
		OPT_UNTRUSTED
	};
	static const struct option options[] = {
		{ "node", required_argument, NULL, OPT_NODE },
		{ "tag-header", required_argument, NULL, OPT_TAG_HEADER },
		{ "lane-label", required_argument, NULL, OPT_LANE_LABEL },
		{ "lane-label-prefix", required_argument, NULL, OPT_LANE_LABEL_PREFIX },
		{ "baggage", no_argument, NULL, OPT_BAGGAGE },
		{ "enrol-ahead", no_argument, NULL, OPT_ENROL_AHEAD },
		{ "untrusted", required_argument, NULL, OPT_UNTRUSTED },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	struct lw_cmd_client client = LW_CMD_CLIENT_INIT;
	_cleanup_(check_free) struct check check = {};
	_cleanup_json_ struct json_object *data = NULL;
	struct lw_state_options state = { .untrusted = check.untrusted };
	enum lw_exit code;
	size_t nuntrusted = 0;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
		switch (opt) {
		case OPT_NODE:
			state.node = optarg;
			break;
		case OPT_TAG_HEADER:
			if (!lw_cmd_tag_header_ok(cmd, optarg))
				return LW_EXIT_USAGE;
			state.tag_header = optarg;
			break;
		case OPT_LANE_LABEL:
			state.lane_label = optarg;
			break;
		case OPT_LANE_LABEL_PREFIX:
			if (!optarg[0])
				return lw_cmd_usage(
					cmd, "--lane-label-prefix is how a label begins, not ''");
			state.lane_label_prefix = optarg;
			break;
		case OPT_BAGGAGE:
			state.baggage = true;
			break;
		case OPT_ENROL_AHEAD:
			state.enrol_ahead = true;
			break;
		case OPT_UNTRUSTED:
			if (!lw_cmd_add_untrusted(cmd, optarg, check.untrusted, &nuntrusted))
				return LW_EXIT_USAGE;
			break;
		default:
			if (!lw_cmd_client_option(cmd, &client, opt, &code))
				return code;
		}
	}
	if (optind != argc - 1)
		return lw_cmd_usage(cmd, "one folder is needed");

	r = read_state(argv[optind], &state, &check);
	if (r < 0) {
		lw_cmd_error(cmd, "read '%s': %s", argv[optind], lw_source_dir_strerror(r));
		return LW_EXIT_SYSTEM;
	}
	data = report(&check);
	if (client.json)
		lw_show_json(data);
	else
		show(&check, data);
	return check.findings.errors > 0 ? LW_EXIT_NO : LW_EXIT_OK;
}

const struct lw_cmd lw_cmd_check = {
	.name = "check",
	.usage = "DIR [-o json]",
	.summary = "what an agent would make of a folder of objects, without one",
	.help = "Prints what is wrong in the files of DIR, one line each with file, document, field\n"
		"and what was expected, then the lanes, workloads, rules, pods and Services that would\n"
		"be programmed. Needs no privilege and touches nothing.\n"
		"Exit code 1: there are errors.\n"
		"\n"
		"      --node NAME           as for the agent\n"
		"      --tag-header NAME     as for the agent\n"
		"      --lane-label NAME     as for the agent\n"
		"      --lane-label-prefix P as for the agent\n"
		"      --baggage             as for the agent\n"
		"      --enrol-ahead         as for the agent\n"
		"      --untrusted NS/L=V    as for the agent; a label that no pod has is a warning, and so are\n"
		"                            pods with it that are kept out by annotation\n"
		"  -o, --output table|json   how to print (table)\n"
		"  -h, --help                this text\n",
	.run = run,
};
