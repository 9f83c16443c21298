/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - Every bound of the guest daemon, by name
 *
 * A full place refuses, or stops the source that fills it; nothing is dropped
 * but stderr lines of a noisy agent, and those are counted.
 */
#ifndef GUEST_LIMITS_H
#define GUEST_LIMITS_H

/* Sessions. */
#define LIVE_SESSIONS_DEFAULT 32  /* With an agent; the host may say another. */
#define TRIM_SESSIONS	      16  /* Gone, until their memory is given back. */
#define ENV_VARS_MAX	      256 /* Of agent and session together. */
#define ENV_BYTES_MAX	      (128u << 10) /* Names and values. */
#define ARGS_MAX	      256	   /* Of an agent's command line. */
#define TITLE_MAX	      1024	   /* Bytes. */
#define TAGS_MAX	      32
#define TAG_BYTES_MAX	      64
#define CONFIG_BYTES_MAX      (256u << 10) /* config, mcp, instructions: each. */
#define CONFIG_BYTES_REST     1024	   /* Of it, for names and numbers. */
/* Deadlines of what we ask an agent: initialize, authenticate and session/new
 * have that of the whole start.  session/prompt has none: a turn takes the time
 * that it takes, and is ended by a cancel. */
#define START_TIMEOUT_MS  30000
#define RESUME_TRIES_MAX  3	/* Starts of an agent that ends at once. */
#define NATIVE_TIMEOUT_MS 15000 /* To load a session; at most half a start. */
#define REPLAY_EVENTS_MAX 20000 /* Of a log that a replay is compared with. */
#define CONFIG_JOBS_MAX	  16	/* Changes of settings under way or waiting. */
#define PREWARMED_MAX	  4	/* Agents that wait for a session. */
#define HELD_BYTES_MAX	  (256u << 10) /* Of what one has said. */
#define NOTES_MAX	  64 /* The same of keys, memories, summaries. */

/* Prompts. */
#define PROMPT_TEXT_MAX	  (1u << 20)  /* Text of all blocks, as JSON. */
#define PROMPT_BYTES_MAX  (16u << 20) /* All blocks. */
#define PROMPT_BLOCKS_MAX 1024
#define PROMPT_QUEUE_MAX  16
#define IDEM_KEY_MAX	  255 /* Bytes. */
#define IDEM_HASH_MAX	  128 /* Hex digits. */
#define ACTOR_MAX	  128
#define REASON_MAX	  256	      /* Of a cancel, close or suspend. */
#define PREVIEW_MAX	  200	      /* Bytes of turn.completed's text. */
#define PREAMBLE_MAX	  (64u << 10) /* Told to an agent begun afresh. */
#define CANCEL_GRACE_MS	  5000	      /* For the prompt's answer. */
#define LEFTOVER_KILL_MS  2000	      /* From SIGTERM to SIGKILL. */
#define LEFTOVER_AGAIN_MS 100	      /* To the next look for more... */
#define LEFTOVER_ROUNDS	  20	      /* ...so many times at most. */

/* What agents ask. */
#define REQUESTS_MAX	 64 /* Open in a session. */
#define OPTIONS_MAX	 64 /* Of one permission request. */
#define OPTION_ID_MAX	 1024
#define ELICITATION_MAX	 1024	      /* Bytes of an elicitationId. */
#define QUESTION_MAX	 (64u << 10)  /* Bytes of its message, its URL. */
#define FORM_BYTES_MAX	 (256u << 10) /* Of a form's schema. */
#define FORM_FIELDS_MAX	 128	      /* Of a form. */
#define FORM_CHOICES_MAX 1024	      /* Of a field; items of an answer. */
#define ALWAYS_MAX	 64 /* Answers kept for always, of a session. */
#define ANSWER_BYTES_MAX (256u << 10) /* Of a filled form. */

/* What is kept of a turn's tool calls, for policies. */
#define TOOL_CALLS_MAX	 256
#define TOOL_CALLS_BYTES (1u << 20) /* Of all of them. */
#define TOOL_ID_MAX	 1024	    /* Bytes of a toolCallId, as JSON. */
#define TOOL_TITLE_MAX	 4096
#define TOOL_PATHS_MAX	 64 /* Of one call. */
#define TOOL_PATH_MAX	 4096

