// SPDX-License-Identifier: Apache-2.0
/*
 * api_fork.c - forkSession
 *
 * A fork is made by the host alone, whoever writes the source's log: it copies
 * what is stored up to the end of a turn.  One transaction holds the copied
 * events, session.forked behind them, what is sealed for the new session and
 * its mirror row, so a fork is there whole or not at all.  Nothing is written to
 * the source.
 *
 * The fork belongs to the VM of its source, unless it is to have a workspace of
 * its own.  A guest that runs is given it with the first call that is about it
 * (op_call()); else the feed of the next boot brings it.
 *
 * With a workspace of its own it gets a VM like that of its source, whose
 * repository borrows the objects of the other: so that costs the same however
 * much is in it.  The row of the VM is stored with the fork.  It begins with the
 * files as they were where the log is cut, or for a whole log with all that the
 * source has, which is committed first, or with none.
 *
 * Databases of the session are no part of its log: the fork gets copies as they
 * are now, before it is stored.
 *
 * Where it is cut: at the end of the turn that `at` names; a seq is rounded down
 * to the end of the last turn that had ended by then; without `at` it is the
 * last one that has ended.  Turns that a rewind has abandoned do not count.
 * Where no turn has ended yet, the fork has what stands before the first.
 */
#include <stdio.h>
#include <string.h>

#include "core/policy.h"
#include "core/time.h"
#include "host/daemon/depot.h"
#include "host/daemon/hostlog.h"
#include "host/daemon/revision.h"
#include "host/daemon/routes.h"
#include "host/daemon/sqlcopy.h"
#include "host/manifest.h"

#define MODEL_MAX 256

struct forking {
	struct store_fork f;
	struct op *op;
	struct hibd *d;
	struct change *more;
	char id[ID_MAX];
	char made_vm[ID_MAX]; /* Its own VM; "": that of the source. */
};

/* What is asked for, and where the log is cut. */
struct wish {
	char *title, *agent, *model, *workspace;
	char *vm; /* Into that one, which is there; NULL: as workspace says. */
	char hash[SHA256_HEX_MAX];
	char id[ID_MAX];
	int64_t at;

	struct op *op;
	struct sqlcopy copy;

	/* For a VM of its own. */
	struct depot_job job;
	struct revision rev;
	bool has_base;
	struct vfs_oid base;
};

static void wish_free(struct wish *w)
{
	free(w->title);
	free(w->agent);
	free(w->model);
	free(w->workspace);
	free(w->vm);
	free(w);
}

static bool shares_vm(const struct wish *w)
{
	return w->vm == NULL &&
	       (w->workspace == NULL || strcmp(w->workspace, "share") == 0);
}

/* --- where to cut ------------------------------------------------------- */

/* A number asked of the store, of the session and @arg (or NULL); @otherwise
 * when it is NULL or fails. */
static int64_t ask(struct op *op, const char *sql, const char *arg,
		   int64_t otherwise)
{
	const char *args[] = {op->session, arg, NULL};
	autofree char *text = NULL;

	if (reader_value(op->d->reader, sql, args, &text, NULL) != 1 ||
	    text[0] == '\0')
		return otherwise;
	return strtoll(text, NULL, 10);
}

/* The end of the last turn that had ended by event @seq. */
static int64_t round_down(struct op *op, int64_t seq)
{
	static const char last_end[] =
		"SELECT max(last_seq) FROM turn t WHERE session_id=?1"
		" AND ended_ms IS NOT NULL AND last_seq<=CAST(?2 AS INTEGER)"
		" AND NOT EXISTS (SELECT 1 FROM abandoned a"
		"  WHERE a.session_id=t.session_id"
		"  AND t.last_seq BETWEEN a.from_seq AND a.to_seq)";
	static const char before_first[] =
		"SELECT min(first_seq)-1 FROM turn WHERE session_id=?1";
	char text[24];
	int64_t end, first;

	snprintf(text, sizeof(text), "%lld", (long long)seq);
	end = ask(op, last_end, text, 0);
	if (end > 0)
		return end;
	first = ask(op, before_first, NULL, op->brief.last_seq);
	return first < seq ? first : seq;
}

