/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hib.h - libhib: coding agents in sandboxes that sleep and wake, from C
 *
 *	struct hib *h;
 *	struct hib_error e;
 *	struct hib_session_options s = {.size = sizeof(s), .agent = "echo"};
 *	struct hib_reply reply = {.size = sizeof(reply)};
 *	char id[HIB_ID_MAX];
 *
 *	if (hib_open(NULL, &h, &e) < 0 ||
 *	    hib_create_session(h, &s, id, NULL, &e) < 0 ||
 *	    hib_send_prompt(h, id, HIB_TEXT("hello"), &reply, &e) < 0)
 *		errx(1, "%s: %s", e.name, e.message);
 *	puts(reply.text);
 *	hib_reply_done(&reply);
 *	hib_close(h);
 *
 * Link with `pkg-config --libs hib`.
 *
 * Calls.  A call blocks until it has its answer, and needs no thread: a handle
 * has an event loop of its own that runs during the call.  A handle belongs to
 * one thread at a time; different handles are independent.  Calls must not be
 * made from callbacks (they answer -HIB_INVALID_ARGUMENT), but for
 * hib_unsubscribe() and hib_interrupt().
 *
 * Results.  0 is success; a failure is -code, the code of `struct hib_error`,
 * which every call fills in when it is not NULL.  Rows are JSON text, whose keys
 * are those of the HTTP API; it is owned by the caller and released with
 * hib_free().  A NULL for such a result means that it is not wanted.
 *
 * Robustness.  The daemon may die and come back during a call.  A call then
 * connects again a bounded number of times with growing pauses, starting the
 * daemon when the handle may do that, and repeats the request where repeating it
 * is safe: a prompt has an idempotency key, and what is created has an id, both
 * made here when not given.  When that does not help, the call fails with
 * -HIB_GUEST_UNREACHABLE or -HIB_VM_UNAVAILABLE; a turn that was started goes on.
 *
 * Binary compatibility.  Structs that the caller makes begin with their size;
 * later versions only add members at the end.
 */
#ifndef HIB_H
#define HIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HIB_API	   __attribute__((visibility("default")))
#define HIB_ID_MAX 37 /* An id with its NUL: a prefix and 32 hex digits. */

/* --- errors ------------------------------------------------------------- */

/* Codes are HTTP status * 100 + n.  Those that programs ask for most; the name
 * in struct hib_error says every other, too. */
enum {
	HIB_INVALID_ARGUMENT = 40000,
	HIB_INVALID_ID = 40001,
	HIB_CWD_NOT_FOUND = 40002,
	HIB_RESULTS_MISMATCH = 40003,
	HIB_PATH_ESCAPE = 40004,
	HIB_UNAUTHORIZED = 40100,
	HIB_FORBIDDEN = 40300,
	HIB_SESSION_NOT_FOUND = 40401,
	HIB_VM_NOT_FOUND = 40402,
	HIB_AGENT_UNKNOWN = 40407,
	HIB_TURN_NOT_FOUND = 40403,
	HIB_FILE_NOT_FOUND = 40405,
	HIB_KEY_NOT_FOUND = 40408,
	HIB_SNAPSHOT_NOT_FOUND = 40406,
	HIB_TURN_ACTIVE = 40901,
	HIB_SESSION_CONFLICT = 40902,
	HIB_NOT_WAITING = 40903,
	HIB_SESSION_NOT_LIVE = 40904,
	HIB_SESSION_CLOSED = 40905,
	HIB_SESSION_FAILED = 40907,
	HIB_FORK_MID_TURN = 40909,
	HIB_CAS_MISMATCH = 40910,
	HIB_ALREADY_EXISTS = 40911,
	HIB_IDEMPOTENCY_MISMATCH = 40912,
	HIB_NO_TURN = 40913,
	HIB_NOT_READY = 40914,
	HIB_CURSOR_AHEAD = 40916,
	HIB_TAIL_INCOMPLETE = 40917,
	HIB_HAS_CHILDREN = 40918,
	HIB_SESSION_EXPIRED = 41001,
	HIB_AGENT_AUTH_REQUIRED = 41201,
	HIB_CAPABILITY_UNSUPPORTED = 41202,
	HIB_CANCELLED = 49900,
	HIB_INTERNAL = 50000,
	HIB_VM_UNAVAILABLE = 50301,
	HIB_GUEST_UNREACHABLE = 50302,
	HIB_START_TIMEOUT = 50401,
};

/* Why a call failed.  The layout never changes. */
struct hib_error {
	int code;	   /* Positive; 0 after success. */
	char name[32];	   /* "turn_active" */
	char message[240]; /* For people. */
	char data[2048];   /* For programs: a JSON object. */
};

/* Exit status of a command that ended with this error. */
HIB_API int hib_exit_code(const struct hib_error *e);

/* --- the handle --------------------------------------------------------- */

struct hib; /* Opaque. */

struct hib_options {
	size_t size;	   /* sizeof(struct hib_options) */
	const char *home;  /* State folder; NULL: $HIB_HOME or the default. */
	const char *url;   /* "http://127.0.0.1:PORT" instead of the socket. */
	const char *token; /* NULL: all rights of the socket's owner. */
	bool no_autostart; /* Never start the daemon. */
	unsigned attempts; /* To connect, in one call; 0: the default. */
};

/* Make a handle; connects to nothing yet.  @o: NULL for the defaults. */
HIB_API int hib_open(const struct hib_options *o, struct hib **out,
		     struct hib_error *e);
/* Ends its subscriptions without another callback.  NULL is allowed. */
HIB_API void hib_close(struct hib *h);

/* Release what a call gave.  NULL is allowed. */
HIB_API void hib_free(void *p);
HIB_API const char *hib_version(void);

/*
 * For a program with an event loop of its own: when hib_fd() is readable, or
 * after hib_timeout() ms (-1: never), call hib_dispatch(), which runs callbacks
 * and does not wait.
 */
HIB_API int hib_fd(const struct hib *h);
HIB_API int hib_timeout(const struct hib *h);
HIB_API int hib_dispatch(struct hib *h);
/* Wait for something to happen, at most @timeout_ms (-1: no limit), and run the
 * callbacks.  Return: 0; -HIB_CANCELLED after hib_interrupt(). */
HIB_API int hib_wait(struct hib *h, int timeout_ms);
/* Make the call that runs now, or else the next one, fail with -HIB_CANCELLED.
 * May be called from a signal handler or another thread. */
HIB_API void hib_interrupt(struct hib *h);

/* --- the daemon --------------------------------------------------------- */

/* {"version","pid","home","vms_running","http_port"?} */
HIB_API int hib_health(struct hib *h, char **json, struct hib_error *e);
/* Stop the daemon, and wait until it has ended; of a handle with a url, until it
 * is about to.  VMs go on, unless @vms: then they sleep first. */
