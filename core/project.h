/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project.h - The rows that follow from an event
 *
 * session, turn, request, diff, artifact, abandoned, kv, memory, summary,
 * mcp_server and (on the host) mirror are functions of the log.  project_event()
 * is called for each stored event, in order, in the event's transaction.  What it
 * reads of `data`:
 *
 *   session.created   vm agent cwd env_names config create_hash (hex) title
 *                     tags parent root expires_ms resolved: a new row, state
 *                     starting; agent_info.resolved
 *                     mcp [{name,transport,..}]: its servers, off
 *   session.state     from to reason wait_kind suspended_from: the only event
 *                     that changes session.state; to running or waiting also
 *                     sets the open turn's state; to starting clears closed_ms
 *                     To suspended, closed, failed, expired: no MCP server
 *                     runs any more
 *   session.resuming  mcp, as session.created
 *   session.resumed   mcp [{name,pid}]: servers that run on; paused_ms: so much
 *                     later are the deadlines of open questions
 *   session.ready     acp_session_id agent_info capabilities features
 *   session.config    title tags ttl_ms (expires_ms = ts + ttl_ms, 0: never);
 *                     data is merged into config (RFC 7396: null removes)
 *   session.error, turn.failed   {code,message,..}: last_error (turn.failed:
 *                     data.error); turn.completed clears it
 *   session.forked    from at vm title tags env_names create_hash agent
 *                     resolved: forked_from, forked_seq, own root, no parent,
 *                     suspended (from idle), no acp_session_id, not closed or
 *                     archived, no expiry; usage is emptied, keys of prompts
 *                     are forgotten, open requests are cancelled.  With warm
 *                     the agent goes on in it: its state, acp_session_id, open
 *                     turn, requests and servers are kept
 *   session.imported  vm
 *   session.closed, session.expired: closed_ms   session.archived/unarchived
 *   session.rewound   abandoned:[a,b] snapshot: every row is as the log without
 *                     the abandoned ranges makes it (project_again.h)
 *   turn.started      n first_seq idem_key idem_hash (hex); ctx.input
 *   turn.completed    stop_reason usage; turn.failed error; turn.cancelled,
 *                     turn.interrupted reason: end of the turn row and of its
 *                     open requests; usage adds up in session.usage.  Without
 *                     such an open turn the event changes nothing.  In a
 *                     suspended session: suspended_from is idle from then on
 *   permission.requested, elicitation.requested, tool.requested
 *                     ctx.req ctx.tool, deadline_ms; data is the body
 *   *.resolved        ctx.req outcome by: state cancelled (outcome), expired
 *                     (by timeout) or answered; the first one counts
 *   input.message, turn.completed   the text, cut: mirror.preview
 *   turn.diff         files[{path,kind,old,new,patch}]
 *   artifact.created  id name path media_type size sha256 (hex); ctx.late: of
 *                     that turn
 *   kv.set, memory.set  key value, meta, scope (vm: memory_shared, then rev)
 *   kv.deleted, memory.deleted  key, scope rev
 *   summary.created   as its table
 *   mcp.starting      name transport   mcp.ready  name pid ms era version server
 *                     hash tools capabilities instructions: session.features
 *                     gets "mcp"   mcp.changed  name hash tools
 *   mcp.failed, mcp.exited   name reason code signal stderr_tail
 *
 * Members that are missing or of a wrong type leave their column as it is: an
 * event of a newer writer never stops the mirror.
 */
#ifndef CORE_PROJECT_H
#define CORE_PROJECT_H

#include "core/db.h"
#include "core/event.h"

/* Follow one event.  @c: statements of the writer's connection.  @session_n:
 * local key of the session; 0 for session.created, which makes the row.  @host:
 * also keep the mirror row (pending, preview).
 * Return: 0; -EINVAL or -EEXIST when the schema refuses what the event says. */
int project_event(struct db_cache *c, const struct event *ev, int64_t session_n,
		  bool host, struct err *e);

#endif