static int64_t refuse_mid_turn(struct op *op)
{
	struct err e = {0};

	err_set(&e, -FAULT_FORK_MID_TURN,
		"turn %s of %s runs; name an earlier one, or wait",
		op->brief.open_turn, op->session);
	err_data(&e, "\"turn\":\"%s\"", op->brief.open_turn);
	op_fail(op, &e);
	return -1;
}

static int64_t cut_at_turn(struct op *op, const char *turn)
{
	int64_t end;

	if (!id_is(turn, "trn")) {
		op_refuse(op, -FAULT_INVALID_ID,
			  "at '%.80s' is neither a turn id nor a seq", turn);
		return -1;
	}
	if (strcmp(turn, op->brief.open_turn) == 0)
		return refuse_mid_turn(op);
	end = ask(op, "SELECT last_seq FROM turn WHERE session_id=?1 AND id=?2",
		  turn, 0);
	if (end > 0)
		return end;
	op_refuse(op, -FAULT_TURN_NOT_FOUND, "session %s has no turn %s",
		  op->session, turn);
	return -1;
}

static int64_t cut_at_seq(struct op *op, int64_t seq, bool runs)
{
	struct err e = {0};
	int64_t open = ask(op,
			   "SELECT first_seq FROM turn WHERE session_id=?1"
			   " AND id=?2",
			   op->brief.open_turn, INT64_MAX);

	if (seq < 1) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "at: a turn id or a seq");
		return -1;
	}
	if (seq > op->brief.last_seq) {
		err_set(&e, -FAULT_CURSOR_AHEAD,
			"session %s ends at event %lld", op->session,
			(long long)op->brief.last_seq);
		err_data(&e, "\"last_seq\":%lld",
			 (long long)op->brief.last_seq);
		op_fail(op, &e);
		return -1;
	}
	return runs && seq >= open ? refuse_mid_turn(op) : round_down(op, seq);
}

/* Return: the last event to copy; negative when the op has been answered. */
static int64_t find_cut(struct op *op, bool runs)
{
	struct jv at = jv_get(op->in, "at");
	autofree char *turn = NULL;

	if (!jv_has(at) || jv_is(at, JV_NULL)) {
		if (runs && op->brief.open_turn[0] != '\0')
			return refuse_mid_turn(op);
		return round_down(op, op->brief.last_seq);
	}
	if (!jv_is(at, JV_STRING))
		return cut_at_seq(op, jv_int(at, 0), runs);
	turn = jv_strdup(at, NULL);
	return cut_at_turn(op, turn ? turn : "");
}

/* --- what is asked ------------------------------------------------------ */

/* Equal for a request that comes again, so that it makes nothing twice. */
static void hash_wish(struct op *op, struct wish *w)
{
	static const char *const members[] = {
		"at",  "title",	    "tags", "agent",	  "model",
		"env", "workspace", "vm",   "mcpServers", "mcpAggregate"};
	autojw struct jw text = {0};

	jw_arr(&text);
	jw_str(&text, op->session);
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		jw_value(&text, jv_get(op->in, members[i]));
	jw_arr_end(&text);
	sha256_hex(w->hash, text.buf ? text.buf : "", text.len);
	if (text.buf != NULL)
		explicit_bzero(text.buf, text.len);
}

static bool check_workspace(struct op *op, const struct wish *w)
{
	const char *how = w->workspace;

	if (w->vm != NULL && how != NULL) {
		op_refuse(op, -FAULT_INVALID_ARGUMENT,
			  "workspace and vm: only one of them");
		return false;
	}
	if (w->vm != NULL && vm_find(op->d, w->vm) == NULL) {
		op_refuse(op, -FAULT_VM_NOT_FOUND, "VM %s is not here", w->vm);
		return false;
	}
	if (how == NULL || strcmp(how, "share") == 0 ||
	    strcmp(how, "copy") == 0 || strcmp(how, "none") == 0)
		return true;
	op_refuse(op, -FAULT_INVALID_ARGUMENT,
		  "workspace '%.20s': share, copy or none", how);
	return false;
}

