// SPDX-License-Identifier: Apache-2.0
/*
 * admin.c - hib store, types, token, daemon, doctor, version
 */
#include <string.h>

#include "host/cli/commands.h"
#include "host/doctor.h"

struct admin_options {
	const char *scope;
	int64_t ttl_ms;
	bool json, vms, repair;
};

static const struct opt json_opts[] = {
	OPT(OPT_FLAG, admin_options, json, "json"),
	OPT_END,
};

/* --- store -------------------------------------------------------------- */

struct findings {
	bool json;
	struct jw w;
};

static void on_finding(const char *session, int64_t seq, const char *what,
		       void *arg)
{
	struct findings *f = arg;

	if (!f->json) {
		printf("%s %lld: %s\n", session ? session : "hib.db",
		       (long long)seq, what);
		return;
	}
	jw_obj(&f->w);
	jw_kstr(&f->w, "session", session);
	jw_kint(&f->w, "seq", seq);
	jw_kstr(&f->w, "what", what);
	jw_obj_end(&f->w);
}

int store_check_command(struct cli *c, int argc, char **argv)
{
	struct admin_options o = {0};
	struct findings f = {0};
	struct err e = {0};
	int n = 0, r = cli_look(c, argc, argv, json_opts, &o, 0, 0);

	if (r >= 0)
		return r;
	f.json = o.json;
	jw_arr(&f.w);
	if (c->reader != NULL)
		n = reader_check(c->reader, on_finding, &f, &e);
	jw_arr_end(&f.w);
	if (n < 0)
		r = cli_fail(&e);
	else if (o.json)
		r = cli_print_json(&f.w);
	else if (n == 0)
		cli_print("ok");
	jw_done(&f.w);
	if (n > 0)
		return fault_exit_code(FAULT_STORE_CORRUPT);
	return r > 0 ? r : 0;
}

/* --- types -------------------------------------------------------------- */

int types_command(struct cli *c, int argc, char **argv)
{
	struct admin_options o = {0};
	autojw struct jw w = {0};
	int r = cli_options(c, argc, argv, json_opts, &o, 0, 0);

	if (r >= 0)
		return r;
	jw_arr(&w);
	for (size_t i = 0; event_types[i] != NULL; i++) {
		jw_str(&w, event_types[i]);
		if (!o.json)
			cli_print(event_types[i]);
	}
	jw_arr_end(&w);
	return o.json ? cli_print_json(&w) : 0;
}

/* --- tokens ------------------------------------------------------------- */

int token_create_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_TEXT, admin_options, scope, "scope"),
		OPT(OPT_NUMBER, admin_options, ttl_ms, "ttl-ms"),
		OPT(OPT_FLAG, admin_options, json, "json"),
		OPT_END,
	};
	struct admin_options o = {.scope = "read"};
	autofree char *json = NULL, *token = NULL;
	autojson struct json j = {0};
	struct hib_error e;
	int r = cli_act(c, argc, argv, opts, &o, 0, 1);

	if (r < 0 && c->argc > 0)
		r = cli_session_id(c->argv[0]);
	if (r >= 0)
		return r;
	if (hib_create_token(c->hib, c->argv[0], o.scope, o.ttl_ms, &json, &e) <
	    0)
		return cli_fail_hib(&e);
	if (json_parse(&j, json, strlen(json), NULL) == 0)
		token = jv_strdup(jv_get(json_root(&j), "token"), NULL);
	cli_print(o.json ? json : token ? token : "");
	return 0;
}

/* --- the daemon --------------------------------------------------------- */

/* A handle that asks once and starts nothing. */
static int open_quiet(struct cli *c, struct hib **out)
{
	struct hib_options o = {
		.size = sizeof(o),
		.home = c->home.root,
		.no_autostart = true,
		.attempts = 1,
	};
	struct hib_error e;

	return hib_open(&o, out, &e) < 0 ? cli_fail_hib(&e) : -1;
}

