// SPDX-License-Identifier: Apache-2.0
/*
 * transfer.c - A session as a file: export
 */
#include "host/transfer.h"

#include <string.h>

void transfer_write_head(const char *session, struct jw *out)
{
	jw_obj(out);
	jw_kint(out, "hibernacle", TRANSFER_VERSION);
	jw_kstr(out, "kind", "session");
	jw_kstr(out, "session", session);
	jw_obj_end(out);
	jw_lit(out, "\n", 1);
}

int transfer_read_head(const char *line, size_t len, char session[ID_MAX],
		       struct err *e)
{
	autojson struct json j = {0};
	char id[ID_MAX];
	struct jv head;

	if (len > TRANSFER_HEAD_MAX || json_parse(&j, line, len, NULL) < 0 ||
	    !jv_is(json_root(&j), JV_OBJECT))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "import: this is no export of a session");
	head = json_root(&j);
	if (!jv_eq(jv_get(head, "kind"), "session") ||
	    jv_strcpy(jv_get(head, "session"), id, sizeof(id)) < 0 ||
	    !id_is(id, "ses"))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "import: the first line names no session");
	if (jv_int(jv_get(head, "hibernacle"), 0) != TRANSFER_VERSION)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "import: not of version %d", TRANSFER_VERSION);
	memcpy(session, id, sizeof(id));
	return 0;
}

int transfer_export(struct reader *r, const char *session,
		    int (*write)(const char *data, size_t n, void *arg),
		    void *arg, struct err *e)
{
	struct event_query q = {.session = session};
	autojw struct jw buf = {0};
	struct event_page page = {.out = &buf, .has_more = true};
	int n = 0;

	transfer_write_head(session, &buf);
	while (n == 0 && page.has_more) {
		n = reader_events(r, &q, &page, e);
		if (n < 0)
			return n;
		if (buf.failed)
			return err_set(e, -ENOMEM, "export: out of memory");
		n = write(buf.buf, buf.len, arg);
		q.since = page.next_since;
		jw_reset(&buf);
	}
	return n < 0 ? err_set(e, n, "export: %s", strerror(-n)) : 0;
}
