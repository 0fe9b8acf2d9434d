/* What started the server and watches it, when that is systemd or speaks like it: the notification
 * protocol of sd_notify(3), over the datagram socket that NOTIFY_SOCKET names. */
#ifndef TENSORD_WORKER_SUPERVISOR_H
#define TENSORD_WORKER_SUPERVISOR_H

/* The server serves; also the end of a reload. */
void supervisor_ready(void);

/* It reads its settings anew; `ready` follows. */
void supervisor_reloading(void);

/* It stops. */
void supervisor_stopping(void);

/* Its loop turns: feeds the watchdog, if one is set for this process. */
void supervisor_alive(void);

#endif
