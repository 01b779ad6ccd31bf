/* Where the runtime (lua/) and the shipped scripts are: found from where the program itself lies,
 * so that it can be installed anywhere, staged anywhere, and run from the build tree.
 */
#ifndef TG_PROCESS_SHARE_H
#define TG_PROCESS_SHARE_H

/* The directory that holds lua/ and scripts/, in static memory; NULL: not found, and `where` gets
 * the place where it should be. Before a chroot and before there are threads. */
const char *tg_share_find(const char **where);

#endif