static bool read_wish(struct op *op, struct wish *w)
{
	if (!op_string(op, "title", TITLE_MAX, &w->title) ||
	    !op_string(op, "agent", AGENT_MAX, &w->agent) ||
	    !op_string(op, "model", MODEL_MAX, &w->model) ||
	    !op_string(op, "workspace", 16, &w->workspace) ||
	    !op_string(op, "vm", VM_NAME_MAX, &w->vm) || !op_tags(op) ||
	    !op_read_env(op) || !op_read_mcp(op) || !op_copy_mcp(op) ||
	    !check_workspace(op, w))
		return false;
	hash_wish(op, w);
	return true;
}

/* May it be forked in its present state? */
static bool check_state(struct op *op, bool runs)
{
	if (op->only[0] != '\0')
		op_refuse(op, -FAULT_FORBIDDEN,
			  "a token for one session makes no other");
	else if (vm_find(op->d, op->vm) == NULL)
		op_refuse(op, -FAULT_VM_NOT_FOUND,
			  "%s, the VM of %s, is not here", op->vm, op->session);
	else if (runs && strcmp(op->brief.state, "starting") == 0)
		op_refuse(op, -FAULT_NOT_READY, "%s is starting", op->session);
	else if (runs && strcmp(op->brief.state, "closing") == 0)
		op_refuse(op, -FAULT_SESSION_CLOSING, "%s is closing",
			  op->session);
	else
		return true;
	return false;
}

/* The agent of the fork into op->agent, and what it requires.  An agent that
 * was pinned needs no manifest any more, and then nobody knows what that is. */
static bool find_agent(struct op *op, const struct wish *w)
{
	const char *name = w->agent ? w->agent : op->brief.agent;
	autofree char *manifest = NULL;
	bool known = manifest_load(&op->d->home, name, &manifest, NULL) == 0;

	jw_reset(&op->params);
	if (w->agent != NULL ? !op_put_new_agent(op, name) : !op_find_agent(op))
		return false;
	/* One that comes with its VM is not started yet. */
	return !known || w->vm != NULL || op_check_required(op, name);
}

/* --- what it says ------------------------------------------------------- */

/* A column of the source's row; an absent value is one that is not given. */
static void put_given_or_own(struct op *op, struct jw *w, const char *key,
			     enum jv_type type, struct jv row)
{
	struct jv given = jv_get(op->in, key);

	given = jv_is(given, type) ? given : jv_get(row, key);
	if (jv_is(given, type))
		jw_kvalue(w, key, given);
}

static void put_agent(struct op *op, struct jw *w, const struct wish *wish)
{
	autojson struct json j = {0};

	if (wish->agent == NULL ||
	    json_parse(&j, op->agent, strlen(op->agent), NULL) < 0)
		return;
	jw_kstr(w, "agent", wish->agent);
	jw_kvalue(w, "resolved", jv_get(json_root(&j), "version"));
}

/* The agent's own session knows just what the fork knows, and can be forked
 * by the agent, only where nothing was said after the cut. */
static void put_native(struct op *op, struct jw *w, const struct wish *wish,
		       struct jv row)
{
	struct jv acp = jv_get(row, "acp_session_id");
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)wish->at);
	/* What the agent itself has kept stays in the VM of the source. */
	if (wish->agent != NULL || !shares_vm(wish) || !jv_is(acp, JV_STRING) ||
	    ask(op,
		"SELECT count(*) FROM turn WHERE session_id=?1"
		" AND first_seq>CAST(?2 AS INTEGER)",
		text, 1) > 0)
		return;
	jw_key(w, "native");
	jw_obj(w);
	jw_kvalue(w, "acp_session_id", acp);
	jw_kint(w, "last_seq", wish->at);
	jw_obj_end(w);
}

/* @vm: that of the fork. */
static void write_forked(struct op *op, const struct wish *wish, const char *vm,
			 struct jv row, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "from", op->session);
	jw_kint(w, "at", wish->at);
	jw_kstr(w, "vm", vm);
	jw_kstr(w, "workspace",
		wish->vm != NULL  ? "copy"
		: shares_vm(wish) ? "share"
				  : wish->workspace);
	put_given_or_own(op, w, "title", JV_STRING, row);
	put_given_or_own(op, w, "tags", JV_ARRAY, row);
	op_put_env_names(op, w);
	jw_kstr(w, "create_hash", wish->hash);
	put_agent(op, w, wish);
	put_native(op, w, wish, row);
	jw_obj_end(w);
}