/* Agents. */
#define AGENT_JUNK_MAX	   100	       /* Lines in a row that are no ACP. */
#define AGENT_DEPTH_MAX	   120	       /* Nesting of a message. */
#define AGENT_JUNK_BYTES   (64u << 10) /* Kept of one such line. */
#define AGENT_STDERR_BURST 200	       /* Lines kept of one... */
#define AGENT_STDERR_MS	   1000	       /* ...window of time. */
#define ERRTAIL_MAX	   1024	       /* Last bytes of stderr, in errors. */
#define AGENT_MUTE_MS	   1000	       /* From stdout's end to a verdict. */
#define AGENT_END_TERM_MS  5000	       /* From stdin's end to SIGTERM. */
#define AGENT_END_SAVE_MS  1000	       /* The same, of one put to sleep. */
#define AGENT_END_KILL_MS  2000	       /* From SIGTERM to SIGKILL. */
#define PLACE_FILES_MAX	   32	       /* In its home, from its manifest. */
#define PLACE_PATH_MAX	   255	       /* Bytes of one's path. */
#define PLACE_FILE_MAX	   (64u << 10) /* Bytes of one's content. */
#define AUTH_METHODS_MAX   512	       /* Bytes told of them in an error. */
#define ACP_SESSION_ID_MAX 1024
#define ACP_CLOSE_MS	   1000	 /* For the answer to session/close. */
#define ACP_SET_MS	   10000 /* For that to a change of a setting. */

/* What agents are served. */
#define TERMINALS_MAX	    32		 /* Of one session, ended ones too. */
#define TERMINAL_ARGS_MAX   4096	 /* Of one command line. */
#define TERMINAL_WAITS_MAX  64		 /* Open wait_for_exit of one. */
#define TERMINAL_OUTPUT	    (256u << 10) /* Last bytes kept, if not told. */
#define TERMINAL_OUTPUT_MAX (1u << 20)	 /* And at most. */
#define FILE_BYTES_MAX	    (8u << 20)	 /* Read or written at once. */
#define FILE_RESULT_MAX	    (15u << 20)	 /* The same as JSON, escaped. */
#define FILE_OPS_MAX	    8		 /* Of a session, at work... */
#define FILE_QUEUE_MAX	    64		 /* ...and waiting, */
#define FILE_QUEUE_BYTES    (32u << 20)	 /* with so much to write. */
#define FILE_OP_MS	    30000	 /* For one, once at work. */

/* MCP servers. */
#define MCP_SERVERS_MAX	     32	  /* Of a session. */
#define MCP_NAME_MAX	     64	  /* Bytes of a server's name. */
#define MCP_GLOBS_MAX	     256  /* Allowed, and denied, of one server. */
#define MCP_GLOB_MAX	     128  /* Bytes of one. */
#define MCP_TOOL_MAX	     256  /* Bytes of a tool's name, in a call. */
#define MCP_KNOCKS_MAX	     16	  /* At a session's door... */
#define MCP_KNOCK_MS	     5000 /* ...until they say whom they want. */
#define MCP_PEERS_MAX	     128  /* Connections of a session's clients. */
#define MCP_PEERS_BYTES	     (96u << 20)  /* All that they hold of memory... */
#define MCP_PEER_BYTES	     (256u << 10) /* ...beyond so much of each. */
#define MCP_SUBS_MAX	     256	 /* Resources that one subscribes to. */
#define MCP_AUDIT_BYTES	     (64u << 10) /* Of arguments, of a result. */
#define MCP_AUDIT_DEPTH	     100	 /* Their nesting. */
#define MCP_STDERR_BURST     100	 /* Lines of a server kept of one... */
#define MCP_STDERR_MS	     1000	 /* ...window of time, */
#define MCP_STDERR_LINE	     4096	 /* so much of each. */
#define MCP_MUTE_MS	     50		 /* From stdout's end to a verdict. */
#define MCP_END_STEP_MS	     2000	 /* Stdin's end, SIGTERM, SIGKILL. */
#define MCP_AGAIN_MS	     250  /* Until it is started again; doubled... */
#define MCP_ENDS_MAX	     5	  /* ...up to so many ends... */
#define MCP_SHARED_SUBS_MAX  1024 /* Resources of a shared one, of a session. */
#define MCP_ENDS_MS	     60000 /* ...in this time. */
#define UPSTREAM_STARTUP_MS  60000
#define UPSTREAM_CALL_MS     60000
#define UPSTREAM_MAX_CALL_MS 600000
#define UPSTREAM_TIME_MAX    86400000	/* Of each of them, if told. */
#define UPSTREAM_CALLS_MAX   1024	/* Open with one server. */
#define UPSTREAM_TOOLS_MAX   (3u << 20) /* Bytes of all tools of a server. */

