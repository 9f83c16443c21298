// SPDX-License-Identifier: Apache-2.0
/*
 * event.c - One entry of a session's log, and its one-line JSON envelope
 *
 * There is one renderer.  It puts the small fields into a buffer of known size
 * and hands out the parts in between which ctx and data stand, so that
 * event_new() knows the length before it allocates and event_write() copies
 * nothing twice.
 *
 * A parsed event is rendered anew from what was understood, so whatever a peer
 * sends, only our own form of an envelope is stored and passed on.  A line that
 * has this form already (event_line.h), as nearly all have, is copied.
 */
#include "core/event.h"

#include <assert.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* For a hash state on the stack. */
#include <xxhash.h>

#include "core/event_line.h"
#include "core/json_check.h"

#define HEAD_MAX 320 /* The members before ctx: 3 numbers, 2 ids, a type. */

const char *const event_types[] = {
	"session.created",
	"session.ready",
	"session.resuming",
	"session.resumed",
	"session.state",
	"session.config",
	"session.error",
	"session.forked",
	"session.imported",
	"session.rewound",
	"session.closed",
	"session.expired",
	"session.archived",
	"session.unarchived",
	"session.superseded",
	"session.limit",
	"session.tools",
	"input.message",
	"turn.started",
	"turn.completed",
	"turn.failed",
	"turn.cancelled",
	"turn.interrupted",
	"turn.diff",
	"acp.update",
	"acp.request",
	"acp.response",
	"acp.notify",
	"permission.requested",
	"permission.resolved",
	"elicitation.requested",
	"elicitation.resolved",
	"tool.requested",
	"tool.resolved",
	"mcp.starting",
	"mcp.ready",
	"mcp.failed",
	"mcp.exited",
	"mcp.stderr",
	"mcp.changed",
	"mcp.call",
	"agent.started",
	"agent.stderr",
	"agent.exited",
	"artifact.created",
	"child.created",
	"child.state",
	"kv.set",
	"kv.deleted",
	"memory.set",
	"memory.deleted",
	"summary.created",
	"schedule.fired",
	"schedule.skipped",
	"comment.added",
	"llm.generation",
	NULL,
};

/*
 * Rendering.
 */

static char *put(char *p, const char *s, size_t n)
{
	memcpy(p, s, n);
	return p + n;
}

static char *put_str(char *p, const char *s)
{
	return put(p, s, strlen(s));
}

static char *put_int(char *p, int64_t n)
{
	char digits[20];
	char *d = digits + sizeof(digits);
	uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;

	if (n < 0)
		*p++ = '-';
	do
		*--d = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	return put(p, d, (size_t)(digits + sizeof(digits) - d));
}

/* Everything up to the value of ctx or, without one, of data. */
static size_t put_head(char head[HEAD_MAX], const struct event_spec *s)
{
	char *p = head;

	assert(strlen(s->session) < ID_MAX && strlen(s->type) < EVENT_TYPE_MAX);
	p = put_str(p, "{\"v\":1,\"session\":\"");
	p = put_str(p, s->session);
	p = put_str(p, "\",\"seq\":");
	p = put_int(p, s->seq);
	p = put_str(p, ",\"epoch\":");
	p = put_int(p, s->epoch);
	p = put_str(p, ",\"ts\":");
	p = put_int(p, s->ts_ms);
	p = put_str(p, ",\"type\":\"");
	p = put_str(p, s->type);
	p = put_str(p, "\"");
	if (s->turn != NULL && s->turn[0] != '\0') {
		assert(strlen(s->turn) < ID_MAX);
		p = put_str(p, ",\"turn\":\"");
		p = put_str(p, s->turn);
		p = put_str(p, "\"");
	}
	p = put_str(p, s->ctx != NULL ? ",\"ctx\":" : ",\"data\":");
	return (size_t)(p - head);
}

static const char before_data[] = ",\"data\":";
static const char tail[] = "}\n";
#define BEFORE_DATA_LEN (sizeof(before_data) - 1)
#define TAIL_LEN	(sizeof(tail) - 1)

/* In valid JSON a raw line end can only be white space between tokens. */
static void flatten(char *p, size_t n)
{
	static const char line_ends[] = "\n\r";

	for (const char *c = line_ends; *c != '\0'; c++)
		for (char *at = p; (at = memchr(at, *c, n - (size_t)(at - p)));)
			*at = ' ';
}

