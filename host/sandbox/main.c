// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - hib-sandbox: build one sandbox, start the guest in it, exit
 *
 *	hib-sandbox --vm ID --dir VMDIR --image host|FOLDER
 *		    --libexec FOLDER --agents FOLDER --net none|host
 *		    [--mounts JSON] [--quota BYTES]
 *		    [--machine --memory MIB --cpus N [--kvm]
 *			[--incoming [--ram FILE]]]
 *	hib-sandbox --probe --image FOLDER --libexec FOLDER
 *
 * A program of its own since hibd has threads, and namespaces and ids are
 * entered by one thread at a time.  hibd gives it /dev/null as stdin, a pipe as
 * stdout and the VM's console log as stderr, which the guest keeps.
 *
 * One line on stdout says how it went, and the exit status agrees with it:
 *
 *	{"pid":N}			hib-guest runs; a child of our parent
 *	{"error":{..},"pid":N}		why not; "pid" if there is one to reap
 *	{"ms":N}			of a probe: a guest under KVM came up
 *
 * The order of things: leave the host's mount namespace, make the guest's first
 * process, write down in the VM's folder which one it is (hibd may die before it
 * has read our line), and while it makes its network take the trees that will be seen, leave
 * the host's root and fill the new one; then let the guest in.
 */
#include <getopt.h>
#include <signal.h>
#include <sys/stat.h>

#include "core/id.h"
#include "core/json.h"
#include "host/machine_id.h"
#include "host/sandbox/box.h"
#include "host/sandbox/etc.h"
#include "host/sandbox/fuse.h"
#include "host/sandbox/group.h"
#include "host/sandbox/guest.h"
#include "host/sandbox/ids.h"
#include "host/sandbox/image.h"
#include "host/sandbox/limited.h"
#include "host/sandbox/mounts.h"
#include "host/sandbox/probe.h"
#include "host/sandbox/root.h"

#define EXIT_USAGE 2

static int set_net(struct box *b, const char *net, struct err *e)
{
	if (net == NULL || strcmp(net, "none") == 0)
		return 0;
	if (strcmp(net, "host") != 0)
		return err_set(e, -EINVAL, "--net %s: neither none nor host",
			       net);
	b->host_net = true;
	return 0;
}

static int set_size(struct box *b, const char *memory, const char *cpus,
		    struct err *e)
{
	if (memory == NULL || cpus == NULL)
		return err_set(e, -EINVAL, "--memory or --cpus is missing");
	b->memory = (unsigned)strtoul(memory, NULL, 10);
	b->cpus = (unsigned)strtoul(cpus, NULL, 10);
	return 0;
}

static int parse(struct box *b, int argc, char **argv, struct err *e)
{
	static const struct option options[] = {
		{"vm", required_argument, NULL, 'v'},
		{"dir", required_argument, NULL, 'd'},
		{"image", required_argument, NULL, 'i'},
		{"libexec", required_argument, NULL, 'l'},
		{"agents", required_argument, NULL, 'a'},
		{"net", required_argument, NULL, 'n'},
		{"mounts", required_argument, NULL, 'm'},
		{"quota", required_argument, NULL, 'q'},
		{"machine", no_argument, NULL, 'x'},
		{"memory", required_argument, NULL, 'M'},
		{"cpus", required_argument, NULL, 'c'},
		{"incoming", no_argument, NULL, 'I'},
		{"ram", required_argument, NULL, 'r'},
		{"kvm", no_argument, NULL, 'k'},
		{NULL, 0, NULL, 0},
	};
	const char *value['z'] = {NULL};
	bool machine = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return err_set(e, -EINVAL, "unknown option");
		value[c] = optarg;
		machine |= c == 'x';
		b->incoming |= c == 'I';
		b->kvm |= c == 'k';
	}
	for (const struct option *o = options; o->name != NULL; o++)
		if (value[o->val] == NULL &&
		    strchr("nmqxMcIrk", o->val) == NULL)
			return err_set(e, -EINVAL, "--%s is missing", o->name);

	b->id = value['v'];
	b->dir = value['d'];
	b->image = machine ? "host" : value['i'];
	b->boot = machine ? value['i'] : NULL;
	b->libexec = value['l'];
	b->agents = value['a'];
	b->mounts = value['m'];
	b->ram = value['r'];
	b->ram_fd = b->kvm_fd = -1;
	b->quota = value['q'] == NULL ? 0 : strtoull(value['q'], NULL, 10);
	if (!id_is(b->id, "vm"))
		return err_set(e, -EINVAL, "--vm %s: not an id", b->id);
	r = machine ? set_size(b, value['M'], value['c'], e) : 0;
	return r < 0 ? r : set_net(b, value['n'], e);
}

static int build(struct box *b, struct err *e)
{
	int r = etc_take(b, e);

	if (r == 0)
		r = image_take(b, e);
	if (r == 0)
		r = mounts_take(b, e);
	if (r == 0)
		r = root_enter(b, e);
	return r < 0 ? r : root_fill(b, e);
}

static int start(struct box *b, struct guest *g, struct err *e)
{
	int r = ids_leave_host(b, e);

	if (r == 0) {
		b->fuse = -1;
		if (b->boot == NULL)
			fuse_take(b);
		group_enter(b);
	}
	if (r == 0 && b->boot == NULL)
		r = limited_mount(b, e);
	if (r == 0)
		r = image_take_vm(b, e);
	if (r == 0)
		r = guest_make(b, g, e);
	if (r == 0)
		r = machine_id_write(b->dir, g->pid, e);
	if (r == 0)
		r = build(b, e);
	if (r == 0)
		r = guest_go(b, g, e);
	if (r < 0)
		guest_end(g);
	return r;
}

/* @what: "pid" or "ms"; left out when it is 0.
 * Return: 0, or -errno when nobody listens. */
static int report(const char *what, int64_t n, const struct err *e)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	if (e->code != 0) {
		jw_key(&w, "error");
		err_write(e, &w);
	}
	if (n > 0)
		jw_kint(&w, what, n);
	jw_obj_end(&w);
	jw_lit(&w, "\n", 1);
	if (w.failed)
		return -ENOMEM;
	return write(STDOUT_FILENO, w.buf, w.len) < 0 ? -errno : 0;
}

/* Beside the other use of this program: see probe.h. */
static int probe(int argc, char **argv)
{
	struct err e = {0};
	int r = argc == 6 ? probe_kvm(argv[3], argv[5], &e)
			  : err_set(&e, -EINVAL,
				    "--image or --libexec is missing");

	(void)report("ms", r < 0 ? 0 : r, &e);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct box b;
	struct guest g = {.pid = 0};
	struct err e = {0};
	int r;

	if (argc > 1 && strcmp(argv[1], "--probe") == 0)
		return probe(argc, argv);
	r = parse(&b, argc, argv, &e);
	if (r < 0) {
		(void)report("pid", 0, &e);
		return EXIT_USAGE;
	}
	umask(0);
	r = start(&b, &g, &e);

	/* A guest that hibd never hears of must not run. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (report("pid", g.pid, &e) < 0)
		guest_end(&g);
	/* No need to tidy up what the kernel frees anyway. */
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
