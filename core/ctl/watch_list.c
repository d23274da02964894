/* SPDX-License-Identifier: MIT */
/* Which maildrops are watched; see watch.h. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl/watch.h"

#define IN_FOLDER (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW)
#define IN_FILE (IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW)

int
watch_list_init(struct watch_list *l, int64_t delay_ms, struct pst_err *err)
{
	*l = (struct watch_list){ .delay_ms = delay_ms };
	l->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (l->fd < 0 && errno == EMFILE)
		return pst_err_set(
			err, PST_E_TEMP,
			"no inotify instance is left: raise fs.inotify.max_user_instances");
	return l->fd < 0 ? pst_err_sys(err, PST_E_TEMP, "inotify_init") : 0;
}

static void
free_strings(struct drop_row *row)
{
	free((char *)(uintptr_t)row->user);
	free((char *)(uintptr_t)row->storage);
	free((char *)(uintptr_t)row->path);
}

static void
keep_row(struct drop_row *to, const struct drop_row *row)
{
	*to = *row;
	to->user = pst_strdup(row->user);
	to->storage = pst_strdup(row->storage);
	to->path = pst_strdup(row->path);
}

void
watch_list_clear(struct watch_list *l)
{
	while (l->n > 0) {
		free_strings(&l->v[--l->n]->row);
		free(l->v[l->n]);
	}
	free(l->v);
	free(l->by_watch);
	if (l->fd >= 0)
		close(l->fd);
}

/* By name: where it is, or where it would be. */
static size_t
place_of(const struct watch_list *l, const char *user, bool *is_there)
{
	size_t low = 0, high = l->n;

	*is_there = false;
	while (low < high && !*is_there) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(l->v[mid]->row.user, user);

		*is_there = order == 0;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return high;
}

struct watched *
watch_list_find(const struct watch_list *l, const char *user)
{
	bool is_there;
	size_t at = place_of(l, user, &is_there);

	return is_there ? l->v[at] : NULL;
}

/* ---- Watches ---- */

/* The same folder again is the same watch. */
static void
add_watch(struct watch_list *l, struct watched *w, const char *path, uint32_t mask)
{
	int wd = inotify_add_watch(l->fd, path, mask);

	if (wd < 0 && errno == ENOSPC && !w->is_unwatched) {
		w->is_unwatched = true;
		l->unwatched++;
	}
	if (wd < 0)
		return;
	if ((size_t)wd >= l->watch_cap) {
		size_t cap = (size_t)wd * 2 + 64;

		l->by_watch = pst_realloc_array(l->by_watch, cap, sizeof(struct watched *));
		memset(l->by_watch + l->watch_cap, 0,
		       (cap - l->watch_cap) * sizeof(struct watched *));
		l->watch_cap = cap;
	}
	if (l->by_watch[wd] == NULL) {
		l->watches++;
		w->watches++;
		l->by_watch[wd] = w;
	}
}

static void
watch_folders(struct watch_list *l, struct watched *w)
{
	DIR *dir = opendir(w->row.path);
	struct dirent *e;
	char path[PATH_MAX];

	if (dir == NULL)
		return;
	add_watch(l, w, w->row.path, IN_FOLDER);
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' && strcmp(e->d_name, "tmp") != 0 &&
		    (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", w->row.path, e->d_name) <
		            sizeof(path))
			add_watch(l, w, path, IN_FOLDER);
	closedir(dir);
}

static void
watch(struct watch_list *l, struct watched *w)
{
	struct stat st;

	if (w->is_unwatched) {
		w->is_unwatched = false;
		l->unwatched--;
	}
	if (lstat(w->row.path, &st) != 0)
		return; /* looked for again on the timer */
	if (S_ISDIR(st.st_mode))
		watch_folders(l, w);
	else if (S_ISREG(st.st_mode))
		add_watch(l, w, w->row.path, IN_FILE);
}