HIB_API int hib_shutdown(struct hib *h, bool vms, struct hib_error *e);
HIB_API int hib_list_agents(struct hib *h, char **json, struct hib_error *e);
HIB_API int hib_list_types(struct hib *h, char **json, struct hib_error *e);
/* {"token","expires_ms"}.  @session: NULL for all.  @scope: read, prompt, answer
 * or admin.  @ttl_ms: 0 for the default. */
HIB_API int hib_create_token(struct hib *h, const char *session,
			     const char *scope, int64_t ttl_ms, char **json,
			     struct hib_error *e);

/* --- secrets ------------------------------------------------------------ */

/* Values that sessions use by name, in their environment and for MCP servers;
 * sealed, and never given back.  A name is 1 to 255 letters, digits and . _ -; a
 * value is 1 to 65536 bytes.  What is set anew counts from the next start of an
 * agent on. */
HIB_API int hib_set_secret(struct hib *h, const char *name, const char *value,
			   struct hib_error *e);
/* An array of {"name","created_ms","updated_ms"}. */
HIB_API int hib_list_secrets(struct hib *h, char **json, struct hib_error *e);
HIB_API int hib_delete_secret(struct hib *h, const char *name,
			      struct hib_error *e);

/* --- VMs: an id or a name says which ------------------------------------ */

/* How far the files of a new VM are. */
struct hib_import_progress {
	size_t size;	   /* sizeof(struct hib_import_progress) */
	const char *stage; /* "receive": of a URL; "read": all. */
	int64_t n, total;  /* Objects or files; total 0: not known. */
	int64_t bytes;	   /* Received, or read. */
};
/* During the call, some times a second. */
typedef void (*hib_import_cb)(const struct hib_import_progress *p, void *arg);

struct hib_vm_options {
	size_t size;	     /* sizeof(struct hib_vm_options) */
	const char *id;	     /* NULL: made here. */
	const char *name;    /* Unique, or NULL. */
	const char *backend; /* NULL: "sandbox". */
	const char *image;   /* NULL: "host". */
	const char *net;     /* "none" (NULL) or "host". */
	int64_t idle_ms;     /* Sleep after that; 0: the default; < 0: never. */
	bool no_boot;
	int64_t max_sessions; /* Live at a time, at most; 0: the default. */
	/* Folders of this machine outside HIB_HOME, "host:guest" or
	 * "host:guest:ro", NULL at the end; or NULL. */
	const char *const *mounts;
	int64_t quota; /* Bytes of /home and /workspace; 0: no limit. */
	/* What /workspace begins with: the absolute path of a folder or, with
	 * "#REV", of a git repository, or a URL of one.  NULL: nothing. */
	const char *workspace;
	/* Files written into it once it is there, JSON: [{"path","content" or
	 * "content_b64","mode"}]; or NULL.  The VM is booted for them. */
	const char *initial_files;
	hib_import_cb on_import; /* For workspace; or NULL. */
	void *arg;
	/* Of a virtual machine: MiB, 64 to 16384, and how many, 1 to 16; 0: the
	 * default, 512 and 1. */
	int64_t memory, cpus;
	/* One that sleeps warm in RAM goes cold after that; 0: the default, a
	 * day; < 0: never. */
	int64_t cold_ms;
	bool no_template; /* Boot it, whatever waits in its image. */
};

/* @id: may be NULL.  After a failure there is no new VM. */
HIB_API int hib_vm_create(struct hib *h, const struct hib_vm_options *o,
			  char id[HIB_ID_MAX], char **json,
			  struct hib_error *e);
HIB_API int hib_vm_get(struct hib *h, const char *vm, char **json,
		       struct hib_error *e);
HIB_API int hib_vm_list(struct hib *h, char **json, struct hib_error *e);
/* Its boots, sleeps and ends: an array of {"seq","ts_ms","type","data"}, the
 * oldest first. */
HIB_API int hib_vm_events(struct hib *h, const char *vm, char **json,
			  struct hib_error *e);
HIB_API int hib_vm_wake(struct hib *h, const char *vm, char **json,
			struct hib_error *e);
/* Have its guest daemon become the program that is installed now; idle sessions
 * go on with the agents that they have, but those with MCP servers are suspended.
 * @json: {"vm","upgraded","from","build"}: false when it is off, and will boot
 * with the new one.  -HIB_TURN_ACTIVE while a turn, a program or a terminal runs;
 * -HIB_CAPABILITY_UNSUPPORTED for a machine, and for a workspace that the guest
 * serves: a sleep and a wake do the same. */
HIB_API int hib_vm_upgrade(struct hib *h, const char *vm, char **json,
			   struct hib_error *e);
/*
 * Put it to sleep with its memory: agents stop where they are, in the middle of a
 * turn or not, calls that wait for a turn wait on, and when it wakes (as for a cold
 * sleep, or by hib_vm_resume()) all goes on from there.  -HIB_CAPABILITY_UNSUPPORTED
 * when it cannot, unless @or_cold: then as hib_vm_sleep().  @json: its row, and
 * "kind" (warm, cold), "memory" (ram, disk, null) and "ms".
 * hib_vm_resume() wakes any VM that is off or asleep; "kind" says from what: warm,
 * cold, none.
 */
HIB_API int hib_vm_suspend(struct hib *h, const char *vm, bool or_cold,
			   char **json, struct hib_error *e);
HIB_API int hib_vm_resume(struct hib *h, const char *vm, char **json,
			  struct hib_error *e);
/* Cold: memory is given up, of one that sleeps warm, too.
 * Turns that are cut off are named in "interrupted".  The last commit before it
 * is waited for for some seconds; "workspace":{"head","complete"} says whether
 * that was enough.  What was not is committed soon after the next boot. */
HIB_API int hib_vm_sleep(struct hib *h, const char *vm, char **json,
			 struct hib_error *e);
HIB_API int hib_vm_stop(struct hib *h, const char *vm, char **json,
			struct hib_error *e);
/* Commit what is in its /workspace.  Wakes nothing: one that is off has its
 * newest commit.  @json: {"head","changed"}, and of one that is off "complete",
 * false when its disk has newer files. */
HIB_API int hib_checkpoint(struct hib *h, const char *vm, char **json,
			   struct hib_error *e);
/* Give /workspace the files that it had after turn @to, or of a commit.
 * @paths: only these, NULL-terminated, also those that it lacks; a VM that runs
 * goes on.  NULL: all.  The VM sleeps for that, and wakes again if it ran;
 * -HIB_TURN_ACTIVE while a turn runs, unless @force.
 * What was there before is committed first, and is @json's "was":
 * {"vm","n","head","from","was"}.  When it cannot be committed nothing is
 * restored, unless @force: then it is lost. */
