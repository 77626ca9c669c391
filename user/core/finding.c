/* SPDX-License-Identifier: Apache-2.0 */
#include "core/finding.h"

#include <stdarg.h>
#include <stdio.h>

void lw_finding_emit(lw_finding_cb cb, void *arg, enum lw_severity severity, const char *format,
		     ...)
{
	char text[1024];
	const struct lw_finding finding = { .severity = severity, .text = text };
	va_list args;

	if (!cb)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* One line, whatever a value in it holds. */
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	}
	cb(&finding, arg);
}
