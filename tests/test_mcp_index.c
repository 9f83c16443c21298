// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_index.c - Names of tools, and whose they are
 */
#include "guest/mcp_index.h"
#include "tests/tap.h"

static struct mcp_index ix;

static void add(const char *server, const char *list)
{
	struct json j = {0};

	EQ(json_parse(&j, list, strlen(list), NULL), 0);
	for (struct jv it = jv_first(json_root(&j)); jv_has(it);
	     it = jv_next(json_root(&j), it))
		mcp_index_add(&ix, server, it, (void *)(uintptr_t)server);
	json_done(&j);
}

static const char *shown(const char *server, const char *name)
{
	static char out[MCP_SHOWN_MAX + 1];

	mcp_shown_name(server, name, out);
	return out;
}

TEST(names_are_prefixed)
{
	STR_EQ(shown("files", "read"), "files__read");
	STR_EQ(shown("a-b_c", "X9"), "a-b_c__X9");
}

TEST(names_that_models_refuse_get_a_hash)
{
	char first[MCP_SHOWN_MAX + 1], long_name[100];

	strcpy(first, shown("files", "read.file"));
	EQ(strncmp(first, "files__read_file_", 17), 0);
	EQ(strlen(first), 17 + 8);
	STR_EQ(shown("files", "read.file"), first);
	OK(strcmp(shown("files", "read/file"), first) != 0);

	memset(long_name, 'x', sizeof(long_name));
	long_name[99] = '\0';
	strcpy(first, shown("files", long_name));
	EQ(strlen(first), MCP_SHOWN_MAX);
	long_name[98] = 'y';
	OK(strcmp(shown("files", long_name), first) != 0);
	long_name[57] = '\0'; /* files__ and 57 are just 64. */
	EQ(strlen(shown("files", long_name)), MCP_SHOWN_MAX);
	EQ(strncmp(shown("files", long_name) + 7, long_name, 57), 0);
}

TEST(lists_are_sorted_and_the_rest_is_kept)
{
	struct jw w = {0};

	add("b",
	    "[{\"description\":\"\\u00e9 \",\"name\":\"two\","
	    "\"inputSchema\":{ \"type\" : \"object\" }},{\"name\":\"one\"}]");
	add("a", "[{\"name\":\"x\"},{\"title\":\"no name\"},7]");
	EQ(mcp_index_complete(&ix), 0);
	EQ(ix.n, 3);
	mcp_index_write(&ix, &w);
	STR_EQ(w.buf, "[{\"name\":\"a__x\"},{\"name\":\"b__one\"},"
		      "{\"name\":\"b__two\",\"description\":\"\\u00e9 \","
		      "\"inputSchema\":{ \"type\" : \"object\" }}]");
	jw_done(&w);
	STR_EQ(mcp_index_find(&ix, "b__two")->name, "two");
	STR_EQ(mcp_index_find(&ix, "b__two")->owner, "b");
	OK(mcp_index_find(&ix, "two") == NULL);
	mcp_index_done(&ix);
}

TEST(ambiguous_names_are_dropped)
{
	add("a", "[{\"name\":\"b__c\"},{\"name\":\"d\"}]");
	add("a__b", "[{\"name\":\"c\"}]");
	EQ(mcp_index_complete(&ix), 0);
	EQ(ix.n, 1);
	OK(mcp_index_find(&ix, "a__b__c") == NULL);
	OK(mcp_index_find(&ix, "a__d") != NULL);
	mcp_index_done(&ix);
}

TEST(an_empty_index_is_an_empty_list)
{
	struct jw w = {0};

	EQ(mcp_index_complete(&ix), 0);
	mcp_index_write(&ix, &w);
	STR_EQ(w.buf, "[]");
	jw_done(&w);
	OK(mcp_index_find(&ix, "x") == NULL);
}

TESTS(CASE(names_are_prefixed), CASE(names_that_models_refuse_get_a_hash),
      CASE(lists_are_sorted_and_the_rest_is_kept),
      CASE(ambiguous_names_are_dropped), CASE(an_empty_index_is_an_empty_list))
