/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - What VMs boot: folders that images/build has made
 *
 * An image has a name.  One that the user made (HIB_HOME/images/NAME) stands in
 * front of one that was made for all.  See images/build for what is in one.
 * `host` is no such image but the machine's own programs, and a path is a folder
 * of files, for sandboxes.
 */
#ifndef HOST_IMAGE_H
#define HOST_IMAGE_H

#include "core/json.h"
#include "host/home.h"

#define IMAGE_HOST     "host"
#define IMAGE_NAME_MAX 40
#define IMAGE_PATH_MAX (HOME_PATH_MAX + IMAGE_NAME_MAX + 32)

/* [a-z0-9._-], beginning with a letter. */
bool image_name_is_good(const char *name);

/* The folder of the image @name.
 * Return: 0; -FAULT_INVALID_ARGUMENT when there is none, with a hint. */
int image_dir(const struct home *h, const char *name, char out[IMAGE_PATH_MAX],
	      struct err *e);

/* What a VM of the image @image gets to see: "host", or the folder with its
 * files; @out is set all the same when there is none.  Return: as image_dir(). */
int image_files(const struct home *h, const char *image,
		char out[IMAGE_PATH_MAX], struct err *e);

/* Its manifest with its folder as "path", as an object.  Return: as
 * image_dir(), or another negative errno. */
int image_write(const struct home *h, const char *name, struct jw *w,
		struct err *e);
/* Does the kernel of the image in the folder @dir need a machine with ACPI?  As
 * its manifest says; true when that does not. */
bool image_needs_acpi(const char *dir);

/* Those that there are, by name. */
int image_list(const struct home *h, struct jw *w, struct err *e);

#endif
