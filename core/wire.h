/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - Which language host and guest speak
 *
 * The messages of the guest channel are in ARCHITECTURE.md.  New members, events
 * and methods need no new version: members that are not known are ignored, and a
 * method that a guest does not know is method_unknown.  What a peer would
 * misunderstand does: WIRE_VERSION is then raised, and WIRE_VERSION_MIN when the
 * old way is no longer there.
 *
 * Each side says both in its hello, and both use the highest version that both
 * have.  tests/old_guest/ holds what guests of earlier times say.
 */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include "core/json.h"

#define WIRE_VERSION	 1
#define WIRE_VERSION_MIN 1

struct wire_versions {
	int64_t min, max;
};
/* WIRE_VERSION_MIN to WIRE_VERSION. */
extern const struct wire_versions wire_versions;

/* Members of a hello: "version" and "min_version". */
void wire_write(struct jw *w);

/**
 * wire_agree() - Which version to speak with who has sent this hello
 * @ours:  What we speak
 * @hello: Of the peer.  Without min_version, as the first guests are, it speaks
 *         only its version; without version, the first one
 * @me:    Names us in the error, as "hibd"; @peer: the same, as "the guest"
 *
 * Return: the version; -FAULT_BAD_FRAME when these are no versions;
 * -FAULT_CAPABILITY_UNSUPPORTED when there is none in common, and @e says which
 * side is the older one.
 */
int wire_agree(const struct wire_versions *ours, struct jv hello,
	       const char *me, const char *peer, struct err *e);

#endif
