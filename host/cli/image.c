// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - hib image list, build, inspect, rm
 *
 * Images are made by a script that ships with us, from Debian's packages, into
 * HIB_HOME/images; it says on stderr what it does.
 */
#include "host/image.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cli/commands.h"
#include "host/fingerprint.h"
#include "host/tree.h"
#include "host/views.h"

#define IMAGE_DEFAULT "base"
#define BUILD_ARGS    16

struct image_options {
	bool json, force;
	const char *kernel, *mirror, *name;
};

static const struct opt list_opts[] = {
	OPT(OPT_FLAG, image_options, json, "json"),
	OPT_END,
};

static const struct opt build_opts[] = {
	OPT(OPT_TEXT, image_options, kernel, "kernel"),
	OPT(OPT_TEXT, image_options, mirror, "mirror"),
	OPT(OPT_TEXT, image_options, name, "name"),
	OPT(OPT_FLAG, image_options, force, "force"),
	OPT_END,
};

static const struct opt remove_opts[] = {
	OPT(OPT_FLAG, image_options, force, "force"),
	OPT_END,
};

/* --- what there is -------------------------------------------------------- */

/* Templates of images, from the catalog, if there is one. */
static int read_warm(struct cli *c, struct jw *text, struct json *rows)
{
	struct err e = {0};
	int r = cli_reader(c);

	if (r >= 0)
		return r;
	jw_arr(text);
	if (c->reader != NULL && views_warm(c->reader, text, &e) < 0)
		return cli_fail(&e);
	jw_arr_end(text);
	return json_parse(rows, text->buf, text->len, &e) < 0 ? cli_fail(&e)
							      : -1;
}

/* That of one image, if it is complete: absent else. */
static struct jv find_warm(struct jv rows, struct jv image)
{
	autofree char *name = jv_strdup(image, NULL);
	struct jv v;

	for (v = jv_first(rows); jv_has(v); v = jv_next(rows, v))
		if (name != NULL && jv_eq(jv_get(v, "image"), name) &&
		    jv_is(jv_get(v, "snapshot"), JV_STRING))
			break;
	return v;
}

/* Is it used, or are VMs booted, as something has changed? */
static bool is_fresh(const struct cli *c, struct jv warm)
{
	autofree char *image = jv_strdup(jv_get(warm, "image"), NULL);
	char now[FINGERPRINT_MAX];

	return image != NULL &&
	       fingerprint_take(&c->home, image, now, NULL) == 0 &&
	       jv_eq(jv_get(warm, "fingerprint"), now);
}

static void put_warm(const struct cli *c, struct jv warm, struct jw *w)
{
	if (!jv_has(warm)) {
		jw_null(w);
		return;
	}
	jw_obj(w);
	jw_kvalue(w, "agent", jv_get(warm, "agent"));
	jw_kvalue(w, "vm", jv_get(warm, "vm"));
	jw_kvalue(w, "snapshot", jv_get(warm, "snapshot"));
	jw_kvalue(w, "created_ms", jv_get(warm, "created_ms"));
	jw_kbool(w, "fresh", is_fresh(c, warm));
	jw_obj_end(w);
}

/* For people. */
static void put_agent(const struct cli *c, struct jv warm, struct jw *w)
{
	autofree char *agent = jv_strdup(jv_get(warm, "agent"), NULL);
	char text[96];

	snprintf(text, sizeof(text), "%s%s", agent != NULL ? agent : "",
		 agent == NULL || is_fresh(c, warm) ? "" : ", outdated");
	jw_kstr(w, "prewarmed", agent != NULL ? text : NULL);
}

static void put_row(const struct cli *c, struct jv image, struct jv warm,
		    struct jw *w)
{
	jw_obj(w);
	jw_kvalue(w, "name", jv_get(image, "name"));
	jw_kvalue(w, "suite", jv_get(image, "suite"));
	jw_kvalue(w, "kernel", jv_path(image, "kernel.version"));
	jw_kint(w, "packages", (int64_t)jv_count(jv_get(image, "packages")));
	jw_kint(w, "size", jv_int(jv_path(image, "rootfs.size"), 0));
	put_agent(c, warm, w);
	jw_key(w, "warm");
	put_warm(c, warm, w);
	jw_kvalue(w, "path", jv_get(image, "path"));
	jw_obj_end(w);
}

int image_list_command(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"name", "NAME", 12},	  {"suite", "DEBIAN", 10},
		{"kernel", "KERNEL", 12}, {"packages", "PACKAGES", 8},
		{"size", "BYTES", 11},	  {"prewarmed", "PREWARMED", 12},
		{"path", "FOLDER", 0},	  {NULL, NULL, 0},
	};
	struct image_options o = {0};
	autojw struct jw list = {0}, rows = {0}, text = {0};
	autojson struct json j = {0}, warm = {0};
	struct err e = {0};
	int r = cli_options(c, argc, argv, list_opts, &o, 0, 0);

	if (r < 0)
		r = read_warm(c, &text, &warm);
	if (r >= 0)
		return r;
	if (image_list(&c->home, &list, &e) < 0 ||
	    json_parse(&j, list.buf, list.len, &e) < 0)
		return cli_fail(&e);
	jw_arr(&rows);
	for (struct jv v = jv_first(json_root(&j)); jv_has(v);
	     v = jv_next(json_root(&j), v))
		put_row(c, v, find_warm(json_root(&warm), jv_get(v, "name")),
			&rows);
	jw_arr_end(&rows);
	return cli_print_rows(&rows, o.json, columns);
}

