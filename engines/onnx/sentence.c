/* ONNX Runtime's errors made fit for clients: without paths, and without the places and functions
 * of its source, which are longer than what they say. */
#include "onnx/library.h"

#include <ctype.h>
#include <string.h>

enum { SIGNATURE_WORDS = 3 /* until the bracket of a function: "static Status Model::Load(" */ };

/* May a path begin after this character? */
static bool precedes_path(char c)
{
    return c == '\0' || strchr(" \t'\"`(=[{<,:", c);
}

/* The size of "model.cc:256", with the blank behind it, at the start of a word; 0 when it is none.
 */
static size_t place_size(const char *word)
{
    size_t size = strcspn(word, " "), digits = size;
    while (digits > 0 && isdigit((unsigned char)word[digits - 1]))
        digits--;
    bool is_place =
        word[size] && digits < size && digits > 3 && word[digits - 1] == ':' &&
        !memchr(word, ':', digits - 1) &&
        (memcmp(word + digits - 4, ".cc:", 4) == 0 || memcmp(word + digits - 3, ".h:", 3) == 0);
    return is_place ? size + 1 : 0;
}

/* Behind the bracket that closes the one at `open`, or NULL. */
static const char *after_brackets(const char *open)
{
    int depth = 0;
    for (; *open; open++) {
        depth += (*open == '(') - (*open == ')');
        if (depth == 0)
            return open + 1;
    }
    return NULL;
}

/* Behind a function as it stands behind a place: "ns::type ns::name(types) " or "name ". */
static const char *after_function(const char *text)
{
    const char *word = text;
    for (int i = 0; i < SIGNATURE_WORDS; i++) {
        size_t size = strcspn(word, " ");
        const char *open = memchr(word, '(', size), *end = NULL;
        if (open && open > word)
            end = after_brackets(open);
        if (end)
            return end + strspn(end, " ");
        if (!word[size])
            break;
        word += size + 1;
    }
    text += strcspn(text, " ");
    return text + strspn(text, " ");
}

/* Behind "[ONNXRuntimeError] : 1 : FAIL : ". */
static const char *after_head(const char *text)
{
    static const char head[] = "[ONNXRuntimeError] : ";
    const char *end = text;
    if (strncmp(text, head, sizeof head - 1) != 0)
        return text;
    for (int i = 0; i < 3; i++) {
        const char *colon = strstr(end, " : ");
        if (!colon)
            return text;
        end = colon + 3;
    }
    return end;
}

/* At the start of a word: behind all that nobody needs. */
static const char *skip(const char *text)
{
    for (;;) {
        const char *start = text;
        text = after_head(text);
        size_t word = strcspn(text, " \t\n'\"`)]}>,");
        if (*text == '/' && word > 1) {
            const char *last = memrchr(text, '/', word);
            if (last + 1 < text + word)
                text = last + 1;
        }
        size_t place = place_size(text);
        if (place)
            text = after_function(text + place);
        if (text == start)
            return text;
    }
}

void onnx_sentence(const char *sentence, char *text, size_t size)
{
    size_t at = 0;
    char before = '\0';
    while (sentence && *sentence && at + 1 < size) {
        if (precedes_path(before))
            sentence = skip(sentence);
        if (!*sentence)
            break;
        before = *sentence++;
        text[at++] = (unsigned char)before < ' ' ? ' ' : before;
    }
    while (at > 0 && text[at - 1] == ' ')
        at--;
    text[at] = '\0';
}