/* Programs that the host has run. */
#define EXECS_MAX	    32	       /* At a time. */
#define EXEC_ARGS_MAX	    4096       /* Of one command line. */
#define EXEC_STDIN_MAX	    (8u << 20) /* Bytes of its stdin. */
#define EXEC_OUTPUT	    (1u << 20) /* Last bytes told, if not asked. */
#define EXEC_OUTPUT_MAX	    (4u << 20) /* And at most. */
#define EXEC_SEND_MAX	    (1u << 20) /* Written to the channel, not gone. */
#define EXEC_ATTACH_MS	    30000      /* For the host to come back to one. */
#define EXEC_TIMEOUT_MAX_MS (7LL * 24 * 3600 * 1000)

/* Functions of the user's program. */
#define HOST_TOOLS_MAX	     128	  /* Of a session... */
#define HOST_TOOLS_BYTES     (128u << 10) /* ...and all their definitions. */
#define HOST_TOOL_NAME_MAX   64
#define HOST_TOOL_MS	     300000	    /* For one call, if not told... */
#define HOST_TOOL_MS_MAX     86400000	    /* ...and at most. */
#define HOST_TOOL_ALIVE_MS   15000	    /* Between two words of progress. */
#define HOST_TOOL_ARGS_MAX   (1u << 20)	    /* Bytes of its arguments... */
#define HOST_TOOL_RESULT_MAX (100u * 1024u) /* ...and of its result. */

/* Files of the workspace, for the host. */
#define FS_THREADS	4	     /* That wait for the file system. */
#define FS_STACK	(4u << 20)   /* Of each; used by deep folders only. */
#define FS_OPS_MAX	64	     /* At work or waiting for a thread. */
#define FS_PARAMS_MAX	(25u << 20)  /* Of one call, contents in it, too. */
#define FS_LINE_MAX	(64u << 10)  /* The same, with a content behind. */
#define FS_CHUNK	(256u << 10) /* Read or written at once. */
#define FS_SEND_MAX	(1u << 20)   /* Written to the channel, not gone. */
#define FS_LIST_DEFAULT 1000	     /* Entries of a list... */
#define FS_LIST_MAX	10000	     /* ...and at most. */
#define FS_NAMES_MAX	(1u << 20)   /* In one folder. */
#define FS_MANY_MAX	1000	     /* Files of one batch... */
#define FS_MANY_BYTES	(8u << 20)   /* ...and what is read of all. */
#define FS_DEPTH_MAX	2048	     /* Folders in folders, to be removed. */
#define FS_GREP_DEFAULT 1000	     /* Matches... */
#define FS_GREP_MAX	10000	     /* ...and at most, */
#define FS_GREP_BYTES	(1u << 30)   /* of so much that is read, */
#define FS_GREP_MS	10000	     /* in so much time. */
#define FS_GREP_PATTERN 1024	     /* Bytes of a pattern. */
#define FS_GREP_REPEATS 1000	     /* {N,M} of it, multiplied. */
#define FS_GREP_LINE	(64u << 10)  /* Looked at of one line... */
#define FS_GREP_SHOWN	512	     /* ...and shown. */
#define FS_WATCHERS_MAX 16	     /* At a time. */
#define FS_WATCHES_MAX	8192	     /* Folders, of one. */
#define FS_MOVE_MS	20	     /* Between the two events of one move. */

/* What an agent looks up in its log. */
#define HISTORY_LIMIT	  20	      /* Hits, turns or events... */
#define HISTORY_LIMIT_MAX 200	      /* ...and at most, */
#define HISTORY_BYTES	  (64u << 10) /* in so many bytes, but for the first. */
#define HISTORY_TEXT_MAX  (8u << 10)  /* Of one message. */
#define HISTORY_EVENT_MAX (16u << 10) /* Of one event that is told whole. */
#define HISTORY_QUEUE_MAX 16	      /* Calls under way or waiting. */

