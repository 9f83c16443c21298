// SPDX-License-Identifier: Apache-2.0
/*
 * test_lineage.c - VMs set back to a snapshot and cloned from one: both sides
 *
 * What hibd does to its logs, and what its thaw says, told to a guest's store as
 * the snapshot has it.
 */
#include "host/daemon/lineage.h"

#include <string.h>

#include "host/daemon/vault.h"
#include "tests/rekey_kit.h"

#define SNP    "snp_00000000000000000000000000000001"
#define NEW_VM "vm_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NEWER  "vm_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct host {
	struct kit k;
	struct hibd d;
};

static void host_open(struct host *h)
{
	char key[96];
	struct err e = {0};

	memset(h, 0, sizeof(*h));
	kit_open(&h->k, STORE_HOST);
	snprintf(key, sizeof(key), "%s/key", h->k.dir);
	h->d.store = h->k.store;
	EQ(reader_open(h->k.db, &h->d.reader, &e), 0);
	EQ(vault_open(key, &h->d.vault, &e), 0);
}

static void host_close(struct host *h)
{
	reader_close(h->d.reader);
	vault_close(h->d.vault);
	kit_close(&h->k);
}

/* The last events of all logs of a guest. */
static char *cursors_of(const struct kit *guest)
{
	return kit_text(guest,
			"SELECT json_group_object(id, last_seq) FROM session",
			NULL);
}

static struct lineage_spec spec_of(struct host *h, const char *vm,
				   const char *cursors)
{
	return (struct lineage_spec){
		.d = &h->d, .vm = vm, .snapshot = SNP, .cursors = cursors};
}

static void on_done(const struct err *e, void *arg)
{
	struct appended *a = arg;

	a->done = true;
	a->e = *e;
}

static int wait_for(struct host *h, struct appended *a)
{
	EQ(a->done, false);
	while (!a->done)
		uv_run(&h->k.loop, UV_RUN_ONCE);
	return a->e.code;
}

static int rewind_vm(struct host *h, const char *cursors, bool warm)
{
	const struct lineage_spec spec = spec_of(h, VM_OLD, cursors);
	struct appended a = {0};

	lineage_rewind(&spec, warm, on_done, &a);
	return wait_for(h, &a);
}

/* With a row that stands for the one of the VM. */
static int clone_vm(struct host *h, const char *vm, const char *cursors,
		    bool fails, bool cold)
{
	const struct lineage_spec spec = spec_of(h, vm, cursors);
	struct change *more = change_new();
	struct appended a = {0};

	change_add(more,
		   fails ? "INSERT INTO vm(id) VALUES(?1)"
			 : "INSERT INTO vm(id, image, state, created_ms,"
			   " updated_ms) VALUES(?1, 'i', 'suspended', 1, 1)",
		   1, vm);
	lineage_clone(&spec, more, cold, on_done, &a);
	return wait_for(h, &a);
}

/* Thaw @v as the host says. */
static void thaw(struct host *h, struct vm *v, const char *new_vm,
		 const char *cursors)
{
	const struct lineage_spec spec =
		spec_of(h, new_vm != NULL ? new_vm : VM_OLD, cursors);
	autojw struct jw w = {0};
	struct err e = {0};

	EQ(new_vm != NULL ? lineage_write_clone(&spec, &w, &e)
			  : lineage_write_rewind(&spec, &w, &e),
	   0);
	EQ(rekey(v, new_vm, w.buf), 0);
}

/* The fork of a session in a VM. */
static struct log fork_in(struct host *h, const char *vm,
			  const struct log *source)
{
	struct log l = *source;
	const char *args[] = {vm, source->session, NULL};
	autofree char *id = NULL;

	EQ(reader_value(h->d.reader,
			"SELECT id FROM session WHERE vm_id=?1 AND"
			" forked_from=?2",
			args, &id, NULL),
	   1);
	strcpy(l.session, id);
	return l;
}

static int64_t count_events(const struct host *h, const char *session,
			    const char *type)
{
	const char *args[] = {session, type, NULL};
	autofree char *n = NULL;

	EQ(reader_value(h->d.reader,
			"SELECT count(*) FROM event e JOIN session s ON"
			" s.n=e.session_n WHERE s.id=?1 AND e.type=?2",
			args, &n, NULL),
	   1);
	return atoll(n);
}

/* What the guest of a disk is given when it boots. */
static void feed_log(struct host *h, struct vm *v, const char *session)
{
	struct err e = {0};

	if (bring(&h->k, &v->k, session, &e) < 0)
		FAIL("the guest refuses: %s", e.msg);
}

