/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/grid.h"

static const char *const titles[] = { "NAME", ">COUNT", "WHY" };

static char *print(const struct lw_grid *grid)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(lw_grid_print(grid, f), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void test_columns(void **state)
{
	struct lw_grid *grid;
	char *text;

	(void)state;
	assert_int_equal(lw_grid_new(titles, 3, &grid), 0);
	lw_grid_cell(grid, "%s", "a");
	lw_grid_cell(grid, "%d", 7);
	lw_grid_cell(grid, "first");
	lw_grid_cell(grid, "longer");
	lw_grid_cell(grid, "%d", 1234567);
	lw_grid_cell(grid, "-");
	lw_grid_cell(grid, "not a full row");
	text = print(grid);
	assert_string_equal(text, "NAME      COUNT  WHY\n"
				  "a             7  first\n"
				  "longer  1234567  -\n");
	free(text);
	lw_grid_free(&grid);
	assert_null(grid);
	lw_grid_free(&grid);
}

static void test_hostile(void **state)
{
	struct lw_grid *grid;
	char *text;

	(void)state;
	assert_int_equal(lw_grid_new(titles, 3, &grid), 0);
	lw_grid_cell(grid, "%s",
		     "\xc3\xa4\x1b[2J\n\xff\xc2\x9b"
		     "1m");
	lw_grid_cell(grid, "%s", "");
	lw_grid_cell(grid, "%s", "x");
	text = print(grid);
	assert_string_equal(text, "NAME         COUNT  WHY\n"
				  "\xc3\xa4?[2J????1m         x\n");
	free(text);
	lw_grid_free(&grid);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_hostile),
	};

	return !!cmocka_run_group_tests_name("grid", tests, NULL, NULL);
}
