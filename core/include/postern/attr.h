/* SPDX-License-Identifier: MIT */
/* postern/attr.h - the compiler attributes that this tree uses, by name. */
#ifndef POSTERN_ATTR_H
#define POSTERN_ATTR_H

/* fmt and first: 1-based places of the format string and of its first argument. */
#define PST_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define PST_MUST_USE __attribute__((warn_unused_result))
#define PST_NORETURN __attribute__((noreturn))
/* A large buffer on a hot path, written before it is read: the build zeroes locals otherwise. */
#define PST_UNINITIALIZED __attribute__((uninitialized))
#define PST_UNUSED __attribute__((unused))
#define PST_NOINLINE __attribute__((noinline))
#define PST_INLINE __attribute__((always_inline)) inline
/* Compiled for a processor that has these, as in "avx2": call it only where __builtin_cpu_supports them. */
#define PST_TARGET(features) __attribute__((target(features)))

/* The one symbol that a plugin shows. */
#define PST_EXPORT __attribute__((visibility("default")))

#endif
