// SPDX-License-Identifier: Apache-2.0
/*
 * test_settings.c - What an agent offers to be set, and what is wished
 */
#include "core/settings.h"
#include "tests/tap.h"

#define MODES                                              \
	"{\"currentModeId\":\"code\",\"availableModes\":[" \
	"{\"id\":\"code\",\"name\":\"Code\"},{\"id\":\"plan\"},7,{\"id\":7}]}"
#define MODELS                                           \
	"{\"availableModels\":[{\"modelId\":\"small\"}," \
	"{\"modelId\":\"gr\\u00f6\\u00dfe\"}],\"currentModelId\":\"small\"}"
#define OPTIONS                                                             \
	"[7,{\"id\":\"x\",\"category\":\"model\",\"type\":\"slider\"},"     \
	"{\"id\":\"llm\",\"category\":\"model\",\"type\":\"select\","       \
	"\"currentValue\":\"a\",\"options\":[{\"value\":\"a\"},"            \
	"{\"group\":\"g\",\"options\":[{\"value\":\"b\"},{\"name\":1}]}]}," \
	"{\"id\":\"web\",\"type\":\"boolean\",\"currentValue\":false}]"

static struct json docs[8];

/* A document that lives as long as the case. */
static struct jv parse(const char *text)
{
	static size_t n;
	struct err e = {0};

	OK(n < sizeof(docs) / sizeof(docs[0]));
	EQ(json_parse(&docs[n], text, strlen(text), &e), 0);
	return json_root(&docs[n++]);
}

static struct settings make(const char *text)
{
	struct settings s = {0};
	struct jv v = parse(text);

	EQ(settings_set(&s, jv_get(v, "modes"), jv_get(v, "models"),
			jv_get(v, "configOptions")),
	   0);
	return s;
}

/* Fulfil the first wish of a config. */
static int wish(struct settings *s, const char *config,
		struct settings_target *t, struct err *e)
{
	struct jv v = parse(config);
	struct wish w;

	EQ(wish_check(v, true, e), 0);
	OK(wish_at(v, 0, &w));
	return settings_find(s, &w, t, e);
}

TEST(wishes_come_in_their_order)
{
	static const char *const want[] = {"model", "thought", "mode",
					   "options", "options"};
	struct jv v = parse("{\"options\":{\"b\":true,\"a\":\"x\"},\"mode\":"
			    "null,\"other\":1,\"thought\":\"t\",\"model\":"
			    "\"m\"}");
	autojw struct jw text = {0};
	struct wish w;
	size_t n;

	for (n = 0; wish_at(v, n, &w); n++)
		STR_EQ(wish_key(w.kind), want[n]);
	EQ(n, 5);
	jw_obj(&text);
	wish_write(v, 4, &text);
	jw_obj_end(&text);
	STR_EQ(text.buf, "{\"model\":\"m\",\"thought\":\"t\",\"mode\":null,"
			 "\"options\":{\"b\":true}}");
	OK(!wish_at((struct jv){.i = -1}, 0, &w));
}

TEST(wrong_shapes_are_refused)
{
	static const char *const wrong[] = {
		"[]",
		"{\"model\":7}",
		"{\"mode\":\"\"}",
		"{\"thought\":\"a\\u0000b\"}",
		"{\"options\":[]}",
		"{\"options\":{\"a\":1}}",
	};
	struct err e = {0};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		EQ(wish_check(parse(wrong[i]), false, &e),
		   -FAULT_INVALID_ARGUMENT);
	EQ(wish_check((struct jv){.i = -1}, true, &e), 0);
}

TEST(only_strict_minds_other_members)
{
	struct err e = {0};
	struct jv v = parse("{\"instructions\":1,\"mode\":\"a\"}");

	EQ(wish_check(v, false, &e), 0);
	EQ(wish_check(v, true, &e), -FAULT_INVALID_ARGUMENT);
}

TEST(an_option_of_the_category_goes_first)
{
	struct settings s =
		make("{\"models\":" MODELS ",\"configOptions\":" OPTIONS "}");
	struct settings_target t = {0};
	struct err e = {0};

	EQ(wish(&s, "{\"model\":\"b\"}", &t, &e), 0);
	EQ(t.via, VIA_OPTION);
	STR_EQ(t.id, "\"llm\"");
	STR_EQ(t.value, "\"b\"");
	EQ(settings_apply(&s, &t), 0);
	OK(strstr(s.options, "\"currentValue\":\"b\"") != NULL);
	OK(strstr(s.models, "\"currentModelId\":\"b\"") != NULL);
	settings_target_done(&t);
	settings_done(&s);
}

