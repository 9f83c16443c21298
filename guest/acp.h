/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acp.h - The words of the Agent Client Protocol, version 1, that we say
 *
 * Builders of params and readers of results; no input, output or state.  What
 * an agent says is read as the protocol asks: a member that is wrong counts as
 * absent.
 */
#ifndef GUEST_ACP_H
#define GUEST_ACP_H

#include "core/settings.h"

#define ACP_VERSION	      1
#define ACP_AUTH_REQUIRED     (-32000)
#define ACP_REQUEST_CANCELLED (-32800)

/* What an agent can do. */
struct acp_caps {
	bool image, audio, embedded;		/* In prompts. */
	bool load, resume, fork, close, delete; /* Methods. */
	bool system_prompt;			/* In session/new. */
};

/* @result: of initialize. */
void acp_read_caps(struct jv result, struct acp_caps *out);

/* Does it offer that method to authenticate, without a terminal? */
bool acp_offers_auth(struct jv result, const char *method);

/* Write [{"id","name","type"}..] of the methods that it offers, as many as have
 * room in @max bytes. */
void acp_write_auth_methods(struct jv result, size_t max, struct jw *w);

/* What we do for the agent. */
struct acp_offer {
	bool fs, terminal;
};
/* What the agent has answered to it must be our version.
 * Return: 0 or -FAULT_AGENT_PROTOCOL_ERROR. */
int acp_check_version(struct jv result, struct err *e);
void acp_write_initialize(struct jw *w, const struct acp_offer *offer);

/* Say why @method was refused, as @error has it.
 * Return: -FAULT_AGENT_AUTH_REQUIRED; -FAULT_AGENT_PROTOCOL_ERROR. */
int acp_refused(const char *method, struct jv error, struct err *e);

/* Params of session/new, session/load, session/resume and session/fork. */
struct acp_open {
	const char *cwd;
	const char *session;	  /* NULL: session/new. */
	const char *instructions; /* System prompt to append, or NULL. */
	const char *meta;	  /* JSON object, or NULL. */
	const char *mcp;	  /* JSON array of servers; NULL: none. */
};
void acp_write_open(struct jw *w, const struct acp_open *o);

/* Set what a wish has come to.  Return: the method of these params. */
const char *acp_write_set(struct jw *w, const char *session,
			  const struct settings_target *t);

/* {"sessionId":..}: session/cancel, session/close. */
void acp_write_session(struct jw *w, const char *session);

/* Result of session/request_permission; @option NULL: cancelled. */
void acp_write_outcome(struct jw *w, const char *option);

/* A content block of text. */
void acp_write_text(struct jw *w, const char *text);

/* What a prompt asks of the agent; kind names the block in messages. */
struct acp_content {
	size_t text_bytes;
	bool image, audio, embedded;
};
/* Check the shape of an array of content blocks.
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_MESSAGE_TOO_LARGE. */
int acp_check_content(struct jv blocks, struct acp_content *out, struct err *e);
/* Return: 0 or -FAULT_CAPABILITY_UNSUPPORTED. */
int acp_check_caps(const struct acp_content *c, const struct acp_caps *caps,
		   struct err *e);

#endif
