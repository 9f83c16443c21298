// SPDX-License-Identifier: Apache-2.0
/*
 * acp.c - The words of the Agent Client Protocol, version 1, that we say
 */
#include "guest/acp.h"

#include <string.h>

#include "core/content.h"
#include "core/rpc.h"
#include "guest/limits.h"

static bool is_object(struct jv v, const char *path)
{
	return jv_is(jv_path(v, path), JV_OBJECT);
}

void acp_read_caps(struct jv result, struct acp_caps *out)
{
	struct jv caps = jv_get(result, "agentCapabilities");
	struct jv prompt = jv_get(caps, "promptCapabilities");

	*out = (struct acp_caps){
		.image = jv_bool(jv_get(prompt, "image"), false),
		.audio = jv_bool(jv_get(prompt, "audio"), false),
		.embedded = jv_bool(jv_get(prompt, "embeddedContext"), false),
		.load = jv_bool(jv_get(caps, "loadSession"), false),
		.resume = is_object(caps, "sessionCapabilities.resume"),
		.fork = is_object(caps, "sessionCapabilities.fork"),
		.close = is_object(caps, "sessionCapabilities.close"),
		.delete = is_object(caps, "sessionCapabilities.delete"),
		.system_prompt =
			is_object(caps, "sessionCapabilities.systemPrompt"),
	};
}

bool acp_offers_auth(struct jv result, const char *method)
{
	struct jv list = jv_get(result, "authMethods");

	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		struct jv type = jv_get(it, "type");

		if (jv_eq(jv_get(it, "id"), method))
			return !jv_is(type, JV_STRING) || jv_eq(type, "agent");
	}
	return false;
}

void acp_write_auth_methods(struct jv result, size_t max, struct jw *w)
{
	static const char *const members[] = {"id", "name", "type"};
	struct jv list = jv_get(result, "authMethods");

	jw_arr(w);
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		autojw struct jw one = {0};

		jw_obj(&one);
		for (size_t i = 0; i < ARRAY_LEN(members); i++)
			if (jv_is(jv_get(it, members[i]), JV_STRING))
				jw_kvalue(&one, members[i],
					  jv_get(it, members[i]));
		jw_obj_end(&one);
		w->failed |= one.failed;
		if (!w->failed && w->len + one.len + 2 <= max)
			jw_raw(w, one.buf, one.len);
	}
	jw_arr_end(w);
}

static void write_offer(struct jw *w, const struct acp_offer *offer)
{
	jw_obj(w);
	jw_key(w, "fs");
	jw_obj(w);
	jw_kbool(w, "readTextFile", offer->fs);
	jw_kbool(w, "writeTextFile", offer->fs);
	jw_obj_end(w);
	jw_kbool(w, "terminal", offer->terminal);
	jw_kraw(w, "elicitation", "{\"form\":{},\"url\":{}}");
	jw_kraw(w, "session",
		"{\"configOptions\":{\"boolean\":{}},\"notices\":{},"
		"\"compaction\":{}}");
	jw_obj_end(w);
}

/* We speak one version; an agent answers with ours, or with what it can. */
int acp_check_version(struct jv result, struct err *e)
{
	int64_t version = jv_int(jv_get(result, "protocolVersion"), 0);

	if (version == ACP_VERSION)
		return 0;
	return err_set(e, -FAULT_AGENT_PROTOCOL_ERROR,
		       "agent answered initialize with protocol version %lld, "
		       "not %d",
		       (long long)version, ACP_VERSION);
}

int acp_refused(const char *method, struct jv error, struct err *e)
{
	char words[ERR_MSG_MAX / 2] = "";
	int64_t code = jv_int(jv_get(error, "code"), RPC_INTERNAL);

	(void)jv_strcpy(jv_get(error, "message"), words, sizeof(words));
	return err_set(e,
		       code == ACP_AUTH_REQUIRED ? -FAULT_AGENT_AUTH_REQUIRED
						 : -FAULT_AGENT_PROTOCOL_ERROR,
		       "agent refused %s: %lld %s", method, (long long)code,
		       words);
}

void acp_write_initialize(struct jw *w, const struct acp_offer *offer)
{
	jw_obj(w);
	jw_kint(w, "protocolVersion", ACP_VERSION);
	jw_key(w, "clientCapabilities");
	write_offer(w, offer);
	jw_key(w, "clientInfo");
	jw_obj(w);
	jw_kstr(w, "name", "hibernacle");
	jw_kstr(w, "version", HIB_VERSION);
	jw_obj_end(w);
	jw_obj_end(w);
}

void acp_write_text(struct jw *w, const char *text)
{
	content_text(w, text, strlen(text));
}