/* Databases of sessions. */
#define SQL_DBS_MAX	 10
#define SQL_NAME_MAX	 64	     /* Bytes of one's name. */
#define SQL_DB_BYTES	 (50 << 20)  /* Of one file... */
#define SQL_ALL_BYTES	 (100 << 20) /* ...and of all of a session. */
#define SQL_TEXT_MAX	 (1u << 20)  /* Bytes of SQL. */
#define SQL_PARAMS_MAX	 1000	     /* Parameters... */
#define SQL_PARAMS_BYTES (4u << 20)  /* ...as JSON. */
#define SQL_VALUE_MAX	 (1u << 20)  /* Bytes of a value, and of a row. */
#define SQL_ROWS_MAX	 1000	     /* Of a result... */
#define SQL_RESULT_MAX	 (1u << 20)  /* ...and its bytes. */
#define SQL_TIMEOUT_MS	 30000	     /* Of a call. */
#define SQL_OPS_STEP	 100	     /* Operations between two looks at... */
#define SQL_MEMORY_MAX	 (64u << 20) /* What SQLite may take for one. */
#define SQL_SWEEP_S	 600	     /* That files of no session are kept. */
#define SQL_OPS_MAX	 16	     /* Calls of a session, also waiting. */

/* A session's processes. */
#define LIMIT_WATCH_MS 1000 /* Between two counts during a turn. */
#define LIMIT_NEAR     20   /* A 20th below the limit is the limit. */

#define CONSOLE_BYTES_MAX (1u << 20) /* Of our own log; then it is emptied. */

/* The log on its way. */
#define BATCH_EVENTS_MAX 512 /* Of one commit of a session. */
#define BATCH_BYTES_MAX	 (256u << 10)
#define STORE_QUEUE_MAX	 (4u << 20)  /* Uncommitted, then agents wait. */
#define UNACKED_MAX	 (8u << 20)  /* Unconfirmed by the host, the same. */
#define SYNC_QUEUE_MAX	 (1u << 20)  /* Written to the channel, not gone. */
#define SYNC_LINE_MAX	 (1u << 20)  /* Of have and ack. */
#define CALL_BODY_MAX	 (20u << 20) /* Params of a call. */
#define ALONE_MS	 30000	     /* From the boot to the first hello. */
#define CALL_DEPTH_MAX	 112	     /* Their nesting. */

/* Sleep with memory. */
#define PAUSE_MS	 5000  /* Until all stands still, if not told... */
#define PAUSE_MAX_MS	 60000 /* ...and at most. */
#define PAUSE_WAITING_MS 1000  /* For processes in a system call. */

/* The workspace. */
#define SIDELOOP_STACK	    (1u << 20)
#define WORKSPACE_DEPTH_MAX 256	  /* Folders in folders, of a reset. */
#define UPLINK_WAIT_MS	    10000 /* For the host, of a request. */
#define UPLINK_TRIES	    3 /* Times that a request without body is made. */
#define UPLINK_PIECE	    (8u << 20) /* Bytes of a file asked for at once. */
#define CHECKOUT_FILES	    8	       /* Fetched at a time. */
#define BINDS_MAX	    32	       /* Folders of the host. */
#define BIND_PATH_MAX	    127	       /* Bytes of where one is seen. */
#define CHECKOUT_LOG_FILES  1000       /* Between two lines of the log. */
#define CHECKPOINT_PIPE	    (1u << 20) /* Of a change set, on its way. */
#define CHECKPOINT_ANSWER   (8u << 20) /* Bytes of the host's answer. */
#define HOSTCALL_ANSWER_MAX (8u << 20) /* The same, to others. */
#define CHECKPOINT_AGAIN_MS 1000 /* Until one that failed is tried again. */
#define WORKSPACE_TURN_MS   5000 /* That a turn's end waits for its commit. */
#define WORKSPACE_LINGER_MS 2 /* And its answer's commit for that of its end. */
#define WORKSPACE_HOST_MS   2000 /* And for a host that is away. */
#define WORKSPACE_FREEZE_MS 4000 /* That a freeze waits for the last one. */

#endif
