/* SPDX-License-Identifier: MIT */
/* ctl/watch.h - inside this folder: maildrops that are watched, and when each is to be looked at.
 *
 * What a maildrop looks like inside is its plugin's business. What all have in common: it is a path, with a
 * file there, or a folder with folders in it. So of a file changes are watched, and of a folder what
 * appears in the folders right below it, but for tmp and for those with a dot in front, which are other
 * mail folders; and new folders below it. Files in the folder itself are not: there our index lies. */
#ifndef CTL_WATCH_H
#define CTL_WATCH_H

#include "ctl/drops.h"

struct watched {
	struct drop_row row; /* its strings are owned */
	int64_t due_ms;      /* when it is to be looked at; 0: nothing happened */
	uint32_t watches;
	bool in_hand;
	bool is_listed;    /* by the finder that is at it */
	bool is_unwatched; /* there was no watch to be had: looked at on the timer */
	bool was_told;     /* that it cannot be looked at */
};

struct watch_list {
	int fd; /* inotify */
	struct watched **v;
	size_t n, cap;
	struct watched **by_watch;
	size_t watch_cap;
	uint32_t watches, unwatched;
	int64_t delay_ms;
};

int watch_list_init(struct watch_list *l, int64_t delay_ms, struct pst_err *err);
void watch_list_clear(struct watch_list *l);

/* The user's maildrop is there, perhaps since long: a new one, one that moved, and one that cannot be
 * watched, is due at once. */
void watch_list_take(struct watch_list *l, const struct drop_row *row, int64_t now_ms);

/* A finder begins; or it has told all: who was not told of is watched no more, unless the list was not
 * complete. */
void watch_list_begin(struct watch_list *l);
void watch_list_end(struct watch_list *l, bool is_complete);

/* Takes what inotify says. */
void watch_list_hear(struct watch_list *l, int64_t now_ms);

/* One that is due and not in hand, or NULL; *next_ms_out: when there will be one, -1: nobody knows. */
struct watched *watch_list_due(struct watch_list *l, int64_t now_ms, int64_t *next_ms_out);

struct watched *watch_list_find(const struct watch_list *l, const char *user);

#endif