/*
 * Clones.
 */

TEST(F142_two_clones_of_one_snapshot_have_logs_of_their_own)
{
	struct host h;
	struct vm old, a, b;
	struct log l, idle, la, lb;
	autofree char *cursors = NULL;

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	idle = log_ready(&old.k);
	log_begin(&old.k, &l, 1);
	log_say(&old.k, &l, "before");
	log_state(&old.k, &l, "running", "suspended");
	sync_log(&old.k, &h.k, l.session);
	sync_log(&old.k, &h.k, idle.session);
	cursors = cursors_of(&old.k);
	vm_from(&a, &old.k);
	vm_from(&b, &old.k);
	log_say(&old.k, &l, "goes on");
	sync_log(&old.k, &h.k, l.session);

	EQ(clone_vm(&h, NEW_VM, cursors, false, false), 0);
	EQ(clone_vm(&h, NEWER, cursors, false, false), 0);
	la = fork_in(&h, NEW_VM, &l);
	lb = fork_in(&h, NEWER, &l);
	EQ(last_seq(&h.k, la.session), l.seq - 1);
	STR_EQ(kit_ask(&h.k,
		       "SELECT state||suspended_from FROM session"
		       " WHERE id=?1",
		       la.session),
	       "suspendedrunning");
	thaw(&h, &a, NEW_VM, cursors);
	thaw(&h, &b, NEWER, cursors);
	sync_log(&a.k, &h.k, la.session);
	sync_log(&b.k, &h.k, lb.session);
	sides_are_equal(&a.k, &h.k, la.session);
	sides_are_equal(&b.k, &h.k, lb.session);
	log_follow(&a, &la);
	log_follow(&b, &lb);
	log_state(&a.k, &la, "suspended", "running");
	log_end(&a.k, &la);
	log_state(&b.k, &lb, "suspended", "running");
	log_say(&b.k, &lb, "after");
	log_end(&b.k, &lb);
	log_whole_turn(&b.k, &lb, 2, "more");
	sync_log(&a.k, &h.k, la.session);
	sync_log(&b.k, &h.k, lb.session);
	sides_are_equal(&a.k, &h.k, la.session);
	sides_are_equal(&b.k, &h.k, lb.session);
	sides_are_equal(&old.k, &h.k, l.session);
	EQ(kit_int(&h.k, "SELECT count(*) FROM session", NULL), 6);
	vm_end(&old);
	vm_end(&a);
	vm_end(&b);
	host_close(&h);
}

TEST(a_clone_that_was_lost_begins_anew)
{
	struct host h;
	struct vm old, lost, again;
	struct log l, fork;
	autofree char *cursors = NULL;

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	log_begin(&old.k, &l, 1);
	log_state(&old.k, &l, "running", "suspended");
	sync_log(&old.k, &h.k, l.session);
	cursors = cursors_of(&old.k);
	vm_from(&lost, &old.k);
	vm_from(&again, &old.k);
	EQ(clone_vm(&h, NEW_VM, cursors, false, false), 0);
	fork = fork_in(&h, NEW_VM, &l);
	thaw(&h, &lost, NEW_VM, cursors);
	log_follow(&lost, &fork);
	log_state(&lost.k, &fork, "suspended", "running");
	log_end(&lost.k, &fork);
	sync_log(&lost.k, &h.k, fork.session);

	thaw(&h, &again, NEW_VM, cursors);
	sync_log(&again.k, &h.k, fork.session);
	sides_are_equal(&again.k, &h.k, fork.session);
	EQ(count_events(&h, fork.session, "session.forked"), 2);
	STR_EQ(kit_ask(&h.k, "SELECT state FROM turn WHERE session_id=?1",
		       fork.session),
	       "running");
	STR_EQ(kit_ask(&h.k,
		       "SELECT vm_id||forked_from FROM session WHERE"
		       " id=?1",
		       fork.session) +
		       strlen(NEW_VM),
	       l.session);
	vm_end(&old);
	vm_end(&lost);
	vm_end(&again);
	host_close(&h);
}

TEST(a_clone_is_there_whole_or_not_at_all)
{
	struct host h;
	struct vm old;
	struct log l;
	autofree char *cursors = NULL;

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	sync_log(&old.k, &h.k, l.session);
	cursors = cursors_of(&old.k);
	OK(clone_vm(&h, NEW_VM, cursors, true, false) < 0);
	EQ(kit_int(&h.k, "SELECT count(*) FROM session", NULL), 1);
	OK(clone_vm(&h, NEW_VM, "[]", false, false) < 0);
	OK(clone_vm(&h, NEW_VM, "{\"x\":1}", false, false) < 0);
	EQ(kit_int(&h.k, "SELECT count(*) FROM vm", NULL), 0);
	EQ(kit_check(&h.k), 0);
	vm_end(&old);
	host_close(&h);
}

