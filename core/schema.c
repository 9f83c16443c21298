// SPDX-License-Identifier: Apache-2.0
/*
 * schema.c - The SQL of core/schema/, as text in the program
 *
 * The assembler puts the files in as they are, so that the schema can be read,
 * diffed and tried with sqlite3(1).  Paths are from the root of the source.
 */
#include "core/schema.h"

#define EMBED(symbol, file)                                  \
	__asm__(".pushsection .rodata\n"                     \
		".globl " #symbol "\n.hidden " #symbol "\n"  \
		".type " #symbol ", @object\n" #symbol ":\n" \
		".incbin \"" file "\"\n.byte 0\n"            \
		".size " #symbol ", . - " #symbol "\n.popsection\n")

EMBED(schema_core, "core/schema/core.sql");
EMBED(schema_guest, "core/schema/guest.sql");
EMBED(schema_host, "core/schema/host.sql");
EMBED(schema_vfs, "core/schema/vfs.sql");
EMBED(schema_host_2, "core/schema/host_2.sql");
EMBED(schema_core_3, "core/schema/core_3.sql");
EMBED(schema_core_4, "core/schema/core_4.sql");
EMBED(schema_host_5, "core/schema/host_5.sql");
EMBED(schema_views, "core/schema/views.sql");
