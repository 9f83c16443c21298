// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_listing.c - What is read as a listing is written as the same listing
 *
 * A byte from 0x80 on stands for words that a fuzzer would be long to find.
 */
#include "vfs/listing.h"

#include <assert.h>
#include <string.h>

#define HEX "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
	"100644 blob " HEX " 7\t",
	"120000 blob " HEX " 7\t",
	"040755 tree " HEX " -\t",
	HEX,
	" blob ",
	" tree ",
	"      ",
};

static void expand(struct jw *w, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		size_t word = data[i] - 0x80u;

		if (data[i] >= 0x80 && word < ARRAY_LEN(words))
			jw_lit(w, words[word], strlen(words[word]));
		else
			jw_lit(w, (const char *)&data[i], 1);
	}
	assert(!w->failed);
}

static void check(const struct vfs_entry *entry, const struct vfs_entry *last)
{
	assert(vfs_entry_check(entry, NULL) == 0);
	assert(strlen(entry->name) == entry->name_len);
	assert(last->name == NULL || vfs_entry_order(last, entry) < 0);
}

/* Return: whether @a is @b but for the blanks before a size. */
static bool same(const struct jw *a, const char *b, size_t n)
{
	struct listing_reader r, again;
	struct vfs_entry x, y;

	assert(listing_read(&r, a->buf, a->len, NULL) == 0);
	assert(listing_read(&again, b, n, NULL) == 0);
	while (listing_next(&r, &x, NULL) > 0) {
		assert(listing_next(&again, &y, NULL) > 0);
		if (x.mode != y.mode || x.size != y.size ||
		    vfs_entry_order(&x, &y) != 0 || !vfs_oid_eq(&x.oid, &y.oid))
			return false;
	}
	return listing_next(&again, &y, NULL) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojw struct jw text = {0}, out = {0};
	struct listing_writer w = {0};
	struct vfs_entry entry, last = {0};
	struct listing_reader r;
	struct err e = {0};
	int got;

	expand(&text, data, size);
	assert(listing_read(&r, text.buf, text.len, &e) == 0);
	while ((got = listing_next(&r, &entry, &e)) > 0) {
		check(&entry, &last);
		assert(listing_add(&w, &entry, NULL) == 0);
		last = entry;
	}
	assert(got == e.code);
	assert(listing_end(&w, &out, NULL) == 0);
	assert(out.len <= text.len);
	if (got == 0)
		assert(same(&out, text.buf, text.len));
	return 0;
}