TEST(a_clone_of_a_disk_has_nothing_open)
{
	struct host h;
	struct vm old, booted;
	struct log l, fork;
	autofree char *cursors = NULL;

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	log_begin(&old.k, &l, 1);
	log_state(&old.k, &l, "running", "suspended");
	sync_log(&old.k, &h.k, l.session);
	cursors = cursors_of(&old.k);
	EQ(clone_vm(&h, NEW_VM, cursors, false, true), 0);
	fork = fork_in(&h, NEW_VM, &l);
	EQ(count_events(&h, fork.session, "session.forked"), 1);
	STR_EQ(kit_ask(&h.k,
		       "SELECT state||stop_reason FROM turn WHERE"
		       " session_id=?1",
		       fork.session),
	       "interruptedvm_lost");
	STR_EQ(kit_ask(&h.k,
		       "SELECT state||suspended_from FROM session"
		       " WHERE id=?1",
		       fork.session),
	       "suspendedidle");
	vm_new(&booted);
	feed_log(&h, &booted, fork.session);
	sides_are_equal(&booted.k, &h.k, fork.session);
	vm_end(&old);
	vm_end(&booted);
	host_close(&h);
}

TEST(sealed_values_are_those_of_the_fork_too)
{
	struct host h;
	struct vm old;
	struct log l, fork;
	struct change *c = change_new();
	autofree char *cursors = NULL;
	char *value = NULL;
	struct err e = {0};

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	sync_log(&old.k, &h.k, l.session);
	cursors = cursors_of(&old.k);
	EQ(vault_put(h.d.vault, c, l.session, "env", "{\"A\":\"secret\"}", &e),
	   0);
	EQ(vault_put(h.d.vault, c, l.session, "mcp",
		     "{\"aggregate\":true,\"vm\":\"" VM_OLD
		     "\",\"servers\":[]}",
		     &e),
	   0);
	change_submit(h.d.store, c, NULL, NULL);
	while (kit_int(&h.k, "SELECT count(*) FROM secret", NULL) < 2)
		uv_run(&h.k.loop, UV_RUN_ONCE);
	EQ(clone_vm(&h, NEW_VM, cursors, false, false), 0);
	fork = fork_in(&h, NEW_VM, &l);
	EQ(vault_get(h.d.vault, h.d.reader, fork.session, "env", &value, &e),
	   1);
	STR_EQ(value, "{\"A\":\"secret\"}");
	vault_wipe(value);
	EQ(vault_get(h.d.vault, h.d.reader, fork.session, "mcp", &value, &e),
	   1);
	STR_EQ(value, "{\"vm\":\"" NEW_VM "\",\"aggregate\":true,"
		      "\"servers\":[]}");
	vault_wipe(value);
	EQ(vault_get(h.d.vault, h.d.reader, fork.session, "agent", &value, &e),
	   0);
	vm_end(&old);
	host_close(&h);
}

static void on_purged(const struct err *e, void *arg)
{
	on_done(e, arg);
}

TEST(a_session_that_was_destroyed_is_in_no_clone)
{
	struct host h;
	struct vm old, a, back;
	struct log l, gone;
	struct appended done = {0};
	autofree char *cursors = NULL;

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	gone = log_ready(&old.k);
	sync_log(&old.k, &h.k, l.session);
	sync_log(&old.k, &h.k, gone.session);
	cursors = cursors_of(&old.k);
	vm_from(&a, &old.k);
	vm_from(&back, &old.k);
	EQ(store_purge(h.k.store, gone.session, on_purged, &done), 0);
	EQ(wait_for(&h, &done), 0);

	EQ(clone_vm(&h, NEW_VM, cursors, false, false), 0);
	thaw(&h, &a, NEW_VM, cursors);
	EQ(kit_int(&a.k, "SELECT count(*) FROM session", NULL), 1);
	EQ(rewind_vm(&h, cursors, true), 0);
	thaw(&h, &back, NULL, cursors);
	EQ(kit_int(&back.k, "SELECT count(*) FROM session", NULL), 1);
	EQ(last_seq(&back.k, l.session), l.seq);
	vm_end(&old);
	vm_end(&a);
	vm_end(&back);
	host_close(&h);
}

/*
 * Set back.
 */