static void print_health(const char *json, bool as_json)
{
	autojson struct json j = {0};

	if (as_json)
		cli_print(json);
	else if (json_parse(&j, json, strlen(json), NULL) == 0)
		cli_print_object(json_root(&j));
}

int daemon_start_command(struct cli *c, int argc, char **argv)
{
	struct admin_options o = {0};
	autofree char *json = NULL;
	struct hib_error e;
	int r = cli_act(c, argc, argv, json_opts, &o, 0, 0);

	if (r >= 0)
		return r;
	if (hib_health(c->hib, &json, &e) < 0)
		return cli_fail_hib(&e);
	print_health(json, o.json);
	return 0;
}

int daemon_status_command(struct cli *c, int argc, char **argv)
{
	struct admin_options o = {0};
	autofree char *json = NULL;
	struct hib_error e;
	struct hib *h;
	int r = cli_options(c, argc, argv, json_opts, &o, 0, 0);

	if (r < 0)
		r = open_quiet(c, &h);
	if (r >= 0)
		return r;
	r = hib_health(h, &json, &e);
	hib_close(h);
	if (r < 0)
		return cli_fail_hib(&e);
	print_health(json, o.json);
	return 0;
}

int daemon_stop_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, admin_options, vms, "vms"),
		OPT_END,
	};
	struct admin_options o = {0};
	struct hib_error e;
	struct hib *h;
	int r = cli_options(c, argc, argv, opts, &o, 0, 0);

	if (r < 0)
		r = open_quiet(c, &h);
	if (r >= 0)
		return r;
	r = hib_shutdown(h, o.vms, &e);
	hib_close(h);
	/* There may be none. */
	return r < 0 && e.code != HIB_VM_UNAVAILABLE ? cli_fail_hib(&e) : 0;
}

/* --- doctor, version ---------------------------------------------------- */

static void write_doctor(const struct doctor_row *rows, struct jw *w)
{
	jw_arr(w);
	for (size_t i = 0; i < DOCTOR_ROWS; i++) {
		jw_obj(w);
		jw_kstr(w, "name", rows[i].name);
		jw_kbool(w, "ok", rows[i].ok);
		jw_kbool(w, "needed", rows[i].needed);
		jw_kstr(w, "detail", rows[i].detail);
		jw_kstr(w, "consequence", rows[i].consequence);
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

static void print_doctor(const struct doctor_row *rows)
{
	for (size_t i = 0; i < DOCTOR_ROWS; i++) {
		const struct doctor_row *row = &rows[i];

		printf("%-4s  %-20s  %s\n",
		       row->ok	     ? "ok"
		       : row->needed ? "FAIL"
				     : "warn",
		       row->name, row->detail);
		if (!row->ok && row->consequence != NULL)
			printf("      %-20s  -> %s\n", "", row->consequence);
	}
}

int doctor_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, admin_options, repair, "repair"),
		OPT(OPT_FLAG, admin_options, json, "json"),
		OPT_END,
	};
	struct doctor_row rows[DOCTOR_ROWS] = {0};
	struct admin_options o = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	bool good;
	int r = cli_options(c, argc, argv, opts, &o, 0, 0);

	if (r >= 0)
		return r;
	if (o.repair && doctor_repair(&c->home, &e) < 0)
		return cli_fail(&e);
	good = doctor_run(&c->home, rows);
	if (o.json) {
		write_doctor(rows, &w);
		r = cli_print_json(&w);
		if (r != 0)
			return r;
	} else {
		print_doctor(rows);
	}
	return good ? 0 : EXIT_NEGATIVE;
}

int version_command(struct cli *c, int argc, char **argv)
{
	int r = cli_options(c, argc, argv, NULL, NULL, 0, 0);

	if (r >= 0)
		return r;
	printf("hib %s\n", hib_version());
	return 0;
}
