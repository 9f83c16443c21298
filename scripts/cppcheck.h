/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cppcheck.h - What cppcheck does not read of <sys/queue.h>
 */
#define TAILQ_FOREACH(v, h, f) \
	for ((v) = (h)->tqh_first; (v) != 0; (v) = (v)->f.tqe_next)
#define STAILQ_FOREACH(v, h, f) \
	for ((v) = (h)->stqh_first; (v) != 0; (v) = (v)->f.stqe_next)
#define LIST_FOREACH(v, h, f) \
	for ((v) = (h)->lh_first; (v) != 0; (v) = (v)->f.le_next)
#define TAILQ_FIRST(h)	  ((h)->tqh_first)
#define TAILQ_NEXT(v, f)  ((v)->f.tqe_next)
#define STAILQ_FIRST(h)	  ((h)->stqh_first)
#define STAILQ_NEXT(v, f) ((v)->f.stqe_next)
#define LIST_FIRST(h)	  ((h)->lh_first)
#define LIST_NEXT(v, f)	  ((v)->f.le_next)
#define TAILQ_FOREACH_REVERSE(v, h, head, f) TAILQ_FOREACH (v, h, f)
