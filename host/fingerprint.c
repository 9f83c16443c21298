// SPDX-License-Identifier: Apache-2.0
/*
 * fingerprint.c - What a machine that waits in memory was made of
 *
 * Of files their size and time: what is installed appears whole and anew, and an
 * image's manifest has the hashes of all its files.
 */
#include "host/fingerprint.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "host/image.h"

#define AGENTS_DEPTH 2 /* <name>/<version>/: packages appear there whole. */

static void put_stat(struct jw *w, const char *name, const struct stat *st)
{
	jw_str(w, name);
	jw_int(w, S_ISDIR(st->st_mode) ? 0 : st->st_size);
	jw_int(w, st->st_mtim.tv_sec);
	jw_int(w, st->st_mtim.tv_nsec);
}

static void put_file(struct jw *w, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		put_stat(w, path, &st);
}

static int is_visible(const struct dirent *en)
{
	return en->d_name[0] != '.';
}

/* What is in a folder, in the order of names, so many folders down. */
static void put_folder(struct jw *w, int at, const char *path, int depth)
{
	autoclose int dir =
		openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	struct stat st;
	int n = dir < 0 ? 0
			: scandirat(dir, ".", &names, is_visible, alphasort);

	jw_arr(w);
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;

		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			put_stat(w, name, &st);
			if (S_ISDIR(st.st_mode) && depth > 1)
				put_folder(w, dir, name, depth - 1);
		}
		free(names[i]);
	}
	free(names);
	jw_arr_end(w);
}

int fingerprint_take(const struct home *h, const char *image,
		     char out[FINGERPRINT_MAX], struct err *e)
{
	autojw struct jw w = {0};
	XXH128_hash_t hash;
	int r;

	jw_arr(&w);
	r = image_write(h, image, &w, e);
	if (r < 0)
		return r;
	put_folder(&w, AT_FDCWD, h->libexec, 1);
	put_folder(&w, AT_FDCWD, h->agents, AGENTS_DEPTH);
	put_file(&w, FINGERPRINT_QEMU);
	jw_arr_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, "fingerprint: out of memory");
	hash = XXH3_128bits(w.buf, w.len);
	snprintf(out, FINGERPRINT_MAX, "%016llx%016llx",
		 (unsigned long long)hash.high64,
		 (unsigned long long)hash.low64);
	return 0;
}