static void copy_id(char out[ID_MAX], const char *id)
{
	if (id == NULL)
		id = "";
	assert(strlen(id) < ID_MAX);
	strcpy(out, id);
}

struct event *event_new(const struct event_spec *s)
{
	char head[HEAD_MAX];
	size_t n = put_head(head, s);
	size_t len = n + s->data_len + TAIL_LEN;
	struct event *ev;
	char *p;

	if (s->ctx != NULL)
		len += s->ctx_len + BEFORE_DATA_LEN;
	ev = malloc(sizeof(*ev) + len + 1);
	if (ev == NULL)
		return NULL;

	*ev = (struct event){.seq = s->seq,
			     .epoch = s->epoch,
			     .ts_ms = s->ts_ms,
			     .data_len = s->data_len,
			     .len = len};
	copy_id(ev->session, s->session);
	copy_id(ev->turn, s->turn);
	strcpy(ev->type, s->type);

	p = put(ev->line, head, n);
	if (s->ctx != NULL) {
		ev->ctx = p;
		ev->ctx_len = s->ctx_len;
		p = put(p, s->ctx, s->ctx_len);
		p = put(p, before_data, BEFORE_DATA_LEN);
	}
	ev->data = p;
	p = put(p, s->data, s->data_len);
	flatten(ev->line, (size_t)(p - ev->line));
	p = put(p, tail, TAIL_LEN);
	*p = '\0';
	return ev;
}

void event_write(struct jw *w, const struct event_spec *s)
{
	char head[HEAD_MAX];
	size_t n = put_head(head, s), start = w->len;

	jw_lit(w, head, n);
	if (s->ctx != NULL) {
		jw_lit(w, s->ctx, s->ctx_len);
		jw_lit(w, before_data, BEFORE_DATA_LEN);
	}
	jw_lit(w, s->data, s->data_len);
	if (!w->failed)
		flatten(w->buf + start, w->len - start);
	jw_lit(w, tail, TAIL_LEN);
}

/*
 * Parsing.
 */

/* The decoded envelope; ctx and data are slices of the line. */
struct envelope {
	struct event_spec spec;
	char session[ID_MAX], turn[ID_MAX], type[EVENT_TYPE_MAX];
};

static int bad(struct err *e, const char *what)
{
	return err_set(e, -FAULT_BAD_FRAME, "event: %s", what);
}

static int read_names(struct jv root, struct envelope *v, struct err *e)
{
	struct jv turn = jv_get(root, "turn");

	if (jv_strcpy(jv_get(root, "session"), v->session, ID_MAX) < 0 ||
	    !id_is(v->session, "ses"))
		return bad(e, "session is not a session id");
	if (jv_strcpy(jv_get(root, "type"), v->type, EVENT_TYPE_MAX) < 0 ||
	    !event_type_ok(v->type))
		return bad(e, "type is not of the form word.word");
	v->turn[0] = '\0';
	if (jv_has(turn) &&
	    (jv_strcpy(turn, v->turn, ID_MAX) < 0 || !id_is(v->turn, "trn")))
		return bad(e, "turn is not a turn id");
	return 0;
}

static int read_numbers(struct jv root, struct event_spec *s, struct err *e)
{
	s->seq = jv_int(jv_get(root, "seq"), 0);
	s->epoch = jv_int(jv_get(root, "epoch"), 0);
	s->ts_ms = jv_int(jv_get(root, "ts"), -1);
	if (s->seq < 1 || s->seq == INT64_MAX)
		return bad(e, "seq is not a number from 1");
	if (s->epoch < 1 || s->epoch == INT64_MAX)
		return bad(e, "epoch is not a number from 1");
	if (s->ts_ms < 0)
		return bad(e, "ts is not a time");
	return 0;
}

static int read_bodies(struct jv root, struct event_spec *s, struct err *e)
{
	struct jv ctx = jv_get(root, "ctx"), data = jv_get(root, "data");

	if (jv_has(ctx) && !jv_is(ctx, JV_OBJECT))
		return bad(e, "ctx is not an object");
	if (!jv_is(data, JV_OBJECT))
		return bad(e, "data is not an object");
	s->ctx = jv_raw(ctx, &s->ctx_len);
	s->data = jv_raw(data, &s->data_len);
	return 0;
}

