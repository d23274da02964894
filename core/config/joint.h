/* SPDX-License-Identifier: MIT */
/* config/joint.h - what joins two settings, and values that are more than a type and bounds. */
#ifndef CONFIG_JOINT_H
#define CONFIG_JOINT_H

#include "config/settings.h"

/* Called last by settings_load. */
void settings_check_joint(const struct conf_texts *t, const struct settings *s,
                          struct conf_problems *p);

#endif