HIB_API int hib_restore_files(struct hib *h, const char *vm, const char *to,
			      const char *const *paths, bool force, char **json,
			      struct hib_error *e);
struct hib_vm_fork_options {
	size_t size;	  /* sizeof(struct hib_vm_fork_options) */
	const char *id;	  /* NULL: made here. */
	const char *name; /* Unique, or NULL. */
	const char *at;	  /* A turn or a commit; NULL: all there is now. */
	bool no_sessions; /* Only the files. */
};

/* Make a VM like another, with its files and its sessions as they were; those
 * that are closed or archived stay behind.  The source stays as it is, but
 * commits first what it has, for which one that is off is only woken when it
 * went to sleep without.  @o: NULL for the defaults.  @id: may be NULL.  @json:
 * {"vm","from","sessions":
 * [{"from","id"}]}.  After a failure there is no new VM. */
HIB_API int hib_vm_fork(struct hib *h, const char *vm,
			const struct hib_vm_fork_options *o,
			char id[HIB_ID_MAX], char **json, struct hib_error *e);
/* Remove it with its files.  Logs of its sessions stay.  -HIB_HAS_CHILDREN when
 * there are snapshots of it, unless @force: they go with it. */
HIB_API int hib_vm_destroy(struct hib *h, const char *vm, bool force,
			   struct hib_error *e);

/* --- snapshots ---------------------------------------------------------- */

/*
 * A VM at one instant: its disk and, of a machine that runs, its memory, with
 * where each log stood.  It belongs to its VM, and takes the room of what has
 * changed since where the file system can share, else of all there is.
 */
struct hib_snapshot_options {
	size_t size;	   /* sizeof(struct hib_snapshot_options) */
	const char *label; /* For people; or NULL. */
	const char *kind;  /* "memory", "disk"; NULL: as much as there is. */
};

/* Make one of a VM.  One that runs goes on after it.  @o: NULL for the defaults.
 * @id: may be NULL.  -HIB_CAPABILITY_UNSUPPORTED when there is no memory that can
 * be kept. */
HIB_API int hib_snapshot_create(struct hib *h, const char *vm,
				const struct hib_snapshot_options *o,
				char id[HIB_ID_MAX], char **json,
				struct hib_error *e);
/* @vm: NULL for those of all, the oldest first. */
HIB_API int hib_snapshot_list(struct hib *h, const char *vm, char **json,
			      struct hib_error *e);
HIB_API int hib_snapshot_get(struct hib *h, const char *snapshot, char **json,
			     struct hib_error *e);
/* Compare its files with the hashes that were taken when it was new.  @json:
 * {"snapshot","ok","damage":[what differs],"hashes":[{"name","size","sha256"}],
 * "ms"}. */
HIB_API int hib_snapshot_verify(struct hib *h, const char *snapshot,
				char **json, struct hib_error *e);
/* Set its VM back to it: disk, memory if it has that, and logs, which go on with
 * session.rewound; nothing of them is deleted.  The VM is stopped for that; of
 * kind memory, and else if it ran, it runs afterwards.  After a failure files and
 * logs are as they were, but it may have been stopped and booted.  Unless @force:
 * -HIB_TURN_ACTIVE while a turn runs, -HIB_NOT_READY when files are not committed,
 * -HIB_TAIL_INCOMPLETE when the end of a log is in the VM alone.  @json: the VM. */
HIB_API int hib_vm_restore(struct hib *h, const char *snapshot, bool force,
			   char **json, struct hib_error *e);

struct hib_snapshot_fork_options {
	size_t size;	  /* sizeof(struct hib_snapshot_fork_options) */
	unsigned n;	  /* How many VMs; 0: one. */
	const char *name; /* Of one; or NULL. */
};

/* Make VMs that are as it was, their sessions forks of its.  Of kind memory they
 * run, and share the memory that they do not change.  @snapshot: or a VM that
 * runs, whose memory is forked.  @o: NULL for the defaults.  @json: {"snapshot",
 * "from","kind","vms":[{"vm","ms","sessions":[{"from","id"}]}],"ms"}.  After a
 * failure there is no new VM. */
HIB_API int hib_snapshot_fork(struct hib *h, const char *snapshot,
			      const struct hib_snapshot_fork_options *o,
			      char **json, struct hib_error *e);
/* What `hib snapshot import` has unpacked into a folder below the state folder: a
 * VM of the id @vm (a machine keeps its own), off, with its sessions, and a
 * snapshot of it. */
HIB_API int hib_snapshot_import(struct hib *h, const char *folder,
				const char *vm, char **json,
				struct hib_error *e);
/* What was forked from it stays. */
HIB_API int hib_snapshot_remove(struct hib *h, const char *snapshot,
				struct hib_error *e);

/* --- sessions ----------------------------------------------------------- */

struct hib_session_options {
	size_t size;		/* sizeof(struct hib_session_options) */
	const char *agent;	/* Required: the name of its manifest. */
	const char *id;		/* NULL: made here. */
	const char *vm;		/* NULL: a VM is made for it. */
	const char *cwd;	/* NULL: /workspace. */
	const char *const *env; /* "NAME=value", NULL-terminated; or NULL. */
	const char *title;
	const char *const *tags;  /* NULL-terminated; or NULL. */
	const char *config;	  /* JSON object, or NULL. */
	const char *instructions; /* Added to the agent's own. */
	const char *net;	  /* Of the VM that is made for it. */
	bool skip_os_instructions;
	int64_t start_timeout_ms;      /* 0: the default. */
	int64_t permission_timeout_ms; /* 0: none. */
	int64_t ttl_ms;		       /* 0: none. */
	/* What answers permission requests before anybody is asked: "ask" (as
	 * NULL), "allow", "deny", or rules as JSON; see hib(1). */
	const char *policy;
	/* The same key with the same options again, within a day, is the same
	 * session, whatever became of the first call; with others it is
	 * -HIB_IDEMPOTENCY_MISMATCH.  NULL: none. */
	const char *idempotency_key;
	/* Files of /workspace before the first turn, JSON: [{"path","content"
	 * or "content_b64","mode"}]; or NULL. */
	const char *initial_files;
	/* MCP servers, JSON: {NAME:SERVER} or ACP's list, see hib(1); or NULL.
	 * Their urls and headers stay with the daemon. */
	const char *mcp_servers;
	bool mcp_aggregate; /* The agent sees one server with all tools. */
	/* Variables whose values are secrets, "NAME=SECRET" or, when both are
	 * called the same, "NAME"; NULL-terminated; or NULL. */
	const char *const *env_secrets;
	/* Functions outside the VM that the agent may call, JSON: [{"name",
	 * "description","inputSchema","timeoutMs"}], to be answered by
	 * hib_submit_tool_results(); NULL: those of hib_register_tool(). */
	const char *tools;
};

