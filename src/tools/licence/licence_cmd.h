#pragma once
/* `hotspare licence`: what a model's licence asks, and whether a declared use is allowed. */

/* Exit code: 0 allowed (perhaps with duties); 1 forbidden; 3 a lawyer must be asked, or something
 * is not known; 64 usage. */
int licence_main(int argc, char **argv);
