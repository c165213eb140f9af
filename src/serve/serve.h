#pragma once
/* `hotspare serve`: the program itself. */

int serve_main(int argc, char **argv);