/* Start an agent.  The same id with the same options again is the same session.
 * @id: may be NULL.  @json: {"session","capabilities","agentInfo","modes",
 * "configOptions"}. */
HIB_API int hib_create_session(struct hib *h,
			       const struct hib_session_options *o,
			       char id[HIB_ID_MAX], char **json,
			       struct hib_error *e);

/* Start an agent in a VM before there is a session for it.  The next session there
 * that would start the very same process, by the same agent, env, cwd and limits,
 * takes it, and is ready the sooner.  It ends when the VM sleeps cold.  @json:
 * {"agent","pid","started_ms"}. */
HIB_API int hib_vm_prewarm(struct hib *h, const char *vm,
			   const struct hib_session_options *o, char **json,
			   struct hib_error *e);

/* What VMs of backend qemu can boot: an array of manifests, as `hib image inspect`
 * prints them, with "path", the folder. */
HIB_API int hib_image_list(struct hib *h, char **json, struct hib_error *e);
/* Have VMs of an image begin with that agent: one is booted, the agent started in
 * it, and all of it kept in memory as a file.  A VM of backend qemu that is made on
 * that image with the defaults goes on from there instead of booting, for as long as
 * image, installed agents, this program and QEMU are the same.  What is in @o->env is
 * kept, too.  It takes the place of what the image had before.  @json: {"image",
 * "agent","vm","snapshot"}. */
HIB_API int hib_image_warm(struct hib *h, const char *image,
			   const struct hib_session_options *o, char **json,
			   struct hib_error *e);
/* Remove that; harmless when there is none. */
HIB_API int hib_image_cool(struct hib *h, const char *image,
			   struct hib_error *e);

struct hib_list_options {
	size_t size; /* sizeof(struct hib_list_options) */
	const char *state, *vm, *tag;
	bool archived;	    /* The archive instead. */
	const char *cursor; /* The last id of the page before. */
	unsigned limit;	    /* 0: all. */
};

/* An array of rows, the newest first; wakes nothing.  @o: NULL for all. */
HIB_API int hib_list_persisted_sessions(struct hib *h,
					const struct hib_list_options *o,
					char **json, struct hib_error *e);
/* @live: also ask the guest how the agent's process is. */
HIB_API int hib_get_session(struct hib *h, const char *session, bool live,
			    char **json, struct hib_error *e);
/* @patch: JSON object with "title", "tags", "ttlMs" (from now on; 0: it does not
 * expire) and "config"; the last one is
 * {"model","mode","thought","options":{ID:VALUE}}, where null takes back what
 * was set.  The row has "warnings" when something was cut. */
HIB_API int hib_update_session(struct hib *h, const char *session,
			       const char *patch, char **json,
			       struct hib_error *e);

/* Set what the agent offers to be set.  A running agent is asked first, and its
 * refusal is the error; -HIB_INVALID_ARGUMENT names the values that there are.
 * Else it is kept and told to the agent when it starts: nothing is woken.
 * @json: the session's row. */
HIB_API int hib_set_model(struct hib *h, const char *session, const char *model,
			  char **json, struct hib_error *e);
HIB_API int hib_set_mode(struct hib *h, const char *session, const char *mode,
			 char **json, struct hib_error *e);
HIB_API int hib_set_thought_level(struct hib *h, const char *session,
				  const char *level, char **json,
				  struct hib_error *e);
/* @value: of an option that is a boolean "true" or "false". */
HIB_API int hib_set_config_option(struct hib *h, const char *session,
				  const char *id, const char *value,
				  char **json, struct hib_error *e);
/* What the agent offers, with the current values, as it said it; "null" when it
 * offers nothing of the kind.  {"currentModeId","availableModes"} and an array
 * of options. */
HIB_API int hib_get_modes(struct hib *h, const char *session, char **json,
			  struct hib_error *e);
HIB_API int hib_get_config_options(struct hib *h, const char *session,
				   char **json, struct hib_error *e);
/* Wake the VM and start the agent, if it does not run.  @restore: "none" to
 * start with no memory of the conversation, else NULL.  @json: {"restore",
 * "session"}; restore is live, native, transcript or none. */
HIB_API int hib_resume_session(struct hib *h, const char *session,
			       const char *restore, char **json,
			       struct hib_error *e);
/* Stop the agent, keep the session.  @force: also during a turn. */
HIB_API int hib_suspend_session(struct hib *h, const char *session, bool force,
				char **json, struct hib_error *e);
/* End the session; its log stays.  @force: kill at once. */
HIB_API int hib_close_session(struct hib *h, const char *session, bool force,
			      char **json, struct hib_error *e);
/* Remove the session and all that was stored of it.  @discard: also when its
 * guest may hold events that the host has not. */
HIB_API int hib_destroy_session(struct hib *h, const char *session,
				bool discard, struct hib_error *e);
HIB_API int hib_archive_session(struct hib *h, const char *session,
				bool archived, char **json,
				struct hib_error *e);

struct hib_fork_options {
	size_t size;	   /* sizeof(struct hib_fork_options) */
	const char *at;	   /* A turn id, or a seq; NULL: all that has ended. */
	const char *id;	   /* Of the fork; NULL: made here. */
	const char *title; /* NULL: the source's. */
	const char *const *tags; /* NULL-terminated; NULL: the source's. */
	const char *agent;	 /* NULL: the source's. */
	const char *model;	 /* NULL: the agent's, or what was chosen. */
	/* "NAME=value", NULL-terminated; or NULL.  The source's is not copied. */
	const char *const *env;
	bool start; /* Start its agent, too. */
	/* "share" (NULL): it works in the same VM, on the same files.  "copy":
	 * in a VM of its own, which begins with the files as they were at that
	 * turn, or with all that are there now.  "none": in one without
	 * files. */
	const char *workspace;
	const char *vm; /* Into that VM instead, whatever files it has. */
	const char *mcp_servers; /* As of a new session; NULL: the source's. */
	const char *const *env_secrets; /* As of a new session. */
};

/* Copy a session up to the end of a turn into one of its own.  Its VM need not
 * run.  The source stays as it is.  @o: NULL for the defaults.
 * @id: may be NULL.  @json: the new session's row. */
HIB_API int hib_fork_session(struct hib *h, const char *session,
			     const struct hib_fork_options *o,
			     char id[HIB_ID_MAX], char **json,
			     struct hib_error *e);
