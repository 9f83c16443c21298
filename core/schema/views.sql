-- SPDX-License-Identifier: Apache-2.0
-- views.sql : views of both guest.db and hib.db.  They hold nothing, so each migration makes them anew, as they are here.
DROP VIEW IF EXISTS v_plan;
DROP VIEW IF EXISTS v_tool;
DROP VIEW IF EXISTS v_chunk;
DROP VIEW IF EXISTS v_update;
DROP VIEW IF EXISTS v_active;
CREATE VIEW v_active AS            -- the log without abandoned ranges
  SELECT s.id AS session_id, e.* FROM event e JOIN session s ON s.n=e.session_n WHERE NOT EXISTS
   (SELECT 1 FROM abandoned a WHERE a.session_id=s.id AND e.seq BETWEEN a.from_seq AND a.to_seq);
CREATE VIEW v_update AS            -- what the agent said of this session, not of one that we do not know
  SELECT * FROM v_active WHERE type='acp.update' AND coalesce(json_extract(ctx,'$.foreign'),0)=0;
CREATE VIEW v_chunk AS             -- one row for each ACP content chunk
  SELECT session_id, seq, turn_id, json_extract(data,'$.msg.params.update.sessionUpdate') AS kind,
         json_extract(data,'$.msg.params.update.content.text') AS text
  FROM v_update;
CREATE VIEW v_tool AS
  SELECT session_id, turn_id, json_extract(data,'$.msg.params.update.toolCallId') AS tool_call_id,
         min(seq) AS first_seq, max(seq) AS last_seq,
         max(CASE WHEN json_extract(data,'$.msg.params.update.sessionUpdate')='tool_call' THEN json_extract(data,'$.msg.params.update.title') END) AS title
  FROM v_update
   WHERE json_extract(data,'$.msg.params.update.sessionUpdate') IN ('tool_call','tool_call_update')
  GROUP BY session_id, turn_id, tool_call_id;
CREATE VIEW v_plan AS
  SELECT session_id, turn_id, max(seq) AS seq, json_extract(data,'$.msg.params.update.entries') AS entries
  FROM v_update WHERE json_extract(data,'$.msg.params.update.sessionUpdate')='plan'
  GROUP BY session_id, turn_id;
