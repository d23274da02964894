/* SPDX-License-Identifier: MIT */
/* Flat texts and lists of problems; see texts.h. */
#include "config/texts.h"

#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "ipc/message.h"

#define IMAGE_VERSION 1
#define IMAGE_MAX (4u << 20)
/* Each text has at least four length words or numbers: bounds the count before memory is taken. */
#define TEXT_MIN_OCTETS 16

/* Room for one more element of size octets; the array is moved within the arena. */
static void *
grow(struct pst_arena *arena, void *v, size_t n, size_t *cap, size_t size)
{
	void *moved;

	if (n < *cap)
		return v;
	*cap = *cap == 0 ? 32 : *cap * 2;
	moved = pst_arena_alloc(arena, *cap * size);
	if (n > 0)
		memcpy(moved, v, n * size);
	return moved;
}

void
conf_texts_init(struct conf_texts *t, struct pst_arena *arena)
{
	*t = (struct conf_texts){ .arena = arena };
}

static void
append(struct conf_texts *t, const struct conf_text *text)
{
	t->v = grow(t->arena, t->v, t->n, &t->cap, sizeof(*t->v));
	t->v[t->n++] = *text;
}

static struct conf_text *
find(const struct conf_texts *t, struct pst_str path)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (pst_str_eq(pst_str_c(t->v[i].path), path))
			return &t->v[i];
	return NULL;
}

/* Most texts come from the file of the one before. */
static const char *
copy_file_name(struct conf_texts *t, struct pst_str file)
{
	if (t->n > 0 && pst_str_eq(pst_str_c(t->v[t->n - 1].file), file))
		return t->v[t->n - 1].file;
	return pst_arena_copy(t->arena, file);
}

void
conf_texts_set(struct conf_texts *t, struct pst_str path, struct pst_str value, const char *file,
               unsigned line)
{
	struct conf_text *there = find(t, path);
	struct conf_text text = {
		.path = there != NULL ? there->path : pst_arena_copy(t->arena, path),
		.value = pst_arena_copy(t->arena, value),
		.file = copy_file_name(t, pst_str_c(file)),
		.line = line,
	};

	if (there != NULL)
		*there = text;
	else
		append(t, &text);
}

const struct conf_text *
conf_texts_get(const struct conf_texts *t, const char *path)
{
	return find(t, pst_str_c(path));
}

const struct conf_text *
conf_texts_first(const struct conf_texts *t, const char *prefix)
{
	const size_t n = strlen(prefix);
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strncmp(t->v[i].path, prefix, n) == 0 &&
		    (t->v[i].path[n] == '.' || t->v[i].path[n] == '\0'))
			return &t->v[i];
	return NULL;
}

void
conf_problems_init(struct conf_problems *p, struct pst_arena *arena)
{
	*p = (struct conf_problems){ .arena = arena };
}

void
conf_problems_add(struct conf_problems *p, const char *file, unsigned line, const char *fmt, ...)
{
	char text[1024];
	char *c;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a long value may be cut */
	va_end(ap);
	for (c = text; *c != '\0'; c++) /* a value may hold anything: one problem stays one line */
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	p->v = grow(p->arena, (void *)p->v, p->n, &p->cap, sizeof(*p->v));
	if (file == NULL)
		p->v[p->n++] = pst_arena_printf(p->arena, "%s", text);
	else if (file[0] == '\0')
		p->v[p->n++] = pst_arena_printf(p->arena, "command line: %s", text);
	else if (line == 0)
		p->v[p->n++] = pst_arena_printf(p->arena, "%s: %s", file, text);
	else
		p->v[p->n++] = pst_arena_printf(p->arena, "%s:%u: %s", file, line, text);
}

size_t
conf_texts_encode(const struct conf_texts *t, uint8_t *out, size_t cap)
{
	struct msg_writer w = { .p = out, .cap = cap < IMAGE_MAX ? cap : IMAGE_MAX };
	size_t i;

	msg_put_u8(&w, IMAGE_VERSION);
	msg_put_u32(&w, (uint32_t)t->n);
	for (i = 0; i < t->n; i++) {
		msg_put_str(&w, pst_str_c(t->v[i].path));
		msg_put_str(&w, pst_str_c(t->v[i].value));
		msg_put_str(&w, pst_str_c(t->v[i].file));
		msg_put_u32(&w, t->v[i].line);
	}
	return msg_end(&w);
}

static bool
read_text(struct conf_texts *t, struct msg_reader *r)
{
	struct pst_str path = msg_get_str(r, MSG_MAX_OCTETS);
	struct pst_str value = msg_get_str(r, MSG_MAX_OCTETS);
	struct pst_str file = msg_get_str(r, MSG_MAX_OCTETS);
	struct conf_text text = { .line = msg_get_u32(r) };

	if (r->bad || path.n == 0)
		return false;
	/* They become C strings: a NUL would cut them in silence. */
	if (pst_str_has_nul(path) || pst_str_has_nul(value) || pst_str_has_nul(file))
		return false;
	text.path = pst_arena_copy(t->arena, path);
	text.value = pst_arena_copy(t->arena, value);
	text.file = copy_file_name(t, file);
	append(t, &text);
	return true;
}

int
conf_texts_decode(struct conf_texts *t, struct pst_str image, struct pst_err *err)
{
	struct msg_reader r = { .p = (const uint8_t *)image.p, .left = image.n };
	uint8_t version;
	uint32_t count, i;

	if (image.n > IMAGE_MAX)
		return pst_err_set(err, PST_E_PERM, "configuration image of %zu octets", image.n);
	version = msg_get_u8(&r);
	count = msg_get_u32(&r);
	if (r.bad || version != IMAGE_VERSION || count > r.left / TEXT_MIN_OCTETS)
		return pst_err_set(err, PST_E_PERM, "configuration image with a bad head");
	for (i = 0; i < count; i++)
		if (!read_text(t, &r))
			return pst_err_set(err, PST_E_PERM, "configuration image: text %u is bad",
			                   i);
	return msg_close(&r, err);
}

const struct conf_text *
conf_texts_blamed(const struct conf_texts *t, const char *prefix, const char *reason)
{
	const size_t n = strcspn(reason, ": ");

	if (n == 0 || reason[n] != ':')
		return NULL;
	return conf_texts_get(t, pst_arena_printf(t->arena, "%s.%.*s", prefix, (int)n, reason));
}