/* Join a session whose agent lives; starts nothing, and is -session_not_live
 * where none does.  @json: {"token","expires_ms","scope","state","turn",
 * "last_seq","pending"}; the token is for this session alone, to prompt and
 * answer, or with @read_only to read. */
HIB_API int hib_attach_session(struct hib *h, const char *session,
			       bool read_only, char **json,
			       struct hib_error *e);
/* Permissions and other questions of the agent, answered ones too. */
HIB_API int hib_get_requests(struct hib *h, const char *session, char **json,
			     struct hib_error *e);
/* What is said to a question of the agent: one of option and action; with
 * neither the request is cancelled. */
struct hib_answer {
	size_t size;	     /* sizeof(struct hib_answer) */
	const char *option;  /* Of a permission: an optionId offered. */
	const char *action;  /* Of an elicitation: accept, decline, cancel. */
	const char *content; /* With accept: the filled form, a JSON object.
			      * It stands in the log. */
	const char *actor;   /* Who answers, for the log; or NULL. */
};

/* The first answer counts: later ones are -HIB_NOT_WAITING.  One that does not
 * fit the question is -HIB_INVALID_ARGUMENT, and the question stays. */
HIB_API int hib_answer(struct hib *h, const char *session, const char *request,
		       const struct hib_answer *a, struct hib_error *e);
/* The same for a permission.  @option: NULL: the request is cancelled. */
HIB_API int hib_answer_request(struct hib *h, const char *session,
			       const char *request, const char *option,
			       struct hib_error *e);

/* --- MCP servers of a session ------------------------------------------- */

/* An array of {"name","transport","state","pid","error","tools",..}; wakes
 * nothing. */
HIB_API int hib_mcp_list(struct hib *h, const char *session, char **json,
			 struct hib_error *e);
/* {"tools":[{"name","description","inputSchema",..}]} as the agent sees them, or,
 * when it does not run, as the server told them last.  @refresh: ask the server
 * again. */
HIB_API int hib_mcp_tools(struct hib *h, const char *session,
			  const char *server, bool refresh, char **json,
			  struct hib_error *e);

struct hib_mcp_call {
	size_t size; /* sizeof(struct hib_mcp_call) */
	const char *server, *tool;
	const char *arguments; /* A JSON object, or NULL. */
	int64_t timeout_ms;    /* 0: as the server's options say. */
};

/* Call a tool while the agent runs.  @json: {"content":[..],"isError"?,..}; that
 * the tool failed is a result, no error. */
HIB_API int hib_mcp_call(struct hib *h, const char *session,
			 const struct hib_mcp_call *call, char **json,
			 struct hib_error *e);

/* --- prompts ------------------------------------------------------------ */

struct hib_prompt {
	size_t size;	     /* sizeof(struct hib_prompt) */
	const char *text;    /* The prompt, .. */
	const char *content; /* .. or a JSON array of ACP blocks. */
	const char *on_busy; /* reject (NULL), queue, steer, interrupt */
	const char *idempotency_key; /* NULL: made here. */
	const char *actor;	     /* Who asks, for the log; or NULL. */
	bool no_wait;		     /* Return when the turn has begun. */
	bool no_wake;		     /* Fail if the session sleeps. */
};

#ifndef __cplusplus
#define HIB_TEXT(s)                                                    \
	(&(const struct hib_prompt){.size = sizeof(struct hib_prompt), \
				    .text = (s)})
#endif

/* How a turn ended.  Strings are "" when there is nothing to say. */
struct hib_reply {
	size_t size; /* sizeof(struct hib_reply), set before the call. */
	char turn[HIB_ID_MAX];
	char state[16]; /* completed, failed, cancelled, interrupted; "running"
			 * or "queued" after no_wait. */
	char stop_reason[64];
	char *text;	   /* What the agent said. */
	char *usage;	   /* JSON, or NULL. */
	char *error;	   /* JSON, or NULL: why it failed. */
	int64_t first_seq; /* Of input.message; 0 when not known. */
	int64_t last_seq;  /* Of the event that ended the turn. */
};

/* Prompt, and wait for the end of the turn.  That a turn failed is a reply, no
 * error.  What @reply held before is not released.  After -HIB_CANCELLED and
 * -HIB_GUEST_UNREACHABLE it has what is known, and the turn goes on. */
HIB_API int hib_send_prompt(struct hib *h, const char *session,
			    const struct hib_prompt *p, struct hib_reply *reply,
			    struct hib_error *e);

/* A piece of the agent's text, not terminated, during the call.  A non-zero
 * result ends the call with -HIB_CANCELLED; the turn goes on. */
typedef int (*hib_text_cb)(const char *text, size_t len, void *arg);
struct hib_event;
typedef void (*hib_event_cb)(const struct hib_event *ev, void *arg);

/* The same, with the text as it comes.  The pieces in a row are reply->text.
 * @on_event (may be NULL) gets every event of the turn. */
HIB_API int hib_prompt_stream(struct hib *h, const char *session,
			      const struct hib_prompt *p, hib_text_cb on_text,
			      hib_event_cb on_event, void *arg,
			      struct hib_reply *reply, struct hib_error *e);
HIB_API void hib_reply_done(struct hib_reply *reply);

/* End the turn, @turn or the one that runs (NULL).  Returns when it has
 * ended. */
HIB_API int hib_cancel_prompt(struct hib *h, const char *session,
			      const char *turn, struct hib_error *e);

/* --- functions of this program ------------------------------------------ */

/* A call of one by an agent, until it is answered: by one of hib_tool_result(),
 * hib_tool_result_json() and hib_tool_error(), after which it is no more.  They
 * may be called in the callback or at any time later, but before hib_close(). */
struct hib_tool_call {
	size_t size;
	const char *session, *id; /* Of the request. */
	const char *name;
	const char *arguments; /* A JSON object that fits the schema. */
	int64_t deadline_ms;   /* Unix time; then the agent gets an error. */
};

struct hib_tool {
	size_t size;	  /* sizeof(struct hib_tool) */
	const char *name; /* 1 to 64 of letters, digits, _ and - */
	const char *description;
	const char *schema; /* Of the arguments, JSON; NULL: any object. */
	int64_t timeout_ms; /* For a call; 0: five minutes. */
	/* Both run in hib_dispatch(), hib_wait() and blocking calls. */
	void (*call)(struct hib_tool_call *call, void *arg);
	/* Nobody waits for the answer any more: the turn was cancelled, it took
	 * too long, or somebody else has answered.  It is to be answered all
	 * the same.  May be NULL. */
	void (*cancelled)(struct hib_tool_call *call, void *arg);
	void *arg;
};

