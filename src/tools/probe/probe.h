#pragma once
/* `hotspare probe`: what a target can really do, asked of it. */

/* Exit code: 0 no finding; 1 there are findings; 64 usage; 69 a target gave no answer; 78
 * configuration; 130 stopped. */
int probe_main(int argc, char **argv);
