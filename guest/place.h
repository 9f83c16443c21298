/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - Files that are in an agent's home when it starts
 *
 * They come with the agent, pass through the spec of its session init, and are
 * written by the agent's own process, as its user, before it becomes the agent:
 * nothing is written there that the agent itself could not write.  A file that
 * exists stays as it is, unless it is to be replaced; no symbolic link on the
 * way is followed, and none leads out of the home.  Each file appears whole.
 */
#ifndef GUEST_PLACE_H
#define GUEST_PLACE_H

#include <sys/types.h>

#include "core/json.h"

#define PLACE_HOME "/home/user"

struct place_file {
	char *path; /* Relative to the home. */
	char *content;
	size_t len;
	mode_t mode;
	bool replace;
};

struct place {
	struct place_file *file;
	size_t n;
};

/**
 * place_read() - Check and take over what a call says
 * @files: [{"path","content","mode","replace"}]; absent or null: none
 * @out:   Set on success, released by place_done()
 * @e:     Set on failure
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -ENOMEM.
 */
int place_read(struct jv files, struct place *out, struct err *e);
void place_done(struct place *p);
bool place_is_same(const struct place *a, const struct place *b);

/* As bytes in the spec of a session init: their number, writing them (returns
 * the end), and reading them again, which is 0 or -1 with errno; what was read
 * points into the bytes. */
size_t place_size(const struct place *p);
char *place_put(char *at, const struct place *p);
int place_take(char **at, const char *end, size_t n, struct place *out);

/* Put them below the folder @home.  @failed: the path of the one that could not
 * be put there.  Return: 0 or -1 with errno. */
int place_write(const struct place *p, const char *home, const char **failed);

#endif