static int read_envelope(struct jv root, struct envelope *v, struct err *e)
{
	int r;

	if (jv_int(jv_get(root, "v"), 0) != 1)
		return bad(e, "not an envelope of version 1");
	r = read_names(root, v, e);
	if (r == 0)
		r = read_numbers(root, &v->spec, e);
	if (r == 0)
		r = read_bodies(root, &v->spec, e);
	return r;
}

/* A line of our own form, which is what rendering it would give. */
static struct event *copy_line(const char *line, size_t len,
			       const struct event_line *l)
{
	struct event *ev = malloc(sizeof(*ev) + len + TAIL_LEN);
	size_t data_at = (size_t)(l->data - line);

	if (ev == NULL)
		return NULL;
	*ev = (struct event){.seq = l->seq,
			     .epoch = l->epoch,
			     .ts_ms = l->ts_ms,
			     .data = ev->line + data_at,
			     .data_len = l->data_len,
			     .len = len + 1};
	memcpy(ev->session, l->session, sizeof(ev->session));
	memcpy(ev->turn, l->turn, sizeof(ev->turn));
	memcpy(ev->type, l->type, sizeof(ev->type));
	if (l->ctx != NULL) {
		ev->ctx = ev->line + (l->ctx - line);
		ev->ctx_len = l->ctx_len;
	}
	memcpy(ev->line, line, len);
	flatten(ev->line, len);
	memcpy(ev->line + len, "\n", 2);
	return ev;
}

static int parse_json(const char *line, size_t len, struct event **out,
		      struct err *e)
{
	autojson struct json doc = {0};
	struct envelope v = {0};
	struct err why = {0};
	struct event *ev;
	int r;

	v.spec.session = v.session;
	v.spec.turn = v.turn;
	v.spec.type = v.type;
	r = json_parse(&doc, line, len, &why);
	if (r == -ENOMEM)
		return err_set(e, -ENOMEM, "event: out of memory");
	if (r < 0)
		return bad(e, why.msg);
	r = read_envelope(json_root(&doc), &v, e);
	if (r < 0)
		return r;

	ev = event_new(&v.spec);
	if (ev == NULL)
		return err_set(e, -ENOMEM, "event: out of memory");
	*out = ev;
	return 0;
}

int event_parse(const char *line, size_t len, struct event **out, struct err *e)
{
	struct event_line l;
	struct event *ev;

	if (len >= EVENT_LINE_MAX)
		return bad(e, "longer than an event may be");
	if (!event_line_read(line, len, &l))
		return parse_json(line, len, out, e);
	ev = copy_line(line, len, &l);
	if (ev == NULL)
		return err_set(e, -ENOMEM, "event: out of memory");
	*out = ev;
	return 0;
}

/* Inside of a JSON string the quotes would be escaped. */
bool event_is_foreign(const struct event *ev)
{
	static const char mark[] = "\"foreign\":true";

	return ev->ctx != NULL &&
	       memmem(ev->ctx, ev->ctx_len, mark, sizeof(mark) - 1) != NULL;
}

void event_list_free(struct event_list *l)
{
	struct event *ev;

	while ((ev = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, ev, link);
		free(ev);
	}
}

/*
 * Types and the chain.
 */

bool event_type_known(const char *type)
{
	for (const char *const *t = event_types; *t != NULL; t++)
		if (strcmp(*t, type) == 0)
			return true;
	return false;
}

static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

static size_t word_len(const char *s)
{
	size_t n = 0;

	if (is_letter(*s))
		while (is_letter(s[n]) || json_is_digit(s[n]) || s[n] == '_')
			n++;
	return n;
}

bool event_type_ok(const char *type)
{
	size_t first = word_len(type), second;

	if (first == 0 || type[first] != '.')
		return false;
	second = word_len(type + first + 1);
	return second > 0 && type[first + 1 + second] == '\0' &&
	       first + 1 + second < EVENT_TYPE_MAX;
}

static void put_le64(uint8_t out[8], int64_t n)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)((uint64_t)n >> (8 * i));
}

int64_t event_chain(int64_t prev, int64_t seq, const char *type,
		    const char *data, size_t data_len)
{
	XXH3_state_t h;
	uint8_t head[16];

	put_le64(head, prev);
	put_le64(head + 8, seq);
	(void)XXH3_64bits_reset(&h);
	(void)XXH3_64bits_update(&h, head, sizeof(head));
	(void)XXH3_64bits_update(&h, type, strlen(type) + 1);
	(void)XXH3_64bits_update(&h, data, data_len);
	return (int64_t)XXH3_64bits_digest(&h);
}
