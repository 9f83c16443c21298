// SPDX-License-Identifier: Apache-2.0
/*
 * test_err.c - Errors at the border, and the log's one line per event
 */
#include "core/err.h"

#include <fcntl.h>

#include "core/json.h"
#include "core/log.h"
#include "tests/tap.h"

#define LOG_COMPONENT "test"

TEST(set_and_wrap_make_one_sentence)
{
	struct err e = {.data = "stale"};

	EQ(err_set(&e, -EINVAL, "cwd '%s' is not absolute", "x"), -EINVAL);
	STR_EQ(e.data, "");
	EQ(err_wrap(&e, "session %d", 7), -EINVAL);
	STR_EQ(e.msg, "session 7: cwd 'x' is not absolute");
	EQ(err_set(NULL, -ENOMEM, "x"), -ENOMEM);
	EQ(err_wrap(NULL, "x"), -EIO);
	err_data(NULL, "x");
}

TEST(long_words_are_cut)
{
	char big[ERR_DATA_MAX + 1];
	struct err e;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&e, -EIO, "%s", big);
	EQ(strlen(e.msg), ERR_MSG_MAX - 1);
	err_wrap(&e, "%s", big);
	EQ(strlen(e.msg), ERR_MSG_MAX - 1);
	err_data(&e, "\"a\":1");
	STR_EQ(e.data, "\"a\":1");
	err_data(&e, "%s", big);
	STR_EQ(e.data, "");
}

TEST(every_errno_has_a_public_error)
{
	EQ(err_fault(-ENOSPC), FAULT_DISK_FULL);
	EQ(err_fault(-EDQUOT), FAULT_DISK_FULL);
	EQ(err_fault(-ENOMEM), FAULT_INTERNAL);
	EQ(err_fault(-E2BIG), FAULT_MESSAGE_TOO_LARGE);
	EQ(err_fault(-EPIPE), FAULT_GUEST_UNREACHABLE);
	EQ(err_fault(-ECANCELED), FAULT_CANCELLED);
	EQ(err_fault(-EUCLEAN), FAULT_STORE_CORRUPT);
	EQ(err_fault(-EXDEV), FAULT_INTERNAL);
	EQ(err_fault(0), FAULT_INTERNAL);
	EQ(err_fault(INT32_MIN), FAULT_INTERNAL);
	EQ(err_fault(-FAULT_TURN_ACTIVE), FAULT_TURN_ACTIVE);
	EQ(err_fault(-40999), FAULT_INTERNAL);
}

TEST(faults_have_name_status_and_exit_code)
{
	STR_EQ(fault_name(FAULT_TURN_ACTIVE), "turn_active");
	EQ(fault_from_name("disk_full"), FAULT_DISK_FULL);
	EQ(fault_from_name("nonsense"), FAULT_INTERNAL);
	EQ(fault_http_status(FAULT_OVERLOADED), 429);
	EQ(fault_http_status(FAULT_DISK_FULL), 507);
	EQ(fault_exit_code(FAULT_CANCELLED), 130);
	EQ(fault_exit_code(FAULT_ROUTE_NOT_FOUND), 6);
	EQ(fault_exit_code(FAULT_METHOD_UNKNOWN), 5);
	EQ(fault_exit_code(FAULT_BAD_FRAME), 2);
	OK(fault_retryable(FAULT_VM_UNAVAILABLE));
	OK(!fault_retryable(FAULT_INVALID_ID));
}

/* Read the error object in @text. */
static int read_text(struct err *e, const char *text)
{
	autojson struct json j = {0};

	EQ(json_parse(&j, text, strlen(text), NULL), 0);
	return err_read(e, json_root(&j));
}

TEST(an_error_survives_the_wire)
{
	struct err e, back;
	autojw struct jw w = {0};

	err_set(&e, -FAULT_TURN_ACTIVE, "session s: \"busy\"");
	err_data(&e, "\"turn\":\"trn_1\",\"last_seq\":7");
	err_write(&e, &w);
	STR_EQ(w.buf, "{\"code\":40901,\"message\":\"session s: "
		      "\\\"busy\\\"\",\"data\":{\"code\":\"turn_active\","
		      "\"retryable\":true,\"turn\":\"trn_1\",\"last_seq\":7}}");
	EQ(read_text(&back, w.buf), -FAULT_TURN_ACTIVE);
	STR_EQ(back.msg, e.msg);
	STR_EQ(back.data, e.data);
}

