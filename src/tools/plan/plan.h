#pragma once
/* `hotspare plan`: will this model run on this hardware, for how many, how fast, at what price, and
 * what to do when it will not. */

/* Exit code: 0 it fits (and is as fast as asked for); 1 it does not; 64 usage; 65 a file that
 * cannot be read as a model; 69 no accelerator found. */
int plan_main(int argc, char **argv);