/* Let agents call a function of this program: it is a tool of their MCP server
 * "host".  @session: NULL for every session that is made by this handle from now
 * on.  An agent has that server when its session had tools as it was started,
 * even none; else it has it from its next start.  The tools of a session are those
 * of whoever has told last: this handle's, once it has registered one.  What an
 * agent has called before is served, too. */
HIB_API int hib_register_tool(struct hib *h, const char *session,
			      const struct hib_tool *t, struct hib_error *e);
HIB_API int hib_unregister_tool(struct hib *h, const char *session,
				const char *name, struct hib_error *e);

/* A text. */
HIB_API void hib_tool_result(struct hib_tool_call *call, const char *text);
/* An array of content blocks of MCP, or any other value; at most 100 KiB. */
HIB_API void hib_tool_result_json(struct hib_tool_call *call, const char *json);
HIB_API void hib_tool_error(struct hib_tool_call *call, const char *message);
/* How far it is, which must grow; @total 0: not known; @message: may be NULL. */
HIB_API void hib_tool_progress(struct hib_tool_call *call, int64_t progress,
			       int64_t total, const char *message);

struct hib_tool_results {
	size_t size;	     /* sizeof(struct hib_tool_results) */
	const char *results; /* JSON: [{"id","content" or "error"}] */
	bool partial;	     /* Else they are those of all open calls. */
	const char *actor;   /* Who answers, for the log; or NULL. */
};

/* Answer calls that are known by hib_get_requests() or events, without a
 * callback.  Others than those that are open are -HIB_RESULTS_MISMATCH, and
 * nothing has changed. */
HIB_API int hib_submit_tool_results(struct hib *h, const char *session,
				    const struct hib_tool_results *r,
				    struct hib_error *e);

/* --- the log ------------------------------------------------------------ */

/* One event; valid during the callback. */
struct hib_event {
	size_t size;
	const char *session, *type;
	const char *turn; /* "" outside a turn. */
	int64_t seq, ts_ms;
	const char *json; /* The envelope, one line, as it is stored. */
	size_t len;
};

struct hib_event_query {
	size_t size;		     /* sizeof(struct hib_event_query) */
	int64_t since;		     /* Exclusive; 0: from the first event. */
	const char *types, *exclude; /* "turn.*,input.message"; NULL: all. */
	const char *turn;
	int64_t from_ms, to_ms; /* 0: open. */
	unsigned limit;		/* 0: a page; for get_session_events: all. */
	bool descending;
};

/* One page: {"events","next_since","has_more","last_seq","through_seq",
 * "tail_complete"}.  @q: NULL for the first page. */
HIB_API int hib_get_sequenced_events(struct hib *h, const char *session,
				     const struct hib_event_query *q,
				     char **json, struct hib_error *e);
/* Everything that is stored and fits, one by one.  Works with the VM off. */
HIB_API int hib_get_session_events(struct hib *h, const char *session,
				   const struct hib_event_query *q,
				   hib_event_cb on_event, void *arg,
				   struct hib_error *e);
/* The conversation as messages with parts.  @turn: NULL for all. */
HIB_API int hib_get_messages(struct hib *h, const char *session,
			     const char *turn, char **json,
			     struct hib_error *e);
struct hib_message_query {
	size_t size;	   /* sizeof(struct hib_message_query) */
	const char *turn;  /* NULL: all. */
	const char *parts; /* "text,tool_call,..": types of parts; NULL: all. */
	const char *tool;  /* Only calls of that title or kind; or NULL. */
	int64_t from_ms, to_ms; /* When a message began; 0: open. */
	bool notice;		/* End with a message of what was left out. */
};

/* A part of it, as context for something else.  @q: NULL for all. */
HIB_API int hib_find_messages(struct hib *h, const char *session,
			      const struct hib_message_query *q, char **json,
			      struct hib_error *e);
/* turns, tools, elements, plans, diffs, artifacts, cursors, mcp, summaries or
 * stats. */
HIB_API int hib_get_view(struct hib *h, const char *session, const char *view,
			 char **json, struct hib_error *e);

/* What was used: {"session","turns","usage"}; @tree: together with its children,
 * and "sessions" one by one. */
HIB_API int hib_get_usage(struct hib *h, const char *session, bool tree,
			  char **json, struct hib_error *e);

/* How far a reader has come, by a name of his choice: letters, digits and ._-
 * The view "cursors" has them.  @seq: not behind the end of the log. */
HIB_API int hib_set_cursor(struct hib *h, const char *session, const char *name,
			   int64_t seq, struct hib_error *e);
HIB_API int hib_delete_cursor(struct hib *h, const char *session,
			      const char *name, struct hib_error *e);

/* --- what a session keeps ----------------------------------------------- */

/* Conditions of a change, and more of a memory. */
struct hib_note_options {
	size_t size;	     /* sizeof(struct hib_note_options) */
	const char *etag;    /* Only over this value; "*": over any. */
	bool must_not_exist; /* Only where there is none. */
	const char *scope;   /* Of a memory: "session" (NULL), or "vm": it is
			      * shared by the sessions of the VM. */
	const char *meta;    /* Of a memory: a JSON object, or NULL. */
};
struct hib_note_list {
	size_t size;	    /* sizeof(struct hib_note_list) */
	const char *prefix; /* Of the keys; NULL: all. */
	const char *after;  /* Only behind this key; NULL: from the first. */
	const char *scope;  /* Of memories; NULL: both. */
	unsigned limit;	    /* 0: the most, 200. */
};

/*
 * Texts by key: a key has 1 to 255 bytes, a value up to 1 MiB, and a session up
 * to 10000 of them.  They are events of its log, so that they sleep, travel and
 * are forked with it.  @o may be NULL.
 * {"key","value","etag","created_ms","updated_ms"}; a list has
 * {"key","bytes","preview","created_ms","updated_ms"}, what is set {"key","etag"}.
 */
HIB_API int hib_kv_get(struct hib *h, const char *session, const char *key,
		       char **json, struct hib_error *e);
HIB_API int hib_kv_set(struct hib *h, const char *session, const char *key,
		       const char *value, const struct hib_note_options *o,
		       char **json, struct hib_error *e);
HIB_API int hib_kv_delete(struct hib *h, const char *session, const char *key,
			  const struct hib_note_options *o,
			  struct hib_error *e);
HIB_API int hib_kv_list(struct hib *h, const char *session,
			const struct hib_note_list *o, char **json,
			struct hib_error *e);

/* Memories: the same with "meta" and "scope".  @scope: NULL looks for the
 * session's own first. */
HIB_API int hib_memory_get(struct hib *h, const char *session, const char *key,
			   const char *scope, char **json, struct hib_error *e);
HIB_API int hib_memory_set(struct hib *h, const char *session, const char *key,
			   const char *value, const struct hib_note_options *o,
			   char **json, struct hib_error *e);