TEST(an_errno_is_written_as_its_fault)
{
	struct err e;
	autojw struct jw w = {0};

	err_set(&e, -ENOSPC, "store: full");
	err_write(&e, &w);
	STR_EQ(w.buf, "{\"code\":50700,\"message\":\"store: full\",\"data\":"
		      "{\"code\":\"disk_full\",\"retryable\":false}}");
}

TEST(foreign_errors_are_read_with_care)
{
	struct err e;

	EQ(read_text(&e, "{}"), -FAULT_INTERNAL);
	STR_EQ(e.msg, "internal");
	EQ(read_text(&e, "[]"), -FAULT_INTERNAL);
	EQ(read_text(&e, "{\"code\":-32601}"), -FAULT_METHOD_UNKNOWN);
	EQ(read_text(&e, "{\"code\":40998,\"data\":{\"code\":\"no_turn\"}}"),
	   -FAULT_NO_TURN);
	EQ(read_text(&e, "{\"code\":1e99,\"message\":7,\"data\":[1]}"),
	   -FAULT_INTERNAL);
	EQ(read_text(NULL, "{\"code\":40401}"), -FAULT_SESSION_NOT_FOUND);
	read_text(&e, "{\"code\":40401,\"data\":{\"a\":{\n\t\"b\":1}}}");
	STR_EQ(e.data, "\"a\":{  \"b\":1}");
}

TEST(data_that_does_not_fit_is_left_away)
{
	autojw struct jw w = {0};
	char big[ERR_DATA_MAX];
	struct err e;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	jw_obj(&w);
	jw_kint(&w, "code", FAULT_INTERNAL);
	jw_key(&w, "data");
	jw_obj(&w);
	jw_kstr(&w, "small", "x");
	jw_kstr(&w, "big", big);
	jw_obj_end(&w);
	jw_obj_end(&w);
	read_text(&e, w.buf);
	STR_EQ(e.data, "");
}

/* Let stderr go to a pipe, and give its reading end. */
static int catch_stderr(void)
{
	int p[2];

	EQ(pipe2(p, O_CLOEXEC), 0);
	OK(dup2(p[1], STDERR_FILENO) >= 0);
	close(p[1]);
	return p[0];
}

TEST(an_event_is_one_line)
{
	autoclose int fd = catch_stderr();
	char line[512] = "";

	errno = EBUSY;
	log_debug("not at this level");
	log_info("a\nb\x1b[1mc");
	EQ(errno, EBUSY);
	OK(read(fd, line, sizeof(line) - 1) > 25);
	EQ(line[10], 'T');
	EQ(line[23], 'Z');
	STR_EQ(line + 24, " info test: a\\nb\\x1b[1mc\n");
}

TEST(an_event_is_one_object)
{
	autoclose int fd = catch_stderr();
	autojson struct json j = {0};
	char line[512];
	ssize_t n;

	log_set_json(true);
	EQ(log_set_level_name("loud"), -EINVAL);
	EQ(log_set_level_name("debug"), 0);
	log_debug("a\n\"b\"\xff");
	n = read(fd, line, sizeof(line));
	OK(n > 0 && line[n - 1] == '\n');
	OK(memchr(line, '\n', (size_t)n - 1) == NULL);
	EQ(json_parse(&j, line, (size_t)n, NULL), 0);
	OK(jv_int(jv_get(json_root(&j), "ts"), 0) > 0);
	OK(jv_eq(jv_get(json_root(&j), "level"), "debug"));
	OK(jv_eq(jv_get(json_root(&j), "component"), "test"));
	OK(jv_eq(jv_get(json_root(&j), "msg"), "a\n\"b\"\xef\xbf\xbd"));
}

TEST(a_long_event_is_cut)
{
	autoclose int fd = catch_stderr();
	char big[3 * LOG_MSG_MAX], line[6 * LOG_MSG_MAX];
	ssize_t n;

	memset(big, '\x01', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_error("%s", big);
	n = read(fd, line, sizeof(line) - 1);
	OK(n > 4);
	line[n] = '\0';
	STR_EQ(line + n - 4, "...\n");
	OK(n > 4 * (LOG_MSG_MAX - 4));
}

TESTS(CASE(set_and_wrap_make_one_sentence), CASE(long_words_are_cut),
      CASE(every_errno_has_a_public_error),
      CASE(faults_have_name_status_and_exit_code),
      CASE(an_error_survives_the_wire), CASE(an_errno_is_written_as_its_fault),
      CASE(foreign_errors_are_read_with_care),
      CASE(data_that_does_not_fit_is_left_away), CASE(an_event_is_one_line),
      CASE(an_event_is_one_object), CASE(a_long_event_is_cut))