/* Its manifest, and what waits in it. */
static int print_image(const struct cli *c, struct jv image, struct jv warm)
{
	autojw struct jw out = {0};

	jw_obj(&out);
	for (struct jv k = jv_first(image); jv_has(k); k = jv_next(image, k)) {
		jw_value(&out, k);
		jw_lit(&out, ":", 1);
		jw_value(&out, jv_value(k));
	}
	jw_key(&out, "warm");
	put_warm(c, find_warm(warm, jv_get(image, "name")), &out);
	jw_obj_end(&out);
	return cli_print_json(&out);
}

int image_inspect_command(struct cli *c, int argc, char **argv)
{
	autojw struct jw w = {0}, text = {0};
	autojson struct json j = {0}, warm = {0};
	struct err e = {0};
	int r = cli_options(c, argc, argv, NULL, NULL, 1, 1);

	if (r < 0)
		r = read_warm(c, &text, &warm);
	if (r >= 0)
		return r;
	if (image_write(&c->home, c->argv[0], &w, &e) < 0 ||
	    json_parse(&j, w.buf, w.len, &e) < 0)
		return cli_fail(&e);
	return print_image(c, json_root(&j), json_root(&warm));
}

/* --- making one ------------------------------------------------------------ */

/* Run it in the terminal of ours.  Return: its exit status, 128 and the number of
 * a signal. */
static int run_program(const char *const *argv)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		execv(argv[0], (char **)(uintptr_t)argv);
		perror(argv[0]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static size_t add_option(const char **args, size_t n, const char *name,
			 const char *value)
{
	if (value == NULL)
		return n;
	args[n++] = name;
	args[n++] = value;
	return n;
}

int image_build_command(struct cli *c, int argc, char **argv)
{
	struct image_options o = {0};
	char program[HOME_PATH_MAX + 16];
	const char *args[BUILD_ARGS] = {program, "--out", c->home.images};
	size_t n = 3;
	struct err e = {0};
	int r = cli_options(c, argc, argv, build_opts, &o, 0, 1);

	if (r >= 0)
		return r;
	if (c->argc > 0 && !image_name_is_good(c->argv[0]))
		return cli_usage(c, "'%s' is no name of an image", c->argv[0]);
	if (o.name != NULL && !image_name_is_good(o.name))
		return cli_usage(c, "'%s' is no name of an image", o.name);
	if (home_make(&c->home, &e) < 0)
		return cli_fail(&e);
	snprintf(program, sizeof(program), "%s/build", c->home.recipes);
	n = add_option(args, n, "--kernel", o.kernel);
	n = add_option(args, n, "--mirror", o.mirror);
	n = add_option(args, n, "--name", o.name);
	if (o.force)
		args[n++] = "--force";
	args[n++] = c->argc > 0 ? c->argv[0] : IMAGE_DEFAULT;
	return run_program(args) == 0 ? 0 : EXIT_NEGATIVE;
}

/* --- taking one away --------------------------------------------------------- */

/* Who has it?  Return: 1 and the id; 0; -1 and the error is told. */
static int find_user(struct cli *c, const char *image, char id[ID_MAX])
{
	autojson struct json j = {0};
	struct hib_error e;
	char *rows = NULL;
	int found = 0;

	if (hib_vm_list(c->hib, &rows, &e) < 0) {
		(void)cli_fail_hib(&e);
		return -1;
	}
	if (json_parse(&j, rows, strlen(rows), NULL) == 0)
		for (struct jv v = jv_first(json_root(&j)); jv_has(v);
		     v = jv_next(json_root(&j), v))
			if (jv_eq(jv_get(v, "image"), image))
				found = jv_strcpy(jv_get(v, "id"), id, ID_MAX) >
					0;
	hib_free(rows);
	return found;
}

int image_remove_command(struct cli *c, int argc, char **argv)
{
	struct image_options o = {0};
	char dir[IMAGE_PATH_MAX], id[ID_MAX] = "";
	struct hib_error gone;
	struct err e = {0};
	int r = cli_act(c, argc, argv, remove_opts, &o, 1, 1);

	if (r >= 0)
		return r;
	if (image_dir(&c->home, c->argv[0], dir, &e) < 0)
		return cli_fail(&e);
	r = o.force ? 0 : find_user(c, c->argv[0], id);
	if (r < 0)
		return EXIT_NEGATIVE;
	if (r > 0) {
		err_set(&e, -FAULT_ALREADY_EXISTS,
			"%s boots from %s; --force removes it all the same", id,
			c->argv[0]);
		return cli_fail(&e);
	}
	if (hib_image_cool(c->hib, c->argv[0], &gone) < 0)
		return cli_fail_hib(&gone);
	r = tree_remove(dir);
	if (r < 0) {
		err_set(&e, r, "%s: %s", dir, strerror(-r));
		return cli_fail(&e);
	}
	return 0;
}
