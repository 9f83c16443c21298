// SPDX-License-Identifier: Apache-2.0
/*
 * test_diff.c - Changes between commits, against what git says of them
 */
#include "vfs/diff.h"

#include "core/json.h"
#include "tests/commit_kit.h"

struct result {
	struct vfs_diff_stats stats;
	struct jw text;
	struct json json;
};

static void diff(struct git_kit *k, const struct vfs_oid *from,
		 const struct vfs_oid *to, struct result *out)
{
	struct err e = {0};

	*out = (struct result){0};
	if (vfs_diff(k->repo, from, to, &out->stats, &out->text, &e) < 0)
		FAIL("vfs_diff: %s", e.msg);
	if (json_parse(&out->json, out->text.buf, out->text.len, &e) < 0)
		FAIL("%s: %s", e.msg, out->text.buf);
}

static void done(struct result *r)
{
	json_done(&r->json);
	jw_done(&r->text);
}

/* All patches, one after the other, in DIR/patches. */
static void write_patches(struct git_kit *k, const struct result *r)
{
	struct jv rows = json_root(&r->json);
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/patches", k->dir);
	f = fopen(path, "we");
	OK(f != NULL);
	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row)) {
		size_t n;
		char *patch = jv_strdup(jv_get(row, "patch"), &n);

		if (patch != NULL)
			fwrite(patch, 1, n, f);
		free(patch);
	}
	EQ(fclose(f), 0);
}

/* The patches are what git says, but for how like files are. */
static void same_as_git(struct git_kit *k, const struct vfs_oid *from,
			const struct vfs_oid *to)
{
	char a[VFS_OID_HEX], b[VFS_OID_HEX];

	EQ(sh("cd %s && git --git-dir=w.git diff --full-index -M --no-color"
	      " %s %s | grep -av '^similarity' >want;"
	      " grep -av '^similarity' <patches >got; diff -u want got >&2",
	      k->dir, vfs_oid_format(from, a), vfs_oid_format(to, b)),
	   0);
}

/* They make the second commit out of the first one. */
static void patches_apply(struct git_kit *k, const struct vfs_oid *from,
			  const struct vfs_oid *to)
{
	char a[VFS_OID_HEX], b[VFS_OID_HEX];

	vfs_oid_format(from, a);
	vfs_oid_format(to, b);
	EQ(sh("cd %s && export GIT_DIR=$PWD/w.git GIT_INDEX_FILE=$PWD/index &&"
	      " rm -f index && git read-tree %s &&"
	      " { [ ! -s patches ] || git apply --cached patches; } &&"
	      " t=$(git write-tree) && git diff --exit-code $t %s >&2",
	      k->dir, a, b),
	   0);
}

static struct jv row_of(const struct result *r, const char *path)
{
	struct jv rows = json_root(&r->json);

	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row))
		if (jv_eq(jv_get(row, "path"), path))
			return row;
	FAIL("no row of %s: %.2000s", path, r->text.buf);
}

/* --- random changes ------------------------------------------------------- */

static const char *const names[] = {
	"a",   "a b",	 "d/x",		 "d/y",	 "d/e/z", "q\"uote",
	"tab", "back\\", "\303\244.txt", "long", "zz",	  "d/e/\tt",
};

static int number(int below)
{
	return rand() % below;
}

/* Lines that are like no other file's. */
static void new_content(FILE *f)
{
	int lines = number(60);

	for (int i = 0; i < lines; i++)
		fprintf(f, "%s%d\n", number(3) ? "\tx = " : "int f", rand());
	if (number(4) == 0)
		fputs("the end", f);
}

/* Some lines go, some come. */
static void edit(const char *path)
{
	char tmp[264], line[256];
	FILE *in = fopen(path, "re"), *out;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	out = fopen(tmp, "we");
	OK(in != NULL && out != NULL);
	while (fgets(line, sizeof(line), in) != NULL) {
		int what = number(25);

		if (what == 0)
			continue;
		if (what == 1)
			fprintf(out, "y%d\n", rand());
		fputs(line, out);
	}
	fclose(in);
	fclose(out);
	EQ(rename(tmp, path), 0);
}

