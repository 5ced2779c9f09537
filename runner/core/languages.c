/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <string.h>

/* The English names are those that Whisper uses; behind them, what people call their own language, and the codes of three
 * letters. All in small letters. */
static const struct {
  const char *code, *names;
} languages[] = {
    {"af", "afrikaans;afr"},
    {"sq", "albanian;sqi;alb"},
    {"am", "amharic;amh"},
    {"ar", "arabic;العربية;ara"},
    {"hy", "armenian;hye;arm"},
    {"as", "assamese;asm"},
    {"az", "azerbaijani;aze"},
    {"ba", "bashkir;bak"},
    {"eu", "basque;euskara;eus;baq"},
    {"be", "belarusian;bel"},
    {"bn", "bengali;ben"},
    {"bs", "bosnian;bos"},
    {"br", "breton;bre"},
    {"bg", "bulgarian;български;bul"},
    {"my", "burmese;myanmar;mya;bur"},
    {"yue", "cantonese"},
    {"ca", "catalan;català;cat"},
    {"zh", "chinese;中文;mandarin;汉语;zho;chi;cmn"},
    {"hr", "croatian;hrvatski;hrv"},
    {"cs", "czech;čeština;ces;cze"},
    {"da", "danish;dansk;dan"},
    {"nl", "dutch;nederlands;flemish;nld;dut"},
    {"en", "english;anglais;inglés;eng"},
    {"et", "estonian;est"},
    {"fo", "faroese;fao"},
    {"fi", "finnish;suomi;fin"},
    {"fr", "french;français;fra;fre"},
    {"gl", "galician;galego;glg"},
    {"ka", "georgian;kat;geo"},
    {"de", "german;deutsch;deu;ger"},
    {"el", "greek;ελληνικά;ell;gre"},
    {"gu", "gujarati;guj"},
    {"ht", "haitian creole;hat"},
    {"ha", "hausa;hau"},
    {"haw", "hawaiian"},
    {"he", "hebrew;עברית;heb"},
    {"hi", "hindi;हिन्दी;hin"},
    {"hu", "hungarian;magyar;hun"},
    {"is", "icelandic;isl;ice"},
    {"id", "indonesian;bahasa indonesia;ind"},
    {"it", "italian;italiano;ita"},
    {"ja", "japanese;日本語;jpn"},
    {"jw", "javanese;jav"},
    {"kn", "kannada;kan"},
    {"kk", "kazakh;kaz"},
    {"km", "khmer;khm"},
    {"ko", "korean;한국어;kor"},
    {"lo", "lao;lao"},
    {"la", "latin;lat"},
    {"lv", "latvian;lav"},
    {"ln", "lingala;lin"},
    {"lt", "lithuanian;lit"},
    {"lb", "luxembourgish;ltz"},
    {"mk", "macedonian;mkd;mac"},
    {"mg", "malagasy;mlg"},
    {"ms", "malay;msa;may"},
    {"ml", "malayalam;mal"},
    {"mt", "maltese;mlt"},
    {"mi", "maori;mri;mao"},
    {"mr", "marathi;mar"},
    {"mn", "mongolian;mon"},
    {"ne", "nepali;nep"},
    {"no", "norwegian;norsk;nor"},
    {"nn", "nynorsk;nno"},
    {"oc", "occitan;oci"},
    {"ps", "pashto;pus"},
    {"fa", "persian;فارسی;farsi;fas;per"},
    {"pl", "polish;polski;pol"},
    {"pt", "portuguese;português;por"},
    {"pa", "punjabi;pan"},
    {"ro", "romanian;română;ron;rum"},
    {"ru", "russian;русский;rus"},
    {"sa", "sanskrit;san"},
    {"sr", "serbian;srp"},
    {"sn", "shona;sna"},
    {"sd", "sindhi;snd"},
    {"si", "sinhala;sin"},
    {"sk", "slovak;slk;slo"},
    {"sl", "slovenian;slv"},
    {"so", "somali;som"},
    {"es", "spanish;español;castellano;castilian;espagnol;spa"},
    {"su", "sundanese;sun"},
    {"sw", "swahili;swa"},
    {"sv", "swedish;svenska;swe"},
    {"tl", "tagalog;tgl"},
    {"tg", "tajik;tgk"},
    {"ta", "tamil;tam"},
    {"tt", "tatar;tat"},
    {"te", "telugu;tel"},
    {"th", "thai;ไทย;tha"},
    {"bo", "tibetan;bod;tib"},
    {"tr", "turkish;türkçe;tur"},
    {"tk", "turkmen;tuk"},
    {"uk", "ukrainian;українська;ukr"},
    {"ur", "urdu;urd"},
    {"uz", "uzbek;uzb"},
    {"vi", "vietnamese;tiếng việt;vie"},
    {"cy", "welsh;cym;wel"},
    {"yi", "yiddish;yid"},
    {"yo", "yoruba;yor"},
    {"pt-BR", "brazilian portuguese;português do brasil"},
    {"pt-PT", "european portuguese"},
    {"zh-Hans", "simplified chinese"},
    {"zh-Hant", "traditional chinese"},
    {"en-US", "american english"},
    {"en-GB", "british english"},
    {"es-419", "latin american spanish"},
};

static gboolean
has_name (const char *names, const char *name)
{
  gsize length = strlen (name);

  for (const char *p = names; *p;) {
    gsize next = strcspn (p, ";");

    if (next == length && strncmp (p, name, length) == 0)
      return TRUE;
    p += next + (p[next] == ';');
  }
  return FALSE;
}

/**
 * derush_language_from_name:
 * @name: what somebody calls a language: its name in English or in itself, or its code of three letters
 *
 * Returns: (nullable): its code, such as `es` or `pt-BR`; %NULL if @name is none of these, as a code of two letters is not
 */
const char *
derush_language_from_name (const char *name)
{
  g_autofree char *valid = g_utf8_make_valid (name, -1), *lower = g_utf8_strdown (g_strstrip (valid), -1);
  g_autofree char *composed = g_utf8_normalize (lower, -1, G_NORMALIZE_NFC);

  for (guint i = 0; *composed && !strchr (composed, ';') && i < G_N_ELEMENTS (languages); i++)
    if (has_name (languages[i].names, composed))
      return languages[i].code;
  return NULL;
}
