#pragma once
/* The small process between the gateway and an engine: it starts the engine in a group of its own,
 * keeps its log, and ends the whole group when it is told to (SIGTERM) or when the gateway is gone,
 * however that died. */

/* `hotspare engine-guard [--log FILE] [--log-max BYTES] [--memory BYTES] -- PROGRAM ARGUMENT...`
 * What the engine says goes to the log and to stdout, line by line; a stdout that nobody reads any
 * more is how the guard learns that the gateway is gone. Exits as the engine did: its code, or 128
 * and the number of the signal; 127: the program could not be run. */
int child_guard_main(int argc, char **argv);