/* The source's rules and those of the new agent's manifest. */
static int put_policy(struct op *op, struct jv row, struct jw *w, struct err *e)
{
	autojson struct json j = {0};
	int r;

	if (op->policy == NULL)
		return 0;
	r = json_parse(&j, op->policy, strlen(op->policy), e);
	if (r < 0)
		return r;
	jw_key(w, "policy");
	return policy_join(jv_path(row, "config.policy"), json_root(&j), w, e);
}

/* What was chosen for another agent says nothing to this one. */
static int write_config(struct op *op, const struct wish *wish, struct jv row,
			struct jw *w, struct err *e)
{
	static const char *const others[] = {"mode", "thought", "options"};
	int r = 0;

	if (wish->model == NULL && wish->agent == NULL)
		return 0;
	jw_obj(w);
	jw_kstr(w, "model", wish->model);
	for (size_t i = 0; wish->agent != NULL && i < ARRAY_LEN(others); i++)
		jw_kstr(w, others[i], NULL);
	if (wish->agent != NULL)
		r = put_policy(op, row, w, e);
	jw_obj_end(w);
	return r;
}

/* Add the next event behind the copy; an empty text adds none. */
static int add_event(struct forking *k, int64_t at, const char *type,
		     struct jw *data)
{
	struct event *ev, *last = TAILQ_LAST(&k->f.tail.events, event_list);
	struct event_spec spec = {
		.session = k->id,
		.type = type,
		.seq = last != NULL ? last->seq + 1 : at + 1,
		.epoch = k->op->brief.epoch + 1,
		.ts_ms = now_ms(),
		.data = data->buf,
		.data_len = data->len,
	};

	if (data->failed)
		return -ENOMEM;
	if (data->len == 0)
		return 0;
	ev = event_new(&spec);
	if (ev == NULL)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&k->f.tail.events, ev, link);
	return 0;
}

/* --- doing it ----------------------------------------------------------- */

static void forking_free(struct forking *k)
{
	event_list_free(&k->f.tail.events);
	if (k->more != NULL)
		change_free(k->more);
	free(k);
}

static int fork_more(struct sqlite3 *db, struct store_fork *f, struct err *e)
{
	return change_apply(container_of(f, struct forking, f)->more, db, e);
}

static void fork_reply(struct op *op)
{
	if (jv_bool(jv_get(op->in, "start"), false)) {
		if (op_load_session(op))
			op_resume(op, op_reply_session);
	} else {
		op_reply_session(op);
	}
}

/* The VM that was made for it is there with it, or not at all. */
static void fork_settle_vm(struct forking *k, const struct err *e)
{
	struct vm *vm = k->made_vm[0] != '\0' && !k->d->stopping
				? vm_find(k->d, k->made_vm)
				: NULL;

	if (vm != NULL && e->code < 0)
		vm_discard(vm, e);
	else if (vm != NULL)
		vm_keep(vm);
}

static void fork_on_stored(struct store_batch *b, int64_t acked,
			   const struct err *e)
{
	struct forking *k = container_of(b, struct forking, f.tail);
	struct op *op = k->op;

	memcpy(op->session, k->id, ID_MAX);
	vault_wipe(take_ptr(op->agent));
	vault_wipe(take_ptr(op->env));
	vault_wipe(take_ptr(op->mcp));
	fork_settle_vm(k, e);
	forking_free(k);
	if (acked < 0)
		op_fail(op, e);
	else
		fork_reply(op);
}

/* What belongs to a session and is no event. */
static int add_more(struct forking *k, const struct vm *vm, struct err *e)
{
	struct op *op = k->op;
	int r;

	k->more = change_new();
	if (k->made_vm[0] != '\0')
		vm_add_row(vm, k->more);
	r = op_seal(op, k->more, k->id, vm_id(vm), e);
	if (r == 0)
		change_add(k->more,
			   "UPDATE mirror SET tail_complete=?2 WHERE session_n="
			   "(SELECT n FROM session WHERE id=?1)",
			   2, k->id, vm_is_off(vm) ? "1" : "0");
	return r;
}

static int fork_fill(struct forking *k, const struct wish *wish, const char *vm,
		     struct err *e)
{
	const char *args[] = {k->op->session, NULL};
	autojw struct jw text = {0}, forked = {0}, config = {0};
	autojson struct json j = {0};
	int r = reader_rows(k->op->d->reader,
			    "SELECT title, tags, config, acp_session_id"
			    " FROM session WHERE id=?1",
			    args, &text, e);

