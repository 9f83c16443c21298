// SPDX-License-Identifier: Apache-2.0
/*
 * renew.c - Give a machine back what it cannot know after its memory was stored
 */
#include "guest/renew.h"

#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "core/log.h"
#include "core/vm_etc.h"

#define LOG_COMPONENT "renew"
#define DROP_CLEAN    "1\n" /* Pages, not inodes: those are what work needs. */

/* As it stands: it may be a file that is mounted over another one. */
static int overwrite(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t n = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, n) == (ssize_t)n ? 0 : -EIO;
}

void renew_clock(int64_t now_ms)
{
	const struct timespec ts = {
		.tv_sec = (time_t)(now_ms / 1000),
		.tv_nsec = (long)(now_ms % 1000) * 1000000,
	};

	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		log_warn("the clock stays behind: %s", strerror(errno));
}

void renew_entropy(const uint8_t bytes[RENEW_ENTROPY])
{
	/* struct rand_pool_info ends in an array of any length. */
	struct {
		int bits, size;
		uint8_t bytes[RENEW_ENTROPY];
	} pool = {.bits = RENEW_ENTROPY * 8, .size = RENEW_ENTROPY};
	autoclose int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

	memcpy(pool.bytes, bytes, RENEW_ENTROPY);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 ||
	    ioctl(fd, RNDRESEEDCRNG) < 0)
		log_error("random bits are those of the snapshot: %s",
			  strerror(errno));
	explicit_bzero(&pool, sizeof(pool));
}

/* The users of a VM are the same in each. */
static bool has_name(const char *file)
{
	return strcmp(file, "passwd") != 0 && strcmp(file, "group") != 0;
}

static void write_etc(const char *vm, const char *hostname)
{
	struct vm_etc etc;
	char path[64];

	vm_etc_make_named(vm, hostname, "sh", &etc);
	for (size_t i = 0; i < VM_ETC_FILES; i++) {
		int r = 0;

		snprintf(path, sizeof(path), "/etc/%s", etc.file[i].name);
		if (has_name(etc.file[i].name))
			r = overwrite(path, etc.file[i].text);
		if (r < 0 && r != -ENOENT) /* The image has none. */
			log_warn("%s stays: %s", path, strerror(-r));
	}
}

void renew_names(const char *vm, const char *hostname)
{
	char own[VM_HOSTNAME_MAX];

	vm_etc_hostname(vm, own);
	if (hostname == NULL)
		hostname = own;
	if (sethostname(hostname, strlen(hostname)) < 0)
		log_warn("host name '%s': %s", hostname, strerror(errno));
	write_etc(vm, hostname);
}

void renew_shrink(void)
{
	sync();
	if (overwrite("/proc/sys/vm/drop_caches", DROP_CLEAN) < 0)
		log_warn("caches stay in memory: %s", strerror(errno));
}