HIB_API int hib_memory_delete(struct hib *h, const char *session,
			      const char *key, const struct hib_note_options *o,
			      struct hib_error *e);
HIB_API int hib_memory_list(struct hib *h, const char *session,
			    const struct hib_note_list *o, char **json,
			    struct hib_error *e);

/*
 * Databases: SQLite files of the session in its VM, by names of up to 64 letters,
 * digits and _, no digit first; up to 10, of 50 MB each and 100 MB together.
 * They sleep with the VM and are forked with the session, but are no part of its
 * log: they are lost with the VM's disk.  A call wakes the VM.
 */
struct hib_sql_options {
	size_t size;	    /* sizeof(struct hib_sql_options) */
	const char *params; /* JSON: an array for ?1.., an object for :name;
			     * {"base64":..} is bytes.  NULL: none. */
	bool query;	    /* It only reads, one that is there. */
	int64_t timeout_ms; /* Less than 30000; 0: that. */
};
/* Run statements as one transaction; the database is made when it is not there.
 * {"columns":[],"rows":[[]],"truncated","changes","last_insert_rowid"}: at most
 * 1000 rows in 1 MiB. */
HIB_API int hib_sql(struct hib *h, const char *session, const char *db,
		    const char *sql, const struct hib_sql_options *o,
		    char **json, struct hib_error *e);
/* {"tables":[{"type","name","table","sql"}],"bytes"} */
HIB_API int hib_sql_schema(struct hib *h, const char *session, const char *db,
			   char **json, struct hib_error *e);
/* {"databases":[{"name","bytes"}]} */
HIB_API int hib_sql_list(struct hib *h, const char *session, char **json,
			 struct hib_error *e);
HIB_API int hib_sql_drop(struct hib *h, const char *session, const char *db,
			 struct hib_error *e);

/* What events @from_seq to @to_seq come to, for an agent that is begun afresh.
 * 0: behind the last summary; up to the last event.  {"from_seq","to_seq"} */
HIB_API int hib_add_summary(struct hib *h, const char *session,
			    const char *text, int64_t from_seq, int64_t to_seq,
			    char **json, struct hib_error *e);

struct hib_search_options {
	size_t size;	     /* sizeof(struct hib_search_options) */
	const char *session; /* Only in this one; NULL: in all. */
	unsigned limit;	     /* 0: 20. */
};

/* Find words, all of which stand in one text, and "phrases", in prompts, what
 * agents said, titles of tool calls and sessions; the newest first: an array of
 * {"session","session_title","turn","seq","role","ts_ms","snippet"}.  @o: NULL
 * for the defaults. */
HIB_API int hib_search(struct hib *h, const char *text,
		       const struct hib_search_options *o, char **json,
		       struct hib_error *e);

struct hib_subscription; /* Opaque; owned by its handle. */

struct hib_subscribe {
	size_t size;   /* sizeof(struct hib_subscribe) */
	int64_t since; /* Exclusive; 0: everything; < 0: only what is new. */
	hib_event_cb on_event;
	/* The subscription has ended and is gone: the session was destroyed or
	 * is not there, or the daemon stays away.  May be NULL. */
	void (*on_end)(const struct hib_error *e, void *arg);
	void *arg;
};

/* Every event after since, in order, each once, for ever: what is stored first,
 * then live, over lost connections and restarts of the daemon.  Callbacks run
 * in hib_dispatch(), hib_wait() and blocking calls. */
HIB_API int hib_on_event(struct hib *h, const char *session,
			 const struct hib_subscribe *s,
			 struct hib_subscription **out, struct hib_error *e);
/* No callback after this. */
HIB_API void hib_unsubscribe(struct hib_subscription *s);

/* --- a session as a file ------------------------------------------------ */

/* Takes bytes; a non-zero result ends the export. */
typedef int (*hib_write_cb)(const char *data, size_t n, void *arg);
/* Gives at most @cap bytes.  Return: their number; 0 at the end; < 0 to give
 * up. */
typedef long (*hib_read_cb)(char *buf, size_t cap, void *arg);

HIB_API int hib_export_session(struct hib *h, const char *session,
			       hib_write_cb write, void *arg,
			       struct hib_error *e);
/* The bytes of a file that a session has made for its user; hib_get_view() lists
 * them ("artifacts").  @artifact: its id. */
HIB_API int hib_get_artifact(struct hib *h, const char *session,
			     const char *artifact, hib_write_cb write,
			     void *arg, struct hib_error *e);
/* The session keeps its id; -already_exists when there is one. */
HIB_API int hib_import_session(struct hib *h, hib_read_cb read, void *arg,
			       char **json, struct hib_error *e);

/* --- programs in a VM --------------------------------------------------- */

struct hib_exec_options {
	size_t size; /* sizeof(struct hib_exec_options) */
	/* One of both: a program and its arguments, NULL-terminated; or a line
	 * for the shell. */
	const char *const *argv;
	const char *command;
	const char *cwd;	/* NULL: /workspace. */
	const char *const *env; /* "NAME=value", NULL-terminated; or NULL. */
	const void *input;	/* Its stdin, up to 8 MiB; NULL: empty. */
	size_t input_len;
	int64_t timeout_ms; /* Then it is killed; 0: never. */
	/* Run it where this session's agent runs, which must live, and see what
	 * that sees; NULL: apart from all sessions. */
	const char *session;
	size_t max_output; /* Bytes in the result; 0: 1 MiB, at most 4 MiB. */
	/* What it writes, as it comes and all of it; the result has none then.
	 * A non-zero result ends the program.  NULL: see the result. */
	int (*on_output)(bool is_stderr, const char *data, size_t len,
			 void *arg);
	void *arg;
};

struct hib_exec_result {
	size_t size;	 /* sizeof(struct hib_exec_result), set before. */
	int exit;	 /* Exit code; -1 when a signal has ended it. */
	char signal[16]; /* "SIGKILL", or "". */
	bool timed_out;
	int64_t ms;
	/* The last bytes of what it wrote, and a NUL behind them. */
	char *out, *err;
	size_t out_len, err_len;
	bool out_truncated, err_truncated; /* There was more before. */
};

/* Run a program in a VM, which is woken for it, and wait for its end.  It runs
 * as the agents' user, with the environment that agents have and what is given,
 * and ends with this call: when the call is interrupted or the connection lost,
 * and when the VM sleeps (-draining).  One that cannot be started ends as in a
 * shell, with exit code 127 or 126 and the reason on stderr. */
HIB_API int hib_exec(struct hib *h, const char *vm,
		     const struct hib_exec_options *o,
		     struct hib_exec_result *result, struct hib_error *e);
HIB_API void hib_exec_result_done(struct hib_exec_result *result);

