#pragma once
/* `hotspare pull`: weights from a model hub onto this disk, whole and verified. */

int pull_main(int argc, char **argv);
