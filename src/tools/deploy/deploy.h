#pragma once
/* `hotspare deploy`: files that start a planned model on today's engines, with Hotspare before it.
 */

/* Exit code: 0 written (or shown); 1 forbidden by the licence, does not fit, cannot be deployed so,
 * or a file is there already and differs; 64 usage; 65, 69 as `hotspare plan`; 74 I/O. */
int deploy_main(int argc, char **argv);