static void change_one(const struct git_kit *k)
{
	const char *name = names[number((int)ARRAY_LEN(names))];
	char path[256];
	bool is_file;
	FILE *f;

	snprintf(path, sizeof(path), "%s/w/%s", k->dir, name);
	is_file = sh("[ -f '%s' ] && [ ! -h '%s' ]", path, path) == 0;
	switch (is_file ? number(5) : 5 + number(3)) {
	case 0:
		EQ(unlink(path), 0);
		break;
	case 1:
		EQ(sh("chmod $((600 + 100 * %d)) '%s'", number(2), path), 0);
		break;
	case 2:
		EQ(sh("mv '%s' %s/w/moved%d", path, k->dir, number(3)), 0);
		break;
	case 3:
	case 4:
		edit(path);
		break;
	case 5:
		EQ(sh("rm -rf '%s' && ln -s to%d '%s'", path, number(9), path),
		   0);
		break;
	default:
		EQ(sh("rm -rf '%s'", path), 0);
		f = fopen(path, "we");
		OK(f != NULL);
		new_content(f);
		fclose(f);
	}
}

TEST(random_changes_are_told_as_git_tells_them)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	srand(7);
	FILES(&k, "mkdir -p d/e");
	struct vfs_oid last = commit_all(&k, "0");
	for (int round = 0; round < 25; round++) {
		for (int i = number(6); i >= 0; i--)
			change_one(&k);
		struct vfs_oid now = commit_all(&k, "more");
		diff(&k, &last, &now, &r);
		write_patches(&k, &r);
		patches_apply(&k, &last, &now);
		same_as_git(&k, &last, &now);
		EQ(r.stats.n_files, jv_count(json_root(&r.json)));
		done(&r);
		last = now;
	}
	git_kit_close(&k);
}

/* --- rows ----------------------------------------------------------------- */

TEST(every_kind_has_its_row)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "echo 1 >mod && echo 1 >del && seq 100 >old && echo 1 >x &&"
		  " echo 1 >t && printf 'a\\0b' >bin");
	struct vfs_oid a = commit_all(&k, "a");
	FILES(&k, "echo 2 >mod && rm del && mv old new && chmod 755 x &&"
		  " rm t && ln -s to t && printf 'a\\0c' >bin && echo >add");
	struct vfs_oid b = commit_all(&k, "b");
	diff(&k, &a, &b, &r);
	EQ(r.stats.n_files, 7);
	OK(!r.stats.truncated);
	OK(jv_eq(jv_get(row_of(&r, "mod"), "kind"), "modify"));
	EQ(jv_int(jv_get(row_of(&r, "mod"), "added"), -1), 1);
	EQ(jv_int(jv_get(row_of(&r, "mod"), "deleted"), -1), 1);
	OK(jv_eq(jv_get(row_of(&r, "mod"), "mode"), "100644"));
	OK(!jv_has(jv_get(row_of(&r, "mod"), "old_mode")));
	OK(jv_eq(jv_get(row_of(&r, "del"), "kind"), "delete"));
	OK(jv_eq(jv_get(row_of(&r, "del"), "old_mode"), "100644"));
	OK(!jv_has(jv_get(row_of(&r, "del"), "mode")));
	OK(jv_is(jv_get(row_of(&r, "del"), "new"), JV_NULL));
	OK(jv_eq(jv_get(row_of(&r, "add"), "kind"), "add"));
	OK(jv_is(jv_get(row_of(&r, "add"), "old"), JV_NULL));
	OK(jv_eq(jv_get(row_of(&r, "new"), "kind"), "rename"));
	OK(jv_eq(jv_get(row_of(&r, "new"), "old_path"), "old"));
	OK(jv_eq(jv_get(row_of(&r, "x"), "old_mode"), "100644"));
	OK(jv_eq(jv_get(row_of(&r, "x"), "mode"), "100755"));
	OK(jv_eq(jv_get(row_of(&r, "t"), "kind"), "modify"));
	OK(jv_eq(jv_get(row_of(&r, "t"), "mode"), "120000"));
	OK(jv_bool(jv_get(row_of(&r, "bin"), "binary"), false));
	OK(!jv_has(jv_get(row_of(&r, "bin"), "patch")));
	done(&r);
	git_kit_close(&k);
}

