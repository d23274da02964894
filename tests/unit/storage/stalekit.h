/* SPDX-License-Identifier: MIT */
/* A call of the file system that answers ESTALE once. The calls are wrapped by the linker: see
 * module.am. */
#ifndef TESTS_UNIT_STORAGE_STALEKIT_H
#define TESTS_UNIT_STORAGE_STALEKIT_H

/* The call of that number, from now on, is the one; 1: the next. */
void stalekit_begin(unsigned at);

/* None is from now on. Returns how many calls there were. */
unsigned stalekit_end(void);

#endif
