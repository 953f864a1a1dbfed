#include "pipe/commas.h"

#include <string.h>

static size_t digits(const char *s) {
    return strspn(s, "0123456789");
}

int mbs_commas_is_piece(const char *s) {
    if (digits(s) != 3) {
        return 0;
    }
    if (s[3] == '\0') {
        return 1;
    }
    size_t n = s[3] == '-' ? digits(s + 4) : 0;
    return n >= 1 && n <= 3 && s[4 + n] == '\0';
}

/* What stands in front of the first comma: ends with one to three digits. In a list of texts only what looks like a
 * region counts. */
static int is_head(const char *s, int in_map) {
    size_t len = strlen(s);
    size_t n = 0;
    while (n < len && s[len - 1 - n] >= '0' && s[len - 1 - n] <= '9') {
        n++;
    }
    return n >= 1 && n <= 3 && (in_map || strchr(s, ':') != NULL);
}

static const char *piece_text(const mbs_yaml_node *n, int in_map) {
    const mbs_yaml_node *text = in_map ? n->key : n;
    if (n->kind != MBS_YAML_SCALAR || !text->plain || text->at.set != n->at.set || (in_map && !mbs_yaml_is_null(n))) {
        return "";
    }
    return text->text;
}

int mbs_commas_cut(const mbs_yaml_node *head, int in_map, mbs_buf *joined) {
    if (head->kind != MBS_YAML_SCALAR || !head->plain || !is_head(head->text, in_map)) {
        return 0;
    }
    int n = 0;
    mbs_buf_clear(joined);
    mbs_buf_puts(joined, head->text);
    for (const mbs_yaml_node *p = head->next; p && mbs_commas_is_piece(piece_text(p, in_map)); p = p->next) {
        mbs_buf_printf(joined, ",%s", piece_text(p, in_map));
        n++;
    }
    return n;
}

int mbs_commas_number(const char *joined) {
    return strspn(joined, "0123456789,") == strlen(joined);
}
