#pragma once
/* `hotspare matrix`: which model to take: speed, price and latency of hosted and own ones side by
 * side, each value with where it is from. */

/* Exit code: 0 shown; 64 usage; 65 a bad catalogue; 69 the gateway does not answer; 74 I/O; 78 a
 * bad configuration, or one without a state_dir. */
int matrix_main(int argc, char **argv);