void acp_write_open(struct jw *w, const struct acp_open *o)
{
	jw_obj(w);
	if (o->session != NULL)
		jw_kstr(w, "sessionId", o->session);
	jw_kstr(w, "cwd", o->cwd);
	jw_kraw(w, "mcpServers", o->mcp != NULL ? o->mcp : "[]");
	if (o->instructions != NULL) {
		jw_key(w, "systemPrompt");
		jw_obj(w);
		jw_kstr(w, "mode", "append");
		jw_key(w, "content");
		jw_arr(w);
		acp_write_text(w, o->instructions);
		jw_arr_end(w);
		jw_obj_end(w);
	}
	if (o->meta != NULL)
		jw_kraw(w, "_meta", o->meta);
	jw_obj_end(w);
}

const char *acp_write_set(struct jw *w, const char *session,
			  const struct settings_target *t)
{
	static const struct {
		const char *method, *key;
	} vias[] = {
		[VIA_OPTION] = {"session/set_config_option", "value"},
		[VIA_MODES] = {"session/set_mode", "modeId"},
		[VIA_MODELS] = {"session/set_model", "modelId"},
	};

	jw_obj(w);
	jw_kstr(w, "sessionId", session);
	if (t->via == VIA_OPTION)
		jw_kraw(w, "configId", t->id);
	if (t->boolean)
		jw_kstr(w, "type", "boolean");
	jw_kraw(w, vias[t->via].key, t->value);
	jw_obj_end(w);
	return vias[t->via].method;
}

void acp_write_session(struct jw *w, const char *session)
{
	jw_obj(w);
	jw_kstr(w, "sessionId", session);
	jw_obj_end(w);
}

void acp_write_outcome(struct jw *w, const char *option)
{
	jw_obj(w);
	jw_key(w, "outcome");
	jw_obj(w);
	jw_kstr(w, "outcome", option == NULL ? "cancelled" : "selected");
	if (option != NULL)
		jw_kstr(w, "optionId", option);
	jw_obj_end(w);
	jw_obj_end(w);
}

/* A block's members that must be strings, by its type. */
struct block_kind {
	const char *type;
	const char *members[2];
};

static const struct block_kind block_kinds[] = {
	{"text", {"text"}},
	{"image", {"data", "mimeType"}},
	{"audio", {"data", "mimeType"}},
	{"resource_link", {"uri", "name"}},
	{"resource", {NULL}},
};

static const struct block_kind *find_kind(struct jv block)
{
	struct jv type = jv_get(block, "type");

	for (size_t i = 0; i < ARRAY_LEN(block_kinds); i++)
		if (jv_eq(type, block_kinds[i].type))
			return &block_kinds[i];
	return NULL;
}

static int check_block(struct jv block, struct acp_content *c, struct err *e)
{
	const struct block_kind *kind = find_kind(block);
	size_t len;

	if (kind == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content: a block has no type that is known");
	for (size_t i = 0; i < ARRAY_LEN(kind->members); i++)
		if (kind->members[i] != NULL &&
		    !jv_is(jv_get(block, kind->members[i]), JV_STRING))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "content: %s block without %s",
				       kind->type, kind->members[i]);
	if (jv_raw(jv_get(block, "text"), &len) != NULL)
		c->text_bytes += len;
	if (jv_raw(jv_path(block, "resource.text"), &len) != NULL)
		c->text_bytes += len;
	c->image |= jv_eq(jv_get(block, "type"), "image");
	c->audio |= jv_eq(jv_get(block, "type"), "audio");
	c->embedded |= jv_eq(jv_get(block, "type"), "resource");
	if (kind->members[0] == NULL && !is_object(block, "resource"))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content: resource block without resource");
	return 0;
}

int acp_check_content(struct jv blocks, struct acp_content *out, struct err *e)
{
	struct acp_content c = {0};
	size_t bytes = 0;

	if (!jv_is(blocks, JV_ARRAY) || jv_count(blocks) == 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content is no array of blocks");
	if (jv_count(blocks) > PROMPT_BLOCKS_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "content: more than %d blocks",
			       PROMPT_BLOCKS_MAX);
	(void)jv_raw(blocks, &bytes);
	for (struct jv it = jv_first(blocks); jv_has(it);
	     it = jv_next(blocks, it))
		if (check_block(it, &c, e) < 0)
			return e->code;
	/* A text of the limit may be a little longer as a JSON string. */
	if (c.text_bytes > PROMPT_TEXT_MAX + PROMPT_TEXT_MAX / 8 ||
	    bytes > PROMPT_BYTES_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "content: %zu bytes, %zu of them text", bytes,
			       c.text_bytes);
	*out = c;
	return 0;
}

int acp_check_caps(const struct acp_content *c, const struct acp_caps *caps,
		   struct err *e)
{
	const char *what = NULL;

	if (c->image && !caps->image)
		what = "images";
	else if (c->audio && !caps->audio)
		what = "audio";
	else if (c->embedded && !caps->embedded)
		what = "embedded resources";
	if (what == NULL)
		return 0;
	return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
		       "the agent takes no %s", what);
}
