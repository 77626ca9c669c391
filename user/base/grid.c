/* SPDX-License-Identifier: Apache-2.0 */
#include "base/grid.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct lw_grid {
	const char *const *titles;
	size_t columns;
	char **cells;
	size_t ncells, room;
	bool failed;
};

int lw_grid_new(const char *const *titles, size_t count, struct lw_grid **ret)
{
	struct lw_grid *grid;

	assert(count >= 1 && count <= LW_GRID_COLUMNS);
	grid = calloc(1, sizeof(*grid));
	if (!grid)
		return -ENOMEM;
	grid->titles = titles;
	grid->columns = count;
	*ret = grid;
	return 0;
}

void lw_grid_free(struct lw_grid **grid)
{
	if (!*grid)
		return;
	for (size_t i = 0; i < (*grid)->ncells; i++)
		free((*grid)->cells[i]);
	free((*grid)->cells);
	free(*grid);
	*grid = NULL;
}

void lw_grid_cell(struct lw_grid *grid, const char *format, ...)
{
	va_list args;
	char *cell;

	if (grid->failed)
		return;
	if (grid->ncells == grid->room) {
		size_t room = grid->room ? grid->room * 2 : 64;
		char **grown = realloc(grid->cells, room * sizeof(*grown));

		if (!grown) {
			grid->failed = true;
			return;
		}
		grid->cells = grown;
		grid->room = room;
	}
	va_start(args, format);
	if (vasprintf(&cell, format, args) < 0)
		grid->failed = true;
	va_end(args);
	if (grid->failed)
		return;
	lw_str_make_plain(cell);
	grid->cells[grid->ncells++] = cell;
}

/* Characters, which is what a terminal shows for all we print. */
static size_t width_of(const char *s)
{
	size_t width = 0;

	for (; *s; s++)
		width += ((unsigned char)*s & 0xc0) != 0x80;
	return width;
}

static void print_cell(FILE *out, const char *s, size_t width, bool right, bool last)
{
	int pad = (int)(width - width_of(s));

	if (right)
		(void)fprintf(out, "%*s%s", pad, "", s);
	else if (last)
		(void)fprintf(out, "%s", s);
	else
		(void)fprintf(out, "%s%*s", s, pad, "");
	(void)fputs(last ? "\n" : "  ", out);
}

int lw_grid_print(const struct lw_grid *grid, FILE *out)
{
	size_t width[LW_GRID_COLUMNS] = {};
	const char *title[LW_GRID_COLUMNS];
	bool right[LW_GRID_COLUMNS];
	size_t rows = grid->ncells / grid->columns;

	if (grid->failed)
		return -ENOMEM;
	for (size_t c = 0; c < grid->columns; c++) {
		right[c] = grid->titles[c][0] == '>';
		title[c] = grid->titles[c] + right[c];
		width[c] = width_of(title[c]);
		for (size_t r = 0; r < rows; r++) {
			size_t w = width_of(grid->cells[r * grid->columns + c]);

			if (w > width[c])
				width[c] = w;
		}
	}
	for (size_t c = 0; c < grid->columns; c++)
		print_cell(out, title[c], width[c], right[c], c + 1 == grid->columns);
	for (size_t r = 0; r < rows; r++)
		for (size_t c = 0; c < grid->columns; c++)
			print_cell(out, grid->cells[r * grid->columns + c], width[c], right[c],
				   c + 1 == grid->columns);
	return 0;
}
