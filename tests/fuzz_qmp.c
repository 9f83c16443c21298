// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_qmp.c - Lines that QEMU may say
 *
 * Properties: a line is understood or refused; what is understood has a kind, a
 * name that ends and words that are printable; twice the same is read the same.
 */
#include <assert.h>
#include <string.h>

#include "core/lines.h"
#include "host/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int on_line(char *line, size_t n, void *arg)
{
	autojson struct json a = {0}, b = {0};
	struct qmp_message x, y;
	struct err e;
	int r = qmp_read(&a, line, n, &x, &e);

	(void)arg;
	assert(qmp_read(&b, line, n, &y, &e) == r);
	if (r < 0)
		return 0;
	assert(x.kind == y.kind && x.id == y.id);
	assert(strcmp(x.name, y.name) == 0 && strcmp(x.words, y.words) == 0);
	assert(strnlen(x.name, sizeof(x.name)) < sizeof(x.name));
	for (const char *p = x.words; *p != '\0'; p++)
		assert(*p >= ' ' && *p <= '~');
	assert(x.kind != QMP_RETURN || jv_has(x.value));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n + 1);
	struct lines l;

	lines_init(&l, QMP_LINE_MAX);
	memcpy(copy, data, n);
	(void)lines_feed(&l, copy, n, on_line, NULL);
	lines_done(&l);
	free(copy);
	return 0;
}
