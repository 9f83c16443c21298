// SPDX-License-Identifier: Apache-2.0
/*
 * bundle_names.c - What a snapshot as one file has of a machine
 *
 * Apart from what packs and unpacks it: hibd needs the names, and neither
 * libarchive nor the twenty libraries behind that.
 */
#include "host/bundle.h"

#include "host/saved.h"

const char *const bundle_machine[] = {SAVED_ABOUT, SAVED_RAM,	 SAVED_STATE,
				      "disk.img",  SAVED_AGENTS, NULL};