TEST(else_the_list_of_older_agents)
{
	struct settings s = make("{\"models\":" MODELS ",\"modes\":" MODES "}");
	struct settings_target t = {0};
	struct err e = {0};

	EQ(wish(&s, "{\"model\":\"größe\"}", &t, &e), 0);
	EQ(t.via, VIA_MODELS);
	STR_EQ(t.value, "\"gr\\u00f6\\u00dfe\"");
	settings_target_done(&t);
	EQ(wish(&s, "{\"mode\":\"plan\"}", &t, &e), 0);
	EQ(t.via, VIA_MODES);
	EQ(settings_apply(&s, &t), 0);
	OK(strstr(s.modes, "\"currentModeId\":\"plan\"") != NULL);
	settings_target_done(&t);
	settings_done(&s);
}

TEST(what_is_not_offered_is_refused_with_what_is)
{
	struct settings s =
		make("{\"modes\":" MODES ",\"configOptions\":" OPTIONS "}");
	struct settings_target t = {0};
	struct err e = {0};

	EQ(wish(&s, "{\"mode\":\"x\"}", &t, &e), -FAULT_INVALID_ARGUMENT);
	STR_EQ(e.data, "\"values\":[\"code\",\"plan\"]");
	EQ(wish(&s, "{\"model\":\"c\"}", &t, &e), -FAULT_INVALID_ARGUMENT);
	STR_EQ(e.data, "\"values\":[\"a\",\"b\"]");
	EQ(wish(&s, "{\"options\":{\"nope\":\"a\"}}", &t, &e),
	   -FAULT_INVALID_ARGUMENT);
	EQ(wish(&s, "{\"options\":{\"web\":\"a\"}}", &t, &e),
	   -FAULT_INVALID_ARGUMENT);
	EQ(wish(&s, "{\"thought\":\"a\"}", &t, &e),
	   -FAULT_CAPABILITY_UNSUPPORTED);
	OK(t.id == NULL && t.value == NULL);
	settings_done(&s);
}

TEST(a_boolean_is_also_a_word)
{
	struct settings s = make("{\"configOptions\":" OPTIONS "}");
	struct settings_target t = {0};
	struct err e = {0};

	EQ(wish(&s, "{\"options\":{\"web\":\"true\"}}", &t, &e), 0);
	OK(t.boolean);
	STR_EQ(t.value, "true");
	EQ(settings_apply(&s, &t), 0);
	OK(strstr(s.options, "\"currentValue\":true") != NULL);
	settings_target_done(&t);
	settings_done(&s);
}

TEST(wrong_offers_count_as_none)
{
	struct settings s = make("{\"modes\":[],\"models\":7,\"configOptions\":"
				 "{}}");
	struct settings_target t = {0};
	struct err e = {0};

	OK(s.modes == NULL && s.models == NULL && s.options == NULL);
	EQ(wish(&s, "{\"mode\":\"a\"}", &t, &e), -FAULT_CAPABILITY_UNSUPPORTED);
	EQ(settings_note(&s, parse("{\"sessionUpdate\":\"current_mode_update\","
				   "\"currentModeId\":\"a\"}")),
	   0);
	OK(s.modes == NULL);
}

TEST(updates_are_followed)
{
	struct settings s = make("{\"modes\":" MODES "}");

	EQ(settings_note(&s, parse("{\"sessionUpdate\":\"current_mode_update\","
				   "\"modeId\":\"plan\"}")),
	   0);
	OK(strstr(s.modes, "\"currentModeId\":\"plan\"") != NULL);
	EQ(settings_note(&s, parse("{\"sessionUpdate\":\"current_mode_update\","
				   "\"currentModeId\":7}")),
	   0);
	EQ(settings_note(&s, parse("{\"sessionUpdate\":\"config_option_update\""
				   ",\"configOptions\":[{\"category\":\"mode\","
				   "\"currentValue\":\"code\"}]}")),
	   0);
	OK(strstr(s.modes, "\"currentModeId\":\"code\"") != NULL);
	EQ(settings_note(&s, parse("{\"sessionUpdate\":\"config_option_update\""
				   ",\"configOptions\":null}")),
	   0);
	OK(s.options != NULL);
	EQ(settings_note(&s, parse("7")), 0);
	settings_done(&s);
}

TESTS(CASE(wishes_come_in_their_order), CASE(wrong_shapes_are_refused),
      CASE(only_strict_minds_other_members),
      CASE(an_option_of_the_category_goes_first),
      CASE(else_the_list_of_older_agents),
      CASE(what_is_not_offered_is_refused_with_what_is),
      CASE(a_boolean_is_also_a_word), CASE(wrong_offers_count_as_none),
      CASE(updates_are_followed))