	if (r > 0)
		r = json_parse(&j, text.buf, text.len, e);
	if (r < 0)
		return r;
	write_forked(k->op, wish, vm, json_root(&j), &forked);
	r = write_config(k->op, wish, json_root(&j), &config, e);
	if (r < 0)
		return r;
	if (add_event(k, wish->at, "session.forked", &forked) < 0 ||
	    add_event(k, wish->at, "session.config", &config) < 0)
		return err_set(e, -ENOMEM, "fork: out of memory");
	return 0;
}

/* @vm: of the fork: its source's, or one that was made for it. */
static void fork_begin(struct op *op, const struct wish *wish, struct vm *vm)
{
	struct forking *k = calloc(1, sizeof(*k));
	struct err e = {0};

	/* Without a few hundred bytes nothing else would go on either. */
	if (k == NULL)
		abort();
	k->op = op;
	k->d = op->d;
	if (!shares_vm(wish) && wish->vm == NULL)
		memcpy(k->made_vm, vm_id(vm), ID_MAX);
	k->f.also = fork_more;
	k->f.tail.done = fork_on_stored;
	TAILQ_INIT(&k->f.tail.events);
	memcpy(k->id, wish->id, ID_MAX);
	memcpy(k->f.tail.session, wish->id, ID_MAX);
	memcpy(k->f.source, op->session, ID_MAX);
	if (fork_fill(k, wish, vm_id(vm), &e) < 0 || add_more(k, vm, &e) < 0) {
		fork_settle_vm(k, &e);
		forking_free(k);
		op_fail(op, &e);
		return;
	}
	store_fork(op->d->store, &k->f);
}

/* --- its databases ------------------------------------------------------ */

static struct vm *vm_of(const struct wish *w)
{
	return w->op->d->stopping ? NULL : vm_find(w->op->d, w->copy.to_vm);
}

/* Takes @w, as the next two. */
static void fork_copied(struct wish *w)
{
	struct vm *vm = vm_of(w);

	if (vm != NULL)
		fork_begin(w->op, w, vm);
	else
		op_refuse(w->op, -FAULT_VM_NOT_FOUND, "%s is not here any more",
			  w->copy.to_vm);
	wish_free(w);
}

static void fork_on_copied(struct sqlcopy *c, const struct err *e)
{
	struct wish *w = container_of(c, struct wish, copy);
	struct vm *vm = vm_of(w);

	if (e->code == 0) {
		fork_copied(w);
		return;
	}
	if (vm != NULL && !shares_vm(w) && w->vm == NULL)
		vm_discard(vm, e);
	op_fail(w->op, e);
	wish_free(w);
}

/* First what is in files of the VM, then the session.  @vm: of the fork. */
static void fork_copy(struct wish *w, const struct vm *vm)
{
	struct sqlcopy *c = &w->copy;

	c->d = w->op->d;
	c->done = fork_on_copied;
	memcpy(c->session, w->op->session, ID_MAX);
	memcpy(c->to, w->id, ID_MAX);
	memcpy(c->vm, w->op->brief.vm_id, ID_MAX);
	memcpy(c->to_vm, vm_id(vm), ID_MAX);
	if (!sqlcopy_begin(c))
		fork_copied(w);
}

/* --- a VM of its own ---------------------------------------------------- */

static void own_on_prepared(struct vm *vm, const struct err *e, void *arg)
{
	struct wish *w = arg;

	if (e->code == 0) {
		fork_copy(w, vm);
		return;
	}
	op_fail(w->op, e);
	wish_free(w);
}

static void own_prepare(struct wish *w)
{
	struct vm *source = vm_find(w->op->d, w->op->vm);
	struct vm_config cfg;

	if (source == NULL) {
		op_refuse(w->op, -FAULT_VM_NOT_FOUND, "%s is not here",
			  w->op->vm);
		wish_free(w);
		return;
	}
	vm_describe(source, &cfg);
	if (w->has_base) {
		cfg.fork_of = source;
		cfg.base = &w->base;
	}
	vm_prepare(w->op->d, &cfg, own_on_prepared, w);
}

