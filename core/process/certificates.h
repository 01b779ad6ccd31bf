/* Certificates grow old while nobody looks: once a day the log is told of those that expire soon. (At
 * each load it is told as well, as a warning of the configuration.)
 */
#ifndef TG_PROCESS_CERTIFICATES_H
#define TG_PROCESS_CERTIFICATES_H

#include "process/control.h"

void tg_certificates_start(struct tg_control *control);
void tg_certificates_stop(struct tg_control *control);

#endif
