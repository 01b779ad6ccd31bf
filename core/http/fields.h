/* What the codecs need of a head's fields beyond head.h. For this floor only. */
#ifndef TG_HTTP_FIELDS_H
#define TG_HTTP_FIELDS_H

#include "http/head.h"

/* Does a field of that name concern one connection only, or the framing that is ours? */
bool tg_field_is_hop(enum tg_field_id id, struct tg_str name);

/* A new, empty field at the end; NULL when the head is full or memory is out, which
 * tg_head_append_error tells apart. Earlier fields may move. */
TG_MUST_USE struct tg_field *tg_head_append(struct tg_head *head);
int tg_head_append_error(const struct tg_head *head);

#endif
