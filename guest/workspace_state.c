// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_state.c - What the guest knows of /workspace between two boots
 */
#include "guest/workspace_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"

#define NAME	  "state.json"
#define TEMP_NAME "state.json.new"
#define FILE_MAX  4096 /* Bytes. */

const char *const workspace_mode_names[WORKSPACE_MODES] = {
	[WORKSPACE_PLAIN] = "plain",
	[WORKSPACE_OVERLAY] = "overlay",
	[WORKSPACE_CHECKOUT] = "checkout",
	[WORKSPACE_SWEEP] = "sweep",
};

static int fail(struct err *e, const char *verb)
{
	int code = -errno;

	return err_set(e, code, "workspace: %s %s: %s", verb, NAME,
		       strerror(-code));
}

static bool read_mode(struct jv v, enum workspace_mode *out)
{
	for (int i = 0; i < WORKSPACE_MODES; i++) {
		if (jv_eq(v, workspace_mode_names[i])) {
			*out = (enum workspace_mode)i;
			return true;
		}
	}
	return false;
}

static int decode(struct jv root, struct workspace_state *out)
{
	struct workspace_state s = {0};
	struct jv lower = jv_get(root, "lower");
	char hex[VFS_OID_HEX];

	s.n = jv_int(jv_get(root, "n"), 0);
	s.since = jv_int(jv_get(root, "since"), 0);
	s.carry = jv_bool(jv_get(root, "carry"), false);
	s.has_lower = jv_is(lower, JV_STRING);
	if (s.n <= 0 || !read_mode(jv_get(root, "mode"), &s.mode))
		return -EBADMSG;
	if (s.has_lower && (jv_strcpy(lower, hex, sizeof(hex)) < 0 ||
			    vfs_oid_parse(hex, &s.lower) < 0))
		return -EBADMSG;
	if (!s.has_lower && s.mode != WORKSPACE_PLAIN)
		return -EBADMSG;
	*out = s;
	return 0;
}

int workspace_state_load(int dir, struct workspace_state *out, struct err *e)
{
	autoclose int fd = openat(dir, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autojson struct json j = {0};
	char text[FILE_MAX];
	ssize_t n;

	if (fd < 0 && errno == ENOENT) {
		*out = (struct workspace_state){0};
		return 0;
	}
	if (fd < 0)
		return fail(e, "open");
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return fail(e, "read");
	if (json_parse(&j, text, (size_t)n, e) < 0 ||
	    decode(json_root(&j), out) < 0)
		return err_set(e, -EBADMSG, "workspace: " NAME " is damaged");
	return 0;
}

static int write_temp(int dir, const char *text, size_t n)
{
	autoclose int fd = openat(
		dir, TEMP_NAME,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		return -1;
	return fsync(fd);
}

int workspace_state_save(int dir, const struct workspace_state *s,
			 struct err *e)
{
	autojw struct jw w = {0};
	char hex[VFS_OID_HEX];

	jw_obj(&w);
	jw_kint(&w, "n", s->n);
	jw_kstr(&w, "mode", workspace_mode_names[s->mode]);
	jw_kstr(&w, "lower",
		s->has_lower ? vfs_oid_format(&s->lower, hex) : NULL);
	jw_kint(&w, "since", s->since);
	jw_kbool(&w, "carry", s->carry);
	jw_obj_end(&w);
	if (w.failed)
		return err_set(e, -ENOMEM, "workspace: out of memory");
	if (write_temp(dir, w.buf, w.len) < 0)
		return fail(e, "write");
	if (renameat(dir, TEMP_NAME, dir, NAME) < 0 || fsync(dir) < 0)
		return fail(e, "replace");
	return 0;
}
