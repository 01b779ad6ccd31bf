/* What the service manager is told, and how often: systemd's sd_notify protocol (sd_notify(3)), a
 * datagram of VARIABLE=VALUE lines to the socket that $NOTIFY_SOCKET names. Without that variable
 * everything here does nothing. No libsystemd: it is one send(2), and that library would bring
 * its dependencies into a process that faces the world.
 *
 * One per process, like the environment. Control thread only.
 */
#ifndef TG_PROCESS_NOTIFY_H
#define TG_PROCESS_NOTIFY_H

#include <stdint.h>

/* Read the environment, and take from it what is meant for us alone. Before there are threads, a
 * fork or a chroot: the socket is connected from here on. */
void tg_notify_open(void);

/* Send `state` ("READY=1"; several lines are good, "" is none) and STATUS=, the rest as printf. */
void tg_notify(const char *state, const char *status, ...) __attribute__((format(printf, 2, 3)));

/* A reload begins: systemd wants the time of that in the same message. */
void tg_notify_reloading(void);

/* Another process is the service now, and ready. */
void tg_notify_main_pid(int pid);

/* We stop, which takes `ms` milliseconds at most. */
void tg_notify_stopping(uint64_t ms);

/* Alive: to be sent each half of tg_notify_watchdog_ms. */
void tg_notify_alive(void);

/* After how long without a word the manager takes us for dead; 0: it does not. */
uint64_t tg_notify_watchdog_ms(void);

#endif