TEST(a_first_commit_is_all_new)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "mkdir d && echo 1 >d/f && : >empty");
	struct vfs_oid a = commit_all(&k, "a");
	diff(&k, NULL, &a, &r);
	EQ(r.stats.n_files, 2);
	OK(jv_eq(jv_get(row_of(&r, "d/f"), "kind"), "add"));
	OK(jv_has(jv_get(row_of(&r, "empty"), "patch")));
	done(&r);
	diff(&k, &a, &a, &r);
	STR_EQ(r.text.buf, "[]");
	done(&r);
	git_kit_close(&k);
}

TEST(a_folder_in_the_place_of_a_file_has_rows_of_its_own)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "echo 1 >p");
	struct vfs_oid a = commit_all(&k, "a");
	FILES(&k, "rm p && mkdir p && seq 9 >p/q");
	struct vfs_oid b = commit_all(&k, "b");
	diff(&k, &a, &b, &r);
	EQ(r.stats.n_files, 2);
	OK(jv_eq(jv_get(row_of(&r, "p"), "kind"), "delete"));
	OK(jv_eq(jv_get(row_of(&r, "p/q"), "kind"), "add"));
	write_patches(&k, &r);
	patches_apply(&k, &a, &b);
	done(&r);
	diff(&k, &b, &a, &r);
	OK(jv_eq(jv_get(row_of(&r, "p"), "kind"), "add"));
	done(&r);
	git_kit_close(&k);
}

TEST(text_that_is_no_utf8_is_kept_as_bytes)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "printf 'gr\\374n\\n' >f && echo >\"$(printf 'n\\377')\"");
	struct vfs_oid a = commit_all(&k, "a");
	diff(&k, NULL, &a, &r);
	OK(!jv_has(jv_get(row_of(&r, "f"), "patch")));
	OK(jv_has(jv_get(row_of(&r, "f"), "patch_b64")));
	OK(jv_eq(jv_get(row_of(&r, "n\357\277\275"), "path_b64"), "bv8="));
	done(&r);
	git_kit_close(&k);
}

TEST(stored_names_do_not_show)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "mkdir -p d/.hib-x.git && echo 1 >d/.hib-x.git/config &&"
		  " seq 50 >.hib-xgit~1");
	struct vfs_oid a = commit_all(&k, "a");
	FILES(&k, "echo 2 >d/.hib-x.git/config && mv .hib-xgit~1 plain");
	struct vfs_oid b = commit_all(&k, "b");
	diff(&k, &a, &b, &r);
	EQ(r.stats.n_files, 2);
	OK(jv_has(row_of(&r, "d/.git/config")));
	OK(jv_eq(jv_get(row_of(&r, "plain"), "old_path"), "git~1"));
	OK(strstr(r.text.buf, ".hib-") == NULL);
	done(&r);
	git_kit_close(&k);
}

TEST(permissions_and_empty_folders_are_changes)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "mkdir d gone && : >gone/.hib-dir && echo 1 >d/f &&"
		  " echo 1 >d/g && echo 1 >d/h");
	struct vfs_oid a = commit_all(&k, "a");
	FILES(&k, "printf '0600 f\\n0700 h\\n' >d/.hib-dir && echo 2 >d/f &&"
		  " chmod 755 d/h && printf '0700 d\\n' >.hib-dir &&"
		  " mkdir -p new/sub && : >new/sub/.hib-dir && rm -r gone");
	struct vfs_oid b = commit_all(&k, "b");
	diff(&k, &a, &b, &r);
	EQ(r.stats.n_files, 5);
	OK(jv_eq(jv_get(row_of(&r, "d"), "kind"), "modify"));
	OK(jv_eq(jv_get(row_of(&r, "d"), "old_mode"), "040755"));
	OK(jv_eq(jv_get(row_of(&r, "d"), "mode"), "040700"));
	OK(jv_eq(jv_get(row_of(&r, "d/f"), "old_mode"), "100644"));
	OK(jv_eq(jv_get(row_of(&r, "d/f"), "mode"), "100600"));
	OK(jv_has(jv_get(row_of(&r, "d/f"), "patch")));
	OK(jv_eq(jv_get(row_of(&r, "d/h"), "mode"), "100700"));
	OK(jv_eq(jv_get(row_of(&r, "new/sub"), "kind"), "add"));
	OK(jv_eq(jv_get(row_of(&r, "gone"), "kind"), "delete"));
	done(&r);
	diff(&k, &b, &a, &r);
	EQ(r.stats.n_files, 5);
	done(&r);
	FILES(&k, "printf '0600 f\\n0600 g\\n0700 h\\n' >d/.hib-dir");
	struct vfs_oid c = commit_all(&k, "c");
	diff(&k, &b, &c, &r);
	EQ(r.stats.n_files, 1);
	OK(jv_is(jv_get(row_of(&r, "d/g"), "old"), JV_STRING));
	OK(!jv_has(jv_get(row_of(&r, "d/g"), "patch")));
	done(&r);
	git_kit_close(&k);
}

