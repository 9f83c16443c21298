// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_proof.c - Is what was unpacked a snapshot, and as it was kept?
 */
#include "host/daemon/snapshot_proof.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/hex.h"
#include "host/backend.h"
#include "host/bundle.h"
#include "host/daemon/vm.h"
#include "host/saved.h"
#include "host/treecopy.h"

#define HASHES_MAX (16u << 10) /* Bytes of the list. */
#define MACHINE	   "qemu"

struct proof {
	int folder;
	struct snapshot *s;
	struct jv hashes;
	struct err *e;
};

/* --- hashes ----------------------------------------------------------------- */

/* What was said of that file; absent: nothing. */
static struct jv said_of(const struct proof *p, const char *name)
{
	for (struct jv f = jv_first(p->hashes); jv_has(f);
	     f = jv_next(p->hashes, f))
		if (jv_eq(jv_get(f, "name"), name))
			return jv_get(f, "sha256");
	return (struct jv){.i = -1};
}

/* A fifo would keep us waiting, and a link is of no use. */
static int check_type(const struct proof *p, const char *name, mode_t type)
{
	struct stat st;

	if (fstatat(p->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (st.st_mode & S_IFMT) != type)
		return err_set(p->e, -FAULT_INVALID_ARGUMENT, "it lacks its %s",
			       name);
	return 0;
}

static int hash_part(const struct proof *p, const char *name,
		     uint8_t hash[TREE_HASH_LEN])
{
	uint64_t bytes = 0;
	autoclose int fd = -1;
	int r;

	if (!p->s->memory)
		return treecopy_hash(p->folder, name, hash, &bytes, p->e);
	fd = openat(p->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : treecopy_hash_file(fd, hash, &bytes);
	return r < 0 ? err_set(p->e, r, "read %s: %s", name, strerror(-r)) : 0;
}

static int check_part(const struct proof *p, const char *name)
{
	char hex[2 * TREE_HASH_LEN + 1];
	uint8_t hash[TREE_HASH_LEN];
	int r = check_type(p, name, p->s->memory ? S_IFREG : S_IFDIR);

	if (r == 0)
		r = hash_part(p, name, hash);
	if (r < 0)
		return r;
	if (jv_eq(said_of(p, name), hex_encode(hash, sizeof(hash), hex)))
		return 0;
	return err_set(p->e, -FAULT_STORE_CORRUPT,
		       "its %s is not the one that was kept", name);
}

/* --- machines ---------------------------------------------------------------- */

static int64_t size_of(const struct proof *p, const char *name)
{
	struct stat st;

	return fstatat(p->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0
		       ? -1
		       : st.st_size;
}

/* Does the memory have the size that it says? */
static int check_memory(const struct proof *p)
{
	struct saved about;
	int64_t size = size_of(p, SAVED_RAM);

	if (saved_read(p->folder, &about, p->e) < 0)
		return err_set(p->e, -FAULT_INVALID_ARGUMENT,
			       SAVED_ABOUT ": it makes no sense");
	if (about.memory < VM_MIB_MIN || about.memory > VM_MIB_MAX ||
	    (about.ram_in_state ? size >= 0 : size != about.memory << 20))
		return err_set(p->e, -FAULT_INVALID_ARGUMENT,
			       "its memory has another size than it says");
	return 0;
}

/* A file that is of the other kind. */
static int check_foreign(const struct proof *p, const char *name)
{
	return size_of(p, name) < 0
		       ? 0
		       : err_set(p->e, -FAULT_INVALID_ARGUMENT,
				 "'%s' is no part of its kind", name);
}

bool snapshot_may_lack(const char *name)
{
	return strcmp(name, SAVED_RAM) == 0 || strcmp(name, SAVED_AGENTS) == 0;
}

static int check_machine(const struct proof *p)
{
	int r = check_foreign(p, "disk");

	for (size_t i = 0; r == 0 && bundle_machine[i] != NULL; i++) {
		const char *name = bundle_machine[i];

		if (!snapshot_may_lack(name) || jv_has(said_of(p, name)) ||
		    size_of(p, name) >= 0)
			r = check_part(p, name);
	}
	return r < 0 ? r : check_memory(p);
}

static int check_disk(const struct proof *p)
{
	int r = check_part(p, "disk");

	for (size_t i = 0; r == 0 && bundle_machine[i] != NULL; i++)
		r = check_foreign(p, bundle_machine[i]);
	if (r == 0 && strcmp(p->s->backend, MACHINE) == 0)
		r = check_type(p, "disk/disk.img", S_IFREG);
	return r;
}

/* --- all -------------------------------------------------------------------- */

static int check_manifest(const struct snapshot *s, struct err *e)
{
	const bool machine = strcmp(s->backend, MACHINE) == 0;

	if (backend_find(s->backend) == NULL || s->quota > 0 ||
	    (s->memory && !machine))
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "there is no VM of this kind here");
	if (s->image[0] == '/') /* Or it could choose what a VM reads here. */
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "its image is a folder of another host");
	if (s->ram_mib > VM_MIB_MAX || s->cpus > VM_CPUS_MAX)
		return err_set(e, -FAULT_CAPABILITY_UNSUPPORTED,
			       "its memory or its processors are too many");
	return 0;
}

static int check_parts(int folder, struct snapshot *s, struct err *e)
{
	char text[HASHES_MAX];
	autoclose int fd = openat(folder, BUNDLE_HASHES,
				  O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	autojson struct json j = {0};
	struct proof p = {.folder = folder, .s = s, .e = e};

	if (n <= 0 || json_parse(&j, text, (size_t)n, NULL) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "it has no hashes");
	p.hashes = json_root(&j);
	return s->memory ? check_machine(&p) : check_disk(&p);
}

int snapshot_prove(const char *folder, struct snapshot *out, struct err *e)
{
	autoclose int fd =
		open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? err_set(e, -errno, "%s: %s", folder, strerror(errno))
		       : snapshot_load(out, fd, e);

	if (r == 0)
		r = check_manifest(out, e);
	out->temporary = false; /* Who imports it wants it. */
	return r < 0 ? r : check_parts(fd, out, e);
}
