/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Aligned columns for a terminal. Cells are given one by one, row after row; a column whose title
 * starts with '>' is set to the right. Bytes a terminal would act on are shown as '?'.
 */
#include <stddef.h>
#include <stdio.h>

#define LW_GRID_COLUMNS 12

struct lw_grid;

/* titles: count of them, 1..LW_GRID_COLUMNS, kept by reference. 0 or -ENOMEM. */
int lw_grid_new(const char *const *titles, size_t count, struct lw_grid **ret);
/* Takes NULL, sets NULL. */
void lw_grid_free(struct lw_grid **grid);
/* The next cell. A failure for want of memory is kept for lw_grid_print(). */
void lw_grid_cell(struct lw_grid *grid, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Titles and rows; a last row that is not full is left out. 0 or -ENOMEM. */
int lw_grid_print(const struct lw_grid *grid, FILE *out);