static void
forget_watches(struct watch_list *l, struct watched *w)
{
	size_t wd;

	for (wd = 0; wd < l->watch_cap && w->watches > 0; wd++) {
		if (l->by_watch[wd] != w)
			continue;
		(void)inotify_rm_watch(l->fd, (int)wd);
		l->by_watch[wd] = NULL;
		w->watches--;
		l->watches--;
	}
	if (w->is_unwatched)
		l->unwatched--;
	w->is_unwatched = false;
}

/* ---- Maildrops ---- */

static bool
is_same_row(const struct drop_row *a, const struct drop_row *b)
{
	return strcmp(a->storage, b->storage) == 0 && strcmp(a->path, b->path) == 0 &&
	       a->uid == b->uid && a->gid == b->gid;
}

static struct watched *
insert(struct watch_list *l, size_t at)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		l->v = pst_realloc_array(l->v, l->cap, sizeof(struct watched *));
	}
	memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof(struct watched *));
	l->v[at] = pst_new(struct watched);
	l->n++;
	return l->v[at];
}

void
watch_list_take(struct watch_list *l, const struct drop_row *row, int64_t now_ms)
{
	bool is_there;
	size_t at = place_of(l, row->user, &is_there);
	struct watched *w = is_there ? l->v[at] : insert(l, at);

	w->is_listed = true;
	if (!is_there || !is_same_row(&w->row, row)) {
		forget_watches(l, w);
		if (is_there)
			free_strings(&w->row);
		keep_row(&w->row, row);
	}
	if (w->watches == 0) { /* it may have come to be, or watches may be free again */
		watch(l, w);
		w->due_ms = now_ms;
	}
}

void
watch_list_begin(struct watch_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		l->v[i]->is_listed = false;
}

void
watch_list_end(struct watch_list *l, bool is_complete)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		struct watched *w = l->v[i];

		if (!is_complete || w->is_listed || w->in_hand) {
			l->v[n++] = w;
			continue;
		}
		forget_watches(l, w);
		free_strings(&w->row);
		free(w);
	}
	l->n = n;
}

/* ---- What happens ---- */

static void
on_event(struct watch_list *l, const struct inotify_event *e, int64_t now_ms)
{
	struct watched *w;
	size_t i;

	if ((e->mask & IN_Q_OVERFLOW) != 0) { /* whatever it was: all are looked at */
		for (i = 0; i < l->n; i++)
			if (l->v[i]->due_ms == 0)
				l->v[i]->due_ms = now_ms + l->delay_ms;
		return;
	}
	if (e->wd < 0 || (size_t)e->wd >= l->watch_cap || l->by_watch[e->wd] == NULL)
		return;
	w = l->by_watch[e->wd];
	if ((e->mask & IN_IGNORED) != 0) { /* what was watched is no more */
		l->by_watch[e->wd] = NULL;
		w->watches--;
		l->watches--;
	}
	if ((e->mask & IN_ISDIR) != 0) /* new/ may be there now */
		watch(l, w);
	if (w->due_ms == 0) /* more of it makes it no later */
		w->due_ms = now_ms + l->delay_ms;
}

void
watch_list_hear(struct watch_list *l, int64_t now_ms)
{
	char room[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	unsigned rounds = 16;
	ssize_t n;

	while (rounds-- > 0 && (n = read(l->fd, room, sizeof(room))) > 0) {
		const char *at = room;

		while (at < room + n) {
			const struct inotify_event *e = (const void *)at;

			on_event(l, e, now_ms);
			at += sizeof(*e) + e->len;
		}
	}
}

struct watched *
watch_list_due(struct watch_list *l, int64_t now_ms, int64_t *next_ms_out)
{
	struct watched *first = NULL;
	size_t i;

	*next_ms_out = -1;
	for (i = 0; i < l->n; i++) {
		struct watched *w = l->v[i];

		if (w->due_ms == 0 || w->in_hand)
			continue;
		if (first == NULL || w->due_ms < first->due_ms)
			first = w;
	}
	if (first == NULL)
		return NULL;
	*next_ms_out = first->due_ms;
	return first->due_ms <= now_ms ? first : NULL;
}