/* --- limits --------------------------------------------------------------- */

TEST(a_long_patch_is_left_out_whole)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "seq 1000 >small && seq 20000 >long &&"
		  " head -c 17000000 /dev/zero | tr '\\0' '\\n' >large");
	struct vfs_oid a = commit_all(&k, "a");
	diff(&k, NULL, &a, &r);
	OK(jv_has(jv_get(row_of(&r, "small"), "patch")));
	OK(!jv_has(jv_get(row_of(&r, "small"), "truncated")));
	OK(!jv_has(jv_get(row_of(&r, "long"), "patch")));
	OK(jv_bool(jv_get(row_of(&r, "long"), "truncated"), false));
	EQ(jv_int(jv_get(row_of(&r, "long"), "added"), -1), 20000);
	OK(jv_bool(jv_get(row_of(&r, "large"), "truncated"), false));
	EQ(jv_int(jv_get(row_of(&r, "large"), "added"), -1), 0);
	OK(!r.stats.truncated);
	done(&r);
	git_kit_close(&k);
}

TEST(rows_and_patches_end_at_their_limits)
{
	struct git_kit k;
	struct result r;
	size_t patches = 0;

	git_kit_open(&k);
	FILES(&k, "i=0; while [ $i -lt 1100 ]; do seq 300 >f$i;"
		  " i=$((i + 1)); done");
	struct vfs_oid a = commit_all(&k, "a");
	diff(&k, NULL, &a, &r);
	EQ(r.stats.n_files, 1100);
	OK(r.stats.truncated);
	EQ(jv_count(json_root(&r.json)), VFS_DIFF_FILES_MAX);
	struct jv rows = json_root(&r.json);
	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row)) {
		size_t n = 0;

		if (!jv_has(jv_get(row, "patch")))
			OK(jv_bool(jv_get(row, "truncated"), false));
		(void)jv_raw(jv_get(row, "patch"), &n);
		patches += n;
	}
	OK(patches <= VFS_DIFF_PATCHES_MAX && patches > 1000000);
	done(&r);
	git_kit_close(&k);
}

TEST(a_folder_that_moves_is_renames)
{
	struct git_kit k;
	struct result r;

	git_kit_open(&k);
	FILES(&k, "mkdir d && i=0; while [ $i -lt 1500 ]; do echo $i >d/f$i;"
		  " i=$((i + 1)); done");
	struct vfs_oid a = commit_all(&k, "a");
	FILES(&k, "mv d e");
	struct vfs_oid b = commit_all(&k, "b");
	diff(&k, &a, &b, &r);
	EQ(r.stats.n_files, 1500);
	OK(jv_eq(jv_get(row_of(&r, "e/f10"), "old_path"), "d/f10"));
	done(&r);
	git_kit_close(&k);
}

TESTS(CASE(random_changes_are_told_as_git_tells_them),
      CASE(every_kind_has_its_row), CASE(a_first_commit_is_all_new),
      CASE(a_folder_in_the_place_of_a_file_has_rows_of_its_own),
      CASE(text_that_is_no_utf8_is_kept_as_bytes),
      CASE(stored_names_do_not_show),
      CASE(permissions_and_empty_folders_are_changes),
      CASE(a_long_patch_is_left_out_whole),
      CASE(rows_and_patches_end_at_their_limits),
      CASE(a_folder_that_moves_is_renames))