TEST(F141_with_its_memory_the_guest_goes_on)
{
	struct host h;
	struct vm old, back, again;
	struct log l, later;
	int64_t before;
	autofree char *cursors = NULL;

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	log_begin(&old.k, &l, 1);
	log_state(&old.k, &l, "running", "suspended");
	cursors = cursors_of(&old.k);
	vm_from(&back, &old.k);
	vm_from(&again, &old.k);
	log_state(&old.k, &l, "suspended", "running");
	log_end(&old.k, &l);
	log_mixture(&old.k, &l, 2);
	later = log_ready(&old.k);
	log_begin(&old.k, &later, 1);
	log_write(&old.k, &later, "permission.requested",
		  "{\"req\":\"req_0123456789abcdef0123456789abcdef\"}", "{}");
	log_state(&old.k, &later, "running", "waiting");
	sync_log(&old.k, &h.k, l.session);
	sync_log(&old.k, &h.k, later.session);

	before = last_seq(&h.k, l.session);
	EQ(rewind_vm(&h, cursors, true), 0);
	EQ(last_seq(&h.k, l.session), before);
	thaw(&h, &back, NULL, cursors);
	sync_log(&back.k, &h.k, l.session);
	sides_are_equal(&back.k, &h.k, l.session);
	STR_EQ(kit_ask(&h.k,
		       "SELECT state||coalesce(archived_ms,'')||title"
		       " IS NULL FROM session WHERE id=?1",
		       l.session),
	       "1");
	STR_EQ(kit_ask(&h.k, "SELECT state FROM turn WHERE session_id=?1",
		       l.session),
	       "running");
	/* One that was made later stays, without its agent. */
	STR_EQ(kit_ask(&h.k,
		       "SELECT state||suspended_from FROM session"
		       " WHERE id=?1",
		       later.session),
	       "suspendedidle");
	STR_EQ(kit_ask(&h.k,
		       "SELECT state||stop_reason FROM turn"
		       " WHERE session_id=?1",
		       later.session),
	       "interruptedrewind");
	EQ(count_events(&h, later.session, "permission.resolved"), 1);

	/* Once more, while the first one has gone on. */
	log_follow(&back, &l);
	log_state(&back.k, &l, "suspended", "running");
	sync_log(&back.k, &h.k, l.session);
	EQ(rewind_vm(&h, cursors, true), 0);
	thaw(&h, &again, NULL, cursors);
	sync_log(&again.k, &h.k, l.session);
	sides_are_equal(&again.k, &h.k, l.session);
	vm_end(&old);
	vm_end(&back);
	vm_end(&again);
	host_close(&h);
}

TEST(F141_of_a_disk_the_host_says_what_is_abandoned)
{
	struct host h;
	struct vm old, back;
	struct log l;
	autofree char *cursors = NULL, *before = NULL, *text = NULL;

	host_open(&h);
	vm_new(&old);
	l = log_ready(&old.k);
	log_whole_turn(&old.k, &l, 1, "kept");
	log_begin(&old.k, &l, 2);
	cursors = cursors_of(&old.k);
	vm_from(&back, &old.k);
	before = messages_of(&old.k, l.session);
	log_say(&old.k, &l, "undone");
	log_end(&old.k, &l);
	sync_log(&old.k, &h.k, l.session);

	EQ(rewind_vm(&h, cursors, false), 0);
	EQ(count_events(&h, l.session, "session.rewound"), 1);
	STR_EQ(kit_ask(&h.k, "SELECT state||suspended_from FROM session", NULL),
	       "suspendedidle");
	STR_EQ(kit_ask(&h.k, "SELECT group_concat(state) FROM turn", NULL),
	       "completed,interrupted");
	feed_log(&h, &back, l.session);
	sides_are_equal(&back.k, &h.k, l.session);
	text = messages_of(&h.k, l.session);
	OK(strstr(before, "kept") != NULL && strstr(text, "kept") != NULL);
	OK(strstr(text, "undone") == NULL);
	EQ(count_events(&h, l.session, "turn.completed"), 2);
	vm_end(&old);
	vm_end(&back);
	host_close(&h);
}

TESTS(CASE(F142_two_clones_of_one_snapshot_have_logs_of_their_own),
      CASE(a_clone_that_was_lost_begins_anew),
      CASE(a_clone_is_there_whole_or_not_at_all),
      CASE(a_clone_of_a_disk_has_nothing_open),
      CASE(sealed_values_are_those_of_the_fork_too),
      CASE(a_session_that_was_destroyed_is_in_no_clone),
      CASE(F141_with_its_memory_the_guest_goes_on),
      CASE(F141_of_a_disk_the_host_says_what_is_abandoned))