/* --- files of a VM ------------------------------------------------------ */

/*
 * Paths begin at /workspace, with or without that in front; ".." is refused with
 * -HIB_PATH_ESCAPE, and so is a link that leads out.  An entry is {"path","type",
 * "size","mode","mtime_ms","etag","target"}: type is file, dir, link or other,
 * and a path that is no UTF-8 has its bytes in "path_b64".
 *
 * A VM that is off is woken by what changes files.  Reading, listing and looking
 * show its last commit then, and with @at any other: a turn or a commit's id.
 */

struct hib_file_options {
	size_t size;	/* sizeof(struct hib_file_options) */
	const char *at; /* NULL: as it is now. */
	int64_t offset; /* Read from there... */
	int64_t length; /* ...so much; 0: to the end. */
};

/* The bytes of a file, piece by piece.  @o: NULL for all of it.  @entry: may be
 * NULL.  When it fails in the middle, @write has had a part. */
HIB_API int hib_read_file(struct hib *h, const char *vm, const char *path,
			  const struct hib_file_options *o, hib_write_cb write,
			  void *arg, char **entry, struct hib_error *e);

struct hib_write_options {
	size_t size;	  /* sizeof(struct hib_write_options) */
	const char *etag; /* That it must have ("*": any), or NULL. */
	bool must_not_exist;
	const char *mode; /* "644"; NULL: as it was, or that. */
	bool append;	  /* In place, and not as a whole or not at all. */
};

/* Write a file, and the folders above it.  It appears as a whole.  @etag of
 * another version is -HIB_CAS_MISMATCH, and of two who write the same version
 * one fails.  @o: NULL for none. */
HIB_API int hib_write_file(struct hib *h, const char *vm, const char *path,
			   const struct hib_write_options *o, hib_read_cb read,
			   void *arg, char **entry, struct hib_error *e);
/* The same with bytes at hand. */
HIB_API int hib_write_file_bytes(struct hib *h, const char *vm,
				 const char *path,
				 const struct hib_write_options *o,
				 const void *data, size_t len, char **entry,
				 struct hib_error *e);

struct hib_files_options {
	size_t size;	   /* sizeof(struct hib_files_options) */
	const char *at;	   /* NULL: as they are now. */
	unsigned depth;	   /* Folders in folders; 0: 1. */
	unsigned limit;	   /* Entries; 0: 1000, at most 10000. */
	const char *after; /* "next" of the page before. */
};

/* {"entries","truncated","next"}, in bytewise order of names, each folder
 * followed by what is in it. */
HIB_API int hib_list_files(struct hib *h, const char *vm, const char *path,
			   const struct hib_files_options *o, char **json,
			   struct hib_error *e);
/* One entry.  A link is looked at, not followed.  @at: may be NULL. */
HIB_API int hib_stat_file(struct hib *h, const char *vm, const char *path,
			  const char *at, char **json, struct hib_error *e);
/* Is it there?  Return: 1, 0, or another error. */
HIB_API int hib_file_exists(struct hib *h, const char *vm, const char *path,
			    struct hib_error *e);
/* Several small files: {"paths":[..]} to {"files":[{"path","content" or
 * "content_b64","etag"} or {"path","error"}]}, and {"files":[{"path","content"
 * or "content_b64","mode","etag","must_not_exist"}]} to such a list. */
HIB_API int hib_read_files(struct hib *h, const char *vm, const char *paths,
			   char **json, struct hib_error *e);
HIB_API int hib_write_files(struct hib *h, const char *vm, const char *files,
			    char **json, struct hib_error *e);
/* @parents: make those above, and be content if it is there. */
HIB_API int hib_make_dir(struct hib *h, const char *vm, const char *path,
			 bool parents, char **entry, struct hib_error *e);
/* @mode: "755", at most "777". */
HIB_API int hib_change_mode(struct hib *h, const char *vm, const char *path,
			    const char *mode, char **entry,
			    struct hib_error *e);
/* A symbolic link, and the folders above it.  @over: instead of what is there,
 * but no folder. */
HIB_API int hib_make_link(struct hib *h, const char *vm, const char *path,
			  const char *target, bool over, char **entry,
			  struct hib_error *e);
/* @overwrite: else what is there is -HIB_ALREADY_EXISTS. */
HIB_API int hib_move_file(struct hib *h, const char *vm, const char *from,
			  const char *to, bool overwrite, char **entry,
			  struct hib_error *e);
/* @recursive: also a folder with all that is in it, to where nothing is. */
HIB_API int hib_copy_file(struct hib *h, const char *vm, const char *from,
			  const char *to, bool recursive, bool overwrite,
			  char **entry, struct hib_error *e);
HIB_API int hib_remove_file(struct hib *h, const char *vm, const char *path,
			    bool recursive, struct hib_error *e);

struct hib_grep_options {
	size_t size;	  /* sizeof(struct hib_grep_options) */
	const char *path; /* A file or folder; NULL: all. */
	bool regex;	  /* POSIX extended, else a text. */
	bool ignore_case;
	const char *include; /* "*.c": only files of such names. */
	unsigned limit;	     /* Matches; 0: 1000, at most 10000. */
};

/* {"matches":[{"path","line","column","text"}],"files","truncated"} */
HIB_API int hib_grep_files(struct hib *h, const char *vm, const char *pattern,
			   const struct hib_grep_options *o, char **json,
			   struct hib_error *e);

/* One change; valid during the callback. */
struct hib_file_change {
	size_t size;
	const char *type; /* create, modify, delete, rename; or overflow: some
			   * were lost, look again. */
	const char *path; /* "" of an overflow. */
	const char *from; /* Of a rename, else "". */
	bool directory;
	const char *json; /* The same, and bytes of names, as JSON. */
};

struct hib_watch; /* Opaque; owned by its handle. */

struct hib_watch_options {
	size_t size;	  /* sizeof(struct hib_watch_options) */
	const char *path; /* A file or folder; NULL: all. */
	bool recursive;	  /* And folders in it. */
	void (*on_change)(const struct hib_file_change *c, void *arg);
	/* The watch has ended and is gone; @e->code is 0 when what was watched
	 * is no more or the VM is off.  May be NULL. */
	void (*on_end)(const struct hib_error *e, void *arg);
	void *arg;
};

/* Be told of changes from when this returns.  Callbacks run in hib_dispatch(),
 * hib_wait() and blocking calls. */
HIB_API int hib_watch_files(struct hib *h, const char *vm,
			    const struct hib_watch_options *o,
			    struct hib_watch **out, struct hib_error *e);
/* No callback after this.  Allowed in callbacks. */
HIB_API void hib_unwatch(struct hib_watch *w);

#ifdef __cplusplus
}
#endif
#endif
