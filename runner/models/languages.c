/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>

/* What Whisper calls the languages that it hears; other servers answer codes. */
static const struct {
  const char *name, *code;
} languages[] = {
    {"afrikaans", "af"},      {"albanian", "sq"},   {"amharic", "am"},     {"arabic", "ar"},
    {"armenian", "hy"},       {"assamese", "as"},   {"azerbaijani", "az"}, {"bashkir", "ba"},
    {"basque", "eu"},         {"belarusian", "be"}, {"bengali", "bn"},     {"bosnian", "bs"},
    {"breton", "br"},         {"bulgarian", "bg"},  {"burmese", "my"},     {"cantonese", "yue"},
    {"catalan", "ca"},        {"chinese", "zh"},    {"croatian", "hr"},    {"czech", "cs"},
    {"danish", "da"},         {"dutch", "nl"},      {"english", "en"},     {"estonian", "et"},
    {"faroese", "fo"},        {"finnish", "fi"},    {"french", "fr"},      {"galician", "gl"},
    {"georgian", "ka"},       {"german", "de"},     {"greek", "el"},       {"gujarati", "gu"},
    {"haitian creole", "ht"}, {"hausa", "ha"},      {"hawaiian", "haw"},   {"hebrew", "he"},
    {"hindi", "hi"},          {"hungarian", "hu"},  {"icelandic", "is"},   {"indonesian", "id"},
    {"italian", "it"},        {"japanese", "ja"},   {"javanese", "jw"},    {"kannada", "kn"},
    {"kazakh", "kk"},         {"khmer", "km"},      {"korean", "ko"},      {"lao", "lo"},
    {"latin", "la"},          {"latvian", "lv"},    {"lingala", "ln"},     {"lithuanian", "lt"},
    {"luxembourgish", "lb"},  {"macedonian", "mk"}, {"malagasy", "mg"},    {"malay", "ms"},
    {"malayalam", "ml"},      {"maltese", "mt"},    {"maori", "mi"},       {"marathi", "mr"},
    {"mongolian", "mn"},      {"myanmar", "my"},    {"nepali", "ne"},      {"norwegian", "no"},
    {"nynorsk", "nn"},        {"occitan", "oc"},    {"pashto", "ps"},      {"persian", "fa"},
    {"polish", "pl"},         {"portuguese", "pt"}, {"punjabi", "pa"},     {"romanian", "ro"},
    {"russian", "ru"},        {"sanskrit", "sa"},   {"serbian", "sr"},     {"shona", "sn"},
    {"sindhi", "sd"},         {"sinhala", "si"},    {"slovak", "sk"},      {"slovenian", "sl"},
    {"somali", "so"},         {"spanish", "es"},    {"sundanese", "su"},   {"swahili", "sw"},
    {"swedish", "sv"},        {"tagalog", "tl"},    {"tajik", "tg"},       {"tamil", "ta"},
    {"tatar", "tt"},          {"telugu", "te"},     {"thai", "th"},        {"tibetan", "bo"},
    {"turkish", "tr"},        {"turkmen", "tk"},    {"ukrainian", "uk"},   {"urdu", "ur"},
    {"uzbek", "uz"},          {"vietnamese", "vi"}, {"welsh", "cy"},       {"yiddish", "yi"},
    {"yoruba", "yo"},
};

/*
 * model_language_code:
 * @name: (nullable): "english", "en", "EN-us"
 *
 * Returns: (nullable): its code; @name, interned and in lower case, where it is a code already or unknown
 */
const char *
model_language_code (const char *name)
{
  g_autofree char *lower = NULL;

  if (!name || !*name)
    return NULL;
  lower = g_ascii_strdown (name, -1);
  for (guint i = 0; i < G_N_ELEMENTS (languages); i++)
    if (strcmp (languages[i].name, lower) == 0)
      return languages[i].code;
  return strlen (lower) <= 16 ? g_intern_string (lower) : NULL;
}
