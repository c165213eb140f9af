#pragma once
/* Shared by admin.c (the admin doors) and admin_fault.c (the one through which drills commit
 * faults). Nobody else includes it. */
#include "json/json_write.h"
#include "serve/worker.h"

void admin_reply(struct request *r, int status, const char *type, struct span body);

/* GET, POST and DELETE of /api/fault; documented in the manual, "DRILLS AGAINST YOUR OWN CHAIN". */
void fault_door_get(struct worker *w, struct request *r);
void fault_door_post(struct worker *w, struct request *r);
void fault_door_delete(struct worker *w, struct request *r);

/* For whoever looks: the order in force, or null. */
void fault_write_status(struct worker *w, struct json_out *j);
MUST_USE enum err fault_write_metrics(struct worker *w, struct buf *out);