static int own_work(struct depot_job *j, struct vfs_repo *repo, struct err *e)
{
	struct wish *w = container_of(j, struct wish, job);
	int r;

	if (w->rev.name[0] != '\0')
		r = revision_resolve(&w->rev, repo, &w->base, e);
	else
		r = vfs_repo_head(repo, &w->base, e);
	w->has_base = r == 0;
	return r == -ENOENT ? 0 : r;
}

static void own_on_resolved(struct depot_job *j, const struct err *e)
{
	struct wish *w = container_of(j, struct wish, job);

	if (e->code < 0 && e->code != -FAULT_FILE_NOT_FOUND) {
		op_fail(w->op, e);
		wish_free(w);
	} else {
		own_prepare(w);
	}
}

static void own_resolve(struct wish *w, struct vm *source)
{
	w->job.work = own_work;
	w->job.done = own_on_resolved;
	depot_read(vm_depot(source), &w->job);
}

static void own_on_committed(struct vm *vm, const struct err *e, void *arg)
{
	struct wish *w = arg;

	if (e->code == 0 && vm != NULL) {
		own_resolve(w, vm);
	} else if (e->code == 0) {
		own_prepare(w); /* It says that the VM is gone. */
	} else {
		op_fail(w->op, e);
		wish_free(w);
	}
}

/* Find the commit whose files it begins with, then make the VM. */
static void own_begin(struct op *op, struct wish *w)
{
	struct jv at = jv_get(op->in, "at");
	bool cut = jv_has(at) && !jv_is(at, JV_NULL);
	bool files = strcmp(w->workspace, "copy") == 0;
	struct vm *source = vm_find(op->d, op->vm);

	w->op = op;
	if (files && cut)
		files = revision_of_session(&w->rev, op->d->reader, op->session,
					    w->at);
	if (!files)
		own_prepare(w);
	else if (cut)
		own_resolve(w, source);
	else
		vm_commit(source, own_on_committed, w);
}

/* --- the request -------------------------------------------------------- */

/* The id is there: by the same request, whose answer was lost, or not. */
static void fork_again(struct op *op, const struct wish *wish)
{
	const char *args[] = {wish->id, NULL};
	autofree char *hash = NULL;

	if (reader_value(op->d->reader,
			 "SELECT lower(hex(create_hash)) FROM session"
			 " WHERE id=?1",
			 args, &hash, NULL) != 1 ||
	    strcmp(hash, wish->hash) != 0) {
		op_refuse(op, -FAULT_SESSION_CONFLICT,
			  "%s exists and is no such fork", wish->id);
		return;
	}
	memcpy(op->session, wish->id, ID_MAX);
	fork_reply(op);
}

/* Takes @wish. */
static void fork_checked(struct op *op, struct wish *wish)
{
	struct vm *vm = vm_find(op->d, op->vm);
	bool runs = vm != NULL && !vm_is_asleep(vm);
	struct session_brief b;

	if (reader_session(op->d->reader, wish->id, &b, NULL) == 0) {
		fork_again(op, wish);
		wish_free(wish);
		return;
	}
	if (!op_id_is_free(op, wish->id) || !check_state(op, runs)) {
		wish_free(wish);
		return;
	}
	wish->at = find_cut(op, runs);
	if (wish->at <= 0 || !find_agent(op, wish)) {
		wish_free(wish);
	} else if (shares_vm(wish) || wish->vm != NULL) {
		wish->op = op;
		fork_copy(wish,
			  wish->vm != NULL ? vm_find(op->d, wish->vm) : vm);
	} else {
		own_begin(op, wish);
	}
}

void session_fork_route(struct op *op)
{
	struct wish *wish = calloc(1, sizeof(*wish));
	struct jv given = jv_get(op->in, "id");

	if (wish == NULL)
		abort();
	if (!jv_has(given) || jv_is(given, JV_NULL)) {
		id_new(wish->id, "ses");
	} else if (jv_strcpy(given, wish->id, ID_MAX) < 0 ||
		   !id_is(wish->id, "ses")) {
		op_refuse(op, -FAULT_INVALID_ID, "'id' is no session id");
		wish_free(wish);
		return;
	}
	if (op_load_session(op) && read_wish(op, wish))
		fork_checked(op, wish);
	else
		wish_free(wish);
}
